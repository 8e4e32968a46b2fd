//! Parts of the cluster fail in the middle of a release: nothing is lost, and the release goes on where it was.

use crate::harness::{
    App, Load, Recorder, SOON, Space, audit, eventually, faults, haldane, space::weight_of,
};
use ::haldane::runtime::clock;
use serde_json::json;
use std::time::Duration;

/// Long enough for a component to come back and for a leader to be found.
const RECOVERY: Duration = Duration::from_mins(3);

/// Of the real Prometheus; good as long as it can be measured.
const UP: &str = r#"metrics: [{name: up, interval: 2s, successCondition: "result[0] == 1",
    provider: {prometheus: {query: 'min(up{job="prometheus"})'}}}]"#;

/// The steps stop for a person at each weight; [`UP`] is measured all the while.
fn start(name: &str, steps: &str) -> (Space, Recorder) {
    haldane::is_complete();
    let space = Space::new(name);
    space.deploy(&App::canary(&format!("steps: [{steps}]")).annotated("haldane.dev/analysis", UP));
    space.answers("v1");
    space.reaches("web", RECOVERY, &[("phase", "Healthy")]);
    let ingresses = space.record("networking.k8s.io/v1 Ingress");
    (space, ingresses)
}

/// The release is told to go on, and something fails at once. It reaches the next pause, and no request is lost.
fn goes_on_to(weight: &str, space: &Space, what: &str, fault: impl FnOnce()) {
    let load = Load::start(space, 50);
    space.order("web", "promote").ok();
    fault();
    space.reaches("web", RECOVERY, &[("phase", "Paused"), ("weight", weight)]);
    load.stop().assert_nothing_failed(what);
}

/// The release is over, and it went its way once.
fn assert_promoted(space: &Space, ingresses: &Recorder, weights: &[&str]) {
    space.is_healthy("web", RECOVERY);
    assert_eq!(ingresses.course("web-canary", weight_of), weights, "weights over time");
    let history = &space.state("web")["history"];
    assert_eq!(history.as_array().map(Vec::len), Some(1), "{history}");
    assert_eq!(history[0]["outcome"], "Promoted");
    let after = Load::with(space, &["--rate", "200", "--duration", "1s"]).finish();
    assert_eq!(after.answers("v2"), after.sent(), "{}", after.split());
}

#[test]
fn a_release_survives_the_failure_of_each_part_of_the_cluster() {
    const STEPS: &str = "{setWeight: 20}, {pause: {}}, {setWeight: 40}, {pause: {}}, {setWeight: 60}, \
        {pause: {}}, {setWeight: 80}, {pause: {}}, {setWeight: 90}, {pause: {}}";
    let (space, ingresses) = start("parts", STEPS);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");

    goes_on_to("40", &space, "etcd killed", || drop(faults::kill("etcd")));
    goes_on_to("60", &space, "API server killed", || drop(faults::kill("apiserver")));
    goes_on_to("80", &space, "etcd full", || {
        let (since, full) = (clock::now(), faults::fill_etcd());
        eventually("the disk quota to be felt", SOON, || {
            let refused = audit::since(since).iter().filter(|request| request.code() >= 500).count();
            if refused > 0 { Ok(()) } else { Err("Haldane wanted to write nothing yet".to_owned()) }
        });
        drop(full);
    });
    goes_on_to("90", &space, "kubelet killed and Prometheus replaced", || {
        drop(faults::kill("kubelet"));
        faults::replace_pods("monitoring", "prometheus", "app=prometheus");
    });

    // This one loses requests by itself: there is one controller, and its pod is taken away.
    faults::replace_pods("ingress-nginx", "ingress-nginx-controller", "app.kubernetes.io/name=ingress-nginx");
    let sample = Load::with(&space, &["--rate", "300", "--duration", "5s"]).finish();
    sample.assert_nothing_failed("a new ingress controller");
    assert!((84.0..=96.0).contains(&sample.share("v2")), "it knows the weight: {}", sample.split());

    let load = Load::start(&space, 50);
    space.order("web", "promote").ok();
    drop(faults::kill("kcm"));
    assert_promoted(&space, &ingresses, &["0", "20", "40", "60", "80", "90", "100", "0"]);
    load.stop().assert_nothing_failed("controller manager killed while stable is replaced");
}

#[test]
#[ignore = "about a minute alone; make e2e-long runs it"]
fn a_drained_node_leaves_what_the_budget_says_and_the_release_waits() {
    let (space, ingresses) = start("drain", "{setWeight: 50}, {pause: {}}");
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    });
    space.apply(&budget.to_string()).ok();
    let load = Load::start(&space, 50);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    let available =
        |name: &str| space.the("apps/v1 Deployment", name)["status"]["availableReplicas"].as_u64();
    let (drained, output) = faults::drain("haldane.dev/canary-of=web", 60);
    output.ok();
    let (again, output) = faults::drain("app=web", 5);
    assert!(output.refused().contains("disruption budget"), "one pod of stable may go");
    space.order("web", "promote").ok();
    space.reaches("web", SOON, &[("phase", "Promoting")]);
    assert_eq!((available("web"), available("web-canary")), (Some(1), None));
    let sample = Load::with(&space, &["--rate", "100", "--duration", "2s"]).finish();
    assert_eq!(sample.answers("v1"), sample.sent(), "{}", sample.split());
    drop((drained, again));
    assert_promoted(&space, &ingresses, &["0", "50", "100", "0"]);
    load.stop().assert_nothing_failed("a drained node");
}

#[test]
#[ignore = "about a minute alone; make e2e-long runs it"]
fn a_throttled_haldane_among_busy_writers_ends_right() {
    let begin = clock::now();
    let (space, ingresses) = start("throttle", "{setWeight: 20}, {pause: {}}, {setWeight: 50}, {pause: {}}");
    let meddler = faults::meddle(&space, "web");
    let load = Load::start(&space, 50);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    goes_on_to("50", &space, "every request of Haldane answered with 429", || {
        let (since, throttled) = (clock::now(), faults::throttle());
        eventually("Haldane to be throttled", SOON, || {
            let refused = audit::since(since).iter().filter(|request| request.code() == 429).count();
            if refused >= 20 { Ok(()) } else { Err(format!("{refused} requests answered with 429")) }
        });
        drop(throttled);
    });
    haldane::order_when_possible(&space, "web", "promote");
    assert_promoted(&space, &ingresses, &["0", "20", "50", "100", "0"]);
    load.stop().assert_nothing_failed("throttled, and in conflict with somebody who changes everything");
    let touches = meddler.stop();
    let is_conflict = |request: &&audit::Request| request.code() == 409 && !request.is_about_the_lease();
    let conflicts = audit::since(begin).iter().filter(is_conflict).count();
    assert!(conflicts > 0, "somebody else changed something {touches} times, and Haldane never met them");
    eprintln!("{touches} changes by somebody else, {conflicts} writes of Haldane in conflict");
}
