//! The labels of users' objects that the canary's objects carry as well: policies may ask for them, and tools look for them.

use crate::domain::{k8s::selector::Labels, keys};

/// Labels that are not copied, by prefix: by them alone a tool deletes or changes what it finds, or publishes it in other
/// clusters. Sources: `docs/decisions/0020-labels-of-the-canary-service.md`. Haldane's own keys are for the Deployment
/// itself.
const LEFT: [&str; 6] = [
    "applyset.kubernetes.io/",
    keys::PREFIX,
    "keel.sh/",
    "kustomize.toolkit.fluxcd.io/",
    "mirror.linkerd.io/",
    "objectset.rio.cattle.io/",
];

/// The labels of a user's object that its counterpart carries.
#[must_use]
pub fn copied_labels(labels: Option<&Labels>) -> Labels {
    let is_copied = |key: &str| !LEFT.iter().any(|prefix| key.starts_with(prefix));
    let kept = labels.into_iter().flatten().filter(|(key, _)| is_copied(key));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}
