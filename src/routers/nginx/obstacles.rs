//! Ingresses because of which the traffic of a pair cannot be split.

use super::{
    Class, INGRESS_CLASS,
    routes::{backend, canaries_and_stable, location, name_of, paths, shown},
    settings::Settings,
};
use crate::{
    domain::{k8s::json_pointer::part, world::World},
    routers::Obstacle,
};
use serde_json::Value;
use std::{cmp::Reverse, collections::BTreeMap};

/// Controllers of Ingresses that do not honour NGINX' canary annotations, as an `IngressClass` names them.
const WITHOUT_CANARIES: [&str; 13] = [
    "apisix.apache.org/apisix-ingress-controller",
    "azure/application-gateway",
    "cilium.io/ingress-controller",
    "getambassador.io/ingress-controller",
    "haproxy-ingress.github.io/controller",
    "haproxy.org/ingress-controller",
    "ingress-controllers.konghq.com/kong",
    "ingress.k8s.aws/alb",
    "istio.io/ingress-controller",
    "nginx.org/ingress-controller",
    "openshift.io/ingress-to-route",
    "projectcontour.io/ingress-controller",
    "traefik.io/ingress-controller",
];

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
    let controller = |class: &str| {
        let object = world.routes(INGRESS_CLASS.name()).iter().find(|object| name_of(object) == class)?;
        part(object, "/spec/controller").and_then(Value::as_str)
    };
    let refused = |ingress: &&Value| {
        let class = Class::of(ingress);
        let name = class.name()?;
        let controller = controller(name).filter(|controller| WITHOUT_CANARIES.contains(controller))?;
        let problem = format!(
            "its IngressClass {name:?} belongs to the controller {controller}, which does not honour NGINX' canary annotations, so the canary would get no traffic by it; route by a class of ingress-nginx or by an HTTPRoute, or name the Ingresses of ingress-nginx in trafficRouting.nginx.stableIngresses"
        );
        Some(obstacle(ingress, problem))
    };
    found.iter().filter_map(refused).collect()
}

fn obstacle(ingress: &Value, problem: String) -> Obstacle {
    Obstacle { field: "", name: name_of(ingress).to_owned(), problem }
}
