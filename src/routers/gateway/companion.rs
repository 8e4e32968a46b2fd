//! The companion of one `HTTPRoute`.

use super::{HTTP_ROUTE, items, name_of, namespace_of, service_of};
use crate::{
    domain::{
        k8s::{json_pointer::part, selector::Labels},
        names::suffixed,
        strategy::{HeaderMatch, HeaderRoute, HeaderValue},
    },
    objects::{
        canary_deployment::canary_name,
        manifest::{ASKED_AT_ANNOTATION, Manifest, Meta},
    },
    routers::Intent,
};
use serde_json::{Map, Value, json};

/// The header of the condition that always holds: proxies set it before they route.
pub(super) const HEADER: &str = "X-Forwarded-Proto";
/// The values that it has. Some proxies say `ws` of an upgrade, others `http`.
pub(super) const VALUES: [&str; 4] = ["http", "https", "ws", "wss"];
/// Kubernetes' limit for names of objects.
const NAME_MAX: usize = 253;
/// Gateway API's limit for the weight of a backend.
const MAX_WEIGHT: u64 = 1_000_000;

/// The companion, with the traffic of `intent`. Where there are `several`, each has the name of its route in its own.
pub(super) fn of(intent: &Intent<'_>, route: &Value, several: bool) -> Manifest {
    let mut name = canary_name(&intent.owner.name);
    if several {
        name = suffixed(&name, &format!("-{}", name_of(route)), NAME_MAX);
    }
    let rules = items(route, "/spec/rules").flat_map(|rule| rules_of(intent, route, rule));
    let mut spec = part(route, "/spec").and_then(Value::as_object).cloned().unwrap_or_default();
    spec.insert("rules".to_owned(), rules.collect());
    let asked_at = (ASKED_AT_ANNOTATION.to_owned(), intent.asked_at.to_string());
    let meta = Meta { annotations: Labels::from([asked_at]), ..Meta::default() };
    Manifest::new(HTTP_ROUTE, &name, intent.owner, intent.canary_of, meta, spec.into())
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
            rules.extend(conditioned(&without_name(&all), &header_matches(header)));
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
    let total = intent.weight_total;
    // A single backend has all requests, whatever its weight.
    let is_alone = items(rule, "/backendRefs").count() == 1;
    let mut backends: Vec<(Value, u64)> = Vec::new();
    for backend in items(rule, "/backendRefs") {
        let given = backend.get("weight").and_then(Value::as_u64).unwrap_or(1);
        let own = if is_alone { given.min(1) } else { given };
        let of_stable = total.saturating_sub(canary_of(intent, backend, namespace).map_or(0, |_| parts));
        backends.push((backend.clone(), own * u64::from(of_stable)));
        if let Some(canary) = canary_of(intent, backend, namespace) {
            backends.push((with(backend, "name", json!(canary)), own * u64::from(parts)));
        }
    }
    if backends.is_empty() {
        return rule.clone();
    }
    let largest = backends.iter().map(|(_, weight)| *weight).max().unwrap_or_default();
    let divisor = largest.div_ceil(MAX_WEIGHT).max(1);
    let backends =
        backends.iter().map(|(backend, weight)| with(backend, "weight", weight.div_ceil(divisor).into()));
    with(rule, "backendRefs", backends.collect())
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
    if !replaces_prefix(rule) {
        return vec![with(rule, "matches", matches.into())];
    }
    let bare = without_name(rule);
    matches.into_iter().map(|matching| with(&bare, "matches", json!([matching]))).collect()
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
    let condition = |HeaderMatch { header, value }: &HeaderMatch| {
        let (kind, value) = match value {
            HeaderValue::Exact(value) => ("Exact", value.clone()),
            HeaderValue::Prefix(prefix) => ("RegularExpression", format!("^{}.*$", escaped(prefix))),
            HeaderValue::Regex(regex) => ("RegularExpression", format!("^(?:{regex})$")),
        };
        json!({"type": kind, "name": header, "value": value})
    };
    route.matching.iter().map(condition).collect()
}

/// A text as a regular expression that means just this text.
fn escaped(text: &str) -> String {
    let special = |c: char| "^$[](){}*+?|\\.".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

fn without_name(rule: &Value) -> Value {
    let mut fields = rule.as_object().cloned().unwrap_or_default();
    fields.remove("name");
    fields.into()
}

/// The object with another value of a field.
fn with(object: &Value, field: &str, value: Value) -> Value {
    let mut fields = object.as_object().cloned().unwrap_or_default();
    fields.insert(field.to_owned(), value);
    fields.into()
}
