//! Plans that cannot judge the canary are refused; unwise ones are told.

use crate::case::{Case, annotated, web, with};
use haldane::domain::{keys, review::Stage};
use insta::assert_snapshot;
use serde_json::json;

const STEPS: &str = "{steps: [{setWeight: 10}, {pause: {duration: 1m}}, {analysis: {}}]}";

/// The base's Deployment with this plan and these metrics, and a new image.
fn change(plan: &str, metrics: &str) -> Case {
    let object = |version| {
        let object = annotated(web(version), keys::CANARY, plan);
        if metrics.is_empty() { object } else { annotated(object, keys::ANALYSIS, metrics) }
    };
    Case::update(object("a"), object("b"))
}

fn metric(condition: &str, query: &str) -> String {
    let query = query.replace('\'', "''");
    format!(
        "metrics: [{{name: errors, interval: 30s, count: 3, successCondition: '{condition}', provider: {{prometheus: {{query: '{query}'}}}}}}]"
    )
}

const GOOD: &str = "sum(rate(requests{service=\"web-canary\",code=~\"5..\"}[1m])) or vector(0)";

#[test]
fn a_good_plan_is_told_in_one_line() {
    assert_snapshot!(change(STEPS, &metric("result[0] < 1", GOOD)).mutate());
}

#[test]
fn queries_that_see_stable_only_are_refused_with_what_to_write() {
    let sees = |query: &str| change(STEPS, &metric("result[0] < 1", query)).mutate();
    assert_snapshot!(sees(
        "sum(rate(requests{app=\"web\",code=~\"5..\"}[1m])) / sum(rate(requests{app=\"web\"}[1m]))"
    ));
    assert_snapshot!(sees("errors{service=\"web\"}"));
    assert_snapshot!(sees("nginx_ingress_controller_requests{service=\"web\",canary=\"\"}"));
    let compared = "errors{app=\"web-canary\"} / errors{app=\"web\"}";
    assert!(sees(compared).starts_with("allowed"), "{}", sees(compared));
    // The way out where the label is the application's own.
    assert!(sees("errors{app=~\"web\"}").starts_with("allowed"));
}

#[test]
fn an_argument_decides_what_a_query_sees() {
    let plan = |hash: &str| {
        format!(
            "{{steps: [{{setWeight: 10}}, {{pause: {{}}}}, {{analysis: {{args: [{{name: hash, valueFrom: {{podTemplateHashValue: {hash}}}}}]}}}}]}}"
        )
    };
    let metrics = "{args: [{name: hash}], metrics: [{name: errors, successCondition: 'len(result) == 0 || result[0] < 1', provider: {prometheus: {query: 'errors{pod_template_hash=\"{{args.hash}}\"}'}}}]}";
    assert_snapshot!(change(&plan("Stable"), metrics).mutate());
    assert_snapshot!(change(&plan("Latest"), metrics).mutate());
}

#[test]
fn what_is_no_promql_is_refused_and_what_is_unknown_is_told() {
    assert_snapshot!(change(STEPS, &metric("result[0] < 1", "sum(rate(errors[5m])")).mutate());
    assert_snapshot!(
        change(STEPS, &metric("len(result) == 0", "new_function(errors{app=\"web-canary\"})")).mutate()
    );
}

#[test]
fn the_query_that_counts_samples_is_read_like_the_one_that_measures() {
    let counted = |query: &str| {
        let query = query.replace('\'', "''");
        let metrics = metric("result[0] < 1", GOOD)
            .replace("interval: 30s", &format!("minSamples: {{query: '{query}', count: 10}}, interval: 30s"));
        change(STEPS, &metrics).mutate()
    };
    assert_snapshot!(counted("sum(increase(requests{service=\"web\"}[1m]))"));
    assert_snapshot!(counted("sum(increase(requests[1m])"));
    assert!(counted("sum(increase(requests{service=\"web-canary\"}[1m]))").starts_with("allowed"));
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let limited = |limits: &str| {
        let metrics = metric("result[0] < 1", GOOD).replace("interval: 30s, count: 3", limits);
        change(STEPS, &metrics).mutate()
    };
    let said = limited("interval: 30s, count: 1, failureLimit: 2");
    assert!(said.contains("count (1) must be >= failureLimit + consecutiveSuccessLimit (2 + 0)"), "{said}");
    let said = limited("count: 3");
    assert!(said.contains("interval must be specified when count > 1"), "{said}");
    // The interval is there, only not readable: nothing is said to be missing.
    let said = limited("interval: 1d, count: 3");
    assert!(said.contains("must be a duration") && !said.contains("interval must be specified"), "{said}");
}

