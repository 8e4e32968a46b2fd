//! What the watches of a process have reported to it. Each kind may stand still for a while; none is behind what it
//! reported before.

use super::cluster::Cluster;
use haldane::{
    decide::{
        Needs,
        pass::{Watched, WatchedDeployment},
    },
    domain::observed::Observed,
    objects::manifest::{Kind, Owner},
    routers::{self, named},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Watches that can stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watch {
    /// The user's Deployment.
    Deployment,
    /// Objects of ours of the kind at this place in the table of kinds.
    Ours(usize),
    /// `ReplicaSets`.
    Sets,
    /// What users have around the Deployment.
    World,
    /// The record.
    Record,
}

impl Watch {
    /// Each of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let ours = (0..routers::kinds().len()).map(Self::Ours);
        [Self::Deployment, Self::Sets, Self::World, Self::Record].into_iter().chain(ours)
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Watches {
    deployment: (Owner, Arc<Observed>),
    around: Arc<Observed>,
    newest: BTreeMap<Kind, u64>,
    /// The newest version of the record, or of its deletion.
    record: u64,
}

impl Watches {
    /// What the first lists show.
    pub fn begun(cluster: &Cluster) -> Self {
        let mut watches = Self {
            deployment: (cluster.owner(), cluster.alone()),
            around: cluster.seen(),
            newest: BTreeMap::new(),
            record: 0,
        };
        watches.follow(cluster, &BTreeSet::new());
        watches
    }

    /// The watches that do not stand `still` report what has happened.
    pub fn follow(&mut self, cluster: &Cluster, still: &BTreeSet<Watch>) {
        let now = cluster.seen();
        if !still.contains(&Watch::Deployment) {
            self.deployment = (cluster.owner(), cluster.alone());
        }
        if still.is_empty() {
            self.around = now;
            self.newest = routers::kinds().iter().map(|kind| (*kind, cluster.version())).collect();
        } else {
            let around = Arc::make_mut(&mut self.around);
            for (index, kind) in routers::kinds().iter().enumerate() {
                if still.contains(&Watch::Ours(index)) {
                    continue;
                }
                let is_of = |object: &serde_json::Value| named(object).is_some_and(|(of, _)| of == *kind);
                around.ours.retain(|object| !is_of(object));
                around.ours.extend(now.ours.iter().filter(|object| is_of(object)).cloned());
                self.newest.insert(*kind, cluster.version());
            }
            if !still.contains(&Watch::Sets) {
                around.replica_sets.clone_from(&now.replica_sets);
                around.canary_sets.clone_from(&now.canary_sets);
            }
            if !still.contains(&Watch::World) {
                around.world = Arc::clone(&now.world);
            }
        }
        if !still.contains(&Watch::Record) {
            self.record = cluster.record.as_ref().map_or(cluster.version(), |(_, version, _)| *version);
        }
    }

    /// See `Shell::watched_deployment`.
    pub fn deployment(&self) -> WatchedDeployment {
        WatchedDeployment::Whole(self.deployment.0.clone(), Arc::clone(&self.deployment.1))
    }

    /// See `Shell::is_superseded`.
    pub fn is_superseded(&self, version: Option<&str>) -> bool {
        version.and_then(|version| version.parse().ok()).is_none_or(|version: u64| self.record > version)
    }

    /// See `Shell::watched`: endpoints and pods are read.
    pub fn around(&self, seen: &Arc<Observed>, needs: Needs, cluster: &Cluster) -> Watched {
        let now = cluster.seen();
        let around = Observed {
            deployment: seen.deployment.clone(),
            template: seen.template.clone(),
            restarts: seen.restarts.clone(),
            endpoints: now.endpoints.clone(),
            unavailable: now.unavailable.clone().filter(|_| needs.pods),
            ..self.around.as_ref().clone()
        };
        Watched { seen: Arc::new(around), newest: self.newest.clone() }
    }
}
