//! Argo Rollouts: a Rollout and its analysis templates.

use super::{Notes, annotated, own_metadata, prune::prune, set, template_map, text, text::yaml};
use crate::{
    commands::canary::{
        explain::no_defaults,
        offline::{Manifest, Manifests},
    },
    config::{blue_green, strategy, template},
    document::{fields::describe, schema::Schema},
    domain::{k8s::json_pointer::part, keys},
};
use serde_json::{Map, Value, json};

/// Fields of a Rollout's spec that a Deployment has itself.
const SHARED: [&str; 7] = [
    "replicas",
    "selector",
    "template",
    "minReadySeconds",
    "revisionHistoryLimit",
    "paused",
    "progressDeadlineSeconds",
];

/// Fields of a Rollout's spec that belong to the plan.
const OF_PLAN: [&str; 2] = ["rollbackWindow", "progressDeadlineAbort"];

/// A kind of plan: its key in `spec.strategy`, its annotation, and the Services that are the user's and ours.
struct Kind {
    field: &'static str,
    annotation: &'static str,
    user: &'static str,
    ours: &'static str,
}

const CANARY: Kind =
    Kind { field: "canary", annotation: keys::CANARY, user: "stableService", ours: "canaryService" };
const BLUE_GREEN: Kind =
    Kind { field: "blueGreen", annotation: keys::BLUE_GREEN, user: "activeService", ours: "previewService" };

/// The Deployment that a Rollout becomes.
pub fn rollout(manifest: &Manifest, files: &Manifests, notes: &mut Notes<'_>) -> Vec<Manifest> {
    let object = &manifest.object;
    let Some(spec) = object.get("spec").and_then(Value::as_object) else {
        notes.lost("spec", "is missing");
        return Vec::new();
    };
    let kind = if part(object, "/spec/strategy/blueGreen").is_some() { BLUE_GREEN } else { CANARY };
    let mut plan = part(object, "/spec/strategy").and_then(|strategy| strategy.get(kind.field)).cloned();
    let plan = plan.get_or_insert_default();
    if !plan.is_object() {
        *plan = json!({});
    }
    let rolling = rolling_update(plan, &kind, notes);
    prune_plan(plan, &kind, notes);
    for key in OF_PLAN {
        if let Some(value) = spec.get(key) {
            set(plan, &[], key, value.clone());
        }
    }
    services(plan, &kind, manifest, files, notes);
    if matches!(kind.field, "canary") && plan.get("steps").is_none() {
        notes.changed("spec.strategy.canary.steps", "there are none: Haldane's default plan applies (10 % and 50 % for a minute each), where Argo releases to all users at once");
    }
    for key in spec.keys().filter(|key| !is_handled(key)) {
        let advice = match key.as_str() {
            "restartAt" => "restart the Deployment with kubectl rollout restart",
            "analysis" => "Haldane keeps the analyses of the last releases in its record",
            _ => "a Deployment has no such field",
        };
        notes.lost(&format!("spec.{key}"), advice);
    }
    let written =
        if plan.as_object().is_some_and(Map::is_empty) { Ok("enabled".to_owned()) } else { yaml(plan) };
    let annotation = match written {
        Ok(text) => text,
        Err(error) => {
            notes.lost("spec.strategy", error.to_string());
            return Vec::new();
        }
    };
    let annotations = [(kind.annotation, annotation)];
    let mut made = match spec.get("workloadRef") {
        Some(reference) => match referenced(reference, manifest, files, &annotations, notes) {
            Some(made) => made,
            None => return Vec::new(),
        },
        None => deployment(manifest, spec, &annotations),
    };
    if let Some(rolling) = rolling {
        set(
            &mut made.object,
            &["spec"],
            "strategy",
            json!({"type": "RollingUpdate", "rollingUpdate": rolling}),
        );
    }
    vec![made]
}

fn is_handled(key: &str) -> bool {
    SHARED.contains(&key) || OF_PLAN.contains(&key) || ["strategy", "workloadRef"].contains(&key)
}

/// A Deployment of the Rollout's name.
fn deployment(manifest: &Manifest, spec: &Map<String, Value>, annotations: &[(&str, String)]) -> Manifest {
    let shared = SHARED.iter().filter_map(|key| Some(((*key).to_owned(), spec.get(*key)?.clone())));
    let spec: Map<String, Value> = shared.collect();
    let mut metadata = own_metadata(&manifest.object);
    for (key, value) in annotations {
        set(&mut metadata, &["annotations"], key, value.as_str());
    }
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec});
    Manifest { object, ..manifest.clone() }
}

