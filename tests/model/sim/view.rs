//! The cluster as passes of the controller read it. What has not changed is made once.

use super::{
    cluster::Cluster,
    routes::Routes,
    workloads::{Pod, Set},
};
use haldane::{
    config::annotations::is_opted_in,
    domain::{
        k8s::{pods::Unavailable, selector::Labels},
        keys,
        observed::{Observed, ReplicaSetView},
        world::{Pods, World},
    },
    objects::manifest::{Kind, find},
};
use serde_json::Value;
use std::sync::Arc;

/// What was read last.
#[derive(Debug, Clone, Default)]
pub struct View {
    alone: Option<Arc<Observed>>,
    whole: Option<Arc<Observed>>,
    /// The user's Services and Ingresses in `whole`.
    routes: Option<Routes>,
    /// The endpoints in `whole`.
    pods: Vec<String>,
    /// Something has changed since `whole` was read.
    outdated: bool,
    /// How often something has changed.
    changes: u64,
}

impl Cluster {
    /// Something changed: what was seen is outdated, and controllers have work.
    pub fn touch(&self) {
        let mut view = self.view.borrow_mut();
        view.outdated = true;
        view.changes += 1;
        self.idle.set(false);
    }

    /// Tells two looks at the same world from two at different ones.
    pub fn changes(&self) -> u64 {
        self.view.borrow().changes
    }

    /// The Deployment alone, as a pass reads it first.
    pub fn alone(&self) -> Arc<Observed> {
        let mut view = self.view.borrow_mut();
        let is_current = |seen: &&Arc<Observed>| {
            seen.deployment.metadata.resource_version.as_deref() == version_of(&self.web)
        };
        if let Some(alone) = view.alone.as_ref().filter(is_current) {
            return Arc::clone(alone);
        }
        let alone = Arc::new(Observed {
            deployment: serde_json::from_value(self.web.clone()).unwrap(),
            template: self.web["spec"]["template"].clone().into(),
            ..Observed::default()
        });
        view.alone = Some(Arc::clone(&alone));
        alone
    }

    /// Everything, as a pass reads it whose requests nothing comes between.
    pub fn seen(&self) -> Arc<Observed> {
        let alone = self.alone();
        let mut view = self.view.borrow_mut();
        let view = &mut *view;
        if let (Some(whole), false) = (&view.whole, view.outdated) {
            return Arc::clone(whole);
        }
        let whole = view.whole.get_or_insert_with(Arc::default);
        let seen = Arc::make_mut(whole);
        if seen.deployment.metadata.resource_version != alone.deployment.metadata.resource_version {
            seen.deployment = alone.deployment.clone();
            seen.template = alone.template.clone();
        }
        let is_moved = view.routes.as_ref() != Some(&self.routes);
        if is_moved {
            let autoscalers = self.autoscaler().into_iter().collect();
            seen.world = Arc::new(World { autoscalers, ..self.routes.world() });
            view.routes = Some(self.routes.clone());
        }
        if is_moved || view.pods != self.endpoints {
            seen.endpoints = self.routes.endpoints(&self.endpoints);
            view.pods.clone_from(&self.endpoints);
        }
        let mut known = std::mem::take(&mut seen.ours);
        let owner = self.owner();
        let kept = |object: &Value| {
            let same = known.iter().position(|known| version_of(known) == version_of(object));
            same.map_or_else(|| object.clone(), |index| known.swap_remove(index))
        };
        seen.ours = self.ours.iter().filter(|object| owner.owns(object)).map(kept).collect();
        let canary = find(&seen.ours, Kind::DEPLOYMENT, "web-canary").map(|o| &o["metadata"]["uid"]);
        let canary = canary.and_then(Value::as_str);
        let of = |uid: Option<&str>| {
            self.sets.iter().filter(move |set| Some(set.owner.as_str()) == uid).map(set_view).collect()
        };
        (seen.replica_sets, seen.canary_sets) = (of(Some(&self.uid)), of(canary));
        seen.unavailable =
            self.sets.iter().filter(|set| Some(set.owner.as_str()) == canary).find_map(unavailable);
        view.outdated = false;
        Arc::clone(whole)
    }

    /// Everything around a Deployment that was read before.
    pub fn around(&self, first: &Arc<Observed>) -> Arc<Observed> {
        let now = self.seen();
        if Arc::ptr_eq(first, &self.alone()) {
            return now;
        }
        let (deployment, template) = (first.deployment.clone(), first.template.clone());
        let restarts = first.restarts.clone();
        Arc::new(Observed { deployment, template, restarts, ..now.as_ref().clone() })
    }

    /// Whether anything of Haldane's exists for this Deployment, as the watches tell.
    pub fn has_leftovers(&self) -> bool {
        let owner = self.owner();
        self.watched.unwrap_or_else(|| self.ours.iter().any(|object| owner.owns(object)))
    }

    /// Whether the controller's watch includes the user's Deployment.
    pub fn is_watched(&self) -> bool {
        self.web["metadata"]["labels"][keys::MANAGED] == "true"
    }

    /// Whether the annotations of the user's Deployment opt it in.
    pub fn is_opted_in(&self) -> bool {
        is_opted_in(self.alone().deployment.metadata.annotations.as_ref().unwrap_or(&Labels::new()))
    }
}

fn version_of(object: &Value) -> Option<&str> {
    object["metadata"]["resourceVersion"].as_str()
}

/// Why pods of a set are not available: they start, or they never do.
fn unavailable(set: &Set) -> Option<Unavailable> {
    let never = |pod: &&Pod| pod.ready_at.is_none();
    let (kind, pod, is_usual) = match set.pods.iter().find(never) {
        Some(pod) => ("exit", pod.name.as_str(), false),
        None if set.available < set.wanted => ("readiness", set.name.as_str(), true),
        None => return None,
    };
    Some(Unavailable { kind: kind.to_owned(), message: format!("pod {pod}: {kind}"), is_usual })
}

fn set_view(set: &Set) -> ReplicaSetView {
    ReplicaSetView {
        name: set.name.clone(),
        version: set.as_seen(),
        pod_hash: set.pod_hash.clone(),
        created: format!("{:0>9}", &set.name[3..]),
        template: set.hash.clone(),
        images: Vec::new(),
        pods: Pods { labels: Labels::from([("app".into(), "web".into())]), ports: Vec::new() },
        code: set.code.clone(),
        wanted: set.wanted,
        ready: set.available,
    }
}
