//! How many pods the canary has at each step.

use crate::domain::{
    names::Weight,
    strategy::{CanaryScale, CanaryStrategy},
};

/// Size of the canary at the step at `index`, alongside a stable of `stable` pods; after the last step as many
/// as it can have. Never fewer than the traffic `in_force` needs, unless a `setCanaryScale` says so.
///
/// Source: argo-rollouts `utils/replicaset/canary.go`, `CalculateReplicaCountsForTrafficRoutedCanary`. Other
/// than there a canary on a route without traffic has one pod, so that it is known to start.
#[must_use]
pub fn canary_size(strategy: &CanaryStrategy, index: usize, in_force: Weight, stable: i32) -> i32 {
    if index >= strategy.steps.len() {
        return pods_for(strategy, Weight::FULL, stable);
    }
    match strategy.scale_at(index) {
        CanaryScale::Replicas(replicas) => replicas,
        CanaryScale::Weight(weight) if weight == Weight::ZERO => 0,
        CanaryScale::Weight(weight) => pods_for(strategy, weight, stable),
        CanaryScale::MatchTrafficWeight => {
            pods_for(strategy, strategy.weight_at(index).max(in_force), stable)
        }
    }
}

/// The pods that a canary needs to carry `weight` alongside a stable of `stable` pods.
#[must_use]
pub fn pods_for(strategy: &CanaryStrategy, weight: Weight, stable: i32) -> i32 {
    super::of(strategy).canary_size(weight, stable, strategy.min_pods)
}
