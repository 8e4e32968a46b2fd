//! A plan as single requests, in the one order that survives a crash between any two of them.

use super::{Condition, DeploymentWrite, Plan};
use crate::{
    domain::state::RolloutState,
    objects::manifest::{Kind, Manifest},
};

/// One request that changes the cluster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Write<'a> {
    /// The state `ConfigMap`, over exactly the one that was read.
    State(&'a RolloutState),
    /// An object of ours is made or changed.
    Apply(&'a Manifest),
    /// Conditions of the user's Deployment.
    Conditions(&'a [Condition]),
    /// Haldane's own condition of the user's Deployment goes.
    ClearCondition,
    /// `spec.paused` and keys of ours on the user's Deployment.
    Deployment(DeploymentWrite),
    /// A `ReplicaSet` of the user's Deployment loses its pods, see [`Plan::empty`].
    Empty(&'a str),
    /// An object of ours goes.
    Delete(Kind, &'a str),
    /// The state `ConfigMap` goes.
    Forget,
}

/// What is to be done to one object, and what serves the same end where that is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt<'a> {
    /// In order of preference; the first that is accepted is enough.
    pub ways: Vec<Write<'a>>,
    /// Whether it must not be done before all others of these that come before it.
    pub in_order: bool,
}

impl Attempt<'_> {
    /// Whether it is made for traffic that is taken back.
    #[must_use]
    pub fn takes_traffic(&self) -> bool {
        !self.in_order && matches!(self.ways.first(), Some(Write::Apply(_) | Write::Delete(..)))
    }
}

impl Plan {
    /// What is to be recorded over the state `stored`, before anything else.
    ///
    /// Also unchanged, where something else is to be written: the API server then does nothing, or it reports that
    /// somebody else has decided since, and nothing follows.
    #[must_use]
    pub fn record(&self, stored: &RolloutState) -> Option<Write<'_>> {
        (self.state != *stored || !self.attempts().is_empty()).then_some(Write::State(&self.state))
    }

    /// What is to be written then. Traffic goes before anything that carries it does.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt<'_>> {
        let in_order = !self.retreats;
        let objects = self.apply.iter().map(|manifest| self.ways_to_apply(manifest));
        let deletions = self.delete.iter().map(|(kind, name)| self.ways_to_delete(*kind, name));
        let alone = |write| Attempt { ways: vec![write], in_order: false };
        let conditions = (!self.conditions.is_empty()).then(|| alone(Write::Conditions(&self.conditions)));
        let deployment = self.deployment.map(Write::Deployment).map(alone);
        let empty = self.empty.as_deref().map(Write::Empty).map(alone);
        let objects = objects.map(|ways| Attempt { ways, in_order });
        let deletions = deletions.map(|ways| Attempt { ways, in_order });
        objects.chain(conditions).chain(deployment).chain(empty).chain(deletions).collect()
    }

    fn ways_to_apply<'a>(&'a self, manifest: &'a Manifest) -> Vec<Write<'a>> {
        let mut ways = vec![Write::Apply(manifest)];
        if self.retreats {
            ways.extend(self.ways_to_delete(manifest.kind, &manifest.name));
        }
        ways
    }

    fn ways_to_delete<'a>(&'a self, kind: Kind, name: &'a str) -> Vec<Write<'a>> {
        let mut ways = vec![Write::Delete(kind, name)];
        let last_resort = self.last_resort.iter().filter(|_| kind.is_route());
        for canary in last_resort {
            ways.extend([Write::Apply(canary), Write::Delete(canary.kind, &canary.name)]);
        }
        ways
    }
}
