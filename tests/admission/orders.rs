//! Orders: which users may give them, when they are possible, and how they are refused.

use crate::case::{Case, annotated, hash, held, now, state, web, with};
use haldane::domain::{
    keys,
    request::{Request, Verb},
    state::Stage,
};
use insta::assert_snapshot;
use jiff::SignedDuration;
use serde_json::{Value, json};
use strum::IntoEnumIterator;

fn order(word: &str) -> Case {
    let case = Case::update(held(web("b")), annotated(held(web("b")), keys::DO, word));
    let at_pause = Stage::Step { index: 1, entered_at: now(), inconclusive: None };
    case.state(state(&web("b"), at_pause))
}

#[test]
fn an_order_is_recorded_and_its_annotation_removed() {
    assert_snapshot!(order("promote").mutate());
    let object = order("promote").mutated().object().clone();
    let recorded: Request =
        serde_json::from_str(object["metadata"]["annotations"][keys::REQUEST].as_str().unwrap()).unwrap();
    assert_eq!(
        (recorded.verb, recorded.by.as_str(), recorded.template),
        (Verb::Promote, "jane", hash(&web("b")))
    );
}

#[test]
fn an_order_without_the_right_is_refused_with_the_grant_that_is_missing() {
    let mut case = order("promote");
    case.facts.may = Ok(false);
    assert_snapshot!(case.mutate());
}

#[test]
fn an_order_is_refused_when_rights_or_state_are_unknown() {
    let mut case = order("abort");
    case.facts.may = Err("no answer from the API server within 3s".into());
    assert_snapshot!(case.mutate());
    let mut case = order("abort");
    case.facts.state = Err("no answer from the API server within 3s".into());
    assert!(case.mutate().starts_with("denied 403"));
}

#[test]
fn an_order_passes_although_a_template_is_gone_but_a_release_does_not() {
    let strategy = "{steps: [{setWeight: 5}, {analysis: {templates: [{templateName: gone}]}}]}";
    let plan = |object| annotated(object, keys::CANARY, strategy);
    let at_step = Stage::Step { index: 0, entered_at: now(), inconclusive: None };
    let ordered = annotated(plan(held(web("b"))), keys::DO, "abort");
    let case = Case::update(plan(held(web("b"))), ordered).state(state(&web("b"), at_step));
    assert!(case.mutate().starts_with("allowed"), "{}", case.mutate());
    let release = Case::update(plan(held(web("b"))), plan(held(web("c"))));
    assert!(release.mutate().contains("analysis template not found"), "{}", release.mutate());
}

#[test]
fn an_unknown_order_names_the_known_ones() {
    assert_snapshot!(order("premote").mutate());
}

#[test]
fn an_order_that_is_nearly_right_gets_the_right_one() {
    for (word, meant) in [
        ("promte", "promote"),
        ("promote --full", "promote-full"),
        ("promote full", "promote-full"),
        ("promote --skip-current-step", "skip-step"),
        ("Abort", "abort"),
        ("promote --step 0", "promote --step N"),
    ] {
        let said = order(word).mutate();
        assert!(said.contains(&format!("unknown order, did you mean {meant:?}?")), "{word}: {said}");
    }
    assert!(order("undo").mutate().contains("unknown order, allowed are"), "nothing is near");
}

#[test]
fn steps_of_an_order_count_from_1() {
    // The default plan has four steps, and the rollout is at the second.
    let said = |number: usize| {
        let said = order(&format!("promote --step {number}")).mutate();
        said.lines().next().unwrap().to_owned()
    };
    assert_snapshot!([1, 2, 3, 4, 5].map(said).join("\n"));
    let object = order("promote --step 3").mutated().object().clone();
    let recorded: Request =
        serde_json::from_str(object["metadata"]["annotations"][keys::REQUEST].as_str().unwrap()).unwrap();
    assert_eq!(recorded.step, Some(2), "an index, as earlier versions have recorded it");
}

#[test]
fn orders_for_nothing_are_refused() {
    let case = Case::update(web("a"), annotated(web("a"), keys::DO, "promote"));
    assert_snapshot!(case.mutate());
}

#[test]
fn what_each_order_meets_at_each_stage() {
    let stages = [
        Stage::Start,
        Stage::Step { index: 0, entered_at: now(), inconclusive: None },
        Stage::Step { index: 1, entered_at: now(), inconclusive: None },
        Stage::PromoteScale,
        Stage::PromoteShift,
        Stage::PromoteRoll,
        Stage::Aborted { since: now(), message: "RolloutAborted: bad".into() },
    ];
    let mut lines = Vec::new();
    for stage in stages {
        lines.push(format!("{stage:?}").split([' ', '{']).next().unwrap().to_owned() + &step(&stage));
        for verb in Verb::iter() {
            let answer = order(&verb.to_string()).state(state(&web("b"), stage.clone())).mutate();
            let first = answer
                .lines()
                .next()
                .unwrap()
                .trim_start_matches("denied 403 Forbidden: Deployment \"web\": ");
            lines.push(format!("  {verb}: {first}"));
        }
    }
    assert_snapshot!(lines.join("\n"));
}

