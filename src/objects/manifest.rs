//! An object that Haldane wants to exist, ready for server-side apply.

use super::marks::{is_for, is_owned_by, marks};
use crate::domain::{
    k8s::{json_pointer::part, selector::Labels},
    names::short_hash,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;

/// Annotation with the hash of what was applied, so that a key that is no longer wanted is noticed.
pub const APPLIED_ANNOTATION: &str = "haldane.dev/applied";
/// Annotation on the canary Deployment: hash of the template that it was made from.
pub const TEMPLATE_ANNOTATION: &str = "haldane.dev/template";
/// Annotation on a Job that measures: for which run of an analysis.
pub const RUN_ANNOTATION: &str = "haldane.dev/run";
/// Annotation on what routes: when its traffic was asked for, see `Traffic::asked_at`.
pub const ASKED_AT_ANNOTATION: &str = "haldane.dev/asked-at";

/// What an object of the canary side is for. Objects are made in this order, and deleted in the opposite one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It guards pods, so it is there before them.
    Guard,
    /// It is the pods.
    Pods,
    /// It scales the pods that are there.
    Scaler,
    /// By it pods are reached.
    Address,
    /// It routes: from here on traffic can flow.
    Route,
}

/// A kind of object of the canary side. Routers have kinds of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    role: Role,
    name: &'static str,
    api_version: &'static str,
}

impl Kind {
    /// A network policy.
    pub const NETWORK_POLICY: Self = Self::new(Role::Guard, "NetworkPolicy", "networking.k8s.io/v1");
    /// The canary Deployment.
    pub const DEPLOYMENT: Self = Self::new(Role::Pods, "Deployment", "apps/v1");
    /// An autoscaler.
    pub const AUTOSCALER: Self = Self::new(Role::Scaler, "HorizontalPodAutoscaler", "autoscaling/v2");
    /// A Service.
    pub const SERVICE: Self = Self::new(Role::Address, "Service", "v1");
    /// Every kind that does not depend on the router.
    pub const OF_PAIR: [Self; 4] = [Self::NETWORK_POLICY, Self::DEPLOYMENT, Self::AUTOSCALER, Self::SERVICE];

    const fn new(role: Role, name: &'static str, api_version: &'static str) -> Self {
        Self { role, name, api_version }
    }

    /// A kind of object by which a router routes.
    #[must_use]
    pub const fn route(name: &'static str, api_version: &'static str) -> Self {
        Self::new(Role::Route, name, api_version)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Whether an object is of this kind.
    #[must_use]
    pub fn is_of(self, object: &Value) -> bool {
        object.get("kind").is_some_and(|kind| kind == self.name)
    }

    /// `apiVersion` of the kind.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        self.api_version
    }

    /// Whether traffic flows by it.
    #[must_use]
    pub fn is_route(self) -> bool {
        self.role == Role::Route
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The user's Deployment, as the owner of everything of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Name of the Deployment.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its UID.
    pub uid: String,
}

impl Owner {
    /// The reference by which garbage collection removes ours with the Deployment.
    #[must_use]
    pub fn reference(&self) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": self.name, "uid": self.uid})
    }

    /// Whether `object` of its namespace is owned by this very Deployment, or is for the Deployment of this name.
    #[must_use]
    pub fn owns(&self, object: &Value) -> bool {
        is_owned_by(object, &self.uid) || is_for(object, &self.name)
    }
}

/// An object that must exist.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its kind.
    pub kind: Kind,
    /// Its name, in the namespace of the user's Deployment.
    pub name: String,
    /// The whole object.
    pub body: Value,
}

impl Manifest {
    /// An object of ours. `metadata` may carry labels and annotations; name, namespace, owner and
    /// marks are set here. `spec` is the kind's spec.
    #[must_use]
    pub fn new(kind: Kind, name: &str, owner: &Owner, canary_of: &str, meta: Meta, mut spec: Value) -> Self {
        let Meta { mut labels, mut annotations } = meta;
        labels.extend(marks(canary_of));
        spec.sort_all_objects();
        let declared = serde_json::to_vec(&(&labels, &annotations, &spec)).unwrap_or_default();
        let fingerprint = short_hash(&declared);
        annotations.insert(APPLIED_ANNOTATION.to_owned(), fingerprint);
        let mut body = json!({
            "apiVersion": kind.api_version(),
            "kind": kind.to_string(),
            "metadata": {
                "name": name,
                "namespace": owner.namespace,
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [owner.reference()],
            },
        });
        // Moved in: `json!` would copy all of it, at every look.
        if let Some(fields) = body.as_object_mut() {
            fields.insert("spec".to_owned(), spec);
        }
        Self { kind, name: name.to_owned(), body }
    }

