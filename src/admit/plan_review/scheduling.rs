//! Scheduling terms of the pod template that would miss the canary's pods, because their labels differ.

use crate::admit::object::Object;
use crate::domain::k8s::{label_rewrite::LabelRewrite, selector::selects};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Terms of a pod's spec that keep it near to, or away from, pods like itself.
const SCHEDULING: [(&str, &str); 3] = [
    ("/spec/affinity/podAntiAffinity", "podAntiAffinity"),
    ("/spec/affinity/podAffinity", "podAffinity"),
    ("/spec/topologySpreadConstraints", "topologySpreadConstraints"),
];

/// Scheduling terms of the pods among themselves that do not see the other side.
#[must_use]
pub fn by_scheduling(object: Object<'_>, rewrite: &LabelRewrite) -> Option<String> {
    let pods = object.pod_labels();
    let canary = rewrite.apply(&pods);
    let blind = |pointer: &str| {
        let mut selectors = Vec::new();
        if let Some(terms) = object.template().pointer(pointer) {
            label_selectors(terms, &mut selectors);
        }
        selectors.iter().any(|selector| selects(selector, &pods) && !selects(selector, &canary))
    };
    let terms: Vec<_> =
        SCHEDULING.iter().filter(|(pointer, _)| blind(pointer)).map(|(_, name)| *name).collect();
    let told = |terms: &[&str]| {
        format!(
            "{} of the pod template sees pods of stable only: canary pods are spread without regard to each other",
            terms.join(", ")
        )
    };
    (!terms.is_empty()).then(|| told(&terms))
}

/// Every `labelSelector` below a value. Kubernetes nests them three levels deep at most.
fn label_selectors(value: &serde_json::Value, found: &mut Vec<LabelSelector>) {
    match value {
        serde_json::Value::Array(items) => items.iter().for_each(|item| label_selectors(item, found)),
        serde_json::Value::Object(fields) => {
            for (key, field) in fields {
                if key == "labelSelector" {
                    found.extend(serde_json::from_value::<LabelSelector>(field.clone()).ok());
                } else {
                    label_selectors(field, found);
                }
            }
        }
        _ => {}
    }
}
