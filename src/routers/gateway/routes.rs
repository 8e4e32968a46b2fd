//! Which `HTTPRoute`s of the user route to the pair, and which cannot have a companion.

use super::{
    MAX_HEADER_ROUTES,
    companion::{HEADER, VALUES, replaces_prefix},
    items, name_of, namespace_of, service_of,
};
use crate::{
    domain::{k8s::json_pointer::part, world::World},
    routers::{Obstacle, Routes},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Limits of Gateway API: rules of a route, matches of a rule, matches of a route.
const MAX_RULES: usize = 16;
const MAX_OF_RULE: usize = 64;
const MAX_OF_ROUTE: usize = 128;

/// See [`crate::routers::TrafficRouter::survey`].
pub(super) fn survey<'a>(
    services: &BTreeMap<String, String>,
    settings: &Value,
    world: &'a World,
) -> Routes<'a> {
    let all = world.routes("HTTPRoute");
    let named: Vec<&str> = items(settings, "/httpRoutes").filter_map(Value::as_str).collect();
    let routing: Vec<&Value> = all.iter().filter(|route| routes_to(route, services)).collect();
    let missing = named.iter().filter(|name| !routing.iter().any(|route| name_of(route) == **name));
    let missing = missing.map(|name| Obstacle {
        field: "gateway.httpRoute",
        name: (*name).to_owned(),
        problem: "this HTTPRoute does not exist, or routes to no Service of this Deployment".to_owned(),
    });
    let is_asked = |route: &&&Value| named.is_empty() || named.contains(&name_of(route));
    let found: Vec<&Value> = routing.iter().filter(is_asked).copied().collect();
    let mut conflicts: Vec<Obstacle> =
        found.iter().filter_map(|route| without_companion(route, services)).collect();
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

fn obstacle(route: &Value, problem: String) -> Obstacle {
    Obstacle { field: "", name: name_of(route).to_owned(), problem }
}

fn routes_to(route: &Value, services: &BTreeMap<String, String>) -> bool {
    items(route, "/spec/rules").any(|rule| is_split(rule, namespace_of(route), services))
}

fn is_split(rule: &Value, namespace: &str, services: &BTreeMap<String, String>) -> bool {
    let mut backends = items(rule, "/backendRefs").filter_map(|backend| service_of(backend, namespace));
    backends.any(|service| services.contains_key(service))
}

/// Why a route cannot have a companion.
fn without_companion(route: &Value, services: &BTreeMap<String, String>) -> Option<Obstacle> {
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
    let (mut count, mut of_route) = (0_usize, 0_usize);
    for rule in rules() {
        let of_rule = items(rule, "/matches").count().max(1).saturating_mul(VALUES.len());
        let header_routes = if is_split(rule, namespace_of(route), services) { MAX_HEADER_ROUTES } else { 0 };
        let copies = header_routes.saturating_add(1);
        let rules = if replaces_prefix(rule) { of_rule } else { 1 };
        count = count.saturating_add(copies.saturating_mul(rules));
        of_route = of_route.saturating_add(copies.saturating_mul(of_rule));
        if of_rule > MAX_OF_RULE {
            let most = MAX_OF_RULE / VALUES.len();
            return Some(obstacle(
                route,
                format!(
                    "this HTTPRoute has a rule of more than {most} matches, which its companion cannot have"
                ),
            ));
        }
    }
    (count > MAX_RULES || of_route > MAX_OF_ROUTE).then(|| {
        let problem = format!(
            "the companion of this HTTPRoute may need {count} rules and {of_route} matches, of {MAX_RULES} and {MAX_OF_ROUTE} that a route can have; split it"
        );
        obstacle(route, problem)
    })
}

/// Whether requests for one route could be for the other by host and path, so that a condition more decides.
fn share_requests(one: &Value, other: &Value) -> bool {
    let listeners = items(one, "/spec/parentRefs")
        .any(|parent| items(other, "/spec/parentRefs").any(|candidate| is_same_listener(parent, candidate)));
    listeners
        && share_host(one, other)
        && paths(one).any(|path| paths(other).any(|candidate| path == candidate))
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

/// Kind and value of each path of a route; without a match it is every path.
fn paths(route: &Value) -> impl Iterator<Item = (&str, &str)> {
    items(route, "/spec/rules").flat_map(|rule| {
        let given = items(rule, "/matches").map(|matching| {
            let text = |pointer, default| part(matching, pointer).and_then(Value::as_str).unwrap_or(default);
            (text("/path/type", "PathPrefix"), text("/path/value", "/"))
        });
        let given: Vec<(&str, &str)> = given.collect();
        if given.is_empty() { vec![("PathPrefix", "/")] } else { given }
    })
}

/// See [`crate::routers::TrafficRouter::hazards`].
pub(super) fn hazards(routes: &Routes<'_>) -> Vec<String> {
    let of_policies = |route: &&Value| {
        format!(
            "HTTPRoute {:?} gets a companion, to which policies with targetRefs to it, such as authentication, do not apply: attach them to the Gateway",
            name_of(route)
        )
    };
    routes.found.iter().map(of_policies).collect()
}
