//! The annotations of a Deployment: which there are, and whether they opt it in.

use crate::{
    document::{
        fields::nearest,
        finding::{Finding, Findings},
    },
    domain::{k8s::selector::Labels, keys},
};

/// An annotation that users may write.
#[derive(Debug)]
pub struct Key {
    /// Its whole name.
    pub name: &'static str,
    /// What it does, for the reference page.
    pub doc: &'static str,
    /// As users write it.
    pub example: &'static str,
    /// Whether a Namespace may give it for all of its Deployments.
    pub by_namespace: bool,
}

/// Every annotation that users may write, in the order of the reference page.
pub static KEYS: &[Key] = &[
    Key {
        name: keys::CANARY,
        doc: "Opts the Deployment in: `enabled` for the default plan, or YAML of Argo's `strategy.canary`. `disabled` keeps it out of a namespace that opts its Deployments in.",
        example: "{steps: [{setWeight: 25}, {pause: {duration: 5m}}]}",
        by_namespace: true,
    },
    Key {
        name: keys::BLUE_GREEN,
        doc: "Opts the Deployment in with YAML of Argo's `strategy.blueGreen`, instead of `haldane.dev/canary`.",
        example: "{activeService: web, previewService: web-preview, autoPromotionEnabled: false}",
        by_namespace: true,
    },
    Key {
        name: keys::ANALYSIS,
        doc: "YAML of an AnalysisTemplate spec, used where steps name no template; in the background if no step has an analysis.",
        example: "{metrics: [{name: up, successCondition: \"len(result) == 0 || result[0] == 1\", provider: {prometheus: {query: \"min(up)\"}}}]}",
        by_namespace: true,
    },
    Key {
        name: keys::SETTLE,
        doc: "How long a new weight takes to reach every proxy; each weight waits so long before its step goes on.",
        example: "6s",
        by_namespace: true,
    },
    Key {
        name: keys::DO,
        doc: "An order: `promote`, `promote-full`, `abort`, `retry`, `pause`, `resume` or `skip-step`; `promote --step N` goes on with the step of index N, counted from 0. It is carried out once and removed.",
        example: "promote",
        by_namespace: false,
    },
    Key {
        name: keys::RESTART,
        doc: "`canary` makes `kubectl rollout restart` a canary release; by default it restarts the pods natively.",
        example: "canary",
        by_namespace: true,
    },
    Key {
        name: keys::OVERRIDE_FREEZE,
        doc: "The reason to release although a policy's freeze forbids it, in the same request; it counts once and needs verb `override-freeze` on `deployments`.",
        example: "outage 4711",
        by_namespace: false,
    },
];

/// Annotations and labels that only Haldane writes.
pub const INTERNAL_KEYS: [&str; 4] = [keys::REQUEST, keys::HELD, keys::EXEMPT, keys::MANAGED];

/// What a Deployment says itself about taking part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It is opted in.
    In,
    /// It stays out, whatever its Namespace says.
    Out,
    /// Nothing: its Namespace decides.
    Silent,
}

/// What a Deployment with these annotations says itself.
#[must_use]
pub fn choice(annotations: &Labels) -> Choice {
    match annotations.get(keys::CANARY) {
        Some(word) if word.trim() == "disabled" => Choice::Out,
        Some(_) => Choice::In,
        None if annotations.contains_key(keys::BLUE_GREEN) => Choice::In,
        None => Choice::Silent,
    }
}

/// Whether a Deployment with these annotations has opted in by itself.
#[must_use]
pub fn is_opted_in(annotations: &Labels) -> bool {
    choice(annotations) == Choice::In
}

/// The annotation that holds the plan.
#[must_use]
pub fn plan_key(annotations: &Labels) -> &'static str {
    if annotations.contains_key(keys::BLUE_GREEN) { keys::BLUE_GREEN } else { keys::CANARY }
}

/// Path of an annotation in findings.
#[must_use]
pub fn path(key: &str) -> String {
    format!("metadata.annotations[{key}]")
}

/// Keys that people know from elsewhere, and what to do instead.
const REFUSED: [(&str, &str); 1] = [(
    keys::TRACK_CONFIG,
    "is not supported: stable would read the changed ConfigMap or Secret at once; name it by its content (Kustomize's configMapGenerator, secretGenerator), so that a change is a new template",
)];

/// The annotation that users may write and most likely meant by `key`.
#[must_use]
pub fn nearest_key(key: &str) -> Option<&'static str> {
    nearest(key, &KEYS.iter().map(|key| key.name).collect::<Vec<_>>())
}

/// Annotations with Haldane's prefix that it does not know.
#[must_use]
pub fn unknown_keys(annotations: &Labels) -> Findings {
    let known: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    let ours = annotations.iter().filter(|(key, _)| key.starts_with(keys::PREFIX));
    let unknown =
        ours.filter(|(key, _)| !known.contains(&key.as_str()) && !INTERNAL_KEYS.contains(&key.as_str()));
    unknown
        .map(|(key, value)| {
            let refused =
                REFUSED.iter().find(|(name, _)| name == key).map(|(_, advice)| (*advice).to_owned());
            let problem = refused.unwrap_or_else(|| match nearest_key(key) {
                Some(known) => format!("unknown annotation, did you mean {known:?}?"),
                None => format!("unknown annotation, allowed are {}", known.join(", ")),
            });
            Finding::new(path(key), value, problem)
        })
        .collect()
}
