//! A dry run of a release tries its metrics on stable.

use crate::case::{Case, annotated, config, web, words};
use haldane::{
    admit::Ruling,
    domain::{keys, review::Stage, value::MetricValue},
};

const QUERY: &str = "query: 'rate{namespace=\"shop\",app=\"web-canary\"}'";

/// A release whose only metric has this provider.
fn release(provider: &str) -> Case {
    let metric =
        "name: errors, interval: 30s, count: 3, successCondition: 'len(result) == 0 || result[0] < 1'";
    let analysis = format!("{{metrics: [{{{metric}, provider: {{prometheus: {{{provider}}}}}}}]}}");
    let plan = |object| annotated(object, keys::CANARY, "{steps: [{setWeight: 20}, {analysis: {}}]}");
    let object = |version| annotated(plan(web(version)), keys::ANALYSIS, &analysis);
    Case::update(object("a"), object("b"))
}

fn dry_run(mut case: Case) -> Ruling {
    case.review.dry_run = true;
    case.ruling(Stage::Mutate, &config())
}

#[test]
fn a_dry_run_tries_metrics_of_the_prometheus_of_the_installation() {
    let ruling = dry_run(release(QUERY));
    let [tried] = ruling.rehearsals.as_slice() else { panic!("{}", words(&ruling.verdict)) };
    let asked = tried.provider.config.to_string();
    assert!(asked.contains("app=\\\"web\\\"") && !asked.contains("web-canary"), "of stable: {asked}");
    let late = tried.warnings(&Err("no answer within 1s".to_owned()));
    assert_eq!(late, ["haldane: plan: metric \"errors\" could not be tried on stable: no answer within 1s"]);
    let unseen = tried.warnings(&Ok(MetricValue::Nil)).join("\n");
    assert!(unseen.contains("metric \"errors\""), "{unseen}");
}

#[test]
fn a_dry_run_asks_no_other_host() {
    let ruling = dry_run(release(&format!("address: 'http://prometheus.elsewhere:9090', {QUERY}")));
    assert!(ruling.rehearsals.is_empty());
    let answer = words(&ruling.verdict).replace("\nWarning: haldane: …", "");
    assert!(answer.contains("a dry run queries only the installation's own Prometheus"), "{answer}");
}

#[test]
fn nothing_is_tried_for_a_release_or_for_what_releases_nothing() {
    assert!(release(QUERY).ruling(Stage::Mutate, &config()).rehearsals.is_empty(), "not a dry run");
    let mut unchanged = release(QUERY);
    unchanged.review.object.clone_from(&unchanged.review.old_object);
    assert!(dry_run(unchanged).rehearsals.is_empty());
}
