//! The leader is killed in every phase of a release, and the release ends as if nothing had happened.

use crate::harness::{
    App, Load, Provider, Recorder, Space, eventually, haldane, provider::Manner, space::weight_of,
};
use serde_json::Value;
use std::time::Duration;

/// A new leader takes over within the lease's 15 s, or the old one comes back; then come steps up to the next stage.
const TAKEOVER: Duration = Duration::from_mins(3);

const STRATEGY: &str = "
abortScaleDownDelaySeconds: 1
steps: [{setWeight: 20}, {analysis: {}}, {setWeight: 60}, {pause: {duration: 3s}}]";

/// Name of the stage and index of the step that a state `ConfigMap` records.
fn stage(map: &Value) -> Option<String> {
    let record: Value = serde_json::from_str(map["data"]["state"].as_str()?).ok()?;
    let stage = &record["rollout"]["stage"];
    let index = stage["index"].as_u64().map(|index| format!(" {index}")).unwrap_or_default();
    Some(format!("{}{index}", stage["name"].as_str().unwrap_or("idle")))
}

/// Kills the leader as soon as the record says `wanted`.
fn kill_at(wanted: &str, records: &Recorder) {
    eventually(&format!("stage {wanted:?}"), TAKEOVER, || {
        let stages = records.course("haldane-web", stage);
        if stages.last().is_some_and(|stage| stage == wanted) { Ok(()) } else { Err(format!("{stages:?}")) }
    });
    let killed = haldane::kill_leader();
    eprintln!("killed {killed} at {wanted:?}");
}

/// One stage after another, none left out and none twice.
fn assert_course(records: &Recorder, expected: &[&str]) {
    let stages = records.course("haldane-web", stage);
    assert_eq!(stages, expected, "stages over time");
}

fn start(name: &str, provider: &Provider) -> (Space, Recorder, Recorder) {
    haldane::is_complete();
    let space = Space::new(name);
    let metrics = format!("metrics: [{}]", provider.metric("interval: 2s, count: 3,"));
    space.deploy(&App::canary(STRATEGY).annotated("haldane.dev/analysis", &metrics));
    space.answers("v1");
    space.reaches("web", TAKEOVER, &[("phase", "Healthy")]);
    let (records, ingresses) = (space.record("v1 ConfigMap"), space.record("networking.k8s.io/v1 Ingress"));
    (space, records, ingresses)
}

/// What an undisturbed release goes through.
const PROMOTED: &[&str] = &[
    "idle",
    "start",
    "step 0",
    "step 1",
    "step 2",
    "step 3",
    "promoteScale",
    "promoteShift",
    "promoteRoll",
    "retreat",
    "idle",
];

#[test]
fn at_every_stage_of_a_release() {
    let provider = Provider::start(0.0);
    let (space, records, ingresses) = start("kill", &provider);
    let load = Load::start(&space, 50);
    space.set_env("web", &["VERSION=v2"]).ok();
    for stage in ["start", "step 0", "step 1", "promoteShift", "promoteRoll"] {
        kill_at(stage, &records);
    }
    space.rolled_out("web");
    space.is_healthy("web", TAKEOVER);
    load.stop().assert_nothing_failed("a leader killed at every stage");
    assert_eq!(ingresses.course("web-canary", weight_of), ["0", "20", "60", "100", "0"], "weights over time");
    // Two stages may be recorded in one write, or be too short for the watch.
    let stages = records.course("haldane-web", stage);
    let mut expected = PROMOTED.iter();
    assert!(stages.iter().all(|stage| expected.any(|next| next == stage)), "stages over time: {stages:?}");
    assert!(provider.questions() >= 3, "the analysis was complete: {} measurements", provider.questions());
    let state = space.state("web");
    assert_eq!(state["history"].as_array().map(Vec::len), Some(1));
    assert_eq!(state["history"][0]["outcome"], "Promoted");
    let after = Load::with(&space, &["--rate", "200", "--duration", "1s"]).finish();
    assert_eq!(after.answers("v2"), after.sent(), "{}", after.split());
}

#[test]
fn while_an_abort_takes_the_traffic_back() {
    let provider = Provider::start(1.0);
    let (space, records, ingresses) = start("kill", &provider);
    let load = Load::start(&space, 50);
    space.set_env("web", &["VERSION=v2"]).ok();
    // The webhook of the other replica; nothing waits for it.
    eprintln!("killed {}, which does not lead", haldane::kill_follower());
    kill_at("retreat", &records);
    let summary = space.reaches("web", TAKEOVER, &[("phase", "Degraded"), ("weight", "0")]);
    let message = "RolloutAborted: Rollout aborted update to revision 2: Step-based analysis phase error/failed: Metric \"errors\" assessed Failed due to failed (1) > failureLimit (0) ([1] does not satisfy result[0] == 0)";
    assert_eq!(summary["message"], message);
    space.only_the_record_is_left("web", TAKEOVER);
    load.stop().assert_nothing_failed("killed during an abort");
    assert_eq!(ingresses.course("web-canary", weight_of), ["0", "20", "0"], "weights over time");
    assert_course(&records, &["idle", "start", "step 0", "step 1", "retreat", "aborted"]);
    let result = space.state("web")["rollout"]["runs"][0]["run"]["results"][0].take();
    assert_eq!(result["count"], 1, "one bad measurement decided: {result}");
    let status = space.kubectl(&["rollout", "status", "deployment/web", "--timeout=20s"]);
    assert_eq!(status.code, 1, "{status:?}");
    assert!(status.err.contains("exceeded its progress deadline"), "{status:?}");
    let after = Load::with(&space, &["--rate", "200", "--duration", "1s"]).finish();
    assert_eq!(after.answers("v1"), after.sent(), "{}", after.split());
}

#[test]
#[ignore = "about a minute alone; make e2e-long runs it"]
fn while_a_metric_is_measured_twice_and_the_third_leader_counts_an_error() {
    let provider = Provider::start(0.0);
    let (space, records, _ingresses) = start("poison", &provider);
    space.set_env("web", &["VERSION=v2"]).ok();
    eventually("the analysis to begin", TAKEOVER, || {
        let stages = records.course("haldane-web", stage);
        if stages.last().is_some_and(|stage| stage == "step 1") { Ok(()) } else { Err(format!("{stages:?}")) }
    });
    provider.behave(Manner::Silence);
    for _ in 0..2 {
        let before = provider.questions();
        eventually("a question that nobody answers", TAKEOVER, || match provider.questions() {
            asked if asked > before => Ok(()),
            asked => Err(format!("{asked} questions")),
        });
        haldane::kill_leader();
    }
    let why = "two leaders died while they measured this";
    eventually("an error instead of a third measurement", TAKEOVER, || {
        let state = space.state("web").to_string();
        if state.contains(why) { Ok(()) } else { Err(state) }
    });
    provider.set(0.0);
    space.is_healthy("web", TAKEOVER);
    assert_eq!(space.state("web")["history"][0]["outcome"], "Promoted");
}
