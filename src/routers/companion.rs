//! What routers have in common that put a companion next to a user's route: an object of its kind, which gets its requests
//! during a release, and goes with it.

use super::{
    Intent, Obstacle,
    raw::{name_of, with},
};
use crate::{
    domain::{
        k8s::{json_pointer::part, selector::Labels},
        names::suffixed,
        strategy::HeaderValue,
    },
    objects::{
        canary_deployment::canary_name,
        manifest::{ASKED_AT_ANNOTATION, Kind, Manifest, Meta},
        marks::DEPLOYMENT_ANNOTATION,
    },
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Kubernetes' limit for names of objects.
const NAME_MAX: usize = 253;
/// The largest weight of a backend: Gateway API's limit.
const MAX_WEIGHT: u64 = 1_000_000;

/// The name of a route's companion. It stays the same when routes come and go.
pub(super) fn name(deployment: &str, route: &Value) -> String {
    suffixed(&canary_name(deployment), &format!("-{}", name_of(route)), NAME_MAX)
}

/// The companion of a route. The route owns it, alone: a route that is deleted serves its hosts no more, also while Haldane
/// is down. With a second owner, garbage collection would wait for both.
pub(super) fn manifest(
    kind: Kind,
    intent: &Intent<'_>,
    route: &Value,
    mut meta: Meta,
    spec: Value,
) -> Manifest {
    meta.annotations.insert(ASKED_AT_ANNOTATION.to_owned(), intent.asked_at.to_string());
    let of = format!("{}/{}", intent.owner.name, intent.owner.uid);
    meta.annotations.insert(DEPLOYMENT_ANNOTATION.to_owned(), of);
    let name = name(&intent.owner.name, route);
    let mut manifest = Manifest::new(kind, &name, intent.owner, intent.canary_of, meta, spec);
    let owners = manifest.body.pointer_mut("/metadata/ownerReferences");
    if let (Some(uid), Some(owners)) = (part(route, "/metadata/uid"), owners) {
        let (api_version, kind) = (kind.api_version(), kind.name());
        *owners = json!([{"apiVersion": api_version, "kind": kind, "name": name_of(route), "uid": uid}]);
    }
    manifest
}

/// The annotations of a route whose keys begin with one of these.
pub(super) fn copied_annotations(route: &Value, prefixes: &[&str]) -> Labels {
    let annotations = part(route, "/metadata/annotations").and_then(Value::as_object);
    let copied = annotations.into_iter().flatten().filter_map(|(key, value)| {
        let is_copied = prefixes.iter().any(|prefix| key.starts_with(prefix));
        Some((key.clone(), value.as_str().filter(|_| is_copied)?.to_owned()))
    });
    copied.collect()
}

/// These backends with their weights, and after each one that is split its canary's, with `parts` of its share.
pub(super) fn weighted<'a>(
    backends: &[&Value],
    total: u32,
    parts: u32,
    canary_of: impl Fn(&Value) -> Option<&'a String>,
) -> Vec<Value> {
    // A single backend has all requests, whatever its weight.
    let is_alone = backends.len() == 1;
    let mut all: Vec<(Value, u64)> = Vec::new();
    for backend in backends {
        let given = backend.get("weight").and_then(Value::as_u64).unwrap_or(1);
        let own = if is_alone { given.min(1) } else { given };
        let canary = canary_of(backend);
        let of_stable = total.saturating_sub(canary.map_or(0, |_| parts));
        all.push(((*backend).clone(), own * u64::from(of_stable)));
        all.extend(canary.map(|canary| (with(backend, "name", json!(canary)), own * u64::from(parts))));
    }
    let largest = all.iter().map(|(_, weight)| *weight).max().unwrap_or_default();
    let divisor = largest.div_ceil(MAX_WEIGHT).max(1);
    all.iter().map(|(backend, weight)| with(backend, "weight", weight.div_ceil(divisor).into())).collect()
}

/// What the value of a header must be as a regular expression; `None` if it must be just this text.
pub(super) fn pattern(value: &HeaderValue) -> Option<String> {
    match value {
        HeaderValue::Exact(_) => None,
        HeaderValue::Prefix(prefix) => Some(format!("^{}.*$", escaped(prefix))),
        HeaderValue::Regex(regex) => Some(format!("^(?:{regex})$")),
    }
}

/// A text as a regular expression that means just this text.
fn escaped(text: &str) -> String {
    let special = |c: char| "^$[](){}*+?|\\.".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Why a user's object must not name the Service of a canary, as objects for Argo do, if it is one of those that it names.
pub(super) fn names_canary<'a>(
    kind: Kind,
    object: &Value,
    mut named: impl Iterator<Item = &'a str>,
    services: &BTreeMap<String, String>,
) -> Option<Obstacle> {
    let canary = named.find(|name| services.values().any(|canary| canary == name))?;
    let problem = format!(
        "this {kind} names Service {canary:?}, which Haldane makes for a release and removes afterwards, so in between requests for it would fail; remove it from the {kind}: Haldane adds it to a copy"
    );
    Some(Obstacle { field: "", name: name_of(object).to_owned(), problem })
}
