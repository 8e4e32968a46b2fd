//! Rollouts that meet something unusual: one short story for each row of docs/lifecycle.md that needs a cluster.

use crate::harness::{App, Load, SOON, Space, eventually, recorder::Seen, space::weight_of};
use serde_json::{Value, json};

const DEPLOYMENT: &str = "apps/v1 Deployment";
const STEPS: &str = "{abortScaleDownDelaySeconds: 1, steps: [{setWeight: 50}, {pause: {}}]}";

/// `name` in version v1 with short waits: no request is counted where these are used.
fn quick(name: &str) -> App {
    let app = App::canary(STEPS).annotated("haldane.dev/settle", "1s");
    App { name: name.to_owned(), ..app.sized(1) }
}

fn has_pods(space: &Space, labels: &str, wanted: usize) {
    eventually(&format!("{wanted} pods {labels}"), SOON, || {
        let pods = space.pods(labels).len();
        if pods == wanted { Ok(()) } else { Err(format!("{pods}")) }
    });
}

/// Versions that answer, in percent.
fn sample(space: &Space) -> crate::harness::load::Report {
    Load::with(space, &["--rate", "40", "--duration", "1s"]).finish()
}

#[test]
fn a_canary_that_cannot_become_ready_is_aborted_and_told_why() {
    let space = Space::new("unready");
    let apps = ["crash", "image", "unready", "full"].map(quick);
    for app in &apps {
        space.apply(&app.deployment().to_string()).ok();
    }
    for app in &apps {
        space.rolled_out(&app.name);
        // Only now: the first pods may take longer on a busy machine.
        let deadline = r#"{"spec": {"progressDeadlineSeconds": 15}}"#;
        space.kubectl(&["patch", "deployment", &app.name, "-p", deadline]).ok();
    }
    let before = apps.clone().map(|app| space.pods(&format!("app={}", app.name)));

    let crashing = quick("crash").with("PORT", "none").deployment().to_string();
    space.apply(&crashing).ok();
    space.kubectl(&["set", "image", "deployment/image", "app=localhost/none:1"]).ok();
    space.set_env("unready", &["START_DELAY=1h"]).ok();
    for name in ["crash", "image", "unready"] {
        let summary = space.reaches(name, SOON, &[("phase", "Degraded")]);
        let message =
            "ProgressDeadlineExceeded: canary has 0 of 1 available pods and made no progress for 15s";
        assert!(summary["message"].as_str().is_some_and(|m| m.contains(message)), "{name}: {summary}");
        let status = space.kubectl(&["rollout", "status", &format!("deployment/{name}"), "--timeout=60s"]);
        assert_eq!(status.code, 1, "{status:?}");
    }
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "1"}}});
    space.apply(&quota.to_string()).ok();
    // What is refused before the quota is counted is refused in other words.
    eventually("the quota to be counted", SOON, || {
        let status = space.the("v1 ResourceQuota", "full")["status"].clone();
        if status["used"]["pods"].is_string() { Ok(()) } else { Err(status.to_string()) }
    });
    space.set_env("full", &["VERSION=v2"]).ok();
    let summary = space.reaches("full", SOON, &[("phase", "Degraded")]);
    assert!(summary["message"].as_str().is_some_and(|m| m.contains("exceeded quota: full")), "{summary}");
    for (app, before) in apps.iter().zip(before) {
        assert_eq!(space.pods(&format!("app={}", app.name)), before, "{} serves as before", app.name);
    }
    // The same revision again is no new attempt.
    space.apply(&crashing).ok();
    assert_eq!(space.summary("crash")["phase"], "Degraded");
    assert_eq!(space.state("crash")["rollout"]["attempt"], 1);
}

