//! A plan as single requests, in the one order that survives a crash between any two of them.

use super::{Condition, DeploymentWrite, Plan};
use crate::{
    domain::state::RolloutState,
    objects::manifest::{Kind, Manifest},
};

/// One request that changes the cluster.
#[derive(Debug, Clone, PartialEq)]
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

impl Plan {
    /// What is to be written over the state `stored`.
    ///
    /// The state comes first, also unchanged: the API server then does nothing, or it reports that somebody
    /// else has decided since, and nothing follows. Traffic goes before anything that carries it does.
    #[must_use]
    pub fn writes(&self, stored: &RolloutState) -> Vec<Write<'_>> {
        let objects = self.apply.iter().map(Write::Apply);
        let conditions = (!self.conditions.is_empty()).then_some(Write::Conditions(&self.conditions));
        let deployment = self.deployment.map(Write::Deployment);
        let empty = self.empty.as_deref().map(Write::Empty);
        let deletions = self.delete.iter().map(|(kind, name)| Write::Delete(*kind, name));
        let world: Vec<_> =
            objects.chain(conditions).chain(deployment).chain(empty).chain(deletions).collect();
        let state = (self.state != *stored || !world.is_empty()).then_some(Write::State(&self.state));
        state.into_iter().chain(world).collect()
    }
}
