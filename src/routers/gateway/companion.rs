//! The companion of one `HTTPRoute`.

use super::HTTP_ROUTE;
use crate::{
    domain::{
        k8s::json_pointer::part,
        strategy::{HeaderMatch, HeaderRoute, HeaderValue},
    },
    objects::manifest::{Manifest, Meta},
    routers::{
        Intent, companion,
        raw::{items, namespace_of, service_of, with, without},
    },
};
use serde_json::{Map, Value, json};

/// The header of the condition that always holds: proxies set it before they route.
pub(super) const HEADER: &str = "X-Forwarded-Proto";
/// The values that it has. Some proxies say `ws` of an upgrade, others `http`.
pub(super) const VALUES: [&str; 4] = ["http", "https", "ws", "wss"];
/// Gateway API's limit for the matches of a rule.
pub(super) const MAX_OF_RULE: usize = 64;
/// Annotations of an `HTTPRoute` by which an implementation treats its requests, such as plugins that authenticate.
const OF_IMPLEMENTATIONS: [&str; 1] = ["konghq.com/"];

/// The companion, with the traffic of `intent`.
pub(super) fn of(intent: &Intent<'_>, route: &Value) -> Manifest {
    let rules = items(route, "/spec/rules").flat_map(|rule| rules_of(intent, route, rule));
    let mut spec = part(route, "/spec").and_then(Value::as_object).cloned().unwrap_or_default();
    spec.insert("rules".to_owned(), rules.collect());
    let annotations = companion::copied_annotations(route, &OF_IMPLEMENTATIONS);
    companion::manifest(HTTP_ROUTE, intent, route, Meta { annotations, ..Meta::default() }, spec.into())
}

/// What stands for a rule of the user: the rule with one more condition, and once more for each header route.
fn rules_of(intent: &Intent<'_>, route: &Value, rule: &Value) -> Vec<Value> {
    let namespace = namespace_of(route);
    let weighted = with_backends(intent, rule, namespace, intent.weight.parts_of(intent.weight_total));
    let mut rules = conditioned(&with_mirrors(intent, &weighted, namespace), &[]);
    if is_split(intent, rule, namespace) && intent.is_open {
        for header in &intent.headers {
            let all = with_backends(intent, rule, namespace, intent.weight_total);
            // Names are unique within a route.
            rules.extend(conditioned(&without(&all, "name"), &header_matches(header)));
        }
    }
    rules
}

/// Whether a rule routes to a Service that is split.
fn is_split(intent: &Intent<'_>, rule: &Value, namespace: &str) -> bool {
    items(rule, "/backendRefs").any(|backend| canary_of(intent, backend, namespace).is_some())
}

fn canary_of<'a>(intent: &'a Intent<'_>, backend: &Value, namespace: &str) -> Option<&'a String> {
    intent.services.get(service_of(backend, namespace)?)
}

/// The rule with `parts` of each split Service's share for its canary.
fn with_backends(intent: &Intent<'_>, rule: &Value, namespace: &str, parts: u32) -> Value {
    let backends: Vec<&Value> = items(rule, "/backendRefs").collect();
    if backends.is_empty() {
        return rule.clone();
    }
    let canary_of = |backend: &Value| canary_of(intent, backend, namespace);
    with(rule, "backendRefs", companion::weighted(&backends, intent.weight_total, parts, canary_of).into())
}

/// The rule with a filter for each canary to which its requests are copied.
fn with_mirrors(intent: &Intent<'_>, rule: &Value, namespace: &str) -> Value {
    let share = intent.mirror.filter(|_| intent.is_open).and_then(|mirror| mirror.share);
    let is_canary = |backend: &&Value| {
        service_of(backend, namespace)
            .is_some_and(|name| intent.services.values().any(|canary| canary == name))
    };
    let Some(share) = share.filter(|_| items(rule, "/backendRefs").any(|backend| is_canary(&backend))) else {
        return rule.clone();
    };
    let filter = |canary: &Value| {
        let target: Map<String, Value> = ["group", "kind", "name", "port"]
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), canary.get(*key)?.clone())))
            .collect();
        json!({"type": "RequestMirror", "requestMirror": {"backendRef": target, "percent": share.percent()}})
    };
    let mirrors = items(rule, "/backendRefs").filter(is_canary).map(filter);
    with(rule, "filters", items(rule, "/filters").cloned().chain(mirrors).collect())
}

/// The rule as often as it takes to add the condition, and these headers, to each of its matches.
fn conditioned(rule: &Value, headers: &[Value]) -> Vec<Value> {
    let anything = json!({"path": {"type": "PathPrefix", "value": "/"}});
    let given: Vec<&Value> = items(rule, "/matches").collect();
    let given = if given.is_empty() { vec![&anything] } else { given };
    let with_value = |matching: &Value, value: &str| {
        let condition = json!({"type": "Exact", "name": HEADER, "value": value});
        let all: Value =
            items(matching, "/headers").cloned().chain(headers.iter().cloned()).chain([condition]).collect();
        with(matching, "headers", all)
    };
    let matches: Vec<Value> =
        given.iter().flat_map(|matching| VALUES.map(|value| with_value(matching, value))).collect();
    let size = if replaces_prefix(rule) { 1 } else { MAX_OF_RULE };
    // Names are unique within a route.
    let rule = if matches.len() > size { without(rule, "name") } else { rule.clone() };
    matches.chunks(size).map(|matches| with(&rule, "matches", matches.into())).collect()
}

/// Whether a rule has a filter that allows one match only.
pub(super) fn replaces_prefix(rule: &Value) -> bool {
    let replaces = |filter: &Value| {
        ["/urlRewrite/path/type", "/requestRedirect/path/type"]
            .iter()
            .any(|pointer| part(filter, pointer).is_some_and(|kind| kind == "ReplacePrefixMatch"))
    };
    items(rule, "/filters").any(replaces)
}

/// A header route, as conditions of a match.
fn header_matches(route: &HeaderRoute) -> Vec<Value> {
    let condition = |HeaderMatch { header, value }: &HeaderMatch| match (value, companion::pattern(value)) {
        (HeaderValue::Exact(value), _) => json!({"type": "Exact", "name": header, "value": value}),
        (_, pattern) => json!({"type": "RegularExpression", "name": header, "value": pattern}),
    };
    route.matching.iter().map(condition).collect()
}
