//! The object of a review as it was sent, and edits of it.

use crate::domain::{
    k8s::{json_pointer::part, selector::Labels},
    keys,
    names::TemplateHash,
    world::{Pods, Workload},
};
use json_patch::{AddOperation, PatchOperation, RemoveOperation, jsonptr::PointerBuf};
use serde_json::{Value, json};

/// A raw object. Raw, because a typed form would lose fields that are newer than this program.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a>(pub &'a Value);

impl<'a> Object<'a> {
    /// Haldane's annotations. Others are not needed, and are often as long as the rest of the object.
    #[must_use]
    pub fn annotations(self) -> Labels {
        self.map("/metadata/annotations", keys::PREFIX)
    }

    /// Labels; empty when there are none.
    #[must_use]
    pub fn labels(self) -> Labels {
        self.map("/metadata/labels", "")
    }

    /// One annotation.
    #[must_use]
    pub fn annotation(self, key: &str) -> Option<&'a str> {
        part(self.0, "/metadata/annotations")?.get(key)?.as_str()
    }

    /// Labels of its pods.
    #[must_use]
    pub fn pod_labels(self) -> Labels {
        self.map("/spec/template/metadata/labels", "")
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'a str {
        part(self.0, "/metadata/name").and_then(Value::as_str).unwrap_or_default()
    }

    /// The Deployment, as selectors see it.
    #[must_use]
    pub fn workload(self) -> Workload {
        let selector = part(self.0, "/spec/selector").cloned().unwrap_or_default();
        Workload {
            name: self.name().to_owned(),
            // The API server refuses one that cannot be read.
            selector: serde_json::from_value(selector).unwrap_or_default(),
            pods: Pods::of(self.template()),
            running: None,
        }
    }

    /// The pod template.
    #[must_use]
    pub fn template(self) -> &'a Value {
        part(self.0, "/spec/template").unwrap_or(&Value::Null)
    }

    /// Identity of the pod template.
    #[must_use]
    pub fn template_hash(self) -> TemplateHash {
        TemplateHash::of(self.template())
    }

    /// Whether both have the same pod template.
    #[must_use]
    pub fn has_template_of(self, other: Self) -> bool {
        TemplateHash::same(self.template(), other.template())
    }

    /// `spec.paused`.
    #[must_use]
    pub fn is_paused(self) -> bool {
        part(self.0, "/spec/paused").and_then(Value::as_bool).unwrap_or(false)
    }

    /// `spec.replicas`; 1 when absent, as the API server reads it.
    #[must_use]
    pub fn replicas(self) -> i64 {
        part(self.0, "/spec/replicas").and_then(Value::as_i64).unwrap_or(1)
    }

    /// `status.readyReplicas`: the pods that serve, regardless of `minReadySeconds`.
    #[must_use]
    pub fn ready(self) -> i64 {
        part(self.0, "/status/readyReplicas").and_then(Value::as_i64).unwrap_or(0)
    }

    /// Texts by key in the map at `pointer`, of the keys with this prefix.
    #[must_use]
    pub fn map(self, pointer: &str, prefix: &str) -> Labels {
        let map = part(self.0, pointer).and_then(Value::as_object);
        let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        map.into_iter().flatten().filter(|(key, _)| key.starts_with(prefix)).filter_map(text).collect()
    }
}

/// The values that Haldane's own keys and `spec.paused` must have after admission.
///
/// They are computed from what is allowed, never from what was sent, so a forged value is overwritten.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edits {
    /// `haldane.dev/managed`.
    pub managed: bool,
    /// `haldane.dev/held`.
    pub held: Option<String>,
    /// `haldane.dev/request`.
    pub request: Option<String>,
    /// `haldane.dev/exempt`.
    pub exempt: Option<String>,
    /// `spec.paused`; `None` leaves it as it was sent.
    pub paused: Option<bool>,
}

impl Edits {
    /// The operations that set these values in `object`; none if it has them already.
    #[must_use]
    pub fn patch(&self, object: Object<'_>) -> Vec<PatchOperation> {
        let mut patch = Vec::new();
        set(&mut patch, object, "labels", keys::MANAGED, self.managed.then_some("true"));
        set(&mut patch, object, "annotations", keys::HELD, self.held.as_deref());
        set(&mut patch, object, "annotations", keys::REQUEST, self.request.as_deref());
        set(&mut patch, object, "annotations", keys::EXEMPT, self.exempt.as_deref());
        set(&mut patch, object, "annotations", keys::DO, None);
        if let Some(paused) = self.paused.filter(|paused| *paused != object.is_paused()) {
            patch.push(add(PointerBuf::from_tokens(["spec", "paused"]), json!(paused)));
        }
        patch
    }
}

fn set(ops: &mut Vec<PatchOperation>, object: Object<'_>, map: &str, key: &str, value: Option<&str>) {
    let entries = part(object.0, &format!("/metadata/{map}"));
    let present = entries.and_then(|entries| entries.get(key)).and_then(Value::as_str);
    let path = PointerBuf::from_tokens(["metadata", map, key]);
    match value {
        Some(value) if present != Some(value) => {
            let parent = PointerBuf::from_tokens(["metadata", map]);
            let made = ops.iter().any(|op| matches!(op, PatchOperation::Add(add) if add.path == parent));
            if entries.is_none_or(Value::is_null) && !made {
                ops.push(add(parent, json!({})));
            }
            ops.push(add(path, json!(value)));
        }
        None if present.is_some() => ops.push(PatchOperation::Remove(RemoveOperation { path })),
        _ => {}
    }
}

fn add(path: PointerBuf, value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(edits: &Edits, mut object: Value) -> Value {
        let patch = edits.patch(Object(&object));
        json_patch::patch(&mut object, &patch).unwrap();
        assert!(edits.patch(Object(&object)).is_empty(), "a second pass has nothing to do");
        object
    }

    #[test]
    fn absent_maps_are_made_first() {
        let edits = Edits {
            managed: true,
            held: Some("h".into()),
            request: Some("r".into()),
            exempt: Some("p".into()),
            paused: Some(true),
        };
        let object = patched(&edits, json!({"metadata": {}, "spec": {}}));
        assert_eq!(
            object,
            json!({
                "metadata": {
                    "labels": {"haldane.dev/managed": "true"},
                    "annotations": {"haldane.dev/held": "h", "haldane.dev/request": "r", "haldane.dev/exempt": "p"},
                },
                "spec": {"paused": true},
            })
        );
    }

    #[test]
    fn forged_keys_and_orders_are_removed() {
        let sent = json!({"metadata": {"labels": {"haldane.dev/managed": "true"}, "annotations": {
            "haldane.dev/held": "x", "haldane.dev/request": "y", "haldane.dev/exempt": "z",
            "haldane.dev/do": "promote", "mine": "1",
        }}});
        let object = patched(&Edits::default(), sent);
        assert_eq!(object["metadata"], json!({"labels": {}, "annotations": {"mine": "1"}}));
    }
}
