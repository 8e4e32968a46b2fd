//! A real autoscaler beside a canary: stable keeps its size, and the canary follows the load.

use crate::harness::{App, Load, Recorder, SOON, Space, eventually, haldane, space::weight_of};
use serde_json::{Value, json};
use std::time::Duration;

const DEPLOYMENT: &str = "apps/v1 Deployment";
const AUTOSCALER: &str = "autoscaling/v2 HorizontalPodAutoscaler";
/// metrics-server measures every 10 s and needs two measurements; the autoscaler looks every 5 s.
const MEASURED: Duration = Duration::from_mins(2);
/// What a request costs, whatever the machine.
const WORK: &str = "1ms";
/// Requests per second: with [`WORK`] 5 m, less than one pod may use, and 100 m, more than six may.
const LITTLE: u32 = 5;
const MUCH: u32 = 100;

/// Scales `web` by CPU, without any delay.
fn autoscaler(least: u32) -> Value {
    let target = json!({"type": "AverageValue", "averageValue": "6m"});
    let at_once = json!({"stabilizationWindowSeconds": 0});
    let spec = json!({
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        "behavior": {"scaleDown": at_once, "scaleUp": at_once},
    });
    App::plain().autoscaler(least..=6, &spec)
}

/// `web` with three pods and an autoscaler that measures them.
fn start(name: &str, strategy: &str) -> (Space, Recorder) {
    haldane::is_complete();
    let space = Space::new(name);
    space.apply(&autoscaler(3).to_string()).ok();
    // More than others' work on the machine leaves to pods that ask for nearly nothing.
    let cpu = "/spec/template/spec/containers/0/resources/requests/cpu";
    space.deploy(&App::canary(strategy).sized(3).with("WORK", WORK).changed(cpu, json!("50m")));
    space.answers("v1");
    eventually("the autoscaler to measure", MEASURED, || {
        let status = space.the(AUTOSCALER, "web")["status"].clone();
        if status["currentMetrics"][0]["resource"].is_object() { Ok(()) } else { Err(status.to_string()) }
    });
    let deployments = space.record(DEPLOYMENT);
    (space, deployments)
}

/// Patient clients: whether an answer comes is the question, not how fast a machine is that does much else.
fn load(space: &Space, rate: u32) -> Load {
    Load::with(space, &["--rate", &rate.to_string(), "--duration", "30m", "--timeout", "20s"])
}

fn size(object: &Value) -> Option<i64> {
    object["spec"]["replicas"].as_i64()
}

fn grows_beyond(space: &Space, name: &str, pods: i64) {
    eventually(&format!("more than {pods} pods of {name}"), MEASURED, || {
        let now = size(&space.the(DEPLOYMENT, name));
        if now > Some(pods) { Ok(()) } else { Err(format!("{now:?}")) }
    });
}

fn has_size(space: &Space, name: &str, pods: i64) {
    eventually(&format!("{pods} pods of {name}"), MEASURED, || {
        let now = size(&space.the(DEPLOYMENT, name));
        if now == Some(pods) { Ok(()) } else { Err(format!("{now:?}")) }
    });
}

/// Lets the autoscaler shrink `web` to one pod, and waits until it has tried.
fn tries_to_shrink(space: &Space) {
    space.apply(&autoscaler(1).to_string()).ok();
    eventually("the autoscaler to want fewer pods", MEASURED, || {
        let events = space.events("SuccessfulRescale");
        let shrinks =
            |event: &&String| ["New size: 1;", "New size: 2;"].iter().any(|size| event.contains(size));
        if events.iter().any(|event| shrinks(&event)) { Ok(()) } else { Err(format!("{events:?}")) }
    });
}

fn never_below_three(deployments: &Recorder) {
    let sizes = deployments.course("web", size);
    assert!(sizes.iter().all(|size| *size >= 3), "sizes of stable over time: {sizes:?}");
}

#[test]
fn a_long_step_follows_the_load_and_an_abort_finds_stable_in_its_size() {
    let (space, deployments) = start("soak", "steps: [{setWeight: 100}, {pause: {}}]");
    let little = load(&space, LITTLE);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "100");
    let clone = space.the(AUTOSCALER, "web-canary")["spec"].clone();
    assert_eq!((&clone["minReplicas"], &clone["maxReplicas"]), (&json!(3), &json!(6)));
    tries_to_shrink(&space);
    let rising = load(&space, MUCH);
    grows_beyond(&space, "web-canary", 3);
    space.order("web", "abort").ok();
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    let sample = Load::with(&space, &["--rate", "50", "--duration", "2s"]).finish();
    assert_eq!(sample.answers("v1"), sample.sent(), "stable has all of it: {}", sample.split());
    rising.stop().assert_nothing_failed("the rising load");
    little.stop().assert_nothing_failed("a soak and an abort at weight 100");
    never_below_three(&deployments);
}

#[test]
fn an_autoscaled_promotion_keeps_the_size_and_returns_grown_load_in_parts() {
    let strategy = "steps: [{setWeight: 50}, {pause: {}}, {setWeight: 100}, {pause: {}}]";
    let (space, deployments) = start("scaled", strategy);
    let ingresses = space.record("networking.k8s.io/v1 Ingress");
    let little = load(&space, LITTLE);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    let much = load(&space, MUCH);
    grows_beyond(&space, "web", 3);
    grows_beyond(&space, "web-canary", 2);
    much.stop().assert_nothing_failed("more load in the middle of a canary");
    tries_to_shrink(&space);
    space.order("web", "promote").ok();
    space.pauses_at("web", "100");
    has_size(&space, "web", 3);
    has_size(&space, "web-canary", 3);
    let much = load(&space, MUCH);
    grows_beyond(&space, "web-canary", 4);
    space.order("web", "promote").ok();
    space.is_healthy("web", MEASURED);
    much.stop().assert_nothing_failed("a promotion under load that has grown");
    little.stop().assert_nothing_failed("an autoscaled rollout");
    let weights = ingresses.course("web-canary", weight_of);
    let after = weights.iter().skip_while(|weight| *weight != "100").skip(1);
    assert!(after.filter(|weight| *weight != "0").count() > 0, "weights over time: {weights:?}");
    never_below_three(&deployments);
    assert_eq!(space.get(AUTOSCALER, "web-canary"), None, "the clone goes with the canary");
}
