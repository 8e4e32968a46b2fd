//! The companion of one `IngressRoute`.

use super::{INGRESS_ROUTE, backends::Backends, priorities};
use crate::{
    domain::{
        k8s::json_pointer::part,
        strategy::{HeaderMatch, HeaderRoute, HeaderValue},
    },
    objects::{
        copied_labels::copied_labels,
        manifest::{Manifest, Meta},
    },
    routers::{
        Intent, companion,
        raw::{namespace_of, with, without},
    },
};
use serde_json::Value;

/// Annotations of an `IngressRoute` that Traefik reads: its class, before there was a field.
const READ: [&str; 1] = ["kubernetes.io/ingress.class"];

/// The companion, with the traffic of `intent`. It carries the route's labels, because Traefik may serve only what a label
/// selects.
pub(super) fn of(intent: &Intent<'_>, route: &Value, backends: &Backends<'_>) -> Manifest {
    let namespace = namespace_of(route);
    let routes = backends.rules(route).flat_map(|rule| routes_of(intent, rule, *backends, namespace));
    let mut spec = part(route, "/spec").and_then(Value::as_object).cloned().unwrap_or_default();
    spec.insert("routes".to_owned(), routes.collect());
    let labels = part(route, "/metadata/labels").cloned();
    let labels = labels.and_then(|labels| serde_json::from_value(labels).ok());
    let annotations = companion::copied_annotations(route, &READ);
    let meta = Meta { labels: copied_labels(labels.as_ref()), annotations };
    companion::manifest(INGRESS_ROUTE, intent, route, meta, spec.into())
}

/// What stands for a rule of the user: the rule, and once more for each header route.
fn routes_of(intent: &Intent<'_>, rule: &Value, backends: Backends<'_>, namespace: &str) -> Vec<Value> {
    let with_parts = |parts| {
        let services = services(intent, rule, backends, namespace, parts);
        with(rule, "services", services.into())
    };
    let [first, by_header] = priorities::of_companion(rule);
    let weighted = with_parts(intent.weight.parts_of(intent.weight_total));
    let mut routes = vec![with(&weighted, "priority", first.into())];
    for header in intent.headers.iter().filter(|_| intent.is_open) {
        let all = with_parts(intent.weight_total);
        let all = with(&all, "match", with_headers(rule, header).into());
        routes.push(with(&all, "priority", by_header.into()));
    }
    routes
}

/// The services of a rule, with `parts` of each split one's share for its canary. One without a share is left out: were it
/// without pods, Traefik would leave out the whole route.
fn services(
    intent: &Intent<'_>,
    rule: &Value,
    backends: Backends<'_>,
    namespace: &str,
    parts: u32,
) -> Vec<Value> {
    let given = backends.of_rule(rule, namespace);
    // A single service has all requests, also with a weight of 0.
    let alone = if let [alone] = given[..] { Some(without(alone, "weight")) } else { None };
    let given = alone.as_ref().map_or(given, |alone| vec![alone]);
    let canary_of = |reference: &Value| backends.canary_of(reference, namespace);
    let all = companion::weighted(&given, intent.weight_total, parts, canary_of);
    let has_share = |service: &&Value| service.get("weight").and_then(Value::as_u64) != Some(0);
    let shared: Vec<Value> = all.iter().filter(has_share).cloned().collect();
    match &shared[..] {
        [] => all,
        [alone] => vec![without(alone, "weight")],
        _ => shared,
    }
}

/// The rule of a route for requests that have these headers as well.
fn with_headers(rule: &Value, route: &HeaderRoute) -> String {
    let is_old = rule.get("syntax").is_some_and(|syntax| syntax == "v2");
    let [exact, by_pattern] = if is_old { ["Headers", "HeadersRegexp"] } else { ["Header", "HeaderRegexp"] };
    let condition = |HeaderMatch { header, value }: &HeaderMatch| match (value, companion::pattern(value)) {
        (HeaderValue::Exact(value), _) => format!(" && {exact}({}, {})", quoted(header), quoted(value)),
        (_, pattern) => {
            let pattern = pattern.unwrap_or_default();
            format!(" && {by_pattern}({}, {})", quoted(header), quoted(&pattern))
        }
    };
    let own = rule.get("match").and_then(Value::as_str).unwrap_or_default();
    format!("({own}){}", route.matching.iter().map(condition).collect::<String>())
}

/// A text as a rule has it: between backticks, which cannot contain one, or else as a string of Go's, as which every string
/// of JSON is read.
fn quoted(text: &str) -> String {
    if text.contains(['`', '\r']) { Value::from(text).to_string() } else { format!("`{text}`") }
}
