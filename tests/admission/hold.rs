//! The hold: in the same request that changes the template, even if others change the object too.

use crate::case::{Case, OWN_USER, annotated, held, web, with};
use haldane::domain::keys;
use insta::assert_snapshot;
use serde_json::json;

#[test]
fn a_changed_template_is_held_and_the_plan_is_shown() {
    let case = Case::update(web("a"), web("b"));
    assert_snapshot!(case.mutate());
    assert_eq!(case.mutated().validate(), "allowed");
}

#[test]
fn a_changed_template_of_a_held_deployment_is_held_again() {
    assert_snapshot!(
        Case::update(
            held(web("b")),
            with(held(web("b")), "/spec/template", web("c")["spec"]["template"].clone())
        )
        .mutate()
    );
}

#[test]
fn the_stable_template_applied_again_stays_held_until_the_controller_lets_go() {
    let case = Case::update(
        held(web("b")),
        with(held(web("b")), "/spec/template", web("a")["spec"]["template"].clone()),
    );
    assert_snapshot!(case.mutate());
}

#[test]
fn a_second_look_in_the_same_request_changes_nothing() {
    let once = Case::update(web("a"), web("b")).mutated();
    let again = once.mutate();
    assert!(again.starts_with("allowed\nWarning: "), "no patch: {again}");
    let order = Case::update(held(web("b")), annotated(held(web("b")), keys::DO, "abort"))
        .state(crate::case::state(&web("b"), haldane::domain::state::Stage::PromoteScale))
        .mutated();
    assert_eq!(order.mutate(), "allowed");
}

#[test]
fn a_change_of_anything_else_passes_without_a_patch() {
    let case = Case::update(web("a"), with(web("a"), "/spec/replicas", json!(9)));
    assert_eq!(case.mutate(), "allowed");
    assert_eq!(case.validate(), "allowed");
    let case = Case::update(held(web("b")), with(held(web("b")), "/spec/replicas", json!(9)));
    assert_eq!(case.mutate(), "allowed");
}

#[test]
fn another_webhook_that_removes_the_hold_is_detected() {
    let mut case = Case::update(web("a"), web("b")).mutated();
    let object = case.review.object.as_mut().unwrap();
    object["spec"]["paused"] = json!(false);
    assert_snapshot!(case.validate());
    let mut case = Case::update(web("a"), web("b")).mutated();
    case.review.object.as_mut().unwrap()["spec"]["template"] = web("c")["spec"]["template"].clone();
    assert!(case.validate().starts_with("denied 403"), "{}", case.validate());
}

#[test]
fn gitops_that_unpauses_is_held_again_with_the_reason() {
    let case = Case::update(held(web("b")), with(held(web("b")), "/spec/paused", json!(false)))
        .manager("argocd-controller");
    assert_snapshot!(case.mutate());
    assert_eq!(case.mutated().object()["spec"]["paused"], true);
}

#[test]
fn manifests_without_our_keys_do_not_remove_the_hold() {
    // `kubectl replace` drops every key that it does not name.
    let case = Case::update(held(web("b")), web("b"));
    let object = case.mutated().object().clone();
    assert_eq!(object, held(web("b")));
}

#[test]
fn forged_keys_of_ours_are_set_right() {
    let forged = annotated(annotated(web("a"), keys::HELD, "0123456789abcdef"), "note", "kept");
    assert_snapshot!(
        "keys_on_a_deployment_that_is_not_held",
        Case::update(web("a"), with(forged, "/metadata/labels", json!({keys::MANAGED: "false"}))).mutate()
    );
    let wrong = annotated(held(web("b")), keys::HELD, "0123456789abcdef");
    assert_snapshot!("the_wrong_hash_on_a_held_deployment", Case::update(held(web("b")), wrong).mutate());
}

#[test]
fn haldane_itself_passes() {
    let released = Case::update(held(web("b")), web("b")).by(OWN_USER);
    assert_eq!((released.mutate().as_str(), released.validate().as_str()), ("allowed", "allowed"));
}

#[test]
fn other_kinds_and_deletions_are_none_of_our_business() {
    let mut case = Case::update(web("a"), web("b"));
    case.review.kind = "StatefulSet".into();
    assert_eq!(case.mutate(), "allowed");
    let mut case = Case::update(web("a"), web("b"));
    case.review.operation = haldane::domain::review::Operation::Delete;
    case.review.object = None;
    assert_eq!(case.mutate(), "allowed");
    let mut case = Case::update(web("a"), web("b"));
    case.review.sub_resource = Some("scale".into());
    assert_eq!(case.mutate(), "allowed");
}