#[test]
fn a_dry_run_tells_how_soon_a_fault_is_found() {
    let told = |limits: &str, plan: &str| {
        let mut case = change(plan, &metric("result[0] < 1", GOOD).replace("count: 3", limits));
        case.review.dry_run = true;
        case.mutate()
    };
    let kept =
        "{abortScaleDownDelaySeconds: 0, steps: [{setWeight: 10}, {pause: {duration: 1m}}, {analysis: {}}]}";
    for (limits, plan, line) in [
        (
            "count: 3",
            STEPS,
            "found by errors within 30s; then the canary's traffic ends at once, its pods 30s later",
        ),
        ("count: 5, failureLimit: 2", STEPS, "found by errors within 1m30s; then"),
        ("count: 3", kept, "then the canary's traffic ends at once, its pods stay to be looked at"),
    ] {
        let said = told(limits, plan);
        assert!(said.contains(line), "{said}");
    }
    let unlimited = told("failureLimit: -1, consecutiveSuccessLimit: 3", STEPS);
    assert!(!unlimited.contains("plan: rollback"), "{unlimited}");
}

#[test]
fn a_host_that_is_refused_when_it_is_measured_is_refused_when_it_is_applied() {
    let asked = |address: &str, allowed: &str| {
        let metrics = metric("result[0] < 1", GOOD)
            .replace("prometheus: {", &format!("prometheus: {{address: '{address}', "));
        let mut config = crate::case::config();
        config.hosts.allowed.extend(allowed.parse().ok());
        change(STEPS, &metrics).mutate_by(&config)
    };
    assert_snapshot!(asked("http://169.254.169.254", ""));
    assert_snapshot!(asked("http://evil.example", "*.monitoring"));
    assert!(asked("http://prometheus.monitoring:9090", "*.monitoring").starts_with("allowed"));
}

#[test]
fn unwise_plans_are_told() {
    let case = change("{steps: [{setWeight: 60}]}", "");
    let bare = json!([{"name": "web", "image": "web:b"}]);
    let mut bold = case.clone();
    bold.review.object = Some(with(case.object().clone(), "/spec/template/spec/containers", bare));
    assert_snapshot!(bold.mutate());
    assert_snapshot!(change(STEPS, &metric("result[0] < 1", "sum(rate(errors[5m]))")).mutate());
}

#[test]
fn advice_comes_with_the_plan_and_not_with_every_request() {
    let plain = annotated(web("a"), "note", "1");
    let case = Case::update(web("a"), with(plain, "/spec/paused", json!(true)));
    assert_eq!(case.mutate(), "allowed");
}

#[test]
fn a_dry_run_shows_the_whole_plan() {
    let plan = "{steps: [{setWeight: 10}, {pause: {}}, {setWeight: 50}, {pause: {duration: 5m}}, {analysis: {}}], analysis: {startingStep: 2}}";
    let mut case = change(plan, &metric("result[0] < 1", GOOD));
    case.review.dry_run = true;
    assert_snapshot!(case.mutate());
}

#[test]
fn a_dry_run_tells_what_is_read_otherwise_than_it_is_written() {
    let query = "sum(rate(errors{rollouts_pod_template_hash='x',service='web-canary'}[1m])) or vector(0)";
    let mut case = change("{steps: [{setWeight: 10}, {analysis: {}}]}", &metric("result[0] < 1", query));
    case.review.dry_run = true;
    let said = case.mutate();
    assert!(said.contains("canary pods have app=web-canary"), "{said}");
    assert!(said.contains("rollouts_pod_template_hash in queries is read as pod_template_hash"), "{said}");
}

#[test]
fn no_line_is_longer_than_clients_show() {
    let case = change(
        "{steps: [{setWeight: 60}, {analysis: {}}]}",
        &metric("result[0] < 1", "sum(rate(errors[5m]))"),
    );
    let warnings = case.verdict(Stage::Mutate).warnings;
    assert!(warnings.len() > 3, "{warnings:?}");
    assert!(warnings.iter().all(|line| line.chars().count() <= 256 && line.starts_with("haldane: ")));
}
