//! What of the user's Ingresses routes to the pair, and what does not go well with a canary.

use super::{
    AFFINITY_BEHAVIOR,
    settings::{self, Settings},
};
use crate::{
    domain::{k8s::json_pointer::part, strategy::CanaryStrategy, world::World},
    routers::{
        Obstacle, Routes,
        raw::{items, name_of},
    },
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Hosts and paths that one warning lists.
const MAX_SHOWN: usize = 5;
/// Prefix of the annotations by which external-dns makes records.
const EXTERNAL_DNS: &str = "external-dns.alpha.kubernetes.io/";

/// See [`crate::routers::TrafficRouter::survey`]; without what is in the way.
pub(super) fn survey<'a>(
    services: &BTreeMap<String, String>,
    settings: &Settings,
    world: &'a World,
) -> Routes<'a> {
    let (_, stable) = canaries_and_stable(settings, world);
    let routing: Vec<&Value> =
        stable.iter().copied().filter(|ingress| routes_to(ingress, services)).collect();
    let named = &settings.stable_ingresses;
    let missing = named.iter().filter(|name| !routing.iter().any(|ingress| name_of(ingress) == *name));
    let missing = missing.map(|name| Obstacle {
        field: "nginx.stableIngress",
        name: name.clone(),
        problem: "this Ingress does not route to a Service of this Deployment".to_owned(),
    });
    let is_asked = |ingress: &&Value| named.is_empty() || named.iter().any(|name| name == name_of(ingress));
    let found: Vec<&Value> = routing.iter().copied().filter(is_asked).collect();
    Routes { is_routed: !found.is_empty(), found, missing: missing.collect(), conflicts: Vec::new() }
}

/// The users' Ingresses that are canaries themselves, of whomever, and the others.
pub(super) fn canaries_and_stable<'a>(
    settings: &Settings,
    world: &'a World,
) -> (Vec<&'a Value>, Vec<&'a Value>) {
    let key = format!("{}/canary", settings.annotation_prefix);
    world.routes("Ingress").iter().partition(|ingress| annotation(ingress, &key) == Some("true"))
}

/// What makes two paths of a host the same for NGINX.
pub(super) fn location(path: &Value) -> (&str, Option<&str>) {
    let text = |key: &str| path.get(key).and_then(Value::as_str);
    (text("path").unwrap_or("/"), text("pathType"))
}

/// A host and path for a message.
pub(super) fn shown(host: &str, path: &Value) -> String {
    format!("{}{}", if host.is_empty() { "*" } else { host }, location(path).0)
}

fn routes_to(ingress: &Value, services: &BTreeMap<String, String>) -> bool {
    paths(ingress).any(|(_, path)| backend(path).is_some_and(|service| services.contains_key(service)))
}

/// An annotation of an object.
pub(super) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    part(object, "/metadata/annotations")?.get(key)?.as_str()
}

/// Hosts (empty = any) and paths of an Ingress.
pub(super) fn paths(ingress: &Value) -> impl Iterator<Item = (&str, &Value)> {
    items(ingress, "/spec/rules").flat_map(|rule| {
        let host = rule.get("host").and_then(Value::as_str).unwrap_or_default();
        items(rule, "/http/paths").map(move |path| (host, path))
    })
}

/// Name of the Service that a path routes to, if it is one.
pub(super) fn backend(path: &Value) -> Option<&str> {
    part(path, "/backend/service/name")?.as_str()
}

/// See [`crate::routers::TrafficRouter::hazards`].
pub(super) fn hazards(
    services: &BTreeMap<String, String>,
    strategy: &CanaryStrategy,
    settings: &Settings,
    routes: &Routes<'_>,
) -> Vec<String> {
    let mut warnings = settings::ignored(strategy, settings);
    warnings.extend(shared(services, routes));
    for ingress in &routes.found {
        warnings.extend(of_annotations(ingress, &settings.annotation_prefix));
    }
    warnings
}

/// Every host and path of an upstream gets the canary's weight; more than one may be a surprise.
fn shared(services: &BTreeMap<String, String>, routes: &Routes<'_>) -> Option<String> {
    let all = routes.found.iter().flat_map(|ingress| paths(ingress));
    let of_pair = all.filter(|(_, path)| backend(path).is_some_and(|service| services.contains_key(service)));
    let names: BTreeSet<String> = of_pair.map(|(host, path)| shown(host, path)).collect();
    if names.len() < 2 {
        return None;
    }
    let shown: Vec<&str> = names.iter().take(MAX_SHOWN).map(String::as_str).collect();
    let more = names.len().saturating_sub(MAX_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("the canary's weight applies to every route of its Services: {}{more}", shown.join(", ")))
}

/// Annotations of a user's Ingress that do not go well with a canary.
fn of_annotations(ingress: &Value, prefix: &str) -> Vec<String> {
    let is = |key: &str, value: &str| annotation(ingress, &format!("{prefix}/{key}")) == Some(value);
    let name = name_of(ingress);
    let mut warnings = Vec::new();
    // Source: ingress-nginx, rootfs/etc/nginx/lua/balancer.lua, route_to_alternative_balancer.
    if is("affinity", "cookie") && !is(AFFINITY_BEHAVIOR, "legacy") {
        warnings.push(format!(
            "Ingress {name:?} has affinity: cookie: clients keep the side that they are on whatever the weight, so shares differ from the plan; to let the weight decide, annotate this Ingress with {prefix}/{AFFINITY_BEHAVIOR}: legacy, which Haldane copies to the canary's Ingress, where NGINX reads it"
        ));
    }
    let annotations = part(ingress, "/metadata/annotations").and_then(Value::as_object);
    if annotations.into_iter().flatten().any(|(key, _)| key.starts_with(EXTERNAL_DNS)) {
        warnings.push(format!(
            "Ingress {name:?} is read by external-dns, which sees the canary's Ingress of the same hosts too: exclude it there with the label filter app.kubernetes.io/managed-by!=haldane"
        ));
    }
    warnings
}
