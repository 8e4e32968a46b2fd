//! Opting out leaves a plain Deployment, and never half a rollout.

use crate::case::{Case, held, now, state, web};
use haldane::domain::{keys, state::Stage};
use insta::assert_snapshot;
use serde_json::Value;

fn without_canary(mut object: Value) -> Value {
    object["metadata"]["annotations"].as_object_mut().unwrap().remove(keys::CANARY);
    object
}

#[test]
fn opting_out_when_idle_removes_every_mark() {
    assert_snapshot!(Case::update(web("a"), without_canary(web("a"))).mutate());
}

#[test]
fn opting_out_during_a_rollout_is_refused_with_the_ways_out() {
    let stage = Stage::Step { index: 1, entered_at: now(), inconclusive: None };
    let case = Case::update(held(web("b")), without_canary(held(web("b")))).state(state(&web("b"), stage));
    assert_snapshot!(case.mutate());
}

#[test]
fn opting_out_right_after_a_change_is_refused_too() {
    // The controller has not seen the change: nothing is recorded yet.
    let case = Case::update(held(web("b")), without_canary(held(web("b"))));
    assert!(case.mutate().starts_with("denied 403"), "{}", case.mutate());
}

#[test]
fn opting_out_while_the_state_is_unknown_is_refused() {
    let mut case = Case::update(web("a"), without_canary(web("a")));
    case.facts.state = Err("no answer from the API server within 3s".into());
    assert_snapshot!(case.mutate());
}

#[test]
fn a_template_changed_with_the_opt_out_starts_natively() {
    let case = Case::update(web("a"), without_canary(web("b")));
    assert!(!case.mutate().contains("paused"), "{}", case.mutate());
    assert_eq!(case.mutated().validate(), "allowed");
}

#[test]
fn deployments_of_others_never_change() {
    let plain = |version| {
        let mut object = without_canary(web(version));
        object["metadata"].as_object_mut().unwrap().remove("labels");
        object
    };
    let case = Case::update(plain("a"), plain("b"));
    assert_eq!((case.mutate().as_str(), case.validate().as_str()), ("allowed", "allowed"));
}

#[test]
fn opting_in_marks_and_restarts_nothing() {
    let mut old = without_canary(web("a"));
    old["metadata"].as_object_mut().unwrap().remove("labels");
    let mut new = web("a");
    new["metadata"].as_object_mut().unwrap().remove("labels");
    assert_snapshot!(Case::update(old, new).mutate());
}