#[test]
fn a_slow_canary_gets_its_time_before_its_traffic() {
    let space = Space::new("slow");
    let app = quick("web").with("START_DELAY", "2s").changed("/spec/minReadySeconds", json!(4)).sized(2);
    space.deploy(&app);
    space.answers("v1");
    let (ingresses, deployments) = (space.record("networking.k8s.io/v1 Ingress"), space.record(DEPLOYMENT));
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    let (weighted, available) = eventually("both watches to tell", SOON, || {
        let is_weighted = |seen: &Seen| weight_of(&seen.object).as_deref() == Some("50");
        let weighted = ingresses.of("web-canary").into_iter().find(is_weighted);
        let is_available = |seen: &Seen| seen.object["status"]["availableReplicas"] == 1;
        let available = deployments.of("web-canary").into_iter().find(is_available);
        weighted.zip(available).ok_or_else(|| "not yet".to_owned())
    });
    // Two watches may tell at different speeds; the API server counts all changes in one order.
    let version = |seen: &Seen| {
        let version = seen.object["metadata"]["resourceVersion"].as_str();
        version.and_then(|version| version.parse::<u64>().ok()).expect("a number")
    };
    assert!(version(&available) < version(&weighted), "available: {available:?}, weight: {weighted:?}");
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
}

/// The autoscaler that KEDA makes for a `ScaledObject`. It scales from 1 up; nobody answers for its metric here.
fn as_keda_makes_it() -> Value {
    let target = json!({"type": "AverageValue", "averageValue": "5"});
    let mine = json!({"scaledobject.keda.sh/name": "web"});
    let metric = json!({"name": "s0-queue", "selector": {"matchLabels": mine}});
    let metrics = json!([{"type": "External", "external": {"metric": metric, "target": target}}]);
    let mut autoscaler = quick("web").autoscaler(1..=3, &json!({"metrics": metrics}));
    autoscaler["metadata"] = json!({"name": "keda-hpa-web", "labels": mine});
    autoscaler
}

#[test]
fn an_application_is_scaled_to_0_and_back_in_the_middle_of_a_canary() {
    let space = Space::new("zero");
    space.apply(&as_keda_makes_it().to_string()).ok();
    space.deploy(&quick("web"));
    space.answers("v1");
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    let clone = space.the("autoscaling/v2 HorizontalPodAutoscaler", "web-canary");
    assert_eq!(
        clone["spec"]["metrics"],
        as_keda_makes_it()["spec"]["metrics"],
        "it counts what KEDA's counts"
    );
    assert_eq!(clone["metadata"]["labels"].get("scaledobject.keda.sh/name"), None, "and is not KEDA's");
    // KEDA scales to 0 and back itself, by the same subresource as `kubectl scale`.
    space.kubectl(&["scale", "deployment/web", "--replicas=0"]).ok();
    has_pods(&space, "app=web", 0);
    has_pods(&space, "haldane.dev/role=canary", 0);
    assert_eq!(space.summary("web")["step"], "2/2", "it stays where it was");
    space.kubectl(&["scale", "deployment/web", "--replicas=1"]).ok();
    has_pods(&space, "haldane.dev/role=canary", 1);
    eventually("both versions to answer", SOON, || {
        let sample = sample(&space);
        if sample.answers("v1") > 0 && sample.answers("v2") > 0 { Ok(()) } else { Err(sample.split()) }
    });
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);

    // At 0 there is nothing to protect: the next template starts natively with the next pod.
    space.kubectl(&["scale", "deployment/web", "--replicas=0"]).ok();
    has_pods(&space, "app=web", 0);
    space.set_env("web", &["VERSION=v3"]).ok();
    space.kubectl(&["scale", "deployment/web", "--replicas=1"]).ok();
    space.rolled_out("web");
    space.answers("v3");
    assert_eq!(space.summary("web")["phase"], "Healthy");
}

#[test]
fn where_nothing_serves_a_change_starts_natively() {
    let space = Space::new("broken");
    space.apply(&quick("web").with("PORT", "none").manifest(&space)).ok();
    has_pods(&space, "app=web", 1);
    space.set_env("web", &["PORT=8080"]).ok();
    space.rolled_out("web");
    space.answers("v1");
    space.only_the_record_is_left("web", SOON);
    assert_eq!(space.events("HeldLate"), Vec::<String>::new());
}

