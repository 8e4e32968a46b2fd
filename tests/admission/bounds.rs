//! Plans beyond the limits are refused before they cost anything.

use crate::case::{Case, annotated, config, web};
use haldane::{
    admit::facts::Questions,
    domain::{keys, review::Stage},
};

/// A release with this plan and this template.
fn release(plan: &str, template: &str) -> Case {
    let object = |version| annotated(annotated(web(version), keys::CANARY, plan), keys::ANALYSIS, template);
    Case::update(object("a"), object("b"))
}

const PLAN: &str = "{steps: [{analysis: {}}]}";

fn template(more: &str) -> String {
    format!("{{metrics: [{{name: a, provider: {{prometheus: {{query: up}}}}}}], {more}}}")
}

#[track_caller]
fn assert_refused(case: &Case, wanted: &str) {
    let answer = case.mutate();
    assert!(answer.starts_with("denied 422") && answer.contains(wanted), "{answer}");
    assert!(answer.len() < 2000, "it does not repeat all that was sent: {} bytes", answer.len());
}

#[test]
fn templates_beyond_the_most_are_refused_before_they_are_looked_up() {
    let names = |count| {
        (0..count).map(|number| format!("{{templateName: t{number}}}")).collect::<Vec<_>>().join(", ")
    };
    let case = |count| {
        let plan = format!("{{steps: [{{analysis: {{templates: [{}]}}}}]}}", names(count));
        release(&plan, &template(""))
    };
    assert_eq!(case(50).questions(Stage::Mutate).templates.len(), 50);
    assert_eq!(case(51).questions(Stage::Mutate).templates, Questions::default().templates);
    assert_refused(&case(51), "\"51 templates\": a plan may name at most 50 analysis templates");
}

#[test]
fn rules_and_metrics_beyond_the_most_are_refused() {
    let rules = |count| template(&format!("dryRun: [{}]", "{metricName: a},".repeat(count)));
    assert_refused(
        &release(PLAN, &rules(51)),
        "\"51 rules\": dryRun and measurementRetention may have at most 50 rules together",
    );
    let rule = "{analysis: {dryRun: [{metricName: a}]}},".repeat(51);
    assert_refused(
        &release(&format!("{{steps: [{rule}]}}"), &template("")),
        "may have at most 50 rules together",
    );
    let metrics = "{name: a, provider: {prometheus: {query: up}}},".repeat(51);
    assert_refused(
        &release(PLAN, &format!("{{metrics: [{metrics}]}}")),
        "may have at most 50 metrics; split them into several templates",
    );
    let often = "{analysis: {}},".repeat(30);
    let few = template(&format!(
        "dryRun: [{}]",
        (0..7).map(|n| format!("{{metricName: 'a{{{n},9}}'}}")).collect::<Vec<_>>().join(", ")
    ));
    assert_refused(
        &release(&format!("{{steps: [{often}]}}"), &few),
        "\"210 rules\": the analyses of a plan may apply at most 200 rules",
    );
}

#[test]
fn a_pattern_that_takes_long_to_read_is_refused() {
    let rule = template(&format!("dryRun: [{{metricName: '{}'}}]", "a".repeat(257)));
    assert_refused(
        &release(PLAN, &rule),
        "dryRun[0].metricName: is not a regular expression: it may have at most 256 bytes",
    );
    let condition = ["'a' matches 'a'"; 11].join(" or ");
    let metric = format!(
        "{{metrics: [{{name: a, successCondition: \"{condition}\", provider: {{prometheus: {{query: up}}}}}}]}}"
    );
    assert_refused(&release(PLAN, &metric), "a condition may use `matches` at most 10 times");
}

#[test]
fn an_interval_under_a_second_is_refused_also_as_an_argument() {
    let every = |interval: &str| {
        format!("{{metrics: [{{name: a, interval: {interval}, provider: {{prometheus: {{query: up}}}}}}]}}")
    };
    assert_refused(&release(PLAN, &every("999ms")), "metrics[0].interval: \"999ms\": must be at least 1s");
    let argument =
        every("'{{args.often}}', count: 2").replacen('{', "{args: [{name: often, value: 1ms}], ", 1);
    assert_refused(&release(PLAN, &argument), "metrics[0].interval: \"1ms\": must be at least 1s");
    assert!(release(PLAN, &every("1s")).mutate().starts_with("allowed"));
}

#[test]
fn a_metric_that_writes_is_refused_until_hosts_are_named() {
    for method in ["POST", "PUT"] {
        let metric = format!(
            "{{metrics: [{{name: a, provider: {{web: {{url: 'https://a.example.com/', method: {method}, jsonBody: {{a: 1}}}}}}}}]}}"
        );
        let case = release(PLAN, &metric);
        assert_refused(&case, &format!("provider.web.method: \"{method}\": only GET is allowed"));
        let mut named = config();
        named.hosts.allowed.extend("*.example.com".parse().ok());
        assert!(case.mutate_by(&named).starts_with("allowed"), "{}", case.mutate_by(&named));
    }
    let gate = "{metrics: [{name: a, provider: {webhook: {url: 'https://a.example.com/gate/check'}}}]}";
    assert_refused(&release(PLAN, gate), "provider.webhook: \"POST\": only GET is allowed");
}
