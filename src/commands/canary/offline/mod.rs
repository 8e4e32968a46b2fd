//! `plan` and `lint`: what admission decides about manifests, without a cluster.
//!
//! The manifests are all that is known: what a cluster adds, such as a policy of another namespace, is not seen.

pub mod manifests;
pub mod report;

use crate::{
    admit::{
        AdmitConfig, Case,
        facts::{Facts, Neighbours},
        kubectl_warnings,
        object::Object,
    },
    config::{namespace::Namespace, profile::Bound, stored::read_template},
    domain::{
        k8s::{json_pointer::part, selector::Labels},
        keys,
        review::{Operation, Review, Stage, User, Verdict},
        strategy::TemplateRef,
        world::World,
    },
    policy::bound,
};
use jiff::Timestamp;
pub(super) use manifests::Manifest;
pub use manifests::Manifests;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Image of the template that an invented release replaces: its name says what it is.
const BEFORE: &str = "example.com/before-this-release";

/// What is supposed to happen to the Deployments of the manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// A Deployment that serves gets another template: admission shows the plan.
    Release,
    /// A Deployment that serves gets its annotations: admission shows what is wrong or unwise.
    OptIn,
}

/// What admission decides about one object.
#[derive(Debug)]
pub struct Decision {
    /// The file it is in.
    pub file: String,
    /// `Deployment shop/web`.
    pub object: String,
    /// Whether Haldane manages it, or reads it.
    pub concerns_haldane: bool,
    /// The answer.
    pub verdict: Verdict,
}

impl Manifests {
    /// What admission decides about each object that it would be asked about.
    #[must_use]
    pub fn decide(&self, occasion: Occasion, config: &AdmitConfig, now: Timestamp) -> Vec<Decision> {
        let asked =
            |manifest: &&Manifest| ["Deployment", "ConfigMap", "Namespace"].contains(&kind(&manifest.object));
        self.all.iter().filter(asked).map(|manifest| self.decision(manifest, occasion, config, now)).collect()
    }

    fn decision(
        &self,
        manifest: &Manifest,
        occasion: Occasion,
        config: &AdmitConfig,
        now: Timestamp,
    ) -> Decision {
        let review = review(&manifest.object, occasion);
        let namespace = self.namespace(&review.namespace, config);
        let mut case = Case::read(Stage::Mutate, &review, config, now);
        if case.needs_namespace() {
            case = case.in_namespace(Ok(namespace.clone()));
        }
        let labels = case.questions().policy;
        let facts = self.facts(&review, labels.as_ref(), config);
        let mut verdict = case.decide(&facts).verdict;
        verdict.warnings = kubectl_warnings::whole(&verdict.warnings);
        let place =
            if review.namespace.is_empty() { String::new() } else { format!("{}/", review.namespace) };
        Decision {
            file: manifest.file.clone(),
            object: format!("{} {place}{}", review.kind, review.name),
            concerns_haldane: !verdict.rules.is_empty()
                || !verdict.warnings.is_empty()
                || !verdict.is_allowed(),
            verdict,
        }
    }

