//! What a tenant, a metrics server or a pod without credentials can send to bring Haldane down, or to keep others
//! waiting: no replica ends, and the others go on. The replicas have 256 MiB each, as shipped.

use crate::harness::{
    App, Provider, SOON, Space,
    cluster::{get, run},
    eventually, haldane,
    provider::Manner,
};
use serde_json::{Value, json};
use std::thread;

/// A release that stays at its step, measured all the while.
fn measured(name: &str, metrics: &str) -> Space {
    let space = Space::new(name);
    let app = App::canary("steps: [{setWeight: 20}, {pause: {}}]").annotated("haldane.dev/analysis", metrics);
    space.deploy(&app);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    space
}

/// The same, each second, of somebody who has nothing to do with what goes on.
fn neighbour(provider: &Provider) -> Space {
    measured("neighbour", &format!("metrics: [{}]", provider.metric("interval: 1s,")))
}

/// Measurements come in, a few more than could have been under way.
#[track_caller]
fn is_measured(provider: &Provider) {
    let before = provider.questions();
    eventually("the neighbour's measurements", SOON, || {
        let more = provider.questions() - before;
        if more > 5 { Ok(()) } else { Err(format!("{more} more")) }
    });
}

#[test]
fn a_poisoned_answer_is_an_error_and_ends_no_replica() {
    let before = haldane::restarts();
    let (good, poison) = (Provider::start(0.0), Provider::start(0.0));
    let _neighbour = neighbour(&good);
    let tenant = measured("poison", &format!("metrics: [{}]", poison.metric("interval: 1s,")));
    poison.behave(Manner::Poison);
    eventually("the poison to be told", SOON, || {
        let run = tenant.state("web")["rollout"]["runs"][0]["run"].to_string();
        if run.contains("has more values than the limit") { Ok(()) } else { Err(run) }
    });
    is_measured(&good);
    assert_eq!(haldane::restarts(), before);
}

#[test]
fn slow_metrics_of_a_tenant_keep_no_neighbour_waiting() {
    let (good, slow) = (Provider::start(0.0), Provider::start(0.0));
    let _neighbour = neighbour(&good);
    slow.behave(Manner::Silence);
    let metric = |number| {
        format!(
            "{{name: m{number}, interval: 1s, provider: {{prometheus: {{address: '{}', query: up, timeout: 300}}}}}}",
            slow.address()
        )
    };
    let _tenant =
        measured("slow", &format!("metrics: [{}]", (0..40).map(metric).collect::<Vec<_>>().join(", ")));
    eventually("as many as a namespace may have", SOON, || {
        if slow.questions() == 6 { Ok(()) } else { Err(format!("{}", slow.questions())) }
    });
    is_measured(&good);
    assert_eq!(slow.questions(), 6);
}

#[test]
fn a_poisoned_annotation_is_refused_at_once() {
    let before = haldane::restarts();
    let space = Space::new("patterns");
    let rules = |pattern: &str, count: usize| {
        let rule = format!("{{metricName: '{pattern}'}}");
        format!(
            "{{metrics: [{{name: a, provider: {{prometheus: {{query: up}}}}}}], dryRun: [{}]}}",
            vec![rule; count].join(", ")
        )
    };
    for (template, why) in [
        (rules("(?i)[\\pL\\pN]{40}", 3000), "may have at most 50 rules"),
        (rules(&"\\pL".repeat(60_000), 1), "it may have at most 256 bytes"),
    ] {
        let app = App::canary("{steps: [{setWeight: 20}]}").annotated("haldane.dev/analysis", &template);
        let manifest = app.deployment().to_string();
        let text =
            run("kubectl", &["-n", &space.namespace, "create", "--dry-run=server", "-f", "-"], &manifest)
                .refused();
        assert!(text.contains(why), "{}", text.chars().take(500).collect::<String>());
    }
    assert_eq!(haldane::restarts(), before);
}

/// Posts a review to the replica at `ip`, as anybody who reaches it can. Gives code and answer.
fn post(ip: &str, review: &Value) -> String {
    let url = format!("https://{ip}:8443/mutate");
    let flags = ["--insecure", "--silent", "--max-time", "10", "--write-out", " %{http_code}"];
    let content = ["--header", "Content-Type: application/json", "--data-binary", "@-", &url];
    run("curl", &[&flags[..], &content[..]].concat(), &review.to_string()).out
}

fn review(namespace: &str, object: &Value) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "kind": {"group": "apps", "version": "v1", "kind": "Deployment"}, "operation": "UPDATE",
        "name": "web", "namespace": namespace, "userInfo": {"username": "the-ceo"}, "object": object, "oldObject": {},
    }})
}

#[test]
fn thirty_great_reviews_end_no_replica_and_refuse_nobody_else() {
    let before = haldane::restarts();
    let space = Space::new("reviews");
    space.deploy(&App::canary("steps: [{setWeight: 20}]"));
    let names: Vec<_> = (0..50).map(|number| json!({"templateName": format!("none-{number}")})).collect();
    let plan = json!({"steps": [{"analysis": {"templates": names}}]}).to_string();
    let object = json!({"metadata": {"annotations": {"haldane.dev/canary": plan}}, "spec": {"x": "x".repeat(6 << 20)}});
    let great = review(&space.namespace, &object);
    let ips: Vec<String> = haldane::processes().unwrap().into_iter().map(|process| process.ip).collect();
    thread::scope(|scope| {
        for number in 0..30 {
            let (ip, great) = (&ips[number % ips.len()], &great);
            scope.spawn(move || post(ip, great));
        }
        eventually("a plan to be tried", SOON, || space.is_decided_about("web"));
    });
    assert_eq!(haldane::restarts(), before);
}

#[test]
fn a_forged_review_brings_no_key_into_the_log_or_the_answer() {
    let secret = get("v1 Secret", haldane::NAMESPACE, "haldane-tls").expect("the certificate's Secret");
    let keys: Vec<String> = secret["data"]
        .as_object()
        .expect("data")
        .values()
        .filter_map(|value| Some(value.as_str()?.get(..60)?.to_owned()))
        .collect();
    assert!(!keys.is_empty());
    for process in haldane::processes().unwrap() {
        for namespace in
            ["haldane-system/secrets/haldane-tls?x=", "haldane-system/secrets?x=", "../v1/namespaces"]
        {
            let answer = post(
                &process.ip,
                &review(namespace, &json!({"metadata": {"annotations": {"haldane.dev/canary": "enabled"}}})),
            );
            assert!(answer.ends_with(" 400") && answer.contains("must be a name of an object"), "{answer}");
        }
    }
    let log = haldane::here(&["logs", "--selector=app.kubernetes.io/name=haldane", "--tail=-1"]).ok().out;
    for line in log.lines() {
        assert!(
            !keys.iter().any(|key| line.contains(key.as_str())) && !line.contains("PRIVATE KEY"),
            "{line}"
        );
    }
}
