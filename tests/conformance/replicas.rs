//! `replicas.jsonl`: the canary's size while traffic is routed.

use crate::{
    differences::{KEPT, ONE_POD, ROUTED_ANYWAY},
    report::Outcome,
    strategy,
};
use haldane::domain::{names::Weight, strategy::CanaryScale};
use serde_json::Value;

/// The stable side belongs to the user's Deployment, so only the canary's count is compared.
pub fn check(line: &Value) -> Outcome {
    let rollout = match strategy::rollout(&line["rollout"]) {
        Ok(rollout) => rollout,
        Err(Ok(rule)) => return Outcome::Different(rule),
        Err(Err(why)) => return Outcome::Failed(why),
    };
    let (canary, argos) = (rollout.canary(), line["expect"]["canary"].as_i64().unwrap());
    if i64::from(canary) == argos {
        return Outcome::Passed;
    }
    let is_routed = !line["rollout"]["spec"]["strategy"]["canary"]["trafficRouting"].is_null();
    let (strategy, index) = (&rollout.strategy, rollout.index);
    let scales = index < strategy.steps.len() && strategy.scale_at(index) != CanaryScale::MatchTrafficWeight;
    // Argo's size where none of the settings of routed traffic is looked at.
    let by_weight = rollout.weight().share_of(rollout.replicas);
    let is_ours = scales || i64::from(by_weight) == argos;
    match (canary, argos) {
        _ if !is_routed && is_ours => Outcome::Different(&ROUTED_ANYWAY),
        (_, 0) if rollout.aborted => Outcome::Different(&KEPT),
        (canary, 0) if canary != 1 && canary != strategy.min_pods => {
            Outcome::Failed(format!("canary has {canary} pods instead of 0"))
        }
        (_, 0) if rollout.weight() == Weight::ZERO || rollout.replicas == 0 => Outcome::Different(&ONE_POD),
        _ => Outcome::Failed(format!("canary has {canary} pods instead of {argos}")),
    }
}
