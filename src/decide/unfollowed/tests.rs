use crate::{
    decide::{
        Plan, RolloutView, WaitReason,
        fixtures::{decided, now, ordered, seen, state},
        waits::waits,
    },
    domain::{
        names::Weight,
        observed::Observed,
        state::{Outcome, RolloutState, Stage, Traffic, Unfollowed},
    },
    objects::{manifest::Owner, pair::Pair},
    routers::traffic,
};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::sync::Arc;

const SHIFT: Stage = Stage::PromoteShift;

fn retreat(outcome: Outcome) -> Stage {
    Stage::Retreat { outcome, since: now(), message: "bad".into() }
}

fn ago(seconds: i64) -> jiff::Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

/// What a Gateway says of a route.
fn says(status: &str, reason: &str, generation: i64) -> Value {
    let condition = json!({"type": "ResolvedRefs", "status": status, "reason": reason, "message": "no Service later", "observedGeneration": generation});
    json!({"parents": [{"parentRef": {"name": "edge"}, "controllerName": "example.com/gateway", "conditions": [condition]}]})
}

/// A release at this stage whose traffic was asked for so long ago and is written: the user's route and its companion,
/// of generation 3, have these states.
fn written(stage: Stage, asked: i64, users: &Value, companion: &Value) -> (RolloutState, Observed) {
    let mut seen = seen(4, "b", true);
    let weight = if stage == SHIFT { Weight::FULL } else { Weight::ZERO };
    let routes = matches!(stage, Stage::Start | SHIFT);
    let mut recorded = state(&seen, stage);
    let rollout = recorded.rollout.as_mut().unwrap();
    rollout.spec.strategy.router = Some("gateway".to_owned());
    rollout.traffic = Traffic { weight, routes, ..Traffic::none(ago(asked)) };
    let backend = json!({"name": "web", "port": 80});
    for object in [
        json!({"kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}}),
        json!({"kind": "HTTPRoute", "metadata": {"name": "web", "uid": "r"}, "spec": {"rules": [{"backendRefs": [backend]}]}, "status": users}),
    ] {
        Arc::make_mut(&mut seen.world).add(object).unwrap();
    }
    let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
    let pair = Pair {
        seen: &seen,
        owner: &owner,
        strategy: rollout.strategy(),
        rewrite: &rollout.rewrite,
        by_pods: false,
    };
    let mut route = traffic::desired(&pair, &rollout.traffic).remove(0).body;
    route["metadata"]["generation"] = json!(3);
    route["status"] = companion.clone();
    let canary = json!({
        "kind": "Deployment",
        "metadata": {"name": "web-canary", "generation": 1, "annotations": {"haldane.dev/template": rollout.hash}},
        "spec": {"replicas": 4},
        "status": {"observedGeneration": 1, "readyReplicas": 4, "availableReplicas": 4, "updatedReplicas": 4},
    });
    seen.ours = vec![canary, route];
    (recorded, seen)
}

/// The decision when the data plane has not followed for so long.
fn after(seconds: i64, (mut recorded, seen): (RolloutState, Observed)) -> Plan {
    let unfollowed = Unfollowed { since: ago(seconds), awaited: None };
    recorded.rollout.as_mut().unwrap().traffic.unfollowed = Some(unfollowed);
    decided(recorded, &seen)
}

fn stage(plan: &Plan) -> &Stage {
    &plan.state.rollout.as_ref().unwrap().stage
}

fn is_in_force(plan: &Plan) -> bool {
    plan.state.rollout.as_ref().unwrap().traffic.seen_at.is_some()
}

#[test]
fn what_the_users_route_has_too_keeps_no_release_from_going_on() {
    let bad = says("False", "BackendNotFound", 3);
    for at in [Stage::Start, SHIFT, retreat(Outcome::Aborted), retreat(Outcome::Superseded)] {
        let plan = decided_about(written(at.clone(), 60, &bad, &bad));
        let is_at_first_step = matches!(stage(&plan), Stage::Step { index: 0, .. });
        assert!(is_in_force(&plan) || is_at_first_step, "{at:?}");
    }
    let other = says("False", "RefNotPermitted", 3);
    assert!(!is_in_force(&decided_about(written(SHIFT, 60, &other, &bad))), "it has that for another reason");
}

fn decided_about((recorded, seen): (RolloutState, Observed)) -> Plan {
    decided(recorded, &seen)
}

#[test]
fn what_a_gateway_refuses_is_said_when_it_lasts_and_ends_the_release_in_the_end() {
    let (good, bad) = (says("True", "ResolvedRefs", 1), says("False", "BackendNotFound", 3));
    for at in [Stage::Start, SHIFT] {
        let fresh = decided_about(written(at.clone(), 1, &good, &bad));
        assert_eq!(
            (is_in_force(&fresh), fresh.events.len()),
            (false, 0),
            "{at:?}: it may be a moment behind"
        );
        assert_eq!(fresh.state.rollout.as_ref().unwrap().traffic.unfollowed, None, "nothing to record");
        assert!(fresh.wake_at.is_some_and(|at| at <= now() + super::MOMENT), "it looks again");

        let lasting = after(5, written(at.clone(), 60, &good, &bad));
        let awaited = r#"Gateway "edge" to serve HTTPRoute "web-canary-web": its status has ResolvedRefs=False (BackendNotFound: no Service later), unlike HTTPRoute "web", of which it is a copy; correct what this names"#;
        let found = waits(&lasting.state).unwrap();
        assert_eq!((found.reason, found.message.as_str()), (WaitReason::Surroundings, awaited), "{at:?}");
        let [event] = &lasting.events[..] else { panic!("{:?}", lasting.events) };
        assert!(event.reason == "WeightNotFollowed" && event.message.ends_with(awaited), "{event:?}");
        assert_eq!(
            decided(lasting.state, &written(at.clone(), 60, &good, &bad).1).events,
            [],
            "reported once"
        );

        let late = after(600, written(at.clone(), 700, &good, &bad));
        let message = late.state.rollout.as_ref().unwrap().abort_message().unwrap();
        assert!(message.contains("no progress for 600s: waits for Gateway \"edge\""), "{message}");
    }
}

#[test]
fn time_in_which_a_person_has_paused_does_not_count() {
    let (good, bad) = (says("True", "ResolvedRefs", 1), says("False", "BackendNotFound", 3));
    let (mut recorded, seen) = written(Stage::Start, 700, &good, &bad);
    recorded.rollout.as_mut().unwrap().manual_pause = Some(ago(650));
    let paused = after(690, (recorded.clone(), seen.clone()));
    assert_eq!(stage(&paused), &Stage::Start);
    let resumed = after(690, (recorded, ordered(seen, "resume")));
    assert_eq!(stage(&resumed), &Stage::Start, "it has the whole deadline again");
    assert_eq!(resumed.state.rollout.as_ref().unwrap().resumed_at, Some(now()));
}

#[test]
fn traffic_that_is_taken_back_waits_for_a_gateway_but_not_for_ever() {
    let (good, bad) = (says("True", "ResolvedRefs", 1), says("False", "BackendNotFound", 3));
    let back = decided_about(written(retreat(Outcome::RolledBack), 1, &good, &bad));
    assert!(is_in_force(&back), "whatever it says of the canary");

    let outdated = says("True", "ResolvedRefs", 2);
    let waiting = after(599, written(retreat(Outcome::RolledBack), 700, &good, &outdated));
    assert!(!is_in_force(&waiting));
    let message = waits(&waiting.state).unwrap().message;
    assert_eq!(
        message,
        r#"Gateway "edge" to serve HTTPRoute "web-canary-web": controller example.com/gateway has seen generation 2 of 3; check that it runs"#
    );
    assert_eq!(waiting.wake_at, Some(now() + SignedDuration::from_secs(1)));
    assert!(is_in_force(&after(600, written(retreat(Outcome::RolledBack), 700, &good, &outdated))));
    let view = RolloutView::of(&waiting.state, &seen(4, "b", true));
    assert_eq!(view.rollout.unwrap().observed_weight, None);
    assert!(matches!(stage(&waiting), Stage::Retreat { .. }));
}
