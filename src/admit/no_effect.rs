//! Haldane's keys that have no effect where they are, such as a misspelt one: the user expects a canary and would not
//! get one.

use super::{
    kubectl_warnings,
    object::{Edits, Object},
    rules,
};
use crate::{
    config::annotations::{Choice, KEYS, choice, nearest_key, path, unknown_keys},
    document::finding::{Finding, Findings},
    domain::{k8s::selector::Labels, keys, review::Verdict},
    objects::marks::is_canary,
};

/// Labels that only a Namespace has.
const OF_NAMESPACES: [&str; 3] = [keys::ENFORCE, keys::WARN, keys::AUDIT];

/// The maps of a pod template that may have keys.
const OF_PODS: [&str; 2] = ["annotations", "labels"];

/// The verdict on a Deployment that is not opted in: it always passes.
pub(super) fn decide(new: Object<'_>) -> Verdict {
    let warnings = warnings(new, false);
    let verdict = Verdict::allow_with(Edits::default().patch(new));
    if warnings.is_empty() {
        return verdict;
    }
    Verdict { warnings: kubectl_warnings::lines(warnings), ..verdict.by(rules::NO_EFFECT) }
}

/// Warnings about keys of a Deployment that is not managed. `by_namespace`: its Namespace opts in, so most keys have an
/// effect as soon as it has a route.
pub(super) fn warnings(new: Object<'_>, by_namespace: bool) -> Vec<String> {
    let annotations = new.annotations();
    let mut warnings: Vec<String> = new.annotation(keys::DO).map(ignored_order).into_iter().collect();
    if choice(&annotations) == Choice::Out {
        return warnings;
    }
    let mut findings = unknown_keys(&annotations);
    if !by_namespace {
        findings.extend(without_plan(&annotations));
    }
    warnings.extend(findings.iter().map(ToString::to_string));
    warnings.extend(misplaced(new));
    if !by_namespace && warnings.len() > usize::from(annotations.contains_key(keys::DO)) {
        warnings.push(format!(
            "the Deployment is not opted in, so it is released without a canary; opt it in with the annotation {}: enabled, or with a plan as its value",
            keys::CANARY
        ));
    }
    warnings
}

/// Warnings about keys that would have an effect as annotations of the Deployment itself.
pub(super) fn misplaced(new: Object<'_>) -> Vec<String> {
    if is_canary(new.0) {
        return Vec::new();
    }
    let labels = new.map("/metadata/labels", keys::PREFIX);
    let labels = labels.iter().filter(|(key, _)| *key != keys::MANAGED).map(|(key, value)| {
        let problem = if OF_NAMESPACES.contains(&key.as_str()) {
            "has no effect on a Deployment; label its Namespace instead".to_owned()
        } else {
            elsewhere(key, "as a label of a Deployment")
        };
        Finding::new(format!("metadata.labels[{key}]"), value, problem)
    });
    let of_pods = OF_PODS.into_iter().flat_map(|map| {
        let found = new.map(&format!("/spec/template/metadata/{map}"), keys::PREFIX);
        found.into_iter().map(move |(key, value)| {
            let place = format!("spec.template.metadata.{map}[{key}]");
            Finding::new(place, value, elsewhere(&key, "on a pod template"))
        })
    });
    labels.chain(of_pods).map(|finding| finding.to_string()).collect()
}

fn elsewhere(key: &str, place: &str) -> String {
    nearest_key(key).map_or_else(
        || format!("has no effect {place}, and Haldane has no such annotation; remove it"),
        |known| format!("has no effect {place}; set the annotation {known} of the Deployment instead"),
    )
}

/// Settings of a canary on a Deployment that does not get one.
fn without_plan(annotations: &Labels) -> Findings {
    let given = KEYS.iter().filter(|key| key.name != keys::DO && annotations.contains_key(key.name));
    given
        .map(|key| Finding::new(path(key.name), "", "has no effect on a Deployment that is not opted in"))
        .collect()
}

fn ignored_order(order: &str) -> String {
    format!("the order {order} is ignored, because the Deployment is not opted in by {}", keys::CANARY)
}
