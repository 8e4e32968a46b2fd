//! The condition of an aborted release ends when the deployment controller has observed another template.

use crate::case::{Case, now, state, web};
use haldane::{
    admit::stale_condition::DEPLOYMENT_CONTROLLERS,
    domain::{
        review::Stage as Phase,
        state::{RolloutState, Stage},
    },
};
use serde_json::{Value, json};

const ENDED: &str = r#"allowed
  {"op":"replace","path":"/status/conditions/1","value":{"lastTransitionTime":"2026-01-01T00:00:00Z","lastUpdateTime":"2026-01-01T00:00:00Z","message":"Deployment is paused","reason":"DeploymentPaused","status":"Unknown","type":"Progressing"}}"#;

/// Version `b` was aborted.
fn aborted() -> RolloutState {
    state(&web("b"), Stage::Aborted { since: now(), message: "RolloutAborted: bad".into() })
}

/// The deployment controller has seen this version, and says `message` of its progress.
fn observed(version: &str, message: &str) -> Case {
    let seen = |generation: u64| -> Value {
        let mut object = web(version);
        let conditions = json!([{"type": "Available"}, {"type": "Progressing", "message": message}]);
        object["status"] = json!({"observedGeneration": generation, "conditions": conditions});
        object
    };
    let mut case = Case::update(seen(3), seen(4)).by(DEPLOYMENT_CONTROLLERS[0]);
    case.review.sub_resource = Some("status".into());
    case
}

#[test]
fn the_condition_of_an_abort_ends_with_its_template() {
    for user in DEPLOYMENT_CONTROLLERS {
        assert_eq!(observed("c", "RolloutAborted: bad").by(user).state(aborted()).mutate(), ENDED);
    }
    assert_eq!(observed("c", "RolloutAborted: bad").state(RolloutState::default()).mutate(), ENDED);
    let running = state(&web("c"), Stage::Start);
    assert_eq!(observed("c", "RolloutAborted: bad").state(running).mutate(), ENDED, "a retry that has begun");
}

#[test]
fn it_stays_as_long_as_its_template_is_there() {
    let scaled = observed("b", "RolloutAborted: bad").state(aborted());
    assert_eq!(scaled.mutate(), "allowed");
    let mut unknown = observed("c", "RolloutAborted: bad");
    assert_eq!(unknown.mutate(), "allowed", "no record");
    unknown.facts.state = Err("no answer".into());
    assert_eq!(unknown.mutate(), "allowed");
}

/// A changed template is held, and the deployment controller has seen it, when Haldane's condition says `status`.
fn released(status: &str) -> Case {
    let seen = |generation: u64| -> Value {
        let mut object = web("c");
        object["metadata"]["annotations"]["haldane.dev/held"] = json!("x");
        let conditions = json!([{"type": "haldane.dev/Release", "status": status}]);
        object["status"] = json!({"observedGeneration": generation, "conditions": conditions});
        object
    };
    let mut case = Case::update(seen(3), seen(4)).by(DEPLOYMENT_CONTROLLERS[0]);
    case.review.sub_resource = Some("status".into());
    case.state(RolloutState::default())
}

#[test]
fn what_a_release_has_come_to_ends_with_the_next_one() {
    const HELD: &str = r#"allowed
  {"op":"replace","path":"/status/conditions/0","value":{"lastTransitionTime":"2026-01-01T00:00:00Z","lastUpdateTime":"2026-01-01T00:00:00Z","message":"the changed pod template is held","reason":"Held","status":"Unknown","type":"haldane.dev/Release"}}"#;
    assert_eq!(released("True").mutate(), HELD);
    assert_eq!(released("False").mutate(), HELD);
    let aborted = state(&web("c"), Stage::Aborted { since: now(), message: "RolloutAborted: bad".into() });
    assert_eq!(released("False").state(aborted).mutate(), "allowed", "this template was aborted");
    assert_eq!(released("Unknown").mutate(), "allowed");
}

#[test]
fn no_other_status_is_touched_or_costs_a_look() {
    let looks = |case: &Case| case.questions(Phase::Mutate).state;
    assert!(looks(&observed("c", "RolloutAborted: bad")));
    let own = observed("c", "ReplicaSet \"web-1\" has timed out progressing.").state(aborted());
    let by_others = observed("c", "RolloutAborted: bad").by("jane").state(aborted());
    for case in [own, by_others] {
        assert_eq!(case.mutate(), "allowed");
        assert!(!looks(&case));
    }
}
