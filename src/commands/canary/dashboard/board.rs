//! All rollouts that are shown, as the watches report them.

use super::{
    kept::{Kept, Key, works},
    rollout::Rollout,
};
use crate::{
    cluster::{
        objects::raw,
        records::{self, StateError, state_name},
        world,
    },
    commands::canary::subject::Subject,
    decide::pass::Stored,
    domain::observed::Observed,
    objects::{canary_deployment::canary_name, manifest::Owner},
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{ResourceExt, api::DynamicObject, runtime::watcher::Event};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// What a watch reports.
#[derive(Debug)]
pub enum Change {
    /// A managed Deployment.
    Deployment(Event<DynamicObject>),
    /// A canary Deployment.
    Canary(Event<DynamicObject>),
    /// A record.
    Record(Event<ConfigMap>),
    /// The watch of these objects fails.
    Trouble(&'static str, String),
}

/// What is known at one moment; cheap to keep.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// All rollouts by namespace and name.
    pub rollouts: BTreeMap<Key, Arc<Rollout>>,
    /// Watches that fail, and why.
    pub troubles: BTreeMap<&'static str, String>,
    /// Everything was listed once.
    pub is_complete: bool,
}

/// What of a record is shown.
#[derive(Debug)]
struct Record {
    stored: Result<Stored, StateError>,
    /// The images that serve: while a release is held, the Deployment's own template has the canary's.
    stable_image: Option<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Board {
    deployments: Kept<(Owner, Observed)>,
    canaries: Kept<Value>,
    records: Kept<Record>,
    shown: BTreeMap<Key, Arc<Rollout>>,
    troubles: BTreeMap<&'static str, Trouble>,
}

/// A failure of a watch.
#[derive(Debug)]
struct Trouble {
    why: String,
    at: Instant,
}

/// How long a watch that has failed and reports nothing counts as failed: it tries again more often, also where each try ends
/// by the time limit of a connection.
pub const LASTING: Duration = Duration::from_mins(1);

impl Board {
    /// Applies what has changed, in order.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>, now: Instant) {
        let mut touched = BTreeSet::new();
        for change in changes {
            self.note(change, now, &mut touched);
        }
        self.troubles.retain(|_, trouble| now.saturating_duration_since(trouble.at) < LASTING);
        for key in touched {
            match self.rollout(&key) {
                Some(rollout) => drop(self.shown.insert(key, Arc::new(rollout))),
                None => drop(self.shown.remove(&key)),
            }
        }
    }

    /// What is known now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            rollouts: self.shown.clone(),
            troubles: self.troubles.iter().map(|(what, trouble)| (*what, trouble.why.clone())).collect(),
            is_complete: self.deployments.is_listed && self.canaries.is_listed && self.records.is_listed,
        }
    }

    fn note(&mut self, change: Change, now: Instant, touched: &mut BTreeSet<Key>) {
        match change {
            Change::Deployment(event) => {
                works(&mut self.troubles, DEPLOYMENTS, &event);
                self.touch(&event, |object| Some(object.name_any()), touched);
                self.deployments.apply(event, |object| world::read(object).ok());
            }
            Change::Canary(event) => {
                works(&mut self.troubles, CANARIES, &event);
                self.touch(&event, owner, touched);
                self.canaries.apply(event, |object| Some(raw(object, "Deployment")));
            }
            Change::Record(event) => {
                works(&mut self.troubles, RECORDS, &event);
                self.touch(&event, owner, touched);
                self.records.apply(event, |map| Some(record(map)));
            }
            Change::Trouble(what, why) => drop(self.troubles.insert(what, Trouble { why, at: now })),
        }
    }

    /// The Deployments whose release an event changes; all of them at the end of a list, which says what is gone.
    fn touch<K: ResourceExt>(
        &self,
        event: &Event<K>,
        deployment: impl Fn(&K) -> Option<String>,
        touched: &mut BTreeSet<Key>,
    ) {
        match event {
            Event::Apply(object) | Event::Delete(object) | Event::InitApply(object) => {
                let namespace = object.namespace().unwrap_or_default();
                touched.extend(deployment(object).map(|name| (namespace, name)));
            }
            Event::InitDone => touched.extend(self.deployments.keys().chain(self.shown.keys()).cloned()),
            Event::Init => {}
        }
    }

    fn rollout(&self, key: &Key) -> Option<Rollout> {
        let (owner, seen) = self.deployments.get(key)?;
        let with_name = |name: String| (key.0.clone(), name);
        let record = self.records.get(&with_name(state_name(&key.1)));
        let canary = self.canaries.get(&with_name(canary_name(&key.1)));
        let ours = canary.filter(|object| owner.owns(object)).cloned().into_iter().collect();
        let (stored, problem) = match record.map(|record| &record.stored) {
            Some(Ok(stored)) => (stored.clone().of(&owner.uid), None),
            Some(Err(error)) => (Stored::default(), Some(error.to_string())),
            None => (Stored::default(), None),
        };
        let mut subject = Subject::of(owner.clone(), stored.state, &Observed { ours, ..seen.clone() });
        let image = record.and_then(|record| record.stable_image.as_ref());
        let view = &mut subject.view;
        if let (Some(image), Some(stable), Some(_)) = (image, &mut view.stable, &view.rollout) {
            stable.images = image.split(", ").map(str::to_owned).collect();
        }
        Some(Rollout { subject, problem })
    }
}

/// Watches by what they report, for messages.
pub const DEPLOYMENTS: &str = "Deployments";
/// See [`DEPLOYMENTS`].
pub const CANARIES: &str = "canary Deployments";
/// See [`DEPLOYMENTS`].
pub const RECORDS: &str = "ConfigMaps";

/// Name of the Deployment that owns an object of ours.
fn owner<K: ResourceExt>(object: &K) -> Option<String> {
    object.owner_references().first().map(|owner| owner.name.clone())
}

fn record(map: ConfigMap) -> Record {
    let stable_image = map.data.as_ref().and_then(|data| data.get("stable-image")).cloned();
    let name = map.name_any();
    Record { stored: records::read(map, name), stable_image }
}