#[test]
fn opting_in_while_a_native_rollout_is_stuck_leads_to_a_canary_beside_what_serves() {
    let space = Space::new("stuck");
    let plain = App { annotations: [].into(), ..quick("web") }.sized(4);
    space.deploy(&plain);
    space.answers("v1");
    let load = Load::start(&space, 20);
    space.set_env("web", &["VERSION=v2", "START_DELAY=1h"]).ok();
    eventually("two active ReplicaSets", SOON, || {
        let sets = space.list("apps/v1 ReplicaSet", "app=web");
        let active = sets.iter().filter(|set| set["spec"]["replicas"].as_u64() > Some(0)).count();
        if active == 2 { Ok(()) } else { Err(format!("{active}")) }
    });
    space.kubectl(&["annotate", "deployment", "web", &format!("haldane.dev/canary={STEPS}")]).ok();
    space.set_env("web", &["VERSION=v3", "START_DELAY=0s"]).ok();
    space.pauses_at("web", "50");
    assert!(sample(&space).answers("v3") > 0, "the canary serves");
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
    load.stop().assert_nothing_failed("a canary beside a stuck rollout");
    let last = sample(&space);
    assert_eq!(last.answers("v3"), last.sent(), "{}", last.split());
}

#[test]
fn a_pause_of_the_user_makes_the_canary_wait_for_resume() {
    let space = Space::new("paused");
    space.deploy(&quick("web"));
    space.kubectl(&["rollout", "pause", "deployment/web"]).ok();
    space.set_env("web", &["VERSION=v2"]).ok();
    space.reaches("web", SOON, &[("phase", "Paused"), ("weight", "0")]);
    space.kubectl(&["rollout", "resume", "deployment/web"]).ok();
    space.pauses_at("web", "50");
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
}

#[test]
fn evicted_pods_are_replaced_within_their_budget() {
    let space = Space::new("evicted");
    // Slow enough that no pod is back before the next one is to be evicted.
    space.deploy(&App::canary(STEPS).sized(3).with("START_DELAY", "10s"));
    space.answers("v1");
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}},
    });
    space.apply(&budget.to_string()).ok();
    let load = Load::start(&space, 30);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    eventually("the budget to be known", SOON, || {
        let status = space.the("policy/v1 PodDisruptionBudget", "web")["status"].clone();
        if status["disruptionsAllowed"] == 1 { Ok(()) } else { Err(status.to_string()) }
    });
    let named = |labels: &str| -> Vec<String> {
        let pods = space.list("v1 Pod", labels);
        pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let (stable, canary) = (named("app=web"), named("haldane.dev/role=canary"));
    evict(&space, &stable[0]).ok();
    let refused = evict(&space, &stable[1]).refused();
    assert!(refused.contains("disruption budget"), "{refused}");
    evict(&space, &canary[0]).ok();
    eventually("the pods to be replaced", SOON, || {
        let ready = |name: &str| space.the(DEPLOYMENT, name)["status"]["availableReplicas"].clone();
        let now = (ready("web"), ready("web-canary"));
        let is_new = !named("haldane.dev/role=canary").contains(&canary[0]);
        if now == (json!(3), json!(2)) && is_new { Ok(()) } else { Err(format!("{now:?}")) }
    });
    assert_eq!(space.weight("web").as_deref(), Some("50"));
    load.stop().assert_nothing_failed("evictions");
}

/// As `kubectl drain` does, for one pod.
fn evict(space: &Space, pod: &str) -> crate::harness::Output {
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": space.namespace}});
    let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", space.namespace);
    crate::harness::cluster::run("kubectl", &["create", "--raw", &path, "-f", "-"], &eviction.to_string())
}

#[test]
fn a_deleted_deployment_takes_its_canary_with_it_also_when_its_pods_are_orphaned() {
    let space = Space::new("deleted");
    let app = App::canary(STEPS).sized(2);
    space.deploy(&app);
    space.answers("v1");
    let before = space.pods("app=web");
    let load = Load::start(&space, 30);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    space.kubectl(&["delete", "deployment", "web", "--cascade=orphan"]).ok();
    eventually("nothing of the canary to be left", SOON, || {
        let ours = space.ours();
        if ours.is_empty() { Ok(()) } else { Err(format!("{ours:?}")) }
    });
    assert_eq!(space.pods("app=web"), before, "orphaned pods serve on");
    // The same name again: its pods are adopted, and nothing of the old record counts.
    space.deploy(&app);
    space.reaches("web", SOON, &[("phase", "Healthy"), ("revision", "1")]);
    assert_eq!(space.pods("app=web"), before);
    load.stop().assert_nothing_failed("an orphaning deletion in the middle of a canary");

    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    let namespace = space.namespace.clone();
    space.kubectl(&["delete", "namespace", &namespace, "--wait=false"]).ok();
    eventually("the namespace to be gone", 5 * SOON, || {
        let left = crate::harness::cluster::get("v1 Namespace", "", &namespace);
        left.map_or(Ok(()), |left| Err(left["status"].to_string()))
    });
}

