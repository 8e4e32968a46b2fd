//! What the fields of a strategy do in a cluster, beside steps and analyses.

use crate::harness::{
    App, Provider, SOON, Space,
    cluster::{kubectl, run, setting},
    eventually,
};
use serde_json::Value;

const INGRESS: &str = "networking.k8s.io/v1 Ingress";

/// What the application says to a request with this cookie.
fn answer_with_cookie(space: &Space, cookie: &str) -> String {
    let url = format!("http://{}/version", setting("HALDANE_INGRESS"));
    let host = format!("Host: {}", space.host);
    run("curl", &["--silent", "--max-time", "5", "-H", &host, "--cookie", cookie, &url], "").out
}

#[test]
fn pods_weights_and_cookies_are_as_the_plan_says_and_a_rollback_skips_it() {
    let space = Space::new("settings");
    let strategy = "
abortScaleDownDelaySeconds: 0
minPodsPerReplicaSet: 2
rollbackWindow: {revisions: 1}
canaryMetadata: {labels: {track: next}, annotations: {example.com/note: on trial}}
antiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: {weight: 50}}
trafficRouting: {maxTrafficWeight: 1000, nginx: {additionalIngressAnnotations: {canary-by-cookie: testers}}}
steps: [{setWeight: 5}, {pause: {}}]";
    space.deploy(&App::canary(strategy).annotated("haldane.dev/settle", "1s"));
    space.answers("v1");
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "5/1000");

    let pods = space.list("v1 Pod", "haldane.dev/role=canary,track=next");
    assert_eq!(pods.len(), 2, "minPodsPerReplicaSet, with the labels of canaryMetadata");
    assert_eq!(pods[0]["metadata"]["annotations"]["example.com/note"], "on trial");
    let apart = "/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/0/weight";
    assert_eq!(pods[0].pointer(apart), Some(&50.into()), "{}", pods[0]["spec"]["affinity"]);
    let annotations = space.the(INGRESS, "web-canary")["metadata"]["annotations"].clone();
    let of_nginx = |key: &str| annotations[format!("nginx.ingress.kubernetes.io/canary-{key}")].clone();
    assert_eq!((of_nginx("weight"), of_nginx("weight-total")), ("5".into(), "1000".into()));
    eventually("the cookie to lead to the canary", SOON, || {
        let said = answer_with_cookie(&space, "testers=always");
        if said.contains("v2") { Ok(()) } else { Err(said) }
    });
    assert!(answer_with_cookie(&space, "testers=never").contains("v1"));

    space.order("web", "abort").ok();
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    eventually("the cookie to lead back", SOON, || {
        let said = answer_with_cookie(&space, "testers=always");
        if said.contains("v1") { Ok(()) } else { Err(said) }
    });
    assert_eq!(space.pods("haldane.dev/role=canary").len(), 2, "kept, to be looked at");
    space.order("web", "retry").ok();
    space.pauses_at("web", "5/1000");
    space.order("web", "promote-full").ok();
    space.rolled_out("web");
    space.is_healthy("web", SOON);

    space.set_env("web", &["VERSION=v1"]).ok();
    space.rolled_out("web");
    space.is_healthy("web", SOON);
    space.answers("v1");
    let skipped = space.events("RolloutPromoting");
    assert!(skipped.iter().any(|event| event.contains("rollbackWindow")), "{skipped:?}");
}

#[test]
fn a_full_canary_serves_for_its_delay_and_only_then_is_stable_replaced() {
    let space = Space::new("delay");
    let plan = |delay: u32| {
        format!(
            "{{scaleDownDelaySeconds: {delay}, abortScaleDownDelaySeconds: 1, steps: [{{setWeight: 20}}]}}"
        )
    };
    space.deploy(&App::canary(&plan(600)).annotated("haldane.dev/settle", "1s"));
    space.answers("v1");
    let stable = space.pods("app=web");
    space.set_env("web", &["VERSION=v2"]).ok();
    space.reaches("web", SOON, &[("weight", "100")]);
    space.answers("v2");
    assert_eq!(space.pods("app=web"), stable, "the old version is whole while the delay lasts");
    assert_eq!(space.the("apps/v1 Deployment", "web")["spec"]["paused"], true);
    space.order("web", "abort").ok();
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    space.answers("v1");
    assert_eq!(space.pods("app=web"), stable, "so the way back is one change of weight");

    let shorter = format!("haldane.dev/canary={}", plan(1));
    space.kubectl(&["annotate", "--overwrite", "deployment", "web", &shorter]).ok();
    space.set_env("web", &["VERSION=v3"]).ok();
    // At once: what was said of the abort is not about this release.
    space.rolled_out("web");
    space.is_healthy("web", SOON);
    space.answers("v3");
}

#[test]
fn a_day_of_soaking_ends_with_the_first_bad_measurement() {
    let (provider, space) = (Provider::start(0.0), Space::new("soaking"));
    let strategy = "
abortScaleDownDelaySeconds: 1
analysis: {startingStep: 1}
steps: [{setWeight: 100}, {pause: {duration: 24h}}]";
    let metrics = format!("metrics: [{}]", provider.metric("interval: 1s,"));
    let app = App::canary(strategy).annotated("haldane.dev/analysis", &metrics);
    space.deploy(&app.annotated("haldane.dev/settle", "1s"));
    space.answers("v1");
    let stable = space.pods("app=web");
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "100");
    space.answers("v2");
    eventually("three measurements", SOON, || {
        let asked = provider.questions();
        if asked >= 3 { Ok(()) } else { Err(asked.to_string()) }
    });
    provider.set(1.0);
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    space.answers("v1");
    assert_eq!(space.pods("app=web"), stable, "stable was whole all the time");
}

