//! Nothing is promoted unseen: what is good, bad or not to be seen at all, by the README's own words and by others.

use crate::harness::{App, Load, Provider, SOON, Space, eventually, provider::Manner};
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};

/// What a person is given before being asked, and as much again.
const PATIENCE: Duration = Duration::from_mins(4);

/// The command of README's five minutes that opts in.
fn opt_in() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(path).expect("README.md");
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks
        .into_iter()
        .find(|block| block.starts_with("kubectl annotate deployment web"))
        .expect("it")
        .to_owned()
}

/// The README's Deployment, opted in, with clients who have already been served.
fn readme(name: &str) -> Space {
    let space = Space::new(name);
    space.deploy(&App::plain().sized(4));
    space.answers("v1");
    let opted_in = space.shell(&opt_in());
    assert!(!opted_in.ok().err.contains("Warning"), "README triggers no warning");
    space.is_opted_in("web");
    space
}

fn message(space: &Space) -> String {
    space.summary("web")["message"].as_str().unwrap_or_default().to_owned()
}

/// Waits until a person is asked, at this weight.
fn is_asked(space: &Space, weight: &str, why: &str) {
    eventually(&format!("a person to be asked at weight {weight}: {why}"), PATIENCE, || {
        let summary = space.summary("web");
        let told = summary["message"].as_str().is_some_and(|message| message.contains(why));
        let is = summary["phase"] == "Paused" && summary["weight"] == weight && told;
        if is { Ok(()) } else { Err(summary.to_string()) }
    });
}

#[test]
fn readmes_five_minutes_catch_every_bad_release_and_promote_a_good_one() {
    let space = readme("readme");
    let load = Load::start(&space, 40);
    for (revision, version, errors) in [("2", "v2", "0.5"), ("3", "v3", "1")] {
        space.set_env("web", &[&format!("VERSION={version}"), &format!("ERROR_RATE={errors}")]).ok();
        space.reaches("web", 2 * SOON, &[("revision", revision), ("phase", "Degraded"), ("weight", "0")]);
        assert!(
            message(&space).contains("does not satisfy len(result) == 0 || result[0] >= 0.99, over 30s"),
            "{}",
            message(&space)
        );
    }
    assert!(message(&space).contains("([0] does not satisfy"), "all answers failed: {}", message(&space));
    space.set_env("web", &["VERSION=v4", "ERROR_RATE=0"]).ok();
    space.pauses_at("web", "25");
    space.shell("kubectl annotate deployment web haldane.dev/do=promote").ok();
    space.shell("kubectl rollout status deployment web --timeout=240s").ok();
    space.is_healthy("web", SOON);
    let rehearsed = space.events("AnalysisRehearsed");
    assert!(rehearsed.contains(&"Metric 'success-rate' on stable now: 1".to_owned()), "{rehearsed:?}");
    load.stop().assert_nothing_lost("README's five minutes");
}

#[test]
fn no_traffic_is_never_promoted() {
    let space = readme("readme-quiet");
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "25");
    space.order("web", "promote").ok();
    is_asked(&space, "25", "metric \"success-rate\" has had no data ([] is the answer to ");
    assert!(message(&space).contains("usual causes: the canary gets no requests"), "{}", message(&space));
    assert_eq!(space.weight("web").as_deref(), Some("25"));
    // A person may know better, and is recorded.
    space.order("web", "promote").ok();
    space.reaches("web", SOON, &[("weight", "50")]);
    eventually("the Event that records it", SOON, || {
        let accepted = space.events("RolloutResumed");
        let is_it = |event: &String| event.contains("without evidence: metric \"success-rate\"");
        if accepted.iter().any(is_it) { Ok(()) } else { Err(format!("{accepted:?}")) }
    });
}

#[test]
fn without_evidence_the_weight_does_not_rise_and_a_person_is_asked() {
    let provider = Provider::start(0.0);
    let space = Space::new("unseen");
    let address = provider.address();
    let metric = format!(
        "{{name: errors, interval: 1s, successCondition: 'len(result) == 0 || result[0] == 0', provider: {{prometheus: {{address: '{address}', query: errors}}}}}}"
    );
    let app = App::canary("steps: [{setWeight: 20}, {pause: {duration: 1s}}, {setWeight: 50}]")
        .annotated("haldane.dev/analysis", &format!("metrics: [{metric}]"))
        .annotated("haldane.dev/settle", "1s");
    space.deploy(&app);
    provider.behave(Manner::Empty);
    space.set_env("web", &["VERSION=v2"]).ok();
    is_asked(
        &space,
        "20",
        "metric \"errors\" has had no data ([] is the answer to errors) since the canary got traffic",
    );
    let resumed = space.order("web", "resume");
    assert!(resumed.err.contains("waits for evidence") && resumed.err.contains("do=promote"), "{resumed:?}");
    provider.set(0.0);
    space.is_healthy("web", 2 * SOON);
    assert_eq!(space.state("web")["history"][0]["outcome"], "Promoted");
}

