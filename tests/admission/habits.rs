//! What people and tools do to every Deployment: pause and resume it, go back, restart it for new configuration.

use crate::case::{Case, annotated, held, now, state, web, with};
use haldane::domain::{
    keys,
    names::TemplateHash,
    state::{HistoryEntry, Outcome, RolloutState, Stage},
};
use insta::assert_snapshot;
use serde_json::{Value, json};

const ANNOTATIONS: &str = "/spec/template/metadata/annotations";

/// The template of `version` in a Deployment that is held for another.
fn next(held: Value, version: &str) -> Value {
    with(held, "/spec/template", web(version)["spec"]["template"].clone())
}

/// Version b is held, and waits because the user had paused the Deployment.
fn paused() -> Value {
    let paused = |version| with(web(version), "/spec/paused", json!(true));
    Case::update(paused("a"), paused("b")).mutated().object().clone()
}

/// What is recorded of b, which has carried out its pause.
fn recorded(is_paused: bool) -> RolloutState {
    let mut recorded =
        RolloutState { handled_request: Some("4711".into()), ..state(&web("b"), Stage::Start) };
    recorded.rollout.as_mut().unwrap().manual_pause = is_paused.then(now);
    recorded
}

#[test]
fn a_pause_of_the_user_holds_every_further_change() {
    let again = Case::update(paused(), next(paused(), "c"));
    assert_snapshot!(again.mutate());
    let seen = again.clone().state(recorded(true)).mutate();
    assert!(seen.contains("waits for `kubectl rollout resume`"), "{seen}");
    let aborted = again.state(recorded(false)).mutate();
    assert!(!aborted.contains("rollout resume"), "the pause ended with its release: {aborted}");
}

#[test]
fn a_resume_right_after_the_last_change_is_for_it() {
    let held = Case::update(paused(), next(paused(), "c")).mutated().object().clone();
    let resumed = |manager| {
        Case::update(held.clone(), with(held.clone(), "/spec/paused", json!(false))).manager(manager)
    };
    // Neither version b nor c has been looked at by the controller.
    let order =
        resumed("kubectl-rollout").mutated().object()["metadata"]["annotations"][keys::REQUEST].clone();
    assert!(order.as_str().unwrap().contains(r#""verb":"resume""#), "{order}");
    let early = resumed("kubectl-rollout").state(recorded(true)).mutate();
    assert!(early.starts_with("allowed"), "the state is of b: {early}");
    let unasked = Case::update(held_web(), with(held_web(), "/spec/paused", json!(false)))
        .manager("kubectl-rollout")
        .mutate();
    assert!(unasked.contains("no rollout is under way"), "nobody had paused it: {unasked}");
}

fn held_web() -> Value {
    held(web("b"))
}

#[test]
fn a_pause_that_comes_with_the_change_survives_a_second_look() {
    let with_pause = Case::update(web("a"), with(web("b"), "/spec/paused", json!(true)));
    let again = with_pause.mutated().mutate();
    assert!(again.starts_with("allowed\nWarning: "), "no patch: {again}");
    assert!(again.contains("the Deployment is paused"), "{again}");
}

/// Version b serves since the last hour, and a served before.
fn promoted() -> RolloutState {
    let hash = |version| TemplateHash::of(&web(version)["spec"]["template"]);
    let ended = HistoryEntry {
        revision: 2,
        hash: hash("b"),
        outcome: Outcome::Promoted,
        started_at: now(),
        ended_at: now(),
        baseline_replicas: 4,
        message: String::new(),
    };
    let (stable, served) = (Some(hash("b")), vec![hash("a")]);
    RolloutState { revision: 2, stable, served, history: vec![ended], ..RolloutState::default() }
}

#[test]
fn a_template_that_was_stable_comes_with_the_way_back_at_once() {
    assert_snapshot!(Case::update(web("b"), web("a")).state(promoted()).mutate());
    let other = Case::update(web("b"), web("c")).state(promoted()).mutate();
    assert!(!other.contains("was stable"), "{other}");
}

#[test]
fn a_template_within_the_rollback_window_is_announced_as_a_promotion() {
    let plan = "{steps: [{setWeight: 25}, {pause: {}}], rollbackWindow: {revisions: 1}}";
    let web = |version| annotated(web(version), keys::CANARY, plan);
    assert_snapshot!(Case::update(web("b"), web("a")).state(promoted()).mutate());
}

#[test]
fn the_stable_template_is_announced_as_the_end_of_the_canary() {
    let back = Case::update(held(web("c")), next(held(web("c")), "b")).state(promoted()).mutate();
    assert!(
        back.contains("this is the stable template: the canary ends, and stable keeps its pods"),
        "{back}"
    );
    assert!(!back.contains("its canary takes"), "{back}");
}

/// A rotated secret: the same code with another checksum.
fn rotated(restarts: &str) -> Case {
    let web = |checksum: &str| {
        let web = with(web("a"), ANNOTATIONS, json!({"checksum/secret": checksum, "kept": "1"}));
        if restarts.is_empty() { web } else { annotated(web, keys::RESTART_ANNOTATIONS, restarts) }
    };
    Case::update(web("1"), web("2"))
}

#[test]
fn a_changed_checksum_is_a_release_until_it_is_named_as_a_restart() {
    let unnamed = rotated("");
    assert!(unnamed.mutate().contains("/spec/paused"), "{}", unnamed.mutate());
    let advice = "only checksum/secret of the pod template changed; if pods that already serve must get this at once, name the annotation in haldane.dev/restart-annotations";
    assert!(unnamed.mutate().contains(advice), "{}", unnamed.mutate());

    let named = rotated("checksum/config, checksum/secret");
    assert_eq!(
        named.mutate(),
        "allowed\nWarning: haldane: only checksum/secret of the pod template changed, named in haldane.dev/restart-annotations: the pods are restarted without a canary"
    );
    assert_eq!(named.validate(), "allowed");
}

#[test]
fn annotations_that_no_tool_could_write_are_refused() {
    for wrong in ["", "checksum/config,", "checksum config", "haldane.dev/held"] {
        let web = annotated(web("a"), keys::RESTART_ANNOTATIONS, wrong);
        let refused = Case::create(web).mutate();
        assert!(
            refused.contains("metadata.annotations[haldane.dev/restart-annotations]"),
            "{wrong:?}: {refused}"
        );
        assert!(refused.contains("is not an annotation of a pod template"), "{wrong:?}: {refused}");
    }
}

#[test]
fn what_min_ready_seconds_adds_is_part_of_the_plan() {
    let web = |version| with(web(version), "/spec/minReadySeconds", json!(30));
    let mut case = Case::update(web("a"), web("b"));
    case.review.dry_run = true;
    assert!(
        case.mutate().contains("available 30s after they are ready (minReadySeconds)"),
        "{}",
        case.mutate()
    );
}
