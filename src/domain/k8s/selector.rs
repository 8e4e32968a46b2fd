//! Label selectors, evaluated as the API server does.
//!
//! Source: k8s.io/apimachinery `labels.Selector` and `metav1.LabelSelectorAsSelector`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use std::collections::{BTreeMap, BTreeSet};

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// Whether a Service's selector matches these labels. A Service without a selector matches nothing.
#[must_use]
pub fn map_selects(selector: &Labels, labels: &Labels) -> bool {
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether a `LabelSelector` matches these labels. An empty selector matches everything.
#[must_use]
pub fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let by_labels = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    by_labels && selector.match_expressions.iter().flatten().all(|requirement| holds(requirement, labels))
}

fn holds(requirement: &LabelSelectorRequirement, labels: &Labels) -> bool {
    let value = labels.get(&requirement.key);
    let listed = |value: &String| requirement.values.iter().flatten().any(|allowed| allowed == value);
    match requirement.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        // The API server allows no other operator; an unknown one matches nothing.
        _ => false,
    }
}

/// The label keys of a selector.
#[must_use]
pub fn keys(selector: &LabelSelector) -> BTreeSet<String> {
    let by_labels = selector.match_labels.iter().flatten().map(|(key, _)| key.clone());
    by_labels.chain(selector.match_expressions.iter().flatten().map(|r| r.key.clone())).collect()
}

/// The requirements of a selector that these labels do not meet.
#[must_use]
pub fn unmet(selector: &LabelSelector, labels: &Labels) -> Vec<LabelSelectorRequirement> {
    requirements(selector).filter(|requirement| !holds(requirement, labels)).collect()
}

/// A selector in the syntax of list requests and `kubectl --selector`.
#[must_use]
pub fn text(selector: &LabelSelector) -> String {
    requirements(selector).map(|requirement| written(&requirement)).collect::<Vec<_>>().join(",")
}

/// See [`text`].
#[must_use]
pub fn written(requirement: &LabelSelectorRequirement) -> String {
    let (key, values) = (&requirement.key, requirement.values.as_deref().unwrap_or_default());
    match (requirement.operator.as_str(), values) {
        ("In", [value]) => format!("{key}={value}"),
        ("In", values) => format!("{key} in ({})", values.join(",")),
        ("NotIn", values) => format!("{key} notin ({})", values.join(",")),
        ("DoesNotExist", _) => format!("!{key}"),
        _ => key.clone(),
    }
}

/// All requirements in one form.
fn requirements(selector: &LabelSelector) -> impl Iterator<Item = LabelSelectorRequirement> {
    let by_label = |(key, value): (&String, &String)| LabelSelectorRequirement {
        key: key.clone(),
        operator: "In".to_owned(),
        values: Some(vec![value.clone()]),
    };
    let by_labels = selector.match_labels.iter().flatten().map(by_label);
    by_labels.chain(selector.match_expressions.iter().flatten().cloned())
}
