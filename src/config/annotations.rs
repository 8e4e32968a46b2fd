//! The annotations of a Deployment: which there are, and whether they opt it in.

use crate::{
    document::{
        fields::nearest,
        finding::{Finding, Findings},
    },
    domain::{k8s::selector::Labels, keys},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// An annotation that users may write.
#[derive(Debug)]
pub struct Key {
    /// Its full name.
    pub name: &'static str,
    /// What it does, for the reference page.
    pub doc: &'static str,
    /// An example.
    pub example: &'static str,
    /// Whether a Namespace may set it for all of its Deployments.
    pub by_namespace: bool,
}

/// Every annotation that users may write, in the order of the reference page.
pub static KEYS: &[Key] = &[
    Key {
        name: keys::CANARY,
        doc: "Opts the Deployment in: `enabled` for the default plan, or YAML of Argo's `strategy.canary`. `disabled` opts it out of a namespace that opts its Deployments in.",
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
        doc: "YAML of an AnalysisTemplate spec, for analyses that name no template. If no step has an analysis, it runs in the background.",
        example: "{metrics: [{name: up, successCondition: \"len(result) == 0 || result[0] == 1\", provider: {prometheus: {query: \"min(up)\"}}}]}",
        by_namespace: true,
    },
    Key {
        name: keys::SETTLE,
        doc: "How long a new weight takes to reach every proxy. After each change of the weight, the rollout waits this long.",
        example: "6s",
        by_namespace: true,
    },
    Key {
        name: keys::DO,
        doc: "An order: `promote`, `promote-full`, `abort`, `retry`, `pause`, `resume` or `skip-step`; `promote --step N` continues with step N, counted from 1. Haldane carries it out once and removes it.",
        example: "promote",
        by_namespace: false,
    },
    Key {
        name: keys::RESTART,
        doc: "`canary`: `kubectl rollout restart` is a canary release. By default Kubernetes restarts the pods without a canary.",
        example: "canary",
        by_namespace: true,
    },
    Key {
        name: keys::RESTART_ANNOTATIONS,
        doc: "Annotations of the pod template, separated by commas. A change of only these is a restart, as with `kubectl.kubernetes.io/restartedAt`: the pods run the same code with other configuration. For Reloader, which needs its strategy `annotations`, name `reloader.stakater.com/last-reloaded-from`.",
        example: "checksum/config, checksum/secret",
        by_namespace: true,
    },
    Key {
        name: keys::OVERRIDE_FREEZE,
        doc: "The reason to release although a freeze of a policy forbids it. Set it in the request that makes the release; it counts once, and needs the verb `override-freeze` on `deployments`.",
        example: "outage 4711",
        by_namespace: false,
    },
];

/// Annotations and labels that only Haldane may write.
pub const INTERNAL_KEYS: [&str; 4] = [keys::REQUEST, keys::HELD, keys::EXEMPT, keys::MANAGED];

/// Whether a Deployment opts itself in or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It is opted in.
    In,
    /// It is opted out, even if its Namespace opts it in.
    Out,
    /// Neither: its Namespace decides.
    Silent,
}

/// The choice of a Deployment with these annotations.
#[must_use]
pub fn choice(annotations: &Labels) -> Choice {
    match annotations.get(keys::CANARY) {
        Some(word) if word.trim() == "disabled" => Choice::Out,
        Some(_) => Choice::In,
        None if annotations.contains_key(keys::BLUE_GREEN) => Choice::In,
        None => Choice::Silent,
    }
}

/// Whether a Deployment with these annotations opts itself in.
#[must_use]
pub fn is_opted_in(annotations: &Labels) -> bool {
    choice(annotations) == Choice::In
}

/// Whether a Deployment opts itself in, or still has the label of managed ones.
#[must_use]
pub fn is_opted_in_or_marked(metadata: &ObjectMeta) -> bool {
    let has_label = || metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(keys::MANAGED));
    metadata.annotations.as_ref().is_some_and(is_opted_in) || has_label()
}

/// Whether a Deployment has the label by which it is watched.
#[must_use]
pub fn is_watched(metadata: &ObjectMeta) -> bool {
    metadata.labels.as_ref().and_then(|labels| labels.get(keys::MANAGED)).is_some_and(|value| value == "true")
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

/// Keys of other tools, and what to do instead.
const REFUSED: [(&str, &str); 1] = [(
    keys::TRACK_CONFIG,
    "is not supported: stable would read the changed ConfigMap or Secret immediately; give it a name that depends on its content (Kustomize's configMapGenerator or secretGenerator), so that a change is a new template",
)];

/// The annotation that the user most likely meant by `key`.
#[must_use]
pub fn nearest_key(key: &str) -> Option<&'static str> {
    nearest(key, &KEYS.iter().map(|key| key.name).collect::<Vec<_>>())
}

/// Unknown annotations with Haldane's prefix.
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