#[test]
fn a_query_that_sees_nobody_on_stable_pauses_at_weight_0() {
    let space = Space::new("nobody");
    let query = "sum(rate(http_request_total{namespace=\"NS\",service=\"web-canary\",code=~\"5..\"}[30s])) or vector(0)";
    let metric = json!({
        "name": "errors", "interval": "5s", "successCondition": "result[0] < 1",
        "provider": {"prometheus": {"address": "http://prometheus.monitoring:9090", "query": query.replace("NS", &space.namespace)}},
    });
    let app = App::canary("steps: [{setWeight: 20}, {pause: {}}]")
        .annotated("haldane.dev/analysis", &json!({"metrics": [metric]}).to_string());
    space.deploy(&app);
    space.answers("v1");
    let told = eventually("Prometheus to answer a dry run in time", SOON, || {
        let told = space.set_env("web", &["VERSION=v2", "--dry-run=server"]).ok().err;
        if told.contains("no answer within") { Err(told) } else { Ok(told) }
    });
    assert!(told.replace("haldane: … ", "").contains("cannot see the canary"), "a dry run says so: {told}");
    space.set_env("web", &["VERSION=v2"]).ok();
    is_asked(
        &space,
        "0",
        "metric \"errors\" cannot see the canary: stable has no series for http_request_total",
    );
    assert_eq!(space.weight("web").as_deref(), Some("0"));
    space.order("web", "promote").ok();
    space.pauses_at("web", "20");
}

#[test]
fn a_canary_that_is_not_scraped_pauses_at_weight_0() {
    let space = Space::new("unscraped");
    let query = r#"sum(rate(http_requests_total{namespace="NS",job="pods",app="web-canary",code=~"5.."}[30s])) or vector(0)"#;
    let metric = json!({
        "name": "errors", "interval": "5s", "successCondition": "result[0] == 0",
        "provider": {"prometheus": {"address": "http://prometheus.monitoring:9090", "query": query.replace("NS", &space.namespace)}},
    });
    // Its pods lack what Prometheus chooses by.
    let plan = "{steps: [{setWeight: 20}, {pause: {}}], canaryMetadata: {annotations: {prometheus.io/scrape: 'false'}}}";
    let app = App::canary(plan)
        .annotated("haldane.dev/analysis", &json!({"metrics": [metric]}).to_string())
        .changed(
            "/spec/template/metadata/annotations",
            json!({"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}),
        );
    space.deploy(&app);
    space.answers("v1");
    space.set_env("web", &["VERSION=v2"]).ok();
    is_asked(&space, "0", "Prometheus scrapes stable (up{");
    assert_eq!(space.weight("web").as_deref(), Some("0"));
}

#[test]
fn a_provider_that_does_not_answer_the_rehearsal_aborts_at_weight_0() {
    let space = Space::new("rehearsal");
    let metric = "{name: errors, interval: 5s, successCondition: 'result[0] == 0', provider: {prometheus: {address: 'http://nobody.nowhere:9090', query: errors, timeout: 2}}}";
    let app = App::canary("steps: [{setWeight: 20}, {pause: {}}]")
        .annotated("haldane.dev/analysis", &format!("metrics: [{metric}]"));
    space.deploy(&app);
    let ingresses = space.record("networking.k8s.io/v1 Ingress");
    space.set_env("web", &["VERSION=v2"]).ok();
    let summary = space.reaches("web", PATIENCE, &[("phase", "Degraded"), ("weight", "0")]);
    let why = "Rehearsal phase error: Metric \"errors\" assessed Error due to consecutiveErrors (5) > consecutiveErrorLimit (4)";
    assert!(summary["message"].as_str().is_some_and(|message| message.contains(why)), "{summary}");
    let weights = ingresses.course("web-canary", crate::harness::space::weight_of);
    assert!(weights.iter().all(|weight| weight == "0"), "nobody reaches the canary: {weights:?}");
}

#[test]
fn a_run_waits_for_the_hash_of_pods_that_are_still_to_come() {
    let provider = Provider::start(0.0);
    let space = Space::new("hash");
    let address = provider.address();
    let template = format!(
        "args: [{{name: canary-hash}}]\nmetrics: [{{name: errors, interval: 1s, successCondition: 'result[0] == 0', provider: {{prometheus: {{address: '{address}', query: 'errors{{version=\"{{{{args.canary-hash}}}}\"}}'}}}}}}]"
    );
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "errors", "labels": {"haldane.dev/analysis-template": "true"}},
        "data": {"template.yaml": template},
    });
    space.apply(&config.to_string()).ok();
    let plan = "
analysis: {templates: [{templateName: errors}], args: [{name: canary-hash, valueFrom: {podTemplateHashValue: Latest}}]}
steps: [{setWeight: 50}, {pause: {}}]";
    let app = App::canary(plan);
    let items = [app.service(), app.deployment()];
    space.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).ok();
    space.rolled_out("web");
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    eventually("a measurement for the canary's hash", SOON, || {
        let rollout = space.state("web")["rollout"].clone();
        let hash = rollout["canaryPodHash"].as_str().unwrap_or("?").to_owned();
        let config: &Value = &rollout["runs"][0]["run"]["specs"][0]["provider"]["config"];
        let asked = config["query"].as_str().is_some_and(|query| query.contains(&hash));
        let count = rollout["runs"][0]["run"]["results"][0]["count"].as_u64().unwrap_or_default();
        if asked && count > 0 { Ok(()) } else { Err(rollout.to_string()) }
    });
}
