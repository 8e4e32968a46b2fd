//! An autoscaler does not shrink stable while a canary has its traffic.

use crate::case::{Case, now, state, web};
use haldane::{
    admit::scale::AUTOSCALERS,
    domain::{
        names::TemplateHash,
        review::{Operation, Stage},
        state::{HistoryEntry, Outcome, RolloutState},
    },
};
use jiff::SignedDuration;
use serde_json::{Value, json};

const HELD_AT_FOUR: &str = r#"allowed
  {"op":"add","path":"/spec/replicas","value":4}
audit capacity-floor=1 replicas requested, 4 kept: the size before the canary"#;

/// A Scale as the API server sends it: a size of 0 is left out.
fn scale(replicas: u64) -> Value {
    let spec = if replicas == 0 { json!({}) } else { json!({"replicas": replicas}) };
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "web", "namespace": "shop"}, "spec": spec})
}

/// The autoscaling controller changes the size.
fn autoscaler(from: u64, to: u64) -> Case {
    let mut case = Case::update(scale(from), scale(to)).by(AUTOSCALERS[0]);
    case.review.group = "autoscaling".into();
    case.review.kind = "Scale".into();
    case.review.sub_resource = Some("scale".into());
    case
}

fn at(stage: haldane::domain::state::Stage) -> RolloutState {
    state(&web("b"), stage)
}

fn step() -> haldane::domain::state::Stage {
    haldane::domain::state::Stage::Step { index: 0, entered_at: now(), inconclusive: None }
}

fn ended(ago: SignedDuration) -> RolloutState {
    let entry = HistoryEntry {
        revision: 7,
        hash: TemplateHash::of(&json!({})),
        outcome: Outcome::Promoted,
        started_at: now() - ago,
        ended_at: now() - ago,
        baseline_replicas: 4,
        message: String::new(),
    };
    RolloutState { history: vec![entry], ..RolloutState::default() }
}

#[test]
fn stable_keeps_its_size_during_a_rollout() {
    for user in AUTOSCALERS {
        assert_eq!(autoscaler(4, 1).by(user).state(at(step())).mutate(), HELD_AT_FOUR);
    }
    assert_eq!(autoscaler(4, 4).state(at(step())).mutate(), "allowed");
    assert_eq!(autoscaler(4, 6).state(at(step())).mutate(), "allowed", "it may grow");
    assert_eq!(autoscaler(9, 5).state(at(step())).mutate(), "allowed", "and shrink back to what it was");
    assert_eq!(autoscaler(9, 1).state(at(step())).mutate(), HELD_AT_FOUR);
}

#[test]
fn the_floor_never_raises_a_size() {
    let kept = autoscaler(2, 1).state(at(step())).mutate();
    assert!(kept.contains(r#""value":2"#), "a person had scaled to 2: {kept}");
    let kept = autoscaler(2, 0).state(at(step())).mutate();
    assert!(kept.contains(r#""value":2"#), "{kept}");
}

#[test]
fn people_and_other_autoscalers_are_obeyed() {
    for user in ["jane", "system:serviceaccount:keda:keda-operator"] {
        let case = autoscaler(4, 0).by(user).state(at(step()));
        assert_eq!(case.mutate(), "allowed", "{user}");
    }
}

#[test]
fn without_a_rollout_an_autoscaler_does_what_it_wants() {
    assert_eq!(autoscaler(4, 1).mutate(), "allowed", "not even a record");
    assert_eq!(autoscaler(4, 1).state(RolloutState::default()).mutate(), "allowed");
    let mut unknown = autoscaler(4, 1);
    unknown.facts.state = Err("no answer".into());
    assert_eq!(unknown.mutate(), "allowed", "without a state nothing is claimed");
}

#[test]
fn the_floor_stays_until_measurements_show_the_traffic_that_is_back() {
    assert_eq!(autoscaler(4, 1).state(ended(SignedDuration::from_secs(299))).mutate(), HELD_AT_FOUR);
    assert_eq!(autoscaler(4, 1).state(ended(SignedDuration::from_mins(5))).mutate(), "allowed");
    let aborted = haldane::domain::state::Stage::Aborted { since: now(), message: String::new() };
    let mut state = at(aborted);
    assert_eq!(autoscaler(4, 1).state(state.clone()).mutate(), "allowed", "aborted long ago");
    state.history = ended(SignedDuration::from_secs(10)).history;
    assert_eq!(autoscaler(4, 1).state(state).mutate(), HELD_AT_FOUR, "aborted just now");
}

#[test]
fn only_a_scale_down_of_an_autoscaler_costs_a_look() {
    let looks = |case: &Case| case.questions(Stage::Mutate).state;
    assert!(looks(&autoscaler(4, 1)));
    assert!(!looks(&autoscaler(4, 5)) && !looks(&autoscaler(4, 1).by("jane")));
    let mut created = autoscaler(4, 1);
    created.review.operation = Operation::Create;
    assert!(!looks(&created));
}
