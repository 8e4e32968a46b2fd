//! Ingresses because of which the traffic of a pair cannot be split.

use super::{
    Class, INGRESS_CLASS,
    routes::{backend, canaries_and_stable, location, paths, shown},
    settings::Settings,
};
use crate::{
    domain::{k8s::json_pointer::part, world::World},
    routers::{Obstacle, raw::name_of},
};
use serde_json::Value;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// Controllers of Ingresses that do not honour NGINX' canary annotations, as an `IngressClass` names them; some add a name
/// of theirs after a slash.
const WITHOUT_CANARIES: [&str; 21] = [
    "ako.vmware.com/avi-lb",
    "apisix.apache.org/apisix-ingress-controller",
    "azure/application-gateway",
    "cilium.io/ingress-controller",
    "citrix.com/ingress-controller",
    "eks.amazonaws.com/alb",
    "f5.com/cntr-ingress-svcs",
    "getambassador.io/ingress-controller",
    "haproxy-ingress.github.io/controller",
    "haproxy.org/ingress-controller",
    "ingress-controllers.konghq.com/kong",
    "ingress.k8s.aws/alb",
    "istio.io/ingress-controller",
    "k8s.ngrok.com/ingress-controller",
    "nginx.org/ingress-controller",
    "oci.oraclecloud.com/native-ingress-controller",
    "openshift.io/ingress-to-route",
    "pomerium.io/ingress-controller",
    "projectcontour.io/ingress-controller",
    "tailscale.com/ts-ingress",
    "traefik.io/ingress-controller",
];

/// Classes of such controllers that Ingresses name by annotation, without an `IngressClass`.
const CLASSES_WITHOUT_CANARIES: [&str; 4] = ["alb", "azure/application-gateway", "gce", "gce-internal"];

/// Controllers that honour them: ingress-nginx, Traefik as RKE2 has it, Higress, MSE of Alibaba, ingress-nginx as AKS has it.
const WITH_CANARIES: [&str; 5] = [
    "k8s.io/ingress-nginx",
    "rke2.cattle.io/ingress-nginx-migration",
    "higress.io/higress-controller",
    "mse.alibabacloud.com/ingress",
    "webapprouting.kubernetes.azure.com/nginx",
];

/// What the controllers of further ingress-nginx in a cluster have in their names, which their operators choose.
const OF_INGRESS_NGINX: &str = "ingress-nginx";

/// Whether a class' controller honours canary annotations.
#[derive(Debug, PartialEq, Eq)]
enum Honours {
    Yes,
    No(String),
    /// Nothing is known of this controller.
    Maybe(String),
}

/// What is in the way of a pair whose routes were `found`.
pub(super) fn in_the_way(
    services: &BTreeMap<String, String>,
    settings: &Settings,
    found: &[&Value],
    world: &World,
) -> Vec<Obstacle> {
    let (canaries, stable) = canaries_and_stable(settings, world);
    let mut obstacles = foreign(&canaries, &stable, services);
    obstacles.extend(overridden(found, &stable, services));
    obstacles.extend(of_other_controllers(found, world));
    obstacles
}

/// Canaries of somebody else on a route of the pair.
fn foreign(canaries: &[&Value], stable: &[&Value], services: &BTreeMap<String, String>) -> Vec<Obstacle> {
    let sharing = canaries.iter().filter(|canary| shares_route(canary, stable, services));
    sharing
        .map(|ingress| {
            let problem =
                "this Ingress is a canary of the same host and path already; NGINX honours one, so delete it";
            obstacle(ingress, problem.to_owned())
        })
        .collect()
}

/// A foreign canary joins our upstream when it has the host and path of a stable route of ours.
fn shares_route(canary: &Value, stable: &[&Value], services: &BTreeMap<String, String>) -> bool {
    paths(canary).any(|(host, path)| {
        stable.iter().flat_map(|ingress| paths(ingress)).any(|(stable_host, stable_path)| {
            host == stable_host
                && path.get("path") == stable_path.get("path")
                && backend(stable_path).is_some_and(|service| services.contains_key(service))
        })
    })
}

