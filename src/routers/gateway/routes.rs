//! Which `HTTPRoute`s of the user route to the pair, and which cannot have a companion.

use super::{HTTP_ROUTE, companion::HEADER};
use crate::{
    domain::{k8s::json_pointer::part, world::World},
    routers::{
        Obstacle, Routes,
        companion::names_canary,
        raw::{items, name_of, namespace_of, service_of},
    },
};
use serde_json::Value;
use std::collections::BTreeMap;

/// See [`crate::routers::TrafficRouter::survey`].
pub(super) fn survey<'a>(
    services: &BTreeMap<String, String>,
    settings: &Value,
    world: &'a World,
) -> Routes<'a> {
    let all = world.routes("HTTPRoute");
    let namespace = settings.get("namespace").and_then(Value::as_str);
    let is_there = |route: &&Value| namespace.is_none_or(|namespace| namespace == namespace_of(route));
    let elsewhere = match namespace.filter(|_| !all.iter().any(|route| is_there(&route))) {
        Some(namespace) => {
            format!(" in the namespace {namespace}; it must be in the Deployment's, others are not read")
        }
        None => String::new(),
    };
    let named: Vec<&str> = items(settings, "/httpRoutes").filter_map(Value::as_str).collect();
    let routing: Vec<&Value> =
        all.iter().filter(is_there).filter(|route| routes_to(route, services)).collect();
    let missing = named.iter().filter(|name| !routing.iter().any(|route| name_of(route) == **name));
    let missing = missing.map(|name| Obstacle {
        field: "gateway.httpRoute",
        name: (*name).to_owned(),
        problem: format!("no such HTTPRoute routes to a Service of this Deployment{elsewhere}"),
    });
    let is_asked = |route: &&&Value| named.is_empty() || named.contains(&name_of(route));
    let found: Vec<&Value> = routing.iter().filter(is_asked).copied().collect();
    let mut conflicts: Vec<Obstacle> = found.iter().filter_map(|route| without_companion(route)).collect();
    conflicts.extend(found.iter().filter_map(|route| {
        let named = items(route, "/spec/rules").flat_map(|rule| services_of(rule, namespace_of(route)));
        names_canary(HTTP_ROUTE, route, named, services)
    }));
    let others = all.iter().filter(|other| !found.iter().any(|route| name_of(route) == name_of(other)));
    let rival = |other: &Value| {
        found.iter().find(|route| share_requests(route, other)).map(|route| {
        obstacle(other, format!(
            "this HTTPRoute has a host and path of HTTPRoute {:?}, whose companion could take its requests; move its rules to that HTTPRoute",
            name_of(route)
        ))
    })
    };
    conflicts.extend(others.filter_map(rival));
    Routes { is_routed: !found.is_empty(), found, missing: missing.collect(), conflicts }
}

pub(super) fn obstacle(route: &Value, problem: String) -> Obstacle {
    Obstacle { field: "", name: name_of(route).to_owned(), problem }
}

fn routes_to(route: &Value, services: &BTreeMap<String, String>) -> bool {
    items(route, "/spec/rules").any(|rule| is_split(rule, namespace_of(route), services))
}

/// Whether a route has a backend that is this Service.
pub(super) fn names(route: &Value, service: &str) -> bool {
    items(route, "/spec/rules")
        .any(|rule| services_of(rule, namespace_of(route)).any(|named| named == service))
}

/// Whether a rule routes to a Service that is split.
pub(super) fn is_split(rule: &Value, namespace: &str, services: &BTreeMap<String, String>) -> bool {
    services_of(rule, namespace).any(|service| services.contains_key(service))
}

/// The Services of its namespace that are backends of a rule.
fn services_of<'a>(rule: &'a Value, namespace: &str) -> impl Iterator<Item = &'a str> {
    items(rule, "/backendRefs").filter_map(move |backend| service_of(backend, namespace))
}

/// Why a route cannot have a companion.
fn without_companion(route: &Value) -> Option<Obstacle> {
    let rules = || items(route, "/spec/rules");
    let is_condition = |header: &Value| {
        header.get("name").and_then(Value::as_str).is_some_and(|name| name.eq_ignore_ascii_case(HEADER))
    };
    let mut matches = rules().flat_map(|rule| items(rule, "/matches"));
    if matches.any(|matching| items(matching, "/headers").any(is_condition)) {
        let problem = format!(
            "this HTTPRoute has a match on {HEADER}, which distinguishes its companion; match on another header"
        );
        return Some(obstacle(route, problem));
    }
    let is_gateway = |parent: &Value| {
        let kind = parent.get("kind").and_then(Value::as_str);
        kind.is_none_or(|kind| ["Gateway", "ListenerSet", "XListenerSet"].contains(&kind))
    };
    if !items(route, "/spec/parentRefs").all(is_gateway) {
        let problem = format!(
            "this HTTPRoute is for a mesh, which sets no {HEADER}; the router gateway cannot split it"
        );
        return Some(obstacle(route, problem));
    }
    None
}

/// Whether requests for one route could be for the other by host and path, so that a condition more decides.
fn share_requests(one: &Value, other: &Value) -> bool {
    meet(one, other) && paths(one).any(|path| paths(other).any(|candidate| path == candidate))
}

/// Whether two routes can have a listener and a host in common.
pub(super) fn meet(one: &Value, other: &Value) -> bool {
    let listeners = items(one, "/spec/parentRefs")
        .any(|parent| items(other, "/spec/parentRefs").any(|candidate| is_same_listener(parent, candidate)));
    listeners && share_host(one, other)
}

/// Whether two references can mean one listener: what one leaves open is any.
fn is_same_listener(one: &Value, other: &Value) -> bool {
    let same = |field: &str| one.get(field) == other.get(field);
    let open = |field: &str| same(field) || one.get(field).is_none() || other.get(field).is_none();
    same("name") && ["namespace", "kind", "sectionName", "port"].iter().all(|field| open(field))
}

fn share_host(one: &Value, other: &Value) -> bool {
    let hosts = |route| -> Vec<&str> { items(route, "/spec/hostnames").filter_map(Value::as_str).collect() };
    let (ours, theirs) = (hosts(one), hosts(other));
    let covers = |pattern: &str, host: &str| {
        pattern == host || pattern.strip_prefix('*').is_some_and(|rest| host.ends_with(rest))
    };
    ours.is_empty()
        || theirs.is_empty()
        || ours.iter().any(|host| theirs.iter().any(|their| covers(host, their) || covers(their, host)))
}

/// Kind and value of each path of a route.
fn paths(route: &Value) -> impl Iterator<Item = (&str, &str)> {
    items(route, "/spec/rules").flat_map(matches_of).map(path)
}

/// The matches of a rule; one without any matches everything.
pub(super) fn matches_of(rule: &Value) -> Vec<&Value> {
    let given: Vec<&Value> = items(rule, "/matches").collect();
    if given.is_empty() { vec![&Value::Null] } else { given }
}

/// Kind and value of the path of a match; without one it is every path.
pub(super) fn path(matching: &Value) -> (&str, &str) {
    let text = |pointer, default| part(matching, pointer).and_then(Value::as_str).unwrap_or(default);
    (text("/path/type", "PathPrefix"), text("/path/value", "/"))
}
