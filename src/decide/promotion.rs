//! Replacing stable behind a canary that carries all traffic.

use super::{Event, decision::Decision, steps};
use crate::{
    domain::{
        names::Weight,
        state::{Outcome, Rollout, Stage},
    },
    routers,
};

/// The canary grows to the capacity that stable had before it.
///
/// Where the cluster has no room for that within the progress deadline, promotion goes on at the
/// weight that the canary already carries.
///
/// Pods of stable cannot be left out of the user's Service: where they are the split, stable is replaced next to
/// a canary that has what its weight needs. What has never run is not promoted, nor what lost its weight and
/// cannot carry that again.
pub(super) fn scale(rollout: &mut Rollout, decision: &mut Decision<'_>) {
    rollout.canary_replicas = decision.size_for(rollout, Weight::FULL);
    let reached = reached(rollout);
    let least = decision.size_for(rollout, reached).max(1);
    if reached > rollout.traffic.weight && decision.canary(rollout).available >= least {
        rollout.traffic.ask(reached, true, decision.now());
    }
    let by_pods = routers::by_pods(rollout.strategy());
    match decision.canary_has(rollout, if by_pods { least } else { rollout.canary_replicas }) {
        Ok(true) => rollout.stage = if by_pods { Stage::PromoteRoll } else { Stage::PromoteShift },
        Ok(false) => {}
        // Not even that: there is nothing to promote with.
        Err(late) if decision.canary(rollout).available < least => {
            steps::on_deadline(rollout, &late, decision);
        }
        Err(late) => {
            let message = format!("{late}; promoting at weight {}", rollout.traffic.weight);
            decision.events.push(Event::warning("PromotingWithoutSurge", message));
            rollout.canary_replicas = decision.size_for(rollout, rollout.traffic.weight);
            rollout.lagging = None;
            rollout.stage = Stage::PromoteRoll;
        }
    }
}

/// The weight that the canary has. If it lost all of its pods, the last step's: all, where only the promotion gave it any.
fn reached(rollout: &Rollout) -> Weight {
    let (strategy, traffic) = (rollout.strategy(), &rollout.traffic);
    let was_taken_back = !traffic.routes && rollout.exposed_at.is_some();
    if !was_taken_back {
        return traffic.weight;
    }
    let weight = strategy.weight_at(rollout.skipped_after.unwrap_or(strategy.steps.len()));
    if weight == Weight::ZERO { Weight::FULL } else { weight }
}

/// All traffic goes to the canary.
pub(super) fn shift(rollout: &mut Rollout, decision: &mut Decision<'_>) {
    if decision.would_fail(rollout) {
        return;
    }
    rollout.traffic.ask(Weight::FULL, true, decision.now());
    // Until stable starts to be replaced, an abort is one change of weight away.
    let delay = rollout.strategy().scale_down_delay.signed();
    if decision.settled(rollout)
        && rollout.traffic.seen_at.is_some_and(|seen_at| decision.passed(seen_at, delay))
    {
        rollout.stage = Stage::PromoteRoll;
    }
}

/// The user's Deployment rolls natively; the traffic returns when all of its pods are new, available
/// and known as endpoints.
pub(super) fn roll(rollout: &mut Rollout, decision: &mut Decision<'_>) {
    if decision.seen().template_hash() != rollout.hash
        || !has_rolled(rollout, decision)
        || !may_return(rollout, decision)
    {
        return;
    }
    let count = rollout.strategy().steps.len();
    let steps = match rollout.skipped_after.filter(|passed| *passed < count) {
        Some(passed) => {
            format!("Completed {passed} of {count} canary steps, the rest was skipped by promote-full")
        }
        None => format!("Completed all {count} canary steps"),
    };
    let message = format!(
        "Rollout completed update to revision {} ({}): {steps}",
        rollout.revision,
        rollout.canary_pod_hash.as_deref().unwrap_or(rollout.hash.as_str()),
    );
    decision.events.push(Event::normal("RolloutCompleted", message.clone()));
    decision.retreat(rollout, Outcome::Promoted, message);
}

/// Whether stable can carry all of the traffic. It cannot if load has grown since the canary took it and an
/// autoscaler has enlarged the canary: then stable gets a part, a quarter more for each pod than the canary's
/// pods had, so that its own autoscaler sees the load and follows; then the next part.
///
/// An autoscaler that does not follow within the progress deadline is not waited for any longer.
fn may_return(rollout: &mut Rollout, decision: &mut Decision<'_>) -> bool {
    let (stable, canary) = (decision.seen().replicas(), decision.canary_size());
    let share = i64::from(stable) * 125 / i64::from(canary.max(1));
    if canary <= rollout.canary_replicas.max(stable) || share >= 100 || decision.is_stuck(rollout, stable) {
        rollout.lagging = None;
        return true;
    }
    let rest = u8::try_from(100 - share).ok().and_then(|rest| Weight::try_from(rest).ok());
    let weight = rest.unwrap_or(Weight::FULL).min(rollout.traffic.weight);
    rollout.traffic.ask(weight, true, decision.now());
    false
}

