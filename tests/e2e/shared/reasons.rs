//! Nothing waits in silence: why pods are missing, and what a release waits for, where people look.

use crate::harness::{App, SOON, Space, eventually};
use serde_json::{Value, json};

const RELEASE: &str = "haldane.dev/Release";
const STEPS: &str = "{abortScaleDownDelaySeconds: 1, steps: [{setWeight: 50}, {pause: {}}]}";

/// One pod of `web` in version v1, with short waits.
fn web() -> App {
    App::canary(STEPS).annotated("haldane.dev/settle", "1s").sized(1)
}

/// Waits until record, condition and one Event have these words.
fn says(space: &Space, words: &[&str]) {
    let lacks = |place: &str, text: &str| {
        let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{place} without {missing:?}: {text:?}")) }
    };
    eventually(&format!("{words:?} where people look"), SOON, || {
        let condition = space.condition("web", RELEASE);
        lacks("record", space.summary("web")["message"].as_str().unwrap_or_default())?;
        lacks("condition", condition["message"].as_str().unwrap_or_default())?;
        let events = space.events("PodsUnavailable");
        lacks("Events", events.first().map_or("", String::as_str))?;
        let found = (&condition["status"], &condition["reason"]);
        if found == (&json!("Unknown"), &json!("WaitsForPods")) { Ok(()) } else { Err(condition.to_string()) }
    });
}

#[test]
fn an_image_that_cannot_be_pulled_is_reported_before_and_by_the_abort() {
    let space = Space::new("pull");
    space.deploy(&web().changed("/spec/progressDeadlineSeconds", json!(40)));
    space.kubectl(&["set", "image", "deployment/web", "app=localhost/none:1"]).ok();
    says(&space, &["pod web-canary-", "container app: ErrImagePull", "localhost/none:1"]);
    let summary = space.reaches("web", 2 * SOON, &[("phase", "Degraded")]);
    let message = summary["message"].as_str().unwrap_or_default();
    let expected = "canary has 0 of 1 available pods and made no progress for 40s: pod web-canary-";
    assert!(message.contains(expected) && message.contains("ErrImagePull"), "{message}");
    assert_eq!(space.events("PodsUnavailable").len(), 1, "one reason, one Event");
    let condition = space.condition("web", RELEASE);
    assert_eq!((&condition["status"], &condition["message"]), (&json!("False"), &summary["message"]));
}

#[test]
fn a_pod_that_cannot_be_scheduled_is_reported() {
    let space = Space::new("unschedulable");
    space.deploy(&web());
    let nowhere = json!({"spec": {"template": {"spec": {"nodeSelector": {"nobody": "has"}}}}});
    space.kubectl(&["patch", "deployment/web", "-p", &nowhere.to_string()]).ok();
    says(&space, &["pod web-canary-", "Unschedulable", "nodes are available"]);
    space.order("web", "abort").ok();
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
}

#[test]
fn a_crash_loop_is_reported_with_how_the_container_ended() {
    let space = Space::new("crash");
    space.deploy(&web());
    space.set_env("web", &["PORT=none"]).ok();
    says(&space, &["pod web-canary-", "container app", "exited with code"]);
    space.order("web", "abort").ok();
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
}

/// `kubectl wait` until the condition has this status.
fn waits(space: &Space, status: &str, timeout: &str) -> bool {
    let condition = format!("--for=condition={RELEASE}={status}");
    let timeout = format!("--timeout={timeout}");
    space.kubectl(&["wait", &condition, "deployment/web", &timeout]).code == 0
}

/// The reasons of Haldane's Events, in the order in which `kubectl describe` shows them.
fn described(space: &Space) -> Vec<String> {
    let text = space.kubectl(&["describe", "deployment", "web"]).ok().out;
    let (_, events) = text.rsplit_once("\nEvents:").unwrap_or_default();
    let ours = events.lines().filter(|line| line.contains("haldane.dev/controller"));
    ours.filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned)).collect()
}

#[test]
fn a_release_is_followed_with_kubectl_wait_and_describe() {
    let space = Space::new("follow");
    space.deploy(&web());
    space.answers("v1");
    space.is_opted_in("web");
    assert_eq!(space.condition("web", RELEASE), Value::Null, "no release yet");
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    let summary =
        space.reaches("web", SOON, &[("step", "2/2"), ("actual-weight", "50"), ("canary-pods", "1/1")]);
    assert_eq!(summary["message"], "waits for haldane.dev/do=resume, because of step pause: {}");
    assert_eq!(summary["stable-image"], summary["canary-image"], "{summary}");
    assert!(!waits(&space, "True", "1s"), "it is under way");
    space.order("web", "promote").ok();
    assert!(waits(&space, "True", "90s"), "{}", space.condition("web", RELEASE));
    space.is_healthy("web", SOON);
    let seen = described(&space);
    let at = |reason: &str| seen.iter().position(|found| found == reason);
    let course =
        ["RolloutUpdated", "TrafficWeightUpdated", "RolloutPaused", "RolloutPromoting", "RolloutCompleted"];
    let places: Vec<_> = course.iter().map(|reason| at(reason)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{seen:?}");

    space.set_env("web", &["VERSION=v3"]).ok();
    assert!(!waits(&space, "True", "2s"), "what the last release came to is not what this one does");
    space.pauses_at("web", "50");
    space.order("web", "abort").ok();
    assert!(waits(&space, "False", "60s"), "{}", space.condition("web", RELEASE));
    space.set_env("web", &["VERSION=v2"]).ok();
    space.is_healthy("web", SOON);
    assert!(waits(&space, "True", "60s"), "{}", space.condition("web", RELEASE));
    space.kubectl(&["annotate", "deployment", "web", "haldane.dev/canary-"]).ok();
    eventually("the condition to go with the opt-in", SOON, || {
        let condition = space.condition("web", RELEASE);
        if condition.is_null() { Ok(()) } else { Err(condition.to_string()) }
    });
}
