//! The main story, from examples/w0-nginx-prometheus: a faulty release is caught, a good one gets through.

use crate::harness::{Front, Load, SOON, Space, cluster::run, eventually};
use serde_json::Value;
use std::{collections::BTreeSet, thread, time::Duration};

const APP: &str = "sample-app";
const VERDICT: &str = r#"Metric "success-share" assessed Failed due to failed (1) > failureLimit (0)"#;
/// Next to the verdict: what was measured.
const UNSATISFIED: &str = "does not satisfy len(result) == 0 || result[0] >= 0.99, over 8s";

const SHORTER: &[(&str, &str)] =
    &[("[1m]", "[8s]"), ("interval: 1m", "interval: 2s"), ("duration: 5m", "duration: 15s")];

/// `curl` of the application with a header; what it said.
fn curl(space: &Space, header: &str) -> String {
    let (host, url) = (format!("Host: {}", space.host), format!("http://{}/version", space.front.address()));
    run("curl", &["--silent", "--show-error", "--max-time", "5", "-H", &host, "-H", header, &url], "")
        .ok()
        .out
}

/// Runs of the rollout under way.
fn runs(space: &Space) -> Vec<Value> {
    space.state(APP)["rollout"]["runs"].as_array().cloned().unwrap_or_default()
}

/// Measurements of the newest run, as `value phase`.
fn measured(space: &Space) -> Vec<String> {
    let run = runs(space).pop().unwrap_or_default();
    let measurements = run["run"]["results"][0]["measurements"].as_array().cloned().unwrap_or_default();
    let text = |m: &Value, key: &str| m[key].as_str().unwrap_or_default().to_owned();
    measurements.iter().map(|m| format!("{} {}", text(m, "value"), text(m, "phase"))).collect()
}

fn awaits_measurement(space: &Space, wanted: impl Fn(&str) -> bool, what: &str) {
    eventually(what, SOON, || {
        let measured = measured(space);
        if measured.iter().any(|m| wanted(m)) { Ok(()) } else { Err(format!("{measured:?}")) }
    });
}

/// Every second request to canary pods fails from now on, or none.
fn set_error_rate(space: &Space, rate: &str) {
    let pods = space.list("v1 Pod", "haldane.dev/role=canary");
    assert!(!pods.is_empty(), "there are canary pods");
    for pod in pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()) {
        let url = format!(
            "http://{}:8080/settings?error_rate={rate}",
            pod["status"]["podIP"].as_str().expect("an address")
        );
        run("curl", &["--silent", "--fail", "--max-time", "5", "-X", "PUT", &url], "").ok();
    }
}

#[test]
fn a_faulty_release_is_caught_and_a_good_one_gets_through() {
    is_told_by(&Space::new("w0"));
}

#[test]
fn the_same_behind_traefik_by_the_annotations_of_nginx() {
    is_told_by(&Space::behind(Front::Traefik, "w0-traefik"));
}

