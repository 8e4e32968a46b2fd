//! Where the traffic comes from: traffic can be split only where an Ingress leads to a Service, and
//! whatever leads to that Service is split with it.

use crate::admit::report::Report;
use crate::{
    config::annotations::path,
    document::finding::Finding,
    domain::{
        k8s::{
            json_pointer::part,
            selector::{Labels, map_selects},
        },
        keys,
        strategy::CanaryStrategy,
        world::World,
    },
    objects::labels::service_selector,
    routers::nginx::{self, annotation, name_of, routes_to},
};
use k8s_openapi::api::core::v1::Service;
use serde_json::Value;
use std::collections::BTreeSet;

/// Hosts and paths that one warning lists.
const MAX_SHOWN: usize = 5;
/// Prefix of the annotations by which external-dns makes records.
const EXTERNAL_DNS: &str = "external-dns.alpha.kubernetes.io/";

/// Reports what the plan names and the namespace lacks. Before traffic is to be split (`releases`) it may still be on
/// its way.
pub(super) fn lacking(report: &mut Report, releases: bool, field: &str, name: &str, problem: String) {
    if releases {
        report.findings.push(Finding::new(format!("{}.{field}", path(keys::CANARY)), name, problem));
    } else {
        report.warnings.push(format!("{field} {name:?}: {problem}"));
    }
}

/// Checks the Service that the plan names, if it names one.
pub(super) fn check_service(
    split: &[&Service],
    strategy: &CanaryStrategy,
    pods: &Labels,
    releases: bool,
    report: &mut Report,
) {
    let Some(wanted) = strategy.stable_service.as_deref() else { return };
    let problem = match split.first().map(|service| service_selector(service)) {
        None => "this Service does not exist".to_owned(),
        Some(Some(selector)) if !map_selects(selector, pods) => {
            let selector: Vec<String> =
                selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!(
                "this Service selects {}, which the pods of this Deployment do not have; name one that selects them",
                selector.join(",")
            )
        }
        Some(_) => return,
    };
    lacking(report, releases, "stableService", wanted, problem);
}

/// Checks the Ingresses that lead to the Services to be split.
pub(super) fn check(
    split: &[&Service],
    strategy: &CanaryStrategy,
    world: &World,
    pods: &Labels,
    releases: bool,
    report: &mut Report,
) {
    let names: Vec<&str> = split.iter().filter_map(|service| service.metadata.name.as_deref()).collect();
    let known = report.findings.len();
    check_service(split, strategy, pods, releases, report);
    let prefix = &strategy.nginx.annotation_prefix;
    let (canaries, stable): (Vec<&Value>, Vec<&Value>) =
        nginx::ingresses(world).iter().partition(|ingress| nginx::is_canary(ingress, prefix));
    let leading: Vec<&Value> = stable.iter().copied().filter(|ingress| routes_to(ingress, &names)).collect();
    for wanted in &strategy.nginx.stable_ingresses {
        if !leading.iter().any(|ingress| name_of(ingress) == wanted) {
            let problem = "this Ingress does not lead to a Service of this Deployment".to_owned();
            lacking(report, releases, "trafficRouting.nginx.stableIngress", wanted, problem);
        }
    }
    if leading.is_empty() {
        // Without a router's name the traffic would be split by pods.
        let problem = "no Ingress leads to a Service of this Deployment, so its canary would get no traffic";
        if !releases {
            report.warnings.push(problem.to_owned());
        } else if report.findings.len() == known {
            let fix = "make the Ingress first, or use haldane.dev/canary without trafficRouting, which splits by pods";
            let problem = format!("{problem}; {fix}");
            report.findings.push(Finding::new(path(keys::CANARY), names.join(", "), problem));
        }
    }
    for foreign in canaries.iter().filter(|i| shares_route(i, &stable, &names)) {
        let problem =
            "this Ingress is a canary of the same host and path already; NGINX honours one, so delete it";
        report.findings.push(Finding::new(path(keys::CANARY), name_of(foreign), problem));
    }
    report.warnings.extend(shared(&leading, &names));
    report.warnings.extend(hazards(&leading, prefix));
}

/// A foreign canary joins our upstream when its host and path are those of a stable route of ours.
fn shares_route(canary: &Value, stable: &[&Value], services: &[&str]) -> bool {
    nginx::paths(canary).any(|(host, path)| {
        stable.iter().flat_map(|ingress| nginx::paths(ingress)).any(|(stable_host, stable_path)| {
            host == stable_host
                && path.get("path") == stable_path.get("path")
                && nginx::backend(stable_path).is_some_and(|service| services.contains(&service))
        })
    })
}

/// Every host and path of an upstream gets the canary's weight; more than one may be a surprise.
fn shared(leading: &[&Value], services: &[&str]) -> Option<String> {
    let routes: BTreeSet<String> = leading
        .iter()
        .flat_map(|ingress| nginx::paths(ingress))
        .filter(|(_, path)| nginx::backend(path).is_some_and(|service| services.contains(&service)))
        .map(|(host, path)| {
            format!(
                "{}{}",
                if host.is_empty() { "*" } else { host },
                path.get("path").and_then(Value::as_str).unwrap_or("/")
            )
        })
        .collect();
    if routes.len() < 2 {
        return None;
    }
    let shown: Vec<&str> = routes.iter().take(MAX_SHOWN).map(String::as_str).collect();
    let more = routes.len().saturating_sub(MAX_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("the canary's weight applies to every route of its Services: {}{more}", shown.join(", ")))
}

/// Annotations of the user's Ingresses that do not go well with a canary.
fn hazards(leading: &[&Value], prefix: &str) -> Vec<String> {
    let is = |ingress: &Value, key: &str, value: &str| {
        annotation(ingress, &format!("{prefix}/{key}")) == Some(value)
    };
    let mut warnings = Vec::new();
    for ingress in leading {
        let name = name_of(ingress);
        // Source: ingress-nginx, rootfs/etc/nginx/lua/balancer.lua, route_to_alternative_balancer.
        if is(ingress, "affinity", "cookie") && !is(ingress, "affinity-canary-behavior", "legacy") {
            warnings.push(format!(
                "Ingress {name:?} has affinity: cookie: clients keep the side that they are on whatever the weight, so shares differ from the plan; affinity-canary-behavior: legacy lets the weight decide"
            ));
        }
        let annotations = part(ingress, "/metadata/annotations").and_then(Value::as_object);
        if annotations.into_iter().flatten().any(|(key, _)| key.starts_with(EXTERNAL_DNS)) {
            warnings.push(format!(
                "Ingress {name:?} is read by external-dns, which sees the canary's Ingress of the same hosts too: exclude it there with the label filter app.kubernetes.io/managed-by!=haldane"
            ));
        }
    }
    warnings
}
