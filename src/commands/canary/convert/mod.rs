//! `convert`: what Argo Rollouts and Flagger call their objects, as annotated Deployments and `ConfigMaps`.
//!
//! What has no counterpart is a note, never a silent loss. A metric that Haldane cannot measure stays in the result, so
//! that admission refuses the Deployment until a person has replaced it.

mod argo;
mod flagger;
mod flagger_canary;
mod flagger_metrics;
mod flagger_webhooks;
mod prune;
mod text;

use super::{
    error::CanaryError,
    offline::{Manifest, Manifests, Occasion, map_at, report},
};
use crate::{
    admit::AdmitConfig,
    document::yaml,
    domain::{k8s::json_pointer::part, keys},
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::fmt;

/// What a person should know about one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// `Rollout shop/web`.
    pub object: String,
    /// The field; empty for the whole object.
    pub path: String,
    /// What happened to it, and what to do.
    pub text: String,
    /// It could not be carried over.
    pub is_lost: bool,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, path, text, .. } = self;
        if path.is_empty() { write!(f, "{object}: {text}") } else { write!(f, "{object}: {path}: {text}") }
    }
}

/// The notes about one object.
#[derive(Debug)]
struct Notes<'a> {
    object: String,
    all: &'a mut Vec<Note>,
}

impl Notes<'_> {
    fn add(&mut self, is_lost: bool, path: &str, text: String) {
        self.all.push(Note { object: self.object.clone(), path: path.to_owned(), text, is_lost });
    }

    /// It works in another way.
    fn changed(&mut self, path: &str, text: impl Into<String>) {
        self.add(false, path, text.into());
    }

    /// It could not be carried over.
    fn lost(&mut self, path: &str, text: impl Into<String>) {
        self.add(true, path, text.into());
    }

    /// Every field of a mapping that is set and not handled is lost; `advice` says what to do about some.
    fn leftovers(&mut self, value: &Value, path: &str, handled: &[&str], advice: &[(&str, &str)]) {
        let fields = value.as_object().into_iter().flatten();
        let set =
            fields.filter(|(key, value)| !handled.contains(&key.as_str()) && **value != Value::Bool(false));
        for (key, _) in set {
            let known = advice.iter().find(|(field, _)| field == key).map(|(_, advice)| *advice);
            self.lost(&format!("{path}.{key}"), known.unwrap_or("Haldane has no such field"));
        }
    }
}

/// The objects that were made, and what a person should know about them.
#[derive(Debug, Default)]
pub struct Conversion {
    objects: Vec<Manifest>,
    notes: Vec<Note>,
}

impl Manifests {
    /// Converts every object of Argo Rollouts and Flagger. The result is judged as `lint` judges it, next to the other
    /// objects of the input.
    #[must_use]
    pub fn convert(&self, config: &AdmitConfig, now: Timestamp) -> Conversion {
        let mut made = Conversion::default();
        for manifest in &self.all {
            self.convert_one(manifest, config, &mut made);
        }
        made.notes.extend(self.judge(&made.objects, config, now));
        made
    }

    fn convert_one(&self, manifest: &Manifest, config: &AdmitConfig, made: &mut Conversion) {
        let object = &manifest.object;
        let group = text(object, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
        let kind = text(object, "/kind");
        let mut notes = Notes { object: title(object), all: &mut made.notes };
        let found = match (group, kind) {
            ("argoproj.io", "Rollout") => argo::rollout(manifest, self, &mut notes),
            ("argoproj.io", "AnalysisTemplate") => argo::template(manifest, None, &mut notes),
            ("argoproj.io", "ClusterAnalysisTemplate") => {
                argo::template(manifest, Some(&config.own_namespace), &mut notes)
            }
            ("flagger.app", "Canary") => flagger::canary(manifest, self, &mut notes),
            ("flagger.app", "MetricTemplate") => {
                flagger_metrics::note_use(object, self, &mut notes);
                Vec::new()
            }
            ("flagger.app", "AlertProvider") => {
                notes.lost(
                    "",
                    "write its address into a ConfigMap haldane-notifications, see docs/notifications.md",
                );
                Vec::new()
            }
            ("argoproj.io", "Experiment" | "AnalysisRun") => {
                notes.lost("", "Haldane has no such object; write the analysis as a step of a plan");
                Vec::new()
            }
            _ => autoscaler(manifest, &mut notes).into_iter().collect(),
        };
        made.objects.extend(found);
    }

    fn find(&self, kind: &str, like: &Manifest, name: &str) -> Option<&Manifest> {
        let namespace = text(&like.object, "/metadata/namespace");
        self.all.iter().find(|manifest| {
            let object = &manifest.object;
            text(object, "/kind") == kind
                && text(object, "/metadata/name") == name
                && text(object, "/metadata/namespace") == namespace
        })
    }

    /// What admission would say.
    fn judge(&self, objects: &[Manifest], config: &AdmitConfig, now: Timestamp) -> Vec<Note> {
        let made_by_haldane: Vec<String> =
            objects.iter().flat_map(|made| canary_services(&made.object)).collect();
        let is_replaced = |old: &&Manifest| {
            let title = title(&old.object);
            objects.iter().any(|new| self::title(&new.object) == title)
                || is_theirs(&old.object)
                || made_by_haldane.contains(&title)
        };
        let around = self.all.iter().filter(|manifest| !is_replaced(manifest));
        let whole: Vec<Manifest> = objects.iter().filter(|made| !is_patch(&made.object)).cloned().collect();
        let all = whole.iter().chain(around).cloned().collect();
        let decisions = Self { all }.decide(Occasion::OptIn, config, now);
        let problems = report::problems(&decisions);
        let is_made = |object: &str| whole.iter().any(|made| title(&made.object) == object);
        let note = |problem: report::Problem| Note {
            object: problem.object,
            path: String::new(),
            text: problem.message,
            is_lost: problem.is_error,
        };
        problems.into_iter().filter(|problem| is_made(&problem.object)).map(note).collect()
    }
}

impl Conversion {
    /// Whether everything could be carried over.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.notes.iter().all(|note| !note.is_lost)
    }