fn is_told_by(space: &Space) {
    for file in ["analysis.yaml", "app.yaml"] {
        space.apply(&space.example(&format!("w0-nginx-prometheus/{file}"), APP, SHORTER)).ok();
    }
    space.rolled_out(APP);
    // Before the first request there is no series, and nothing to compare with.
    space.answers("v1");
    let ingresses = space.record("networking.k8s.io/v1 Ingress");

    space.set_env(APP, &["VERSION=v2"]).ok();
    space.pauses_at(APP, "25");
    assert_eq!(space.summary(APP)["step"], "2/6", "the pause without an end");
    header_leads_to_canary(space);
    assert_eq!(runs(space), Vec::<Value>::new(), "no analysis before step 2");
    assert_eq!(space.events("AnalysisRunRunning"), Vec::<String>::new(), "no analysis before step 2");

    let status = ["rollout", "status", "deployment/sample-app", "--timeout=120s"];
    let status = thread::scope(|scope| {
        let status = scope.spawn(|| space.kubectl(&status));
        space.order(APP, "promote").ok();
        space.reaches(APP, SOON, &[("weight", "50")]);
        awaits_measurement(space, |m| m == "[] Successful", "a measurement without traffic");
        let load = Load::start(space, 40);
        awaits_measurement(space, |m| m == "[1] Successful", "a measurement of a good canary");
        assert!(!status.is_finished(), "rollout status waits while the canary is on trial");
        set_error_rate(space, "0.5");
        awaits_measurement(space, |m| m.starts_with("[0.") && m.ends_with(" Failed"), "a bad measurement");
        space.reaches(APP, SOON, &[("weight", "0")]);
        load.stop().assert_nothing_lost("w0, up to the abort");
        status.join().expect("it ends")
    });
    assert_eq!(status.code, 1, "rollout status: {status:?}");
    assert!(status.err.contains("exceeded its progress deadline"), "{status:?}");
    aborted(space);

    space.order(APP, "retry").ok();
    space.pauses_at(APP, "25");
    // The revision's code is mended from outside, so that the second attempt can be seen going on. Not before the
    // retry: pods of an aborted canary go after 30 s.
    set_error_rate(space, "0");
    assert_eq!(space.state(APP)["rollout"]["attempt"], 2);
    assert_eq!(runs(space), Vec::<Value>::new(), "the second attempt is judged anew");

    space.set_env(APP, &["VERSION=v3"]).ok();
    eventually("the canary of v3", SOON, || {
        let summary = space.summary(APP);
        if summary["revision"] == "3" { Ok(()) } else { Err(summary.to_string()) }
    });
    space.pauses_at(APP, "25");
    let load = Load::start(space, 40);
    space.order(APP, "promote").ok();
    space.rolled_out(APP);
    space.is_healthy(APP, SOON);
    load.stop().assert_nothing_failed("w0, the good release");
    let weights = ingresses.course("sample-app-canary", crate::harness::space::weight_of);
    let expected = ["0", "25", "50", "0", "25", "0", "25", "50", "75", "100", "0"];
    let expected_late = ["0", "25", "50", "75", "0", "25", "0", "25", "50", "75", "100", "0"];
    assert!(weights == expected || weights == expected_late, "weights over time: {weights:?}");
    let load = Load::with(space, &["--rate", "100", "--duration", "2s"]).finish();
    assert_eq!(load.answers("v3"), load.sent(), "everybody gets v3: {}", load.split());
    assert_eq!(
        space.state(APP)["history"].as_array().map(Vec::len),
        Some(3),
        "aborted, superseded, promoted"
    );
}

fn header_leads_to_canary(space: &Space) {
    eventually("the header to lead to the canary", SOON, || {
        let answers: BTreeSet<_> = (0..8).map(|_| curl(space, "X-Canary: always")).collect();
        let all = answers.iter().all(|answer| answer.contains("\"v2\""));
        if all { Ok(()) } else { Err(format!("{answers:?}")) }
    });
    let answers: Vec<_> = (0..8).map(|_| curl(space, "X-Canary: never")).collect();
    assert!(answers.iter().all(|answer| answer.contains("\"v1\"")), "{answers:?}");
}

/// What a user sees of the abort, wherever they look.
fn aborted(space: &Space) {
    let run = runs(space).pop().expect("the failed run");
    let measurements = run["run"]["results"][0]["measurements"].as_array().cloned().unwrap_or_default();
    let failed =
        measurements.iter().find(|measurement| measurement["phase"] == "Failed").expect("a failed one");
    let measured = format!("{} {UNSATISFIED}", failed["value"].as_str().expect("a value"));
    let message = format!(
        "Rollout aborted update to revision 2: Background analysis phase error/failed: {VERDICT} ({measured})"
    );
    let condition = space.condition(APP, "Progressing");
    assert_eq!(condition["status"], "False");
    assert_eq!(condition["reason"], "ProgressDeadlineExceeded");
    assert_eq!(condition["message"], format!("RolloutAborted: {message}"));
    let summary = space.summary(APP);
    assert_eq!(summary["message"], format!("RolloutAborted: {message}"));
    let metric = format!("Metric 'success-share' Completed. Result: Failed: {measured}");
    assert_eq!(space.events("MetricFailed"), [metric]);
    let name = run["run"]["name"].as_str().unwrap_or_default();
    let failed = format!("Background Analysis Run '{name}' Completed. Result: Failed");
    assert_eq!(space.events("AnalysisRunFailed"), [failed]);
    assert_eq!(space.events("RolloutAborted"), [message]);
    assert_eq!(run["run"]["message"], VERDICT);

    assert_eq!(space.weight(APP).as_deref(), Some("0"), "the canary gets no traffic");
    eventually("all traffic on stable", Duration::from_secs(30), || {
        let load = Load::with(space, &["--rate", "100", "--duration", "1s"]).finish();
        if load.answers("v1") == load.sent() { Ok(()) } else { Err(load.split()) }
    });
    let answers: Vec<_> = (0..8).map(|_| curl(space, "X-Canary: always")).collect();
    assert!(answers.iter().all(|a| a.contains("\"v1\"")), "the header leads nowhere else: {answers:?}");
}
