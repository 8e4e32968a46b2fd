//! Annotations that cannot be read: refused with every finding at once, as Kubernetes' own validation does.

use crate::case::{Case, annotated, held, web, with};
use haldane::{admit::facts::Holder, domain::keys};
use insta::assert_snapshot;
use serde_json::json;

#[test]
fn config_is_tracked_by_name_only() {
    let tracked = annotated(web("a"), keys::TRACK_CONFIG, "true");
    assert_snapshot!(Case::update(web("a"), tracked).mutate());
}

#[test]
fn an_unknown_key_gets_the_nearest() {
    let case = Case::update(web("a"), annotated(web("a"), "haldane.dev/setle", "3s"));
    assert_snapshot!(case.mutate());
}

#[test]
fn all_findings_come_at_once() {
    let plan = "{steps: [{setWeight: 101}, {setWieght: 5}, {pause: {duration: soon}}], canaryMetadata: {}}";
    let object = annotated(annotated(web("b"), keys::CANARY, plan), keys::SETTLE, "6");
    let object =
        with(annotated(object, keys::RESTART, "never"), "/spec/strategy", json!({"type": "Recreate"}));
    assert_snapshot!(Case::update(web("a"), object).mutate());
}

#[test]
fn neighbours_and_the_deployment_are_reported_together() {
    let mut case = Case::update(web("a"), with(web("b"), "/spec/strategy", json!({"type": "Recreate"})));
    let holder = Holder { kind: "Deployment", name: "web-canary".into(), is_ours: false };
    case.facts.neighbours.as_mut().unwrap().holders.push(holder);
    assert_snapshot!(case.mutate());
}

#[test]
fn templates_that_are_missing_or_unreadable_are_refused() {
    let plan = "{steps: [{analysis: {templates: [{templateName: success-rate}]}}]}";
    let object = |version| annotated(web(version), keys::CANARY, plan);
    assert_snapshot!("a_template_is_missing", Case::update(object("a"), object("b")).mutate());
    let mut late = Case::update(object("a"), object("b"));
    late.facts.templates = Err("no answer from the API server within 3s".into());
    assert_snapshot!("templates_could_not_be_read", late.mutate());
    let inline = annotated(web("b"), keys::CANARY, "{steps: [{analysis: {}}]}");
    assert_snapshot!("an_analysis_without_a_template", Case::update(web("a"), inline).mutate());
}

#[test]
fn a_broken_plan_is_refused_without_a_new_template_too() {
    // What is admitted is what runs: the next release would have met it.
    let case = Case::update(web("a"), annotated(web("a"), keys::CANARY, "{steps: [{setWeight: 5}"));
    assert_snapshot!("a_plan_that_is_not_yaml", case.mutate());
    let case = Case::update(held(web("b")), annotated(held(web("b")), keys::CANARY, "true"));
    assert_snapshot!("a_plan_that_is_true", case.mutate());
}

#[test]
fn a_plan_that_could_not_be_recorded_is_refused() {
    // Half a megabyte of templates, and every analysis holds its metrics once more.
    let metric = |number: usize| {
        let query = format!("rate(errors{{service=\"web-canary\",path=\"{}\"}}[1m])", "x".repeat(4000));
        let provider = json!({"prometheus": {"query": query}});
        json!({"name": format!("m{number}"), "successCondition": "len(result) == 0 || result[0] < 1", "provider": provider})
    };
    let template = json!({"metrics": (0..20).map(metric).collect::<Vec<_>>()}).to_string();
    let plan = |analyses: usize| format!("{{steps: [{}]}}", "{analysis: {}},".repeat(analyses));
    let release = |analyses| {
        let object = |version| {
            annotated(annotated(web(version), keys::CANARY, &plan(analyses)), keys::ANALYSIS, &template)
        };
        Case::update(object("a"), object("b")).mutate()
    };
    assert!(release(5).starts_with("allowed"), "{}", release(5));
    assert_snapshot!(release(20).lines().next().unwrap(), @r#"denied 422 Invalid: Deployment.apps "web" is invalid: metadata.annotations[haldane.dev/canary]: "2165149 bytes": the recorded plan, including all metrics of its analyses, must not exceed 720896 bytes; use fewer analyses, metrics or templates, or shorter ones"#);
}
