//! Where Traefik counts the requests of both sides of a companion.
//!
//! Source: Traefik's `pkg/provider/kubernetes/crd/kubernetes_http.go`. Of several Services of a route each is counted by its
//! own name and port, and a single one by the name of the `IngressRoute` and the hash of the rule.

use super::{
    TRAEFIK_SERVICE, WEIGHTED,
    backends::{Backends, serving},
};
use crate::{
    domain::{k8s::json_pointer::part, names::digest, world::World},
    routers::{
        Intent, Requests, Routes,
        raw::{items, name_of, namespace_of, service_of},
        requests::{one_of, traefik},
    },
};
use serde_json::Value;
use std::collections::BTreeSet;

const CAUSES: &str = "a route of another namespace has the same rule with a higher priority; Traefik has not taken over the companion, as its log says; pods of the canary are ready at times only";

/// Bytes of a rule's hash in a name.
const HASH: usize = 10;

/// See [`crate::routers::TrafficRouter::requests`].
pub(super) fn of(intent: &Intent<'_>, routes: &Routes<'_>, world: &World) -> Option<Requests> {
    let backends = Backends { services: intent.services, found: &routes.found };
    if intent.settings.get(WEIGHTED).is_some() || has_others(backends, world) {
        return None;
    }
    let (mut canary, mut others) = (BTreeSet::new(), BTreeSet::new());
    for route in backends.routes() {
        let namespace = namespace_of(route);
        for rule in backends.rules(route) {
            for reference in backends.of_rule(rule, namespace) {
                let of_pair = service_of(reference, namespace).zip(backends.canary_of(reference, namespace));
                let Some((stable, of_canary)) = of_pair else { continue };
                let port = reference.get("port").map(text).unwrap_or_default();
                others.insert(joined(&[namespace, stable, &port]));
                canary.insert(joined(&[namespace, of_canary, &port]));
            }
            // What the user's own route gets although it has a companion.
            let services: Vec<&Value> = items(rule, "/services").collect();
            if let ([alone], Some(rule)) = (&services[..], rule.get("match").and_then(Value::as_str)) {
                let is_own = service_of(alone, namespace).is_some();
                let name = || joined(&[namespace, name_of(route), &digest(rule.as_bytes(), HASH)]);
                others.extend(is_own.then(name));
            }
        }
    }
    let series = |names: &BTreeSet<String>| {
        traefik(&format!("{}@kubernetescrd", one_of(names.iter().map(String::as_str)))).into()
    };
    let is_counted = !canary.is_empty();
    is_counted.then(|| Requests { canary: series(&canary), others: series(&others), causes: CAUSES })
}

/// Whether others than the routes that are split send requests to a Service, which are counted by the same name.
fn has_others(backends: Backends<'_>, world: &World) -> bool {
    let all = world.routes(TRAEFIK_SERVICE.name()).iter();
    let mut others = all.filter(|object| !backends.found.iter().any(|found| std::ptr::eq(*found, *object)));
    others.any(|object| {
        let copied = items(object, "/spec/mirroring/mirrors").chain(part(object, "/spec/failover/fallback"));
        let namespace = namespace_of(object);
        serving(object).chain(copied).any(|reference| backends.canary_of(reference, namespace).is_some())
    })
}

fn text(port: &Value) -> String {
    port.as_str().map_or_else(|| port.to_string(), str::to_owned)
}

/// A name as Traefik makes one of several.
fn joined(parts: &[&str]) -> String {
    let words = parts.iter().flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric()));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}