    fn of_kind<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = Object<'a>> {
        self.all
            .iter()
            .map(|manifest| &manifest.object)
            .filter(move |object| kind(object) == wanted)
            .map(Object)
    }

    fn in_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Value> {
        let objects = self.all.iter().map(|manifest| &manifest.object);
        objects.filter(move |object| text(object, "/metadata/namespace") == namespace)
    }

    fn namespace(&self, name: &str, config: &AdmitConfig) -> Namespace {
        let found = self.of_kind("Namespace").find(|object| text(object.0, "/metadata/name") == name);
        let (labels, annotations) =
            found.map(|object| (object.labels(), object.annotations())).unwrap_or_default();
        Namespace::new(name, &config.own_namespace, labels, annotations)
    }

    /// What the manifests say about the cluster.
    fn facts(&self, review: &Review, labels: Option<&Labels>, config: &AdmitConfig) -> Facts {
        let policy = labels.map(|labels| bound(labels)).unwrap_or_default();
        let bind = |(mode, name): (_, &str)| {
            let data = self.map(&config.own_namespace, name, keys::POLICY);
            Bound { mode, name: name.to_owned(), data }
        };
        let place = if review.kind == "Namespace" { &review.name } else { &review.namespace };
        let templates =
            [(place, false), (&config.own_namespace, true)].into_iter().flat_map(|(place, cluster_scope)| {
                self.in_namespace(place).filter(|object| kind(object) == "ConfigMap").filter_map(
                    move |object| {
                        let name = text(object, "/metadata/name");
                        let data = marked(Object(object), keys::TEMPLATE_LABEL)?;
                        let lookup = read_template(name, &data, &format!("ConfigMap[{name}].data"));
                        Some((TemplateRef { name: name.to_owned(), cluster_scope }, lookup))
                    },
                )
            });
        Facts {
            neighbours: self.neighbours(&review.namespace),
            templates: Ok(templates.collect()),
            policy: Ok(policy.into_iter().map(bind).collect()),
            may: Ok(true),
            ..Facts::default()
        }
    }

    fn map(&self, namespace: &str, name: &str, label: &str) -> Option<Labels> {
        let maps = self.in_namespace(namespace).filter(|object| kind(object) == "ConfigMap");
        let mut named = maps.filter(|object| text(object, "/metadata/name") == name);
        marked(Object(named.next()?), label)
    }

    /// The objects around a Deployment. Manifests without a Service do not say what is around it.
    fn neighbours(&self, namespace: &str) -> Result<Neighbours, String> {
        let mut world = World::default();
        for object in
            self.in_namespace(namespace).filter(|object| !["Deployment", "ConfigMap"].contains(&kind(object)))
        {
            let problem = |error| format!("{} {}: {error}", kind(object), text(object, "/metadata/name"));
            world.add(object.clone()).map_err(problem)?;
        }
        if world.services.is_empty() {
            return Err("the files have no Service of its namespace".to_owned());
        }
        Ok(Neighbours { world: Arc::new(world), ..Neighbours::default() })
    }
}

/// The data of a `ConfigMap` with this label.
fn marked(object: Object<'_>, label: &str) -> Option<Labels> {
    (object.labels().get(label).is_some_and(|value| value == "true")).then(|| object.map("/data", ""))
}

fn kind(object: &Value) -> &str {
    text(object, "/kind")
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    part(object, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The request that applies an object. A Deployment serves already.
fn review(object: &Value, occasion: Occasion) -> Review {
    let (group, kind) =
        (text(object, "/apiVersion").split_once('/').map_or("", |(group, _)| group), kind(object));
    let old_object = (kind == "Deployment").then(|| serving(object, occasion));
    Review {
        uid: "offline".to_owned(),
        group: group.to_owned(),
        kind: kind.to_owned(),
        operation: if old_object.is_some() { Operation::Update } else { Operation::Create },
        sub_resource: None,
        namespace: text(object, "/metadata/namespace").to_owned(),
        name: text(object, "/metadata/name").to_owned(),
        user: User::default(),
        field_manager: None,
        dry_run: true,
        object: Some(object.clone()),
        old_object,
    }
}

/// The Deployment before, with all its pods ready and without a plan: whatever the plan says is new.
fn serving(object: &Value, occasion: Occasion) -> Value {
    let mut old = object.clone();
    if let Some(deployment) = map_at(&mut old, &[]) {
        let ready = Object(object).replicas().max(1);
        deployment.insert("status".to_owned(), json!({"readyReplicas": ready}));
    }
    if let Some(metadata) = map_at(&mut old, &["metadata"]) {
        metadata.remove("annotations");
    }
    if let (Occasion::Release, Some(container)) =
        (occasion, old.pointer_mut("/spec/template/spec/containers/0").and_then(Value::as_object_mut))
    {
        container.insert("image".to_owned(), json!(BEFORE));
    }
    old
}

/// The mapping under these keys, made where there is nothing; `None` where something else is.
pub(super) fn map_at<'a>(object: &'a mut Value, path: &[&str]) -> Option<&'a mut Map<String, Value>> {
    let below = path.iter().try_fold(object, |at, key| {
        let entry = at.as_object_mut()?.entry(*key).or_insert(Value::Null);
        if entry.is_null() {
            *entry = json!({});
        }
        Some(entry)
    });
    below?.as_object_mut()
}