/// Paths of the pair that another Ingress of the same class routes to another Service first: NGINX honours that one, and
/// would give its requests to the canary.
///
/// Source: ingress-nginx `internal/ingress/controller/store/store.go`, `ListIngresses`, and `controller.go`,
/// `createServers` and `mergeAlternativeBackends`.
fn overridden(found: &[&Value], stable: &[&Value], services: &BTreeMap<String, String>) -> Vec<Obstacle> {
    let mut ordered = stable.to_vec();
    ordered.sort_by_key(|ingress| {
        let made = part(ingress, "/metadata/creationTimestamp").and_then(Value::as_str);
        (made.unwrap_or_default(), Reverse(name_of(ingress)))
    });
    let is_ours = |path: &Value| backend(path).is_some_and(|service| services.contains_key(service));
    let mut obstacles = Vec::new();
    for ingress in found {
        for (host, path) in paths(ingress).filter(|(_, path)| is_ours(path)) {
            let class = Class::of(ingress);
            let rivals = ordered.iter().filter(|rival| Class::of(rival) == class);
            let mut same =
                rivals.flat_map(|rival| paths(rival).map(move |(host, path)| (*rival, host, path)));
            let first = same.find(|(_, other, rival)| *other == host && location(rival) == location(path));
            let Some((first, _, rival)) = first.filter(|(_, _, rival)| !is_ours(rival)) else { continue };
            let problem = format!(
                "its path {} is routed to Service {:?} by Ingress {:?}, which is older: NGINX honours the older one, and would give its requests to the canary; remove the path from one of the two",
                shown(host, path),
                backend(rival).unwrap_or_default(),
                name_of(first)
            );
            obstacles.push(obstacle(ingress, problem));
        }
    }
    obstacles
}

/// Ingresses of a class whose controller does not honour canary annotations.
fn of_other_controllers(found: &[&Value], world: &World) -> Vec<Obstacle> {
    let refused = |ingress: &&Value| {
        let class = Class::of(ingress);
        let Honours::No(whose) = honours(&class, world) else { return None };
        let problem = format!(
            "its IngressClass {:?} {whose}, which does not honour NGINX' canary annotations, so the canary would get no traffic by it; route by a class of ingress-nginx, of Traefik's provider kubernetesIngressNGINX or of Higress, or by an HTTPRoute with trafficRouting: {{gateway: {{}}}}, or name the Ingresses of such a class in trafficRouting.nginx.stableIngresses",
            class.name().unwrap_or_default()
        );
        Some(obstacle(ingress, problem))
    };
    found.iter().filter_map(refused).collect()
}

/// Warnings about classes of whose controllers nothing is known.
pub(super) fn of_unknown_controllers(found: &[&Value], world: &World) -> Vec<String> {
    let classes: BTreeSet<Class> = found.iter().map(|ingress| Class::of(ingress)).collect();
    let unknown = |class: &Class| {
        let Honours::Maybe(controller) = honours(class, world) else { return None };
        Some(format!(
            "IngressClass {:?} belongs to the controller {controller}, which Haldane does not know: see that it honours NGINX' canary annotations, as ingress-nginx, Traefik's provider kubernetesIngressNGINX and Higress do; one that does not sends the canary no requests, or all",
            class.name()?
        ))
    };
    classes.iter().filter_map(unknown).collect()
}

fn honours(class: &Class, world: &World) -> Honours {
    let Some(name) = class.name() else { return Honours::Yes };
    let object = world.routes(INGRESS_CLASS.name()).iter().find(|object| name_of(object) == name);
    let Some(controller) = object.and_then(|object| part(object, "/spec/controller")).and_then(Value::as_str)
    else {
        let is_known =
            matches!(class, Class::Annotation(name) if CLASSES_WITHOUT_CANARIES.contains(&name.as_str()));
        return if is_known { Honours::No("is of another controller".to_owned()) } else { Honours::Yes };
    };
    let is = |known: &&str| {
        controller.strip_prefix(*known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if WITHOUT_CANARIES.iter().any(is) {
        Honours::No(format!("belongs to the controller {controller}"))
    } else if WITH_CANARIES.contains(&controller) || controller.contains(OF_INGRESS_NGINX) {
        Honours::Yes
    } else {
        Honours::Maybe(controller.to_owned())
    }
}

fn obstacle(ingress: &Value, problem: String) -> Obstacle {
    Obstacle { field: "", name: name_of(ingress).to_owned(), problem }
}
