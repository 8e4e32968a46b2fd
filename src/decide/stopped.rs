//! Scaled to 0 in the middle of a rollout: a person has stopped the application, or KEDA found nothing to do.

use super::{Event, turn::Turn};
use crate::domain::state::{Rollout, Stage};

/// Whether the rollout waits because the user's Deployment has size 0.
///
/// Its canary then has no pods either, and what does not run is not judged. At a size again, the rollout
/// goes on from where it was. Whoever stops an application means all of it.
pub(super) fn waits(rollout: &mut Rollout, turn: &mut Turn<'_>) -> bool {
    let on_trial = matches!(
        rollout.stage,
        Stage::Start | Stage::Step { .. } | Stage::PromoteScale | Stage::PromoteShift
    );
    if !on_trial || turn.seen().replicas() > 0 {
        return false;
    }
    if rollout.canary_replicas > 0 {
        turn.events.push(Event::normal(
            "RolloutPaused",
            "Rollout waits, and its canary has no pods, because the Deployment is scaled to 0",
        ));
    }
    if rollout.stage == Stage::PromoteShift {
        // The canary has to grow anew before it gets all traffic.
        let weight = rollout.strategy().weight_at(rollout.strategy().steps.len());
        rollout.traffic.ask(weight, true, turn.now());
        rollout.stage = Stage::PromoteScale;
    }
    rollout.canary_replicas = 0;
    rollout.lagging = None;
    true
}

#[cfg(test)]
mod tests {
    use super::super::{
        Plan,
        fixtures::{decided, now, seen, set, state},
    };
    use crate::domain::{
        names::Weight,
        state::{Outcome, Stage},
    };
    use serde_json::{Value, json};

    fn canary_size(plan: &Plan) -> Option<&Value> {
        plan.apply.iter().find(|m| m.name == "web-canary")?.body.pointer("/spec/replicas")
    }

    #[test]
    fn the_canary_stops_with_its_application_and_comes_back_with_it() {
        let stage = Stage::Step { index: 2, entered_at: now(), inconclusive: None };
        let stopped = decided(state(&seen(4, "b", true), stage.clone()), &seen(0, "b", true));
        assert_eq!(canary_size(&stopped), Some(&json!(0)));
        assert_eq!(stopped.state.rollout.as_ref().unwrap().stage, stage, "it stays where it is");
        assert_eq!(stopped.events.len(), 1, "{:?}", stopped.events);
        let again = decided(stopped.state.clone(), &seen(0, "b", true));
        assert_eq!((again.events.len(), &again.state), (0, &stopped.state), "told once");
        let back = decided(again.state, &seen(4, "b", true));
        assert_eq!(canary_size(&back), Some(&json!(2)), "half of four");
    }

    #[test]
    fn a_canary_that_was_stopped_grows_anew_before_it_gets_all_traffic() {
        let stopped = decided(state(&seen(4, "b", true), Stage::PromoteShift), &seen(0, "b", true));
        let back = decided(stopped.state, &seen(4, "b", true)).state.rollout.unwrap();
        assert_eq!((back.stage, back.canary_replicas), (Stage::PromoteScale, 4));
        assert!(back.traffic.weight < Weight::FULL, "{:?}", back.traffic);
    }

    #[test]
    fn a_promotion_ends_at_size_0_too() {
        let mut seen = seen(0, "b", false);
        seen.replica_sets = vec![set(&seen, "web-b", "2026-01-01T00:00:00Z")];
        let plan = decided(state(&seen, Stage::PromoteRoll), &seen);
        let stage = plan.state.rollout.unwrap().stage;
        assert!(matches!(stage, Stage::Retreat { outcome: Outcome::Promoted, .. }), "{stage:?}");
    }

    #[test]
    fn stable_is_known_at_size_0() {
        let (a, b) = (seen(0, "a", true), seen(0, "b", true));
        let mut seen = a.clone();
        seen.replica_sets =
            vec![set(&a, "web-a", "2026-01-02T00:00:00Z"), set(&b, "web-z", "2026-01-01T00:00:00Z")];
        let stage = Stage::Step { index: 0, entered_at: now(), inconclusive: None };
        let plan = decided(state(&b, stage), &seen);
        let stage = plan.state.rollout.unwrap().stage;
        assert!(matches!(stage, Stage::Retreat { outcome: Outcome::RolledBack, .. }), "{stage:?}");
    }
}
