//! Replacing stable behind a canary that carries all traffic.

use super::{Event, steps, turn::Turn};
use crate::domain::{
    names::Weight,
    state::{Outcome, Rollout, Stage},
};

/// The canary grows to the capacity that stable had before it.
///
/// Where the cluster has no room for that within the progress deadline, promotion goes on at the
/// weight that the canary already carries.
pub(super) fn scale(rollout: &mut Rollout, turn: &mut Turn<'_>) {
    rollout.canary_replicas = turn.size_for(rollout, Weight::FULL);
    match turn.canary_has(rollout, rollout.canary_replicas) {
        Ok(true) => rollout.stage = Stage::PromoteShift,
        Ok(false) => {}
        // Not even what its weight needs: there is nothing to promote with.
        Err(late) if turn.canary(rollout).available < turn.size_for(rollout, rollout.traffic.weight) => {
            steps::on_deadline(rollout, &late, turn);
        }
        Err(late) => {
            let message = format!("{late}; promoting at weight {}", rollout.traffic.weight);
            turn.events.push(Event::warning("PromotingWithoutSurge", message));
            rollout.canary_replicas = turn.size_for(rollout, rollout.traffic.weight);
            rollout.lagging = None;
            rollout.stage = Stage::PromoteRoll;
        }
    }
}

/// All traffic goes to the canary.
pub(super) fn shift(rollout: &mut Rollout, turn: &mut Turn<'_>) {
    let before = rollout.traffic.weight;
    rollout.traffic.ask(Weight::FULL, true, turn.now());
    if before != Weight::FULL {
        let message = format!("Traffic weight updated from {before} to {}", Weight::FULL);
        turn.events.push(Event::normal("TrafficWeightUpdated", message));
    }
    // Until stable starts to be replaced, an abort is one change of weight away.
    let delay = rollout.strategy().scale_down_delay.signed();
    if turn.settled(rollout) && rollout.traffic.seen_at.is_some_and(|seen_at| turn.passed(seen_at, delay)) {
        rollout.stage = Stage::PromoteRoll;
    }
}

/// The user's Deployment rolls natively; the traffic returns when all of its pods are new, available
/// and known as endpoints.
pub(super) fn roll(rollout: &mut Rollout, turn: &mut Turn<'_>) {
    if turn.seen().template_hash() != rollout.hash || !has_rolled(rollout, turn) {
        return;
    }
    let message = format!(
        "Rollout completed update to revision {} ({}): Completed all {} canary steps",
        rollout.revision,
        rollout.canary_pod_hash.as_deref().unwrap_or(rollout.hash.as_str()),
        rollout.strategy().steps.len(),
    );
    turn.events.push(Event::normal("RolloutCompleted", message.clone()));
    turn.retreat(rollout, Outcome::Promoted, message);
}

fn has_rolled(rollout: &Rollout, turn: &mut Turn<'_>) -> bool {
    let seen = turn.seen();
    // At size 0 there is nothing to wait for but the new, empty ReplicaSet.
    let runs = |wanted: i32| wanted > 0 || seen.replicas() == 0;
    let Some(set) = seen.replica_sets.iter().find(|set| runs(set.wanted) && set.template == rollout.hash)
    else {
        return false;
    };
    if !seen.has_rolled() {
        return false;
    }
    let pair = turn.pair(rollout);
    let services: Vec<&str> = pair.stable_services().filter_map(|s| s.metadata.name.as_deref()).collect();
    let known = seen.endpoints_are_of(set, &services);
    if !known {
        // Endpoints of the user's Services are not watched; this phase lasts a second or two.
        let now = turn.now();
        turn.wake(now.saturating_add(jiff::SignedDuration::from_millis(500)).unwrap_or(now));
    }
    known
}
