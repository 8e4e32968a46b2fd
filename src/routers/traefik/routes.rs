//! Which `IngressRoute`s of the user route to the pair, and which cannot have a companion.

use super::{
    INGRESS_ROUTE, TRAEFIK_SERVICE, WEIGHTED,
    backends::{Backends, serving},
};
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

/// See [`crate::routers::TrafficRouter::survey`]. What is found are the `IngressRoute`s that have a companion, and the
/// `TraefikService`s that they name.
pub(super) fn survey<'a>(
    services: &BTreeMap<String, String>,
    settings: &Value,
    world: &'a World,
) -> Routes<'a> {
    let all: Vec<&Value> =
        [INGRESS_ROUTE, TRAEFIK_SERVICE].into_iter().flat_map(|kind| world.routes(kind.name())).collect();
    let backends = Backends { services, found: &all };
    let named = settings.get(WEIGHTED).and_then(Value::as_str);
    let is_asked = |route: &&Value| named.is_none_or(|name| names(route, name, backends));
    let is_routing = |route: &&Value| backends.rules(route).next().is_some();
    let mut found: Vec<&Value> =
        world.routes(INGRESS_ROUTE.name()).iter().filter(is_asked).filter(is_routing).collect();
    let missing = named.filter(|_| found.is_empty()).map(|name| Obstacle {
        field: "traefik.weightedTraefikServiceName",
        name: name.to_owned(),
        problem: "no IngressRoute routes to a Service of this Deployment by this TraefikService".to_owned(),
    });
    let problems = |route: &&Value| problems(route, backends);
    let conflicts = found.iter().flat_map(problems).collect();
    let is_routed = !found.is_empty();
    let is_named = |object: &&Value| found.iter().any(|route| names(route, name_of(object), backends));
    found.extend(world.routes(TRAEFIK_SERVICE.name()).iter().filter(is_named).collect::<Vec<_>>());
    Routes { found, is_routed, missing: missing.into_iter().collect(), conflicts }
}

/// Whether a route that is split names this `TraefikService`.
fn names(route: &Value, name: &str, backends: Backends<'_>) -> bool {
    named(route, backends).any(|object| name_of(object) == name)
}

/// The `TraefikService`s that a route names where it is split.
fn named<'a>(route: &'a Value, backends: Backends<'a>) -> impl Iterator<Item = &'a Value> {
    let services = backends.rules(route).flat_map(|rule| items(rule, "/services"));
    services.filter_map(move |reference| backends.named_by(reference, namespace_of(route)))
}

/// Why a route cannot have a companion.
fn problems(route: &Value, backends: Backends<'_>) -> Vec<Obstacle> {
    let obstacle = |problem: String| Obstacle { field: "", name: name_of(route).to_owned(), problem };
    let mut found = Vec::new();
    if items(route, "/spec/parentRefs").next().is_some() {
        found.push(obstacle(
            "this IngressRoute has parentRefs, and the router traefik splits those without only; route to the Service by an IngressRoute of its own".to_owned(),
        ));
    }
    for rule in backends.rules(route) {
        found.extend(unclear(rule, route, backends).or_else(|| sticky(rule, route, backends)).map(obstacle));
    }
    found.extend(canary_named(route, backends));
    found
}

/// Why it is not clear which weights a split Service has in a rule.
fn unclear(rule: &Value, route: &Value, backends: Backends<'_>) -> Option<String> {
    let namespace = namespace_of(route);
    let shared = backends.of_rule(rule, namespace);
    let object = shared.iter().find_map(|reference| {
        let object = backends.named_by(reference, namespace)?;
        backends.reaches(reference, namespace).then_some(object)
    })?;
    Some(format!(
        "its route {} reaches a Service of this Deployment by TraefikService {:?}, which is not the only service of the route, or not weighted over Services; the router traefik splits the services of a route, or of the one weighted TraefikService that it names: list the Services there",
        shown(rule),
        name_of(object)
    ))
}

/// Sticky sessions, which would tie clients to one of the two versions, or to none.
fn sticky(rule: &Value, route: &Value, backends: Backends<'_>) -> Option<String> {
    let namespace = namespace_of(route);
    let is_sticky = |reference: &&Value| part(reference, "/sticky").is_some_and(|sticky| !sticky.is_null());
    let named = items(rule, "/services").filter_map(|reference| backends.named_by(reference, namespace));
    let mut weighted = named.filter(|object| part(object, "/spec/weighted/sticky").is_some());
    let of_service = || {
        let mut split = backends.of_rule(rule, namespace).into_iter().filter(is_sticky);
        let service = split.find(|reference| backends.canary_of(reference, namespace).is_some())?;
        Some(format!("service {:?}", service.get("name").and_then(Value::as_str)?))
    };
    let of_traefik_service = weighted.next().map(|object| format!("TraefikService {:?}", name_of(object)));
    let whose = of_traefik_service.or_else(of_service)?;
    Some(format!(
        "its route {} has sticky sessions by {whose}: a client would change between the versions whatever its cookie says, or keep one whatever the weight; remove sticky, or use haldane.dev/canary without trafficRouting, which splits by pods",
        shown(rule)
    ))
}

/// The Service of the canary, in the route or in a `TraefikService` of it.
fn canary_named(route: &Value, backends: Backends<'_>) -> Option<Obstacle> {
    let service = |reference| service_of(reference, namespace_of(route));
    let own = backends.rules(route).flat_map(|rule| items(rule, "/services")).filter_map(service);
    let mut named = named(route, backends);
    names_canary(INGRESS_ROUTE, route, own, backends.services).or_else(|| {
        named.find_map(|object| {
            let inner = serving(object).filter_map(service);
            names_canary(TRAEFIK_SERVICE, object, inner, backends.services)
        })
    })
}

/// The rule of a route for a message.
pub(super) fn shown(rule: &Value) -> String {
    format!("{:?}", rule.get("match").and_then(Value::as_str).unwrap_or_default())
}
