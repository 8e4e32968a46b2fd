//! The canary's Deployment: the user's new template under other labels, sized by weight.

use super::{
    manifest::{Kind, Manifest, Meta, Owner, TEMPLATE_ANNOTATION},
    pair::find,
};
use crate::domain::{names::suffixed, observed::Observed, rewrite::LabelRewrite, selector::Labels};
use serde_json::{Value, json};

/// Kubernetes' limit for names of Deployments.
const NAME_MAX: usize = 253;

/// Name of the canary Deployment, and of the other objects of which there is one.
#[must_use]
pub fn canary_name(deployment: &str) -> String {
    suffixed(deployment, "-canary", NAME_MAX)
}

/// The size to write for a canary of at least `replicas` pods that an autoscaler may have enlarged: as it
/// is found, so that the two do not fight. 0 outranks the autoscaler, which leaves a size of 0 alone.
#[must_use]
pub fn autoscaled_size(seen: &Observed, owner: &Owner, replicas: i32) -> i32 {
    let canary = find(&seen.ours, Kind::Deployment, &canary_name(&owner.name));
    let found = canary.and_then(|object| object.pointer("/spec/replicas")?.as_i64());
    let found = found.and_then(|size| i32::try_from(size).ok()).unwrap_or(0);
    if replicas == 0 { 0 } else { replicas.max(found) }
}

/// The canary Deployment with `replicas` pods of the user's present template.
#[must_use]
pub fn canary_deployment(seen: &Observed, owner: &Owner, rewrite: &LabelRewrite, replicas: i32) -> Manifest {
    let mut template = seen.template.clone();
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("creationTimestamp");
        metadata.insert("labels".to_owned(), json!(rewrite.apply(&seen.pod_labels())));
    }
    let mut spec = json!({
        "replicas": replicas,
        "selector": rewrite.canary_only(),
        "template": template,
        "progressDeadlineSeconds": seen.progress_deadline_seconds(),
        "revisionHistoryLimit": 1,
    });
    // The API server drops a zero, and a wish must read back as it was written.
    let min_ready = seen.deployment.spec.min_ready_seconds.filter(|seconds| *seconds > 0);
    if let (Some(seconds), Some(spec)) = (min_ready, spec.as_object_mut()) {
        spec.insert("minReadySeconds".to_owned(), json!(seconds));
    }
    let annotations = Labels::from([(TEMPLATE_ANNOTATION.to_owned(), seen.template_hash().to_string())]);
    let meta = Meta { annotations, ..Meta::default() };
    Manifest::new(Kind::Deployment, &canary_name(&owner.name), owner, &rewrite.owner_label(), meta, spec)
}