#[test]
fn routes_and_services_may_change_in_the_middle_of_a_canary() {
    let space = Space::new("renamed");
    let app = App::canary(STEPS).annotated("haldane.dev/settle", "1s");
    space.deploy(&app);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    let second = renamed(app.ingress(&space), "second", |ingress| {
        ingress["spec"]["rules"][0]["host"] = json!(format!("second.{}", space.host));
    });
    space.apply(&second.to_string()).ok();
    splits(&space, &[&space.host, &format!("second.{}", space.host)], "web-canary");

    // Another name for the Service, then for the Ingress that leads to it; the old ones go.
    let service = renamed(app.service(), "site", |_| {});
    let ingress = renamed(app.ingress(&space), "site", |ingress| {
        ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = json!("site");
    });
    space.apply(&service.to_string()).ok();
    space.kubectl(&["delete", "ingress", "web", "second"]).ok();
    space.apply(&ingress.to_string()).ok();
    space.kubectl(&["delete", "service", "web"]).ok();
    splits(&space, &[&space.host], "site-canary");
    // The look that found the new Service may have come before the old one was deleted: the next one counts.
    eventually("the old Service's canary to be gone", SOON, || {
        space.get("v1 Service", "web-canary").map_or(Ok(()), |left| Err(left["metadata"].to_string()))
    });
    eventually("both versions to answer", SOON, || {
        let sample = sample(&space);
        if sample.answers("v1") > 0 && sample.answers("v2") > 0 { Ok(()) } else { Err(sample.split()) }
    });
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
}

fn renamed(mut object: Value, name: &str, change: impl FnOnce(&mut Value)) -> Value {
    object["metadata"]["name"] = json!(name);
    change(&mut object);
    object
}

/// The user's Services and Ingresses are not watched, but looked at twice a minute.
fn splits(space: &Space, hosts: &[&str], service: &str) {
    eventually(&format!("the canary's Ingress to split {hosts:?} to {service}"), SOON, || {
        // It goes and comes again, if the pass looks while no Ingress of the user's is there.
        let ingress =
            space.get("networking.k8s.io/v1 Ingress", "web-canary").ok_or("no Ingress web-canary")?;
        let rules = ingress["spec"]["rules"].as_array().cloned().unwrap_or_default();
        let mut found: Vec<&str> = rules.iter().filter_map(|rule| rule["host"].as_str()).collect();
        found.sort_unstable();
        let leads = |rule: &Value| rule["http"]["paths"][0]["backend"]["service"]["name"] == service;
        let mut wanted = hosts.to_vec();
        wanted.sort_unstable();
        if found == wanted && rules.iter().all(leads) { Ok(()) } else { Err(ingress["spec"].to_string()) }
    });
}

#[test]
fn a_record_that_cannot_be_read_stops_the_rollout_until_it_is_deleted() {
    let space = Space::new("record");
    space.deploy(&quick("web"));
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    let broken = [
        (json!("{").to_string(), "EOF while parsing"),
        (json!(r#"{"version": 99}"#).to_string(), "has version 99, this Haldane reads 1; upgrade it"),
    ];
    for (number, (state, told)) in broken.iter().enumerate() {
        let patch = format!(r#"{{"data": {{"state": {state}}}}}"#);
        space.kubectl(&["patch", "configmap", "haldane-web", "--patch", &patch]).ok();
        // Any change of the Deployment makes the controller look.
        space.kubectl(&["label", "deployment", "web", &format!("look=n{number}"), "--overwrite"]).ok();
        eventually("an Event that tells", SOON, || {
            let events = space.events("InvalidSpec");
            if events.iter().any(|event| event.contains(told)) { Ok(()) } else { Err(format!("{events:?}")) }
        });
        assert_eq!(space.weight("web").as_deref(), Some("50"), "the traffic stays");
    }
    space.kubectl(&["delete", "configmap", "haldane-web"]).ok();
    space.kubectl(&["label", "deployment", "web", "look=again", "--overwrite"]).ok();
    space.reaches("web", SOON, &[("weight", "0")]);
    space.pauses_at("web", "50");
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
}