fn has_rolled(rollout: &Rollout, decision: &mut Decision<'_>) -> bool {
    let seen = decision.seen();
    // At size 0 there is nothing to wait for but the new, empty ReplicaSet.
    let runs = |wanted: i32| wanted > 0 || seen.replicas() == 0;
    let Some(set) = seen.replica_sets.iter().find(|set| runs(set.wanted) && set.template == rollout.hash)
    else {
        return false;
    };
    if !seen.has_rolled() {
        return false;
    }
    let pair = decision.pair(rollout);
    let services: Vec<&str> = pair.stable_services().filter_map(|s| s.metadata.name.as_deref()).collect();
    let known = seen.endpoints_are_of(set, &services);
    if !known {
        // Endpoints of the user's Services are not watched; this phase lasts a second or two.
        let now = decision.now();
        decision.wake(now.saturating_add(jiff::SignedDuration::from_millis(500)).unwrap_or(now));
    }
    known
}

#[cfg(test)]
mod tests {
    use super::super::{
        Plan,
        fixtures::{decided, now, seen, set, state},
    };
    use crate::domain::{
        names::Weight,
        observed::{Observed, ReplicaSetView},
        state::{Lag, Outcome, RolloutState, Stage, Traffic},
    };
    use serde_json::json;

    /// Stable has rolled with `stable` pods, behind a canary of `canary` pods.
    fn rolled(stable: i32, canary: i32) -> Observed {
        let mut seen = seen(stable, "b", false);
        let status = json!({"observedGeneration": 1, "replicas": stable, "updatedReplicas": stable, "availableReplicas": stable});
        seen.deployment.status = serde_json::from_value(status).unwrap();
        let made = set(&seen, "web-b", "1");
        seen.replica_sets = vec![ReplicaSetView { wanted: stable, ready: stable, ..made }];
        seen.ours = vec![
            json!({"kind": "Deployment", "metadata": {"name": "web-canary"}, "spec": {"replicas": canary}}),
        ];
        seen
    }

    fn promoting(seen: &Observed) -> RolloutState {
        let mut state = state(seen, Stage::PromoteRoll);
        let rollout = state.rollout.as_mut().unwrap();
        rollout.canary_replicas = 4;
        let none = Traffic::none(now());
        rollout.traffic = Traffic { weight: Weight::FULL, routes: true, seen_at: Some(now()), ..none };
        state
    }

    fn weight(plan: &Plan) -> u8 {
        plan.state.rollout.as_ref().unwrap().traffic.weight.percent()
    }

    fn is_done(plan: &Plan) -> bool {
        matches!(
            plan.state.rollout.as_ref().unwrap().stage,
            Stage::Retreat { outcome: Outcome::Promoted, .. }
        )
    }

    #[test]
    fn a_full_promotion_says_which_steps_it_has_skipped() {
        let mut state = promoting(&rolled(4, 4));
        let completed = |plan: &Plan| plan.events.last().unwrap().message.clone();
        let all = completed(&decided(state.clone(), &rolled(4, 4)));
        assert!(all.ends_with(": Completed all 4 canary steps"), "{all}");
        state.rollout.as_mut().unwrap().skipped_after = Some(1);
        let skipped = completed(&decided(state, &rolled(4, 4)));
        let wanted = "Completed 1 of 4 canary steps, the rest was skipped by promote-full";
        assert!(skipped.ends_with(wanted), "{skipped}");
    }

    #[test]
    fn stable_takes_grown_load_back_in_parts_as_it_grows() {
        let first = decided(promoting(&rolled(4, 8)), &rolled(4, 8));
        assert_eq!((weight(&first), is_done(&first)), (38, false), "four pods carry five eighths");
        let next = decided(first.state.clone(), &rolled(6, 8));
        assert_eq!((weight(&next), is_done(&next)), (7, false));
        let rising = decided(next.state.clone(), &rolled(6, 12));
        assert_eq!(weight(&rising), 7, "it never rises again");
        assert!(is_done(&decided(next.state, &rolled(7, 8))));
        assert!(is_done(&decided(first.state, &rolled(4, 5))), "or as the canary shrinks");
    }

    #[test]
    fn an_autoscaler_that_does_not_follow_is_not_waited_for_any_longer() {
        let mut state = promoting(&rolled(4, 8));
        let long_ago = now() - jiff::SignedDuration::from_secs(601);
        state.rollout.as_mut().unwrap().lagging = Some(Lag { available: 4, since: long_ago });
        assert!(is_done(&decided(state, &rolled(4, 8))));
    }

    #[test]
    fn a_canary_that_nobody_enlarged_gives_all_of_it_back_at_once() {
        assert!(is_done(&decided(promoting(&rolled(4, 4)), &rolled(4, 4))));
        assert!(
            is_done(&decided(promoting(&rolled(2, 4)), &rolled(2, 4))),
            "a person has scaled stable down"
        );
    }
}
