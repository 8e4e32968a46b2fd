//! The canary's Deployment: the user's new template under other labels, sized by weight.

use super::{
    copied_labels::copied_labels,
    manifest::{Kind, Manifest, Meta, Owner, TEMPLATE_ANNOTATION, find},
};
use crate::domain::{
    k8s::{json_pointer::part, label_rewrite::LabelRewrite, selector::Labels},
    names::suffixed,
    observed::Observed,
    strategy::{AntiAffinity, CanaryPods},
};
use serde_json::{Map, Value, json};

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
    let canary = find(&seen.ours, Kind::DEPLOYMENT, &canary_name(&owner.name));
    let found = canary.and_then(|object| part(object, "/spec/replicas")?.as_i64());
    let found = found.and_then(|size| i32::try_from(size).ok()).unwrap_or(0);
    if replicas == 0 { 0 } else { replicas.max(found) }
}

/// The canary Deployment with `replicas` pods of the user's present template, and more annotations of its own.
#[must_use]
pub fn canary_deployment(
    seen: &Observed,
    owner: &Owner,
    rewrite: &LabelRewrite,
    pods: &CanaryPods,
    replicas: i32,
    mut annotations: Labels,
) -> Manifest {
    let mut template = seen.template.body().clone();
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("creationTimestamp");
        add_all(metadata, "annotations", &pods.annotations);
        metadata.insert("labels".to_owned(), json!(rewrite.apply(&seen.pod_labels())));
        add_all(metadata, "labels", &pods.labels);
    }
    if let (Some(affinity), Some(spec)) =
        (pods.anti_affinity, template.get_mut("spec").and_then(Value::as_object_mut))
    {
        avoid_stable(spec, affinity, seen);
    }
    let mut spec = json!({
        "replicas": replicas,
        "selector": rewrite.canary_only(),
        "progressDeadlineSeconds": seen.progress_deadline_seconds(),
        "revisionHistoryLimit": 1,
    });
    if let Some(spec) = spec.as_object_mut() {
        spec.insert("template".to_owned(), template);
        // The API server drops a zero, and a declared value must read back as it was written.
        let min_ready = seen.deployment.spec.min_ready_seconds.filter(|seconds| *seconds > 0);
        spec.extend(min_ready.map(|seconds| ("minReadySeconds".to_owned(), json!(seconds))));
    }
    annotations.insert(TEMPLATE_ANNOTATION.to_owned(), seen.template_hash().to_string());
    let meta = Meta { labels: copied_labels(seen.deployment.metadata.labels.as_ref()), annotations };
    Manifest::new(Kind::DEPLOYMENT, &canary_name(&owner.name), owner, &rewrite.owner_label(), meta, spec)
}

/// Adds entries to the map `key`, which is made if there is none.
fn add_all(object: &mut Map<String, Value>, key: &str, entries: &Labels) {
    if entries.is_empty() {
        return;
    }
    let known = object.entry(key).or_insert_with(|| json!({}));
    if let Some(known) = known.as_object_mut() {
        known.extend(entries.iter().map(|(key, value)| (key.clone(), json!(value))));
    }
}

/// One more term of pod anti-affinity: the nodes on which stable's pods are.
fn avoid_stable(spec: &mut Map<String, Value>, affinity: AntiAffinity, seen: &Observed) {
    let term =
        json!({"labelSelector": seen.deployment.spec.selector, "topologyKey": "kubernetes.io/hostname"});
    let (list, item) = match affinity {
        AntiAffinity::Required => ("requiredDuringSchedulingIgnoredDuringExecution", term),
        AntiAffinity::Preferred(weight) => (
            "preferredDuringSchedulingIgnoredDuringExecution",
            json!({"weight": weight, "podAffinityTerm": term}),
        ),
    };
    let all = spec.entry("affinity").or_insert_with(|| json!({})).as_object_mut();
    let anti = all.map(|all| all.entry("podAntiAffinity").or_insert_with(|| json!({})));
    let terms = anti.and_then(Value::as_object_mut).map(|anti| anti.entry(list).or_insert_with(|| json!([])));
    if let Some(terms) = terms.and_then(Value::as_array_mut) {
        terms.push(item);
    }
}