/// The Deployment that `workloadRef` names, with the size that the Rollout has.
fn referenced(
    reference: &Value,
    manifest: &Manifest,
    files: &Manifests,
    annotations: &[(&str, String)],
    notes: &mut Notes<'_>,
) -> Option<Manifest> {
    if text(reference, "/kind") != "Deployment" {
        notes.lost("spec.workloadRef", "only a Deployment can have canaries; move the template into one");
        return None;
    }
    let mut made = annotated(manifest, text(reference, "/name"), files, annotations, notes);
    if let Some(replicas) = part(&manifest.object, "/spec/replicas") {
        set(&mut made.object, &["spec"], "replicas", replicas.clone());
    }
    notes.changed("spec.workloadRef", "the Deployment runs the pods again, with the Rollout's replicas; Argo had scaled it to 0. Delete the Rollout when the Deployment is available");
    Some(made)
}

/// The size of a rolling update is the Deployment's own.
fn rolling_update(plan: &mut Value, kind: &Kind, notes: &mut Notes<'_>) -> Option<Map<String, Value>> {
    let plan = plan.as_object_mut()?;
    let mut rolling = Map::new();
    for key in ["maxSurge", "maxUnavailable"] {
        if let Some(value) = plan.remove(key) {
            let path = format!("spec.strategy.{}.{key}", kind.field);
            notes.changed(&path, format!("becomes the Deployment's spec.strategy.rollingUpdate.{key}"));
            rolling.insert(key.to_owned(), value);
        }
    }
    (!rolling.is_empty()).then_some(rolling)
}

fn prune_plan(plan: &mut Value, kind: &Kind, notes: &mut Notes<'_>) {
    let defaults = no_defaults();
    let (schema, field): (Schema, &str) = match kind.field {
        "blueGreen" => (blue_green::schema(&defaults), "blue-green"),
        _ => (strategy::schema(&defaults), "canary"),
    };
    if plan.get("dynamicStableScale") == Some(&json!(true)) {
        notes.lost(
            "spec.strategy.canary.dynamicStableScale",
            "stable keeps its size, so that an abort is safe at any moment",
        );
        plan.as_object_mut().map(|plan| plan.remove("dynamicStableScale"));
    }
    prune(plan, &schema, &format!("spec.strategy.{}", kind.field), &[field], notes);
    if let Some(steps) = plan.get_mut("steps").and_then(Value::as_array_mut) {
        steps.retain(|step| step != &json!({}));
    }
    remove_if_empty(plan.get_mut("trafficRouting"), "plugins");
    remove_if_empty(Some(plan), "trafficRouting");
}

fn remove_if_empty(of: Option<&mut Value>, field: &str) {
    if let Some(fields) = of.and_then(Value::as_object_mut)
        && fields.get(field) == Some(&json!({}))
    {
        fields.remove(field);
    }
}

/// What happens to the Services of the plan.
fn services(plan: &Value, kind: &Kind, of: &Manifest, files: &Manifests, notes: &mut Notes<'_>) {
    let path = |key: &str| format!("spec.strategy.{}.{key}", kind.field);
    if let Some(name) = plan.get(kind.ours).and_then(Value::as_str) {
        let place = files.find("Service", of, name).map(|found| format!(" (in {})", found.file));
        notes.changed(
            &path(kind.ours),
            format!(
                "Haldane makes Service {name} for each release and removes it afterwards; delete yours{}, and remove it from your routes",
                place.unwrap_or_default()
            ),
        );
    }
    if let Some(name) = plan.get(kind.user).and_then(Value::as_str) {
        notes.changed(&path(kind.user), format!("Argo has added the label rollouts-pod-template-hash to the selector of Service {name}; remove it when the Deployment is available, before you delete the Rollout"));
    }
}

/// The `ConfigMap` of an analysis template; `namespace` is set for one of the whole cluster.
pub fn template(manifest: &Manifest, namespace: Option<&str>, notes: &mut Notes<'_>) -> Vec<Manifest> {
    let mut spec = manifest.object.get("spec").cloned().unwrap_or_default();
    prune(&mut spec, &describe(template::template), "spec", &["analysis"], notes);
    let args = spec.get("args").and_then(Value::as_array);
    if args.into_iter().flatten().any(|arg| part(arg, "/valueFrom/secretKeyRef").is_some()) {
        notes.changed("spec.args", "Haldane may read Secrets only where you allow it: bind its ServiceAccount to ClusterRole haldane-secrets in the namespace");
    }
    match template_map(manifest, namespace, &spec) {
        Ok(map) => vec![map],
        Err(error) => {
            notes.lost("spec", error.to_string());
            Vec::new()
        }
    }
}
