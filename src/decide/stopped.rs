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
    rollout.canary_replicas = 0;
    rollout.lagging = None;
    true
}

#[cfg(test)]
mod tests {
    use crate::{
        build::manifest::Owner,
        config::strategy::{Defaults, default_strategy},
        decide::{Input, Measurements, Plan, decide},
        domain::{
            names::Weight,
            observed::{Observed, ReplicaSetView},
            rewrite::LabelRewrite,
            state::{Outcome, Rollout, RolloutState, Stage, Traffic},
            strategy::RolloutSpec,
        },
    };
    use jiff::Timestamp;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    /// The Deployment `web` of this size, with a template of `image`.
    fn seen(replicas: i32, image: &str, held: bool) -> Observed {
        let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}});
        let mut deployment = json!({
            "metadata": {"name": "web", "generation": 1, "annotations": {}},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template},
            "status": {"observedGeneration": 1},
        });
        if held {
            deployment["metadata"]["annotations"] = json!({"haldane.dev/held": "x"});
            deployment["spec"]["paused"] = json!(true);
        }
        let deployment = serde_json::from_value(deployment).unwrap();
        Observed { deployment, template: template.into(), ..Observed::default() }
    }

    fn set(seen: &Observed, name: &str, created: &str) -> ReplicaSetView {
        let (name, created) = (name.to_owned(), created.to_owned());
        let template = seen.template_hash();
        ReplicaSetView { pod_hash: name.clone(), name, template, created, wanted: 0, available: 0 }
    }

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn state(seen: &Observed, stage: Stage) -> RolloutState {
        let defaults = Defaults { settle: "6s".parse().unwrap(), annotation_prefix: "nginx".into() };
        let spec = RolloutSpec { strategy: default_strategy(&defaults), templates: Vec::new() };
        let rollout = Rollout {
            revision: 2,
            hash: seen.template_hash(),
            spec,
            rewrite: LabelRewrite { of: "web".into(), keys: BTreeSet::from(["app".to_owned()]) },
            started_at: now(),
            attempt: 1,
            baseline_replicas: 4,
            canary_replicas: 2,
            stable_pod_hash: None,
            canary_pod_hash: None,
            traffic: Traffic {
                weight: Weight::try_from(50).unwrap(),
                routes: true,
                header: None,
                asked_at: now(),
                seen_at: Some(now()),
            },
            stage,
            manual_pause: None,
            lagging: None,
            runs: Vec::new(),
        };
        RolloutState { revision: 2, rollout: Some(rollout), ..RolloutState::default() }
    }

    fn decided(state: RolloutState, seen: &Observed) -> Plan {
        let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
        let next = Err("its plan is frozen".to_owned());
        decide(
            state,
            &Input { seen, owner: &owner, next: &next, measurements: &Measurements::default(), now: now() },
        )
    }

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