fn step(stage: &Stage) -> String {
    if let Stage::Step { index, .. } = stage { format!(" {index}") } else { String::new() }
}

#[test]
fn a_forged_record_of_an_order_is_refused() {
    let request = |by: &str, at| {
        let request = Request {
            id: "x".into(),
            verb: Verb::Promote,
            step: None,
            by: by.into(),
            at,
            template: hash(&web("b")),
        };
        annotated(held(web("b")), keys::REQUEST, &serde_json::to_string(&request).unwrap())
    };
    let case =
        |object| Case::update(held(web("b")), object).state(order("pause").facts.state.unwrap().unwrap());
    assert_snapshot!(case(request("root", now())).mutate());
    let old = now() - SignedDuration::from_secs(3600);
    assert!(case(request("jane", old)).mutate().starts_with("denied 403"));
    assert!(case(annotated(held(web("b")), keys::REQUEST, "promote")).mutate().starts_with("denied 403"));
    // In the words of a reinvocation: authorised like an order, so nothing is gained.
    let mut imitation = case(request("jane", now()));
    imitation.facts.may = Ok(false);
    assert!(imitation.mutate().starts_with("denied 403"));
}

#[test]
fn an_order_cannot_come_with_a_new_template_or_a_new_deployment() {
    let both = with(
        annotated(held(web("b")), keys::DO, "abort"),
        "/spec/template",
        web("c")["spec"]["template"].clone(),
    );
    assert_snapshot!("with_a_new_template", Case::update(held(web("b")), both).mutate());
    assert_snapshot!("with_a_new_deployment", Case::create(annotated(web("a"), keys::DO, "abort")).mutate());
}

#[test]
fn rollout_resume_continues_past_a_pause() {
    let resumed = with(held(web("b")), "/spec/paused", json!(false));
    let case = order("pause").facts.state.unwrap().unwrap();
    let case = Case::update(held(web("b")), resumed).manager("kubectl-rollout").state(case);
    assert_snapshot!(case.mutate());
    let object = case.mutated().object().clone();
    assert_eq!(object["spec"]["paused"], true, "the stable pods stay what they are");
}

#[test]
fn rollout_resume_neither_skips_a_step_nor_revives_an_aborted_revision() {
    let resumed = with(held(web("b")), "/spec/paused", json!(false));
    let case = Case::update(held(web("b")), resumed).manager("kubectl-rollout");
    let weighing = Stage::Step { index: 0, entered_at: now(), inconclusive: None };
    assert_snapshot!("resume_at_a_weight", case.clone().state(state(&web("b"), weighing)).mutate());
    let aborted = Stage::Aborted { since: now(), message: "RolloutAborted: bad".into() };
    assert_snapshot!("resume_after_an_abort", case.state(state(&web("b"), aborted)).mutate());
}

/// A template that is deleted in the middle of a rollout, or a Service that takes the canary's name.
fn at_fault(old: Value, new: Value) -> Case {
    let stage = Stage::Step { index: 1, entered_at: now(), inconclusive: None };
    let mut case = Case::update(old, new).state(state(&web("b"), stage));
    let foreign = json!({"metadata": {"name": "web-canary"}, "spec": {"selector": {"x": "y"}}});
    case.world().services.push(serde_json::from_value(foreign).unwrap());
    case
}

#[test]
fn problems_of_the_next_release_do_not_prevent_the_end_of_this_one() {
    let aborted = at_fault(held(web("b")), annotated(held(web("b")), keys::DO, "abort"));
    assert!(aborted.mutate().contains("/haldane.dev~1request"), "{}", aborted.mutate());
    let mut back = at_fault(held(web("b")), web("a"));
    let Ok(Some(recorded)) = &mut back.facts.state else { panic!("recorded") };
    recorded.stable = Some(hash(&web("a")));
    assert_snapshot!(back.mutate());
    assert!(at_fault(held(web("b")), web("c")).mutate().starts_with("denied 422"));
    let plan = annotated(held(web("b")), keys::SETTLE, "1s");
    assert!(
        at_fault(held(web("b")), plan).mutate().starts_with("denied 422"),
        "a plan is for the next release"
    );
}