/// A template for the whole cluster, for as long as the test runs.
struct ClusterTemplate(String);

impl ClusterTemplate {
    fn apply(name: &str, text: &str) -> Self {
        run("kubectl", &["--namespace", "haldane-system", "apply", "-f", "-"], &config_map(name, text)).ok();
        Self(name.to_owned())
    }
}

impl Drop for ClusterTemplate {
    fn drop(&mut self) {
        kubectl(&["--namespace", "haldane-system", "delete", "configmap", &self.0]);
    }
}

fn config_map(name: &str, text: &str) -> String {
    serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"haldane.dev/analysis-template": "true"}},
        "data": {"template": text},
    })
    .to_string()
}

#[test]
fn templates_name_templates_and_a_step_tries_a_metric_without_its_say() {
    let (provider, space) = (Provider::start(0.0), Space::new("nested"));
    let doomed = provider.metric("").replace("name: errors", "name: doomed").replace("== 0", "== 1");
    let shared = ClusterTemplate::apply(&space.namespace, &format!("metrics: [{doomed}]"));
    let query = "query: 'errors{of=\"{{args.name}}\", hash=\"{{args.hash}}\", image=\"{{args.image}}\"}'";
    let errors = provider.metric("interval: 1s, count: 2,").replace("query: errors", query);
    let nested = format!(
        "{{kind: AnalysisTemplate, spec: {{args: [{{name: name}}, {{name: hash}}, {{name: image}}], metrics: [{errors}]}}}}"
    );
    let all =
        format!("templates: [{{templateName: errors}}, {{templateName: {}, clusterScope: true}}]", shared.0);
    space.apply(&config_map("errors", &nested)).ok();
    space.apply(&config_map("all", &all)).ok();
    let strategy = "
steps:
- setWeight: 20
- analysis:
    templates: [{templateName: all}]
    dryRun: [{metricName: doom.*}]
    measurementRetention: [{metricName: errors, limit: 1}]
    analysisRunMetadata: {labels: {team: shop}}
    args:
    - {name: name, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: image, valueFrom: {fieldRef: {fieldPath: 'spec.template.spec.containers[0].name'}}}
    - {name: hash, valueFrom: {podTemplateHashValue: Latest}}
- pause: {}";
    space.deploy(&App::canary(strategy).annotated("haldane.dev/settle", "1s"));
    space.set_env("web", &["VERSION=v2"]).ok();
    space.reaches("web", SOON, &[("phase", "Paused"), ("step", "3/3")]);

    let rollout = space.state("web")["rollout"].take();
    let run = &rollout["runs"][0]["run"];
    assert_eq!((&run["phase"], &run["dryRunSummary"]["failed"]), (&"Successful".into(), &1.into()), "{run}");
    assert_eq!(run["metadata"]["labels"]["team"], "shop");
    let specs = run["specs"].as_array().expect("specs");
    let names: Vec<&Value> = specs.iter().map(|spec| &spec["name"]).collect();
    assert_eq!(names, ["errors", "doomed"], "those of the cluster come last");
    let hash = rollout["canaryPodHash"].as_str().expect("a hash");
    let asked = format!("errors{{of=\"web\", hash=\"{hash}\", image=\"app\"}}");
    assert_eq!(specs[0]["provider"]["config"]["query"], asked.as_str());
    assert_eq!(run["results"][0]["measurements"].as_array().map(Vec::len), Some(1), "measurementRetention");

    // A plan whose templates name each other is refused before anything starts.
    space.apply(&config_map("errors", "templates: [{templateName: all}]")).ok();
    space.order("web", "promote").ok();
    space.is_healthy("web", SOON);
    let refused = space.set_env("web", &["VERSION=v3"]).err;
    assert!(refused.contains("all > errors > all") && refused.contains("includes itself"), "{refused}");
}

#[test]
fn thin_data_is_waited_for_and_then_left_to_a_person() {
    let (provider, space) = (Provider::start(0.0), Space::new("thin"));
    let thin = "minSamples: {query: requests, count: 5, extendUpTo: 3s}, interval: 1s,";
    let metrics = format!("metrics: [{}]", provider.metric(thin));
    let app =
        App::canary("steps: [{setWeight: 20}, {analysis: {}}]").annotated("haldane.dev/analysis", &metrics);
    space.deploy(&app.annotated("haldane.dev/settle", "1s"));
    space.set_env("web", &["VERSION=v2"]).ok();
    let summary = space.reaches("web", SOON, &[("phase", "Paused"), ("weight", "20")]);
    let message = summary["message"].as_str().unwrap_or_default();
    assert!(message.contains("only 0 of the 5 samples that minSamples requires after 3s"), "{summary}");
    space.order("web", "skip-step").ok();
    space.is_healthy("web", SOON);
}
