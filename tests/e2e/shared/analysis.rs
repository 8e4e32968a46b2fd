//! When an analysis runs, and what its verdict does.

use crate::harness::{App, Provider, SOON, Space, eventually};
use serde_json::Value;

/// A background analysis from step 2 on, of a metric that is measured every second.
fn in_background(provider: &Provider, extra: &str) -> App {
    let strategy = "
abortScaleDownDelaySeconds: 1
analysis: {startingStep: 2}
steps: [{setWeight: 20}, {pause: {}}, {setWeight: 50}, {pause: {}}]";
    let metrics = format!("metrics: [{}]", provider.metric(extra));
    App::canary(strategy).annotated("haldane.dev/analysis", &metrics)
}

fn run(space: &Space) -> Value {
    let runs = space.state("web")["rollout"]["runs"].clone();
    runs.as_array().and_then(|runs| runs.last().cloned()).unwrap_or_default()["run"].take()
}

/// Waits until so many questions more have been asked.
fn asked(provider: &Provider, more: usize) {
    let goal = provider.questions() + more;
    eventually(&format!("{goal} measurements"), SOON, || {
        let asked = provider.questions();
        if asked >= goal { Ok(()) } else { Err(format!("{asked}")) }
    });
}

#[test]
fn a_background_analysis_runs_from_its_starting_step_to_the_promotion() {
    let provider = Provider::start(0.0);
    let space = Space::new("background");
    space.deploy(&in_background(&provider, "interval: 1s,"));
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    assert_eq!(provider.questions(), 0, "nothing is asked before step 2");
    space.order("web", "promote").ok();
    space.pauses_at("web", "50");
    asked(&provider, 2);
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
    // It judges until stable rolls, and does not outlive the rollout.
    let asked = provider.questions();
    assert_eq!(space.events("AnalysisRunSuccessful").len(), 1);
    space.set_env("web", &["VERSION=v3"]).ok();
    space.pauses_at("web", "20");
    assert_eq!(provider.questions(), asked, "nothing is asked between two rollouts");
}

#[test]
fn errors_of_the_provider_are_not_failures_of_the_canary() {
    let provider = Provider::start(0.0);
    let space = Space::new("errors");
    // Between the third error and the fifth there is time to answer well again, also on a busy machine.
    space.deploy(&in_background(&provider, "interval: 2s,"));
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    space.order("web", "promote").ok();
    asked(&provider, 1);
    provider.set_status(503);
    asked(&provider, 3);
    provider.set_status(200);
    asked(&provider, 2);
    assert_eq!(run(&space)["phase"], "Running", "three errors in a row are borne: {}", run(&space));
    provider.set_status(503);
    let message =
        r#"Metric "errors" assessed Error due to consecutiveErrors (5) > consecutiveErrorLimit (4)"#;
    let summary = space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    assert!(summary["message"].as_str().is_some_and(|m| m.contains(message)), "{summary}");
}

#[test]
fn an_undecided_analysis_waits_for_a_person() {
    let provider = Provider::start(0.5);
    let space = Space::new("undecided");
    space.deploy(&in_background(&provider, "interval: 1s, failureCondition: 'result[0] == 1',"));
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    space.order("web", "promote").ok();
    let text = "Metric \"errors\" assessed Inconclusive due to inconclusive (1) > inconclusiveLimit (0) ([0.5] satisfies neither result[0] == 0 nor failureCondition result[0] == 1); continue with haldane.dev/do=resume or end it with haldane.dev/do=abort";
    let summary = space.reaches("web", SOON, &[("phase", "Paused"), ("weight", "50"), ("message", text)]);
    assert_eq!(summary["step"], "3/4");
    provider.set(0.0);
    space.order("web", "resume").ok();
    space.reaches("web", SOON, &[("phase", "Paused"), ("weight", "50"), ("step", "4/4")]);
    asked(&provider, 1);
    assert_eq!(run(&space)["phase"], "Running", "asked anew: {}", run(&space));
}

#[test]
fn an_analysis_in_a_step_decides_when_it_ends() {
    let provider = Provider::start(0.0);
    let space = Space::new("inline");
    let strategy = "
abortScaleDownDelaySeconds: 1
steps: [{setWeight: 20}, {analysis: {}}, {setWeight: 60}, {analysis: {}}]";
    let metrics = format!("metrics: [{}]", provider.metric("interval: 1s, count: 3,"));
    space.deploy(&App::canary(strategy).annotated("haldane.dev/analysis", &metrics));
    space.set_env("web", &["VERSION=v2"]).ok();
    space.reaches("web", SOON, &[("weight", "60")]);
    assert_eq!(provider.questions(), 3, "the first analysis measured three times");
    provider.set(1.0);
    let summary = space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    let message = "RolloutAborted: Rollout aborted update to revision 2: Step-based analysis phase error/failed: Metric \"errors\" assessed Failed due to failed (1) > failureLimit (0) ([1] does not satisfy result[0] == 0)";
    assert_eq!(summary["message"], message);
    assert_eq!(provider.questions(), 4, "one bad measurement is enough");
}
