//! Whether Gateways follow a companion, by the conditions that they write to its status. Some write none.

use super::HTTP_ROUTE;
use crate::{
    domain::{k8s::json_pointer::part, world::World},
    objects::manifest::Manifest,
    routers::raw::{items, name_of},
};
use serde_json::Value;

/// The conditions of a route that is served, and has all its backends.
const NEEDED: [&str; 2] = ["Accepted", "ResolvedRefs"];

/// What is awaited of a Gateway for a companion as it is observed, if there is something.
///
/// A companion is a copy, so a condition that the user's route has too says nothing of the canary. Where traffic
/// `retreats`, it is enough that Gateways have seen the companion.
pub(super) fn awaited(wanted: &Manifest, companion: &Value, retreats: bool, world: &World) -> Option<String> {
    let owners = items(&wanted.body, "/metadata/ownerReferences").map(|owner| text(owner, "name"));
    let users = owners.last().unwrap_or_default();
    let route = world.routes(HTTP_ROUTE.name()).iter().find(|route| name_of(route) == users);
    let is_known = |parent: &Value, condition: &Value| {
        retreats || holds(condition) || route.is_some_and(|route| has(route, parent, condition))
    };
    items(companion, "/status/parents").find_map(|parent| {
        let why = conditions(parent).find_map(|condition| {
            let worse = || (!is_known(parent, condition)).then(|| refusal(condition, users));
            outdated(parent, condition, companion).or_else(worse)
        })?;
        let gateway = part(parent, "/parentRef/name").and_then(Value::as_str).unwrap_or_default();
        Some(format!("Gateway {gateway:?} to serve HTTPRoute {:?}: {why}", name_of(companion)))
    })
}

fn refusal(condition: &Value, users: &str) -> String {
    let [kind, status, reason, message] =
        ["type", "status", "reason", "message"].map(|key| text(condition, key));
    format!(
        "its status has {kind}={status} ({reason}: {message}), unlike HTTPRoute {users:?}, of which it is a copy; correct what this names"
    )
}

/// The condition is about an older generation of the route.
fn outdated(parent: &Value, condition: &Value, route: &Value) -> Option<String> {
    let seen = condition.get("observedGeneration")?.as_i64()?;
    let newest = part(route, "/metadata/generation")?.as_i64()?;
    (seen != newest).then(|| {
        let controller = text(parent, "controllerName");
        format!("controller {controller} has seen generation {seen} of {newest}; check that it runs")
    })
}

fn conditions(parent: &Value) -> impl Iterator<Item = &Value> {
    items(parent, "/conditions").filter(|condition| NEEDED.contains(&text(condition, "type")))
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn holds(condition: &Value) -> bool {
    text(condition, "status") == "True"
}

/// Whether the same parent has the same condition for a route, for the same reason.
fn has(route: &Value, parent: &Value, condition: &Value) -> bool {
    let same =
        |one: &Value, other: &Value, keys: &[&str]| keys.iter().all(|key| one.get(key) == other.get(key));
    let parents = items(route, "/status/parents");
    parents
        .filter(|known| same(known, parent, &["parentRef", "controllerName"]))
        .flat_map(conditions)
        .any(|known| same(known, condition, &["type", "status", "reason"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        objects::manifest::{Meta, Owner},
        routers::{Sight, TrafficRouter, gateway::Gateway},
    };
    use serde_json::json;

    fn condition(kind: &str, status: &str, generation: i64) -> Value {
        json!({"type": kind, "status": status, "reason": "why", "message": "so", "observedGeneration": generation})
    }

    fn parent(section: &str, conditions: &[Value]) -> Value {
        json!({"parentRef": {"name": "edge", "sectionName": section}, "controllerName": "c", "conditions": conditions})
    }

    /// Whether a companion of generation 2 is in force, when parents say this of the user's route and of it.
    fn found(users: &[Value], companion: &[Value], retreats: bool) -> Result<bool, String> {
        let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
        let mut wanted =
            Manifest::new(HTTP_ROUTE, "web-canary", &owner, "web", Meta::default(), json!({"rules": []}));
        wanted.body["metadata"]["ownerReferences"] = json!([{"kind": "HTTPRoute", "name": "shop"}]);
        let mut seen = wanted.body.clone();
        seen["metadata"]["generation"] = json!(2);
        seen["status"] = json!({"parents": companion});
        let mut world = World::default();
        let route = json!({"kind": "HTTPRoute", "metadata": {"name": "shop", "generation": 7}, "status": {"parents": users}});
        world.add(route).unwrap();
        let desired = std::slice::from_ref(&wanted);
        Gateway.in_force(&Sight {
            desired,
            ours: &[seen],
            world: &world,
            canary: "web-canary",
            pods: 1,
            retreats,
        })
    }

    #[test]
    fn a_companion_is_in_force_unless_a_gateway_says_otherwise() {
        let of = |conditions: &[Value]| found(&[], &[parent("a", conditions)], false);
        assert_eq!(found(&[], &[], false), Ok(true), "no Gateway says anything");
        let accepted = || condition("Accepted", "True", 2);
        assert_eq!(of(&[accepted(), condition("Programmed", "False", 1)]), Ok(true));
        assert_eq!(of(&[json!({"type": "Accepted", "status": "True"})]), Ok(true), "it says no generation");
        for bad in [
            condition("Accepted", "False", 2),
            condition("Accepted", "Unknown", 2),
            condition("Accepted", "True", 1),
            condition("ResolvedRefs", "False", 2),
        ] {
            assert!(of(&[accepted(), bad.clone()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_the_same_parent_says_of_the_users_route_is_not_the_canarys_fault() {
        let bad = |section: &str| [parent(section, &[condition("Accepted", "False", 2)])];
        let users = |section: &str| [parent(section, &[condition("Accepted", "False", 7)])];
        assert_eq!(found(&users("a"), &bad("a"), false), Ok(true), "a listener that takes neither");
        assert!(found(&users("b"), &bad("a"), false).is_err(), "another listener");
        assert!(found(&users("a"), &[parent("a", &[condition("Accepted", "False", 1)])], false).is_err());
    }

    #[test]
    fn traffic_that_is_taken_back_only_waits_to_be_seen() {
        assert_eq!(found(&[], &[parent("a", &[condition("ResolvedRefs", "False", 2)])], true), Ok(true));
        assert!(found(&[], &[parent("a", &[condition("ResolvedRefs", "True", 1)])], true).is_err());
    }
}
