//! The ways in which APIs write a selector.

use super::calico;
use crate::domain::k8s::selector::{Labels, selects};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Map, Value};

/// Labels that no pod carries and that policies of several namespaces select by: Cilium's and Calico's word for
/// the namespace.
pub(super) const NAMESPACE_LABELS: [&str; 2] = ["io.kubernetes.pod.namespace", "projectcalico.org/namespace"];

/// A way to write a selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Kubernetes' `LabelSelector`; Istio's `WorkloadSelector` is a part of it.
    Labels,
    /// A `LabelSelector` whose keys may name their source, such as `k8s:app`.
    ///
    /// Source: cilium `pkg/policy/api/selector.go`.
    Cilium,
    /// An expression such as `app == 'web' && has(tier)`.
    Calico,
    /// A reference of Gateway API by group, kind and name, or by kind and labels.
    Target,
}

/// What a [`Form::Target`] looks at in addition to labels; no label has such a key.
pub(super) const KIND: &str = "@kind";
/// See [`KIND`].
pub(super) const NAME: &str = "@name";

impl Form {
    /// Whether a selector picks pods with these labels.
    ///
    /// # Errors
    /// What is not understood.
    pub fn picks(self, selector: &Value, labels: &Labels) -> Result<bool, String> {
        match self {
            Self::Labels => label_selector(selector.clone()).map(|selector| selects(&selector, labels)),
            Self::Cilium => match pod_labels_only(selector) {
                Some(selector) => label_selector(selector).map(|selector| selects(&selector, labels)),
                None => Ok(false),
            },
            Self::Calico => match selector.as_str() {
                Some(text) => calico::picks(text, labels),
                None => Err("it is no text".to_owned()),
            },
            Self::Target => targets(selector, labels),
        }
    }

    /// Whether an object is about other namespaces than that of these labels, or changes nothing.
    pub fn is_elsewhere(self, object: &Value, labels: &Labels) -> bool {
        // A VerticalPodAutoscaler that only recommends.
        if object.pointer("/spec/updatePolicy/updateMode").is_some_and(|mode| mode == "Off") {
            return true;
        }
        let Some(namespaces) = object.pointer("/spec/namespaceSelector") else { return false };
        let own = labels.get(NAMESPACE_LABELS[0]).map_or("", String::as_str);
        match self {
            Self::Labels => {
                // Of monitors: names, or any; without either their own namespace.
                let names = namespaces.get("matchNames").and_then(Value::as_array);
                namespaces.get("any") != Some(&Value::Bool(true))
                    && names.is_some_and(|names| !names.is_empty() && names.iter().all(|name| name != own))
            }
            Self::Calico => {
                // Of the namespace only its name is known here: any other condition may be true.
                let known = Labels::from([("projectcalico.org/name".to_owned(), own.to_owned())]);
                let is_by_name =
                    |text: &&str| text.contains("projectcalico.org/name") && !text.contains(['&', '|']);
                let named = namespaces.as_str().filter(is_by_name);
                named.is_some_and(|text| calico::picks(text, &known) == Ok(false))
            }
            Self::Cilium | Self::Target => false,
        }
    }
}

/// Whether a reference means the object with these labels. A part of an object, such as a named rule, means it as well.
fn targets(reference: &Value, labels: &Labels) -> Result<bool, String> {
    let is = |field: &str, key: &str| {
        reference.get(field).and_then(Value::as_str) == labels.get(key).map(String::as_str)
    };
    if reference.get("name").is_some() {
        return Ok(is("kind", KIND) && is("name", NAME));
    }
    let selected = label_selector(reference.clone()).map(|selector| selects(&selector, labels));
    selected.map(|selected| selected && is("kind", KIND))
}

fn label_selector(selector: Value) -> Result<LabelSelector, String> {
    serde_json::from_value(selector).map_err(|error| error.to_string())
}

/// Cilium's selector with the keys that pods have; `None` when it selects what is no pod.
///
/// What Cilium derives from elsewhere, such as the service account, is the same on both sides.
fn pod_labels_only(selector: &Value) -> Option<Value> {
    let mut selector = selector.clone();
    let plain = |key: &str| match key.split_once(':') {
        Some(("k8s" | "any", key)) => Some(key.to_owned()),
        Some(_) => None,
        None => Some(key.to_owned()),
    };
    let is_derived = |key: &str| key.starts_with("io.cilium.");
    if let Some(labels) = selector.get_mut("matchLabels").and_then(Value::as_object_mut) {
        let mut kept = Map::new();
        for (key, value) in std::mem::take(labels) {
            let key = plain(&key)?;
            if !is_derived(&key) {
                kept.insert(key, value);
            }
        }
        *labels = kept;
    }
    if let Some(requirements) = selector.get_mut("matchExpressions").and_then(Value::as_array_mut) {
        for requirement in requirements.iter_mut() {
            let key = plain(requirement.get("key")?.as_str()?)?;
            requirement.as_object_mut()?.insert("key".to_owned(), key.into());
        }
        requirements.retain(|requirement| !requirement["key"].as_str().is_some_and(is_derived));
    }
    Some(selector)
}
