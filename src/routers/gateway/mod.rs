//! Gateway API: a companion of the user's `HTTPRoute`, which is never changed.
//!
//! The companion is a clone of the whole route. Each of its matches has one more condition that always holds, so it
//! comes before the user's; the backends of split Services are weighted. Without the companion the user's route is what
//! remains.

mod companion;
mod routes;
#[cfg(test)]
mod tests;

use super::{Capabilities, Chosen, Intent, Resource, RouterField, Routes, Sight, TrafficRouter};
use crate::{
    document::fields::{Fields, Node},
    domain::{k8s::json_pointer::part, strategy::CanaryStrategy, world::World},
    objects::manifest::{Kind, Manifest, find},
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What users route by, and what carries the canary's traffic.
pub const HTTP_ROUTE: Kind = Kind::route("HTTPRoute", "gateway.networking.k8s.io/v1");

/// Header routes that a companion may have: each repeats the rules of split Services.
const MAX_HEADER_ROUTES: usize = 3;
/// Headers of a match, without the condition that always holds.
const MAX_HEADERS: usize = 8;

/// See the module.
#[derive(Debug)]
pub struct Gateway;

static FIELDS: &[RouterField] = &[
    RouterField {
        key: "httpRoute",
        doc: "The user's HTTPRoute to split; by default every one that routes to the Service.",
        read: |node| node.object_name().map(Value::from),
    },
    RouterField {
        key: "httpRoutes",
        doc: "The same for several, `[{name: NAME}]`.",
        read: |node| {
            let name = |node: Node<'_>| node.object(|fields| fields.required("name", Node::object_name));
            node.list(name).map(Value::from)
        },
    },
    RouterField {
        key: "requestMirror",
        doc: "Whether the Gateway's data plane honours the filter RequestMirror, so that `setMirrorRoute` can be used; false by default. Traefik does not: it answers 500 to every request of such a route.",
        read: |node| node.bool().map(Value::from),
    },
];

impl TrafficRouter for Gateway {
    fn key(&self) -> &'static str {
        "gateway"
    }

    fn doc(&self) -> &'static str {
        "Gateway API, first version: a companion of each HTTPRoute of the user, in which the Services are weighted and every match asks for `X-Forwarded-Proto` as well. Only where `trafficRouting` names it."
    }

    fn route(&self) -> &'static str {
        "HTTPRoute"
    }

    fn chosen(&self) -> Chosen {
        Chosen::ByName
    }

    fn fields(&self) -> &'static [RouterField] {
        FIELDS
    }

    fn settings(&self, given: Map<String, Value>, _: Option<&Value>, fields: &mut Fields<'_>) -> Value {
        if given.contains_key("httpRoute") && given.contains_key("httpRoutes") {
            fields.fail("must have httpRoute or httpRoutes, not both");
        }
        let one = given.get("httpRoute").cloned().into_iter();
        let several = given.get("httpRoutes").and_then(Value::as_array).cloned().unwrap_or_default();
        let names: Vec<Value> = one.chain(several).collect();
        let mirrors = given.get("requestMirror").cloned().unwrap_or(Value::Bool(false));
        json!({"httpRoutes": names, "requestMirror": mirrors})
    }

    fn capabilities(&self, settings: &Value) -> Capabilities {
        Capabilities {
            header_routes: MAX_HEADER_ROUTES,
            headers_of_route: MAX_HEADERS,
            mirrors: settings.get("requestMirror") == Some(&Value::Bool(true)),
            by_pods: false,
        }
    }

    fn resources(&self) -> &'static [Resource] {
        const { &[Resource::written(HTTP_ROUTE).optional()] }
    }

    fn survey<'a>(
        &self,
        services: &BTreeMap<String, String>,
        settings: &Value,
        world: &'a World,
    ) -> Routes<'a> {
        routes::survey(services, settings, world)
    }

    fn hazards(&self, _: &BTreeMap<String, String>, _: &CanaryStrategy, routes: &Routes<'_>) -> Vec<String> {
        routes::hazards(routes)
    }

    fn desired(&self, intent: &Intent<'_>, routes: &Routes<'_>) -> Vec<Manifest> {
        let several = routes.found.len() > 1;
        routes.found.iter().map(|route| companion::of(intent, route, several)).collect()
    }

    /// As written, and accepted by every Gateway that says so: some say nothing.
    fn in_force(&self, sight: &Sight<'_>) -> bool {
        let mut seen = sight.desired.iter().filter_map(|wanted| find(sight.ours, wanted.kind, &wanted.name));
        sight.is_written() && seen.all(is_accepted)
    }
}

/// Whether no Gateway refuses this version of a route, or has yet to look at it.
fn is_accepted(route: &Value) -> bool {
    let generation = part(route, "/metadata/generation");
    let mut conditions = items(route, "/status/parents").flat_map(|parent| items(parent, "/conditions"));
    conditions.all(|condition| {
        let kind = condition.get("type").and_then(Value::as_str).unwrap_or_default();
        let observed = condition.get("observedGeneration");
        let is_current = observed.is_none() || observed == generation;
        !["Accepted", "ResolvedRefs"].contains(&kind)
            || (is_current && condition.get("status").is_some_and(|status| status == "True"))
    })
}

/// The items of a list.
fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    part(object, pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Name of an object.
fn name_of(object: &Value) -> &str {
    part(object, "/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// Name of the Service of its own namespace that a reference to a backend means, if it means one.
fn service_of<'a>(backend: &'a Value, namespace: &str) -> Option<&'a str> {
    let is = |field: &str, allowed: &[&str]| {
        let found = backend.get(field).and_then(Value::as_str);
        found.is_none_or(|found| allowed.contains(&found))
    };
    let is_service = is("kind", &["Service"]) && is("group", &["", "core"]) && is("namespace", &[namespace]);
    if is_service { backend.get("name")?.as_str() } else { None }
}

/// Namespace of an object.
fn namespace_of(object: &Value) -> &str {
    part(object, "/metadata/namespace").and_then(Value::as_str).unwrap_or_default()
}
