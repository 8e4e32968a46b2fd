//! Where there is nothing to protect, Kubernetes does what it always does.

use crate::case::{Case, annotated, held, web, with};
use haldane::domain::keys;
use insta::assert_snapshot;
use serde_json::json;

const NATIVELY: &str = "allowed\nWarning: haldane: no pod of this Deployment is ready, so there is nothing to protect: the new template is rolled out without a canary";
const STAMP: &str = "/spec/template/metadata/annotations";

#[test]
fn a_new_deployment_starts_natively_and_is_marked() {
    let mut new = web("a");
    new["metadata"].as_object_mut().unwrap().remove("labels");
    assert_snapshot!(Case::create(new).mutate());
    assert_eq!(Case::create(web("a")).validate(), "allowed");
}

#[test]
fn a_deployment_at_zero_replicas_changes_natively() {
    let stopped = |version| with(with(web(version), "/spec/replicas", json!(0)), "/status", json!({}));
    let case = Case::update(stopped("a"), stopped("b"));
    assert_eq!((case.mutate().as_str(), case.validate().as_str()), (NATIVELY, "allowed"));
}

#[test]
fn a_deployment_that_never_became_ready_changes_natively() {
    let old = with(web("a"), "/status/readyReplicas", json!(0));
    let case = Case::update(old, web("b"));
    assert_eq!((case.mutate().as_str(), case.validate().as_str()), (NATIVELY, "allowed"));
}

#[test]
fn rollout_restart_is_native_unless_asked_for() {
    let restarted = with(web("a"), STAMP, json!({keys::RESTARTED_AT: "2026-01-01T00:00:00Z"}));
    let case = Case::update(web("a"), restarted.clone()).manager("kubectl-rollout");
    assert_eq!((case.mutate().as_str(), case.validate().as_str()), ("allowed", "allowed"));
    let canary = |object| annotated(object, keys::RESTART, "canary");
    let case = Case::update(canary(web("a")), canary(restarted)).manager("kubectl-rollout");
    assert!(case.mutate().contains("/spec/paused"), "{}", case.mutate());
}

#[test]
fn a_restart_together_with_another_image_is_held() {
    let both = with(web("b"), STAMP, json!({keys::RESTARTED_AT: "2026-01-01T00:00:00Z"}));
    assert!(Case::update(web("a"), both).mutate().contains("/spec/paused"));
}

#[test]
fn a_user_who_had_paused_gets_a_canary_that_waits() {
    let paused = |version| with(web(version), "/spec/paused", json!(true));
    assert_snapshot!(Case::update(paused("a"), paused("b")).mutate());
    // Paused with the change itself, as `kubectl apply` of a manifest with `paused: true`.
    assert!(Case::update(web("a"), paused("b")).mutate().contains("the Deployment is paused"));
}

#[test]
fn rollout_pause_of_an_idle_deployment_is_the_users() {
    let case = Case::update(web("a"), with(web("a"), "/spec/paused", json!(true))).manager("kubectl-rollout");
    assert_eq!(case.mutate(), "allowed");
    let case = Case::update(with(web("a"), "/spec/paused", json!(true)), web("a")).manager("kubectl-rollout");
    assert_eq!(case.mutate(), "allowed");
}

#[test]
fn a_held_deployment_is_not_let_go_by_scaling_it_to_zero() {
    let case = Case::update(held(web("b")), with(held(web("b")), "/spec/replicas", json!(0)));
    assert_eq!(case.mutated().object()["spec"]["paused"], true);
}
