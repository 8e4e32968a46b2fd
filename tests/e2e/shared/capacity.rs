//! Clusters without room for what a release wants.

use crate::harness::{App, Load, SOON, Space, eventually, space::weight_of};
use ::haldane::runtime::clock;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

#[test]
fn a_promotion_without_room_for_its_full_size_goes_on_at_the_last_weight() {
    let space = Space::new("room");
    let app = App::canary("steps: [{setWeight: 50}, {pause: {}}]").sized(4);
    space.deploy(&app);
    // Only now, and longer than a pod takes: the first pods may take longer on a busy machine.
    space.kubectl(&["patch", "deployment", "web", "-p", r#"{"spec": {"progressDeadlineSeconds": 30}}"#]).ok();
    space.answers("v1");
    // Four of stable, two of the canary, and one more, for the rolling update.
    space.apply(&quota(7)).ok();
    let ingresses = space.record("networking.k8s.io/v1 Ingress");
    let load = Load::start(&space, 30);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    space.order("web", "promote").ok();
    let told = eventually("the Event that tells", 2 * SOON, || {
        space.events("PromotingWithoutSurge").pop().ok_or_else(|| space.summary("web").to_string())
    });
    assert!(told.contains("canary has 3 of 4 available pods and made no progress for 30s"), "{told}");
    assert!(told.contains("exceeded quota: room") && told.ends_with("promoting at weight 50"), "{told}");
    space.is_healthy("web", 2 * SOON);
    load.stop().assert_nothing_failed("a promotion without room for its full size");
    assert_eq!(ingresses.course("web-canary", weight_of), ["0", "50", "0"], "weights over time");
    assert_eq!(space.state("web")["history"][0]["outcome"], "Promoted");
}

fn quota(pods: u32) -> String {
    json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "room"}, "spec": {"hard": {"pods": pods.to_string()}},
    })
    .to_string()
}

#[test]
fn a_plan_may_be_content_with_less_than_the_whole_canary() {
    let space = Space::new("threshold");
    let strategy = "
abortScaleDownDelaySeconds: 1
replicaProgressThreshold: {type: Percent, value: 75}
steps: [{setWeight: 100}, {pause: {}}]";
    space.deploy(&App::canary(strategy).sized(4).annotated("haldane.dev/settle", "1s"));
    space.answers("v1");
    space.apply(&quota(7)).ok();
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "100");
    let canary = space.the("apps/v1 Deployment", "web-canary");
    assert_eq!((&canary["spec"]["replicas"], &canary["status"]["availableReplicas"]), (&json!(4), &json!(3)));
    space.answers("v2");
    space.order("web", "abort").ok();
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
}

#[test]
fn a_canary_that_may_not_run_beside_stable_waits_as_long_as_the_plan_lets_it() {
    let space = Space::new("apart");
    // All nodes of the cluster are stable's: there is one.
    let strategy = "
abortScaleDownDelaySeconds: 1
progressDeadlineAbort: false
antiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {}}
steps: [{setWeight: 50}]";
    space.deploy(&App::canary(strategy).annotated("haldane.dev/settle", "1s"));
    // Only now: the first pods may take longer on a busy machine.
    space.kubectl(&["patch", "deployment", "web", "-p", r#"{"spec": {"progressDeadlineSeconds": 5}}"#]).ok();
    space.set_env("web", &["VERSION=v2"]).ok();
    let long_ago = eventually("twice the progress deadline to pass", SOON, || {
        let lag = space.try_state("web")?["rollout"]["lagging"].take();
        let since = lag["since"].as_str().and_then(|since| since.parse::<Timestamp>().ok());
        let passed = since.map(|since| clock::now().duration_since(since));
        passed.filter(|passed| *passed > SignedDuration::from_secs(10)).ok_or_else(|| lag.to_string())
    });
    let summary = space.summary("web");
    assert_eq!((&summary["phase"], &summary["weight"]), (&json!("Held"), &json!("0")), "after {long_ago}");
    let pods = space.list("v1 Pod", "haldane.dev/role=canary");
    let is_refused = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|c| c["reason"] == "Unschedulable")
    };
    assert!(!pods.is_empty() && pods.iter().all(is_refused), "{pods:?}");
    space.order("web", "abort").ok();
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
}