    /// The notes.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The objects as YAML. A namespace that the input left open stays open.
    ///
    /// # Errors
    /// A value that YAML cannot express.
    pub fn documents(&self) -> Result<String, CanaryError> {
        let objects: Vec<Value> = self.objects.iter().map(Manifest::as_written).collect();
        text::documents(objects.iter())
    }
}

/// The Services that Haldane makes by the plan of a Deployment: the user's are deleted.
fn canary_services(deployment: &Value) -> Vec<String> {
    let annotations = part(deployment, "/metadata/annotations");
    let plans = [keys::CANARY, keys::BLUE_GREEN].into_iter();
    let plans = plans.filter_map(|key| yaml::parse(annotations?.get(key)?.as_str()?).ok());
    let names = plans.flat_map(|plan| {
        ["canaryService", "previewService"]
            .map(|key| plan.get(key).and_then(Value::as_str).map(str::to_owned))
    });
    let namespace = text(deployment, "/metadata/namespace");
    names.flatten().map(|name| format!("Service {namespace}/{name}")).collect()
}

/// Objects that the conversion replaces.
fn is_theirs(object: &Value) -> bool {
    let version = text(object, "/apiVersion");
    version.starts_with("argoproj.io/") || version.starts_with("flagger.app/")
}

/// A Deployment without a template: it only changes one that exists.
fn is_patch(object: &Value) -> bool {
    text(object, "/kind") == "Deployment" && part(object, "/spec/template").is_none()
}

/// An autoscaler of a Rollout becomes one of the Deployment.
fn autoscaler(manifest: &Manifest, notes: &mut Notes<'_>) -> Option<Manifest> {
    let mut object = manifest.object.clone();
    let target = object.get_mut("spec")?.get_mut("scaleTargetRef")?;
    if text(target, "/kind") != "Rollout" {
        return None;
    }
    *target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": target["name"]});
    notes.changed("spec.scaleTargetRef", "scales the Deployment");
    Some(Manifest { object, ..manifest.clone() })
}

/// A Deployment with these annotations of Haldane's: one of the files, or else a patch of one that is in the cluster.
fn annotated(
    of: &Manifest,
    name: &str,
    files: &Manifests,
    annotations: &[(&str, String)],
    notes: &mut Notes<'_>,
) -> Manifest {
    let found = files.find("Deployment", of, name);
    let mut made = if let Some(manifest) = found {
        manifest.clone()
    } else {
        let advice = format!(
            "Deployment {name} is not among the files, so its annotations are printed alone; merge them into its manifest, or apply them with kubectl apply --server-side"
        );
        notes.changed("", advice);
        let namespace = text(&of.object, "/metadata/namespace");
        let metadata = json!({"name": name, "namespace": namespace});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata});
        Manifest { object, ..of.clone() }
    };
    for (key, value) in annotations {
        set(&mut made.object, &["metadata", "annotations"], key, value.as_str());
    }
    made
}

/// An analysis template in a `ConfigMap`.
fn template_map(of: &Manifest, namespace: Option<&str>, spec: &Value) -> Result<Manifest, CanaryError> {
    let mut metadata = own_metadata(&of.object);
    set(&mut metadata, &["labels"], keys::TEMPLATE_LABEL, "true");
    if let Some(namespace) = namespace {
        set(&mut metadata, &[], "namespace", namespace);
    }
    let data = json!({"template.yaml": text::yaml(spec)?});
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
    Ok(Manifest { object, is_placed: of.is_placed || namespace.is_some(), ..of.clone() })
}

/// Annotations that tools write, and that mean nothing on another object.
const WRITTEN_BY_TOOLS: [&str; 3] =
    ["kubectl.kubernetes.io/last-applied-configuration", "rollout.argoproj.io/", "deployment.kubernetes.io/"];

/// What the author has written of an object's metadata.
fn own_metadata(object: &Value) -> Value {
    let mut metadata = Map::new();
    for key in ["name", "namespace", "labels", "annotations"] {
        let value = part(object, "/metadata").and_then(|metadata| metadata.get(key));
        metadata.extend(value.map(|value| (key.to_owned(), value.clone())));
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !WRITTEN_BY_TOOLS.iter().any(|prefix| key.starts_with(prefix)));
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    metadata.into()
}

/// Sets a key of the mapping under `path`.
fn set(object: &mut Value, path: &[&str], key: &str, value: impl Into<Value>) {
    if let Some(map) = map_at(object, path) {
        map.insert(key.to_owned(), value.into());
    }
}

/// `Rollout shop/web`.
fn title(object: &Value) -> String {
    let namespace = text(object, "/metadata/namespace");
    let place = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
    format!("{} {place}{}", text(object, "/kind"), text(object, "/metadata/name"))
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    part(object, pointer).and_then(Value::as_str).unwrap_or_default()
}
