//! What a restart is: a change of a pod template after which its pods run the same code.

use super::{
    k8s::{json_pointer::part, outline::Outline, selector::Labels},
    keys::RESTARTED_AT,
    names::TemplateHash,
};
use serde_json::Value;
use std::collections::BTreeSet;

/// Which changes are restarts, and what a restart does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restarts {
    /// A restart is a canary release.
    pub are_canaries: bool,
    /// Annotations of the pod template of which a change is a restart, in addition to kubectl's own.
    pub annotations: BTreeSet<String>,
}

/// What the pods of a template run, with the annotations that they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    rest: TemplateHash,
    annotations: Labels,
    outline: Outline,
}

impl Code {
    /// The code of a pod template.
    #[must_use]
    pub fn of(template: &Value) -> Self {
        let mut rest = template.clone();
        if let Some(metadata) = rest.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            metadata.remove("annotations");
        }
        let (outline, rest) = (Outline::of(&rest), TemplateHash::of(&rest));
        Self { rest, annotations: annotations(template), outline }
    }

    /// What another template has instead, a line for each kind of change.
    #[must_use]
    pub fn changes_to(&self, other: &Self) -> Vec<String> {
        self.outline.changes_to(&other.outline)
    }
}

impl Restarts {
    /// Whether a restart leads from one code to the other.
    #[must_use]
    pub fn are_between(&self, a: &Code, b: &Code) -> bool {
        a.rest == b.rest && changed(&a.annotations, &b.annotations).all(|key| self.is_key(key))
    }

    /// The same for pod templates, found out faster.
    #[must_use]
    pub fn are_between_templates(&self, a: &Value, b: &Value) -> bool {
        // A restart leaves it alone, and it is most of the template.
        let spec = |template| part(template, "/spec").filter(|spec| spec.is_object());
        let differs = spec(a).zip(spec(b)).is_some_and(|(a, b)| !TemplateHash::same(a, b));
        !differs && self.are_between(&Code::of(a), &Code::of(b))
    }

    fn is_key(&self, key: &str) -> bool {
        key == RESTARTED_AT || self.annotations.contains(key)
    }
}

/// The annotations by which two pod templates differ, if they differ in nothing else and in no label.
#[must_use]
pub fn only_annotations(a: &Value, b: &Value) -> Vec<String> {
    let (a, b) = (Code::of(a), Code::of(b));
    if a.rest == b.rest { changed(&a.annotations, &b.annotations).cloned().collect() } else { Vec::new() }
}

fn annotations(template: &Value) -> Labels {
    let map = part(template, "/metadata/annotations").and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    map.into_iter().flatten().filter_map(text).collect()
}

/// Keys whose values differ.
fn changed<'a>(a: &'a Labels, b: &'a Labels) -> impl Iterator<Item = &'a String> {
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    keys.into_iter().filter(|key| a.get(*key) != b.get(*key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(image: &str, annotations: &Value) -> Value {
        json!({"metadata": {"labels": {"app": "web"}, "annotations": annotations}, "spec": {"image": image}})
    }

    #[test]
    fn a_restart_changes_the_stamp_and_what_is_named_and_nothing_else() {
        let restarts = |named: &[&str]| Restarts {
            annotations: named.iter().map(|key| (*key).to_owned()).collect(),
            ..Restarts::default()
        };
        let plain = template("a", &Value::Null);
        let stamped = template("a", &json!({RESTARTED_AT: "2026"}));
        let rotated = template("a", &json!({RESTARTED_AT: "2026", "checksum/config": "1"}));
        let named = restarts(&["checksum/config"]);
        assert!(restarts(&[]).are_between_templates(&plain, &stamped));
        assert!(!restarts(&[]).are_between_templates(&plain, &rotated));
        assert!(
            named.are_between_templates(&plain, &rotated) && named.are_between_templates(&rotated, &plain)
        );
        let mine = template("a", &json!({"checksum/config": "1", "mine": "1"}));
        assert!(!named.are_between_templates(&plain, &mine), "another annotation too");
        assert!(!named.are_between_templates(&plain, &template("b", &json!({"checksum/config": "1"}))));
        let mut labelled = stamped.clone();
        labelled["metadata"]["labels"]["app"] = json!("shop");
        assert!(!named.are_between_templates(&stamped, &labelled));
        // A `ReplicaSet`'s copy has one more label.
        labelled["metadata"]["labels"] = json!({"app": "web", "pod-template-hash": "x"});
        assert!(restarts(&[]).are_between(&Code::of(&labelled), &Code::of(&plain)));
    }

    #[test]
    fn annotations_are_named_if_nothing_else_differs() {
        let with = |image, text: &str| template(image, &json!({"checksum/config": text, "kept": "1"}));
        assert_eq!(only_annotations(&with("a", "1"), &with("a", "2")), ["checksum/config"]);
        assert!(only_annotations(&with("a", "1"), &with("b", "2")).is_empty());
    }
}
