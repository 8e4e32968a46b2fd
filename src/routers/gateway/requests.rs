//! Where Traefik counts the requests of both sides of a companion.

use crate::routers::{
    Intent, Requests, Routes, companion,
    raw::{items, name_of},
    requests::{one_of, traefik},
};
use serde_json::Value;

const CAUSES: &str = "a proxy in front sends X-Forwarded-Proto with another value than http, https, ws or wss; an HTTPRoute of another namespace has the same host and path; the Gateway has not taken over the companion, as its status and log say";

/// See [`crate::routers::TrafficRouter::requests`].
pub(super) fn of(intent: &Intent<'_>, routes: &Routes<'_>) -> Option<Requests> {
    if routes.found.iter().any(|route| decides_otherwise(route)) {
        return None;
    }
    let namespace = &intent.owner.namespace;
    let companions: Vec<String> =
        routes.found.iter().map(|route| companion::name(&intent.owner.name, route)).collect();
    let companions = companions.iter().map(String::as_str);
    // The user's own route gets what its companion does not match.
    let all = companions.clone().chain(routes.found.iter().map(|route| name_of(route)));
    let series = |routes: &str, services: &str| {
        let name = format!("httproute-{namespace}-{routes}-gw-.*-svc-{namespace}-{services}-[0-9]+");
        traefik(&format!("{name}@kubernetesgateway")).into()
    };
    let stable = one_of(intent.services.keys().map(String::as_str));
    let canary = one_of(intent.services.values().map(String::as_str));
    Some(Requests {
        canary: series(&one_of(companions), &canary),
        others: series(&one_of(all), &stable),
        causes: CAUSES,
    })
}

/// Whether more than the weights decides where a request goes, or is counted.
fn decides_otherwise(route: &Value) -> bool {
    let is_mirror = |filter: &Value| filter.get("type").is_some_and(|kind| kind == "RequestMirror");
    items(route, "/spec/rules")
        .any(|rule| rule.get("sessionPersistence").is_some() || items(rule, "/filters").any(is_mirror))
}