    /// A typed spec for [`Manifest::new`]. It always serialises; were it not so, the API server would refuse the null
    /// by name.
    #[must_use]
    pub fn spec(typed: impl Serialize) -> Value {
        serde_json::to_value(typed).unwrap_or_default()
    }

    /// The body as an update of `seen`, which the API server refuses for any other version of the object.
    #[must_use]
    pub fn for_update_of(&self, seen: Option<&Value>) -> Value {
        let mut body = self.body.clone();
        let version = seen.and_then(|object| part(object, "/metadata/resourceVersion")).cloned();
        let metadata = body.get_mut("metadata").and_then(Value::as_object_mut);
        if let (Some(metadata), Some(version)) = (metadata, version) {
            metadata.insert("resourceVersion".to_owned(), version);
        }
        body
    }

    /// Whether `observed` already is what this asks for: made from the same desired object, and
    /// every field of it still has its value.
    #[must_use]
    pub fn is_satisfied_by(&self, observed: &Value) -> bool {
        // Lists of the API server leave `kind` and `apiVersion` out.
        ["metadata", "spec"].iter().all(|part| match (observed.get(part), self.body.get(part)) {
            (Some(observed), Some(wanted)) => covers(observed, wanted),
            _ => false,
        })
    }
}

/// The observed object of ours with this kind and name.
#[must_use]
pub fn find<'a>(ours: &'a [Value], kind: Kind, name: &str) -> Option<&'a Value> {
    let is = |object: &&Value| {
        let named = object.get("metadata").and_then(|metadata| metadata.get("name"));
        kind.is_of(object) && named.is_some_and(|found| found == name)
    };
    ours.iter().find(is)
}

/// Labels and annotations of a [`Manifest`] in addition to its marks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// Labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
}

/// Whether `actual` has every field of `wanted` with its value; lists must agree item by item.
fn covers(actual: &Value, wanted: &Value) -> bool {
    match (actual, wanted) {
        (Value::Object(actual), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| match actual.get(key) {
                Some(found) => covers(found, value),
                // The API server drops nulls and empty collections.
                None => {
                    value.is_null()
                        || value.as_object().is_some_and(serde_json::Map::is_empty)
                        || value.as_array().is_some_and(Vec::is_empty)
                }
            })
        }
        (Value::Array(actual), Value::Array(wanted)) => {
            actual.len() == wanted.len() && actual.iter().zip(wanted).all(|(a, w)| covers(a, w))
        }
        _ => actual == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(weight: &str) -> Manifest {
        let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
        let annotations = Labels::from([("w".to_owned(), weight.to_owned())]);
        let meta = Meta { annotations, ..Meta::default() };
        Manifest::new(Kind::SERVICE, "web-canary", &owner, "web", meta, json!({"rules": [{"host": "a"}]}))
    }

    #[test]
    fn defaults_added_by_the_server_do_not_matter() {
        let mut observed = manifest("5").body;
        observed["metadata"]["resourceVersion"] = json!("7");
        observed["spec"]["sessionAffinity"] = json!("None");
        assert!(manifest("5").is_satisfied_by(&observed));
    }

    #[test]
    fn an_edit_by_hand_and_a_dropped_key_are_noticed() {
        let mut edited = manifest("5").body;
        edited["metadata"]["annotations"]["w"] = json!("50");
        assert!(!manifest("5").is_satisfied_by(&edited));
        // "w" is no longer wanted: only the fingerprint shows it.
        let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
        let spec = json!({"rules": [{"host": "a"}]});
        let without = Manifest::new(Kind::SERVICE, "web-canary", &owner, "web", Meta::default(), spec);
        assert!(!without.is_satisfied_by(&manifest("5").body));
    }
}
