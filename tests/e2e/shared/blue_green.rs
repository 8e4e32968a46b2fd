//! The switch as a whole, and the way back, from examples/blue-green; and without a person.

use crate::harness::{App, Load, Provider, SOON, Space, eventually};
use serde_json::json;

const APP: &str = "sample-app";

/// Stable stays whole for long enough to look at it and to abort, also on a busy machine.
const SHORTER: &[(&str, &str)] =
    &[("scaleDownDelaySeconds: 300", "scaleDownDelaySeconds: 30\n      abortScaleDownDelaySeconds: 1")];

#[test]
fn blue_green_switches_all_traffic_at_once_and_back_without_a_lost_request() {
    let space = Space::new("blue-green");
    space.apply(&space.example("blue-green/app.yaml", APP, SHORTER)).ok();
    space.rolled_out(APP);
    // NGINX learns of a new Ingress some seconds later.
    space.answers("v1");
    let stable = space.pods("app=sample-app");
    let ingresses = space.record("networking.k8s.io/v1 Ingress");
    let load = Load::start(&space, 40);
    space.set_env(APP, &["VERSION=v2"]).ok();
    space.reaches(APP, SOON, &[("phase", "Paused"), ("weight", "0")]);
    assert_eq!(space.pods("haldane.dev/role=canary").len(), 3, "the preview has full size");
    assert!(space.get("v1 Service", "sample-app-preview").is_some(), "{:?}", space.ours());
    eventually("the header to lead to the preview", SOON, || {
        let preview =
            Load::with(&space, &["--rate", "10", "--duration", "500ms", "--header", "X-Preview: always"])
                .finish();
        if preview.answers("v2") == preview.sent() { Ok(()) } else { Err(preview.split()) }
    });

    space.order(APP, "promote").ok();
    space.reaches(APP, SOON, &[("weight", "100")]);
    space.answers("v2");
    assert_eq!(space.pods("app=sample-app"), stable, "the old version is whole");
    space.order(APP, "abort").ok();
    space.reaches(APP, SOON, &[("phase", "Degraded"), ("weight", "0")]);
    space.answers("v1");
    assert_eq!(space.pods("app=sample-app"), stable, "and serves again");

    space.order(APP, "retry").ok();
    space.reaches(APP, SOON, &[("phase", "Paused"), ("weight", "0")]);
    space.order(APP, "promote").ok();
    space.rolled_out(APP);
    space.is_healthy(APP, SOON);
    space.answers("v2");
    load.stop().assert_nothing_lost("blue-green, there, back and there");
    let weights = ingresses.course("sample-app-canary", crate::harness::space::weight_of);
    assert_eq!(weights, ["0", "100", "0", "100", "0"]);
}

/// A template with one metric of a provider.
fn template(name: &str, provider: &Provider, extra: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"haldane.dev/analysis-template": "true"}},
        "data": {"template": format!("metrics: [{}]", provider.metric(extra))},
    })
    .to_string()
}

#[test]
fn blue_green_asks_before_the_switch_and_after_it_and_goes_back_without_a_person() {
    const PLAN: &str = "
activeService: web
previewService: web-preview
previewReplicaCount: 1
autoPromotionSeconds: 1
scaleDownDelaySeconds: 300
abortScaleDownDelaySeconds: 1
prePromotionAnalysis: {templates: [{templateName: before}]}
postPromotionAnalysis: {templates: [{templateName: after}]}";
    let (before, after, space) = (Provider::start(0.0), Provider::start(0.0), Space::new("by-itself"));
    space.apply(&template("before", &before, "interval: 2s, count: 6,")).ok();
    space.apply(&template("after", &after, "interval: 1s, count: 300,")).ok();
    space.deploy(
        &App::plain().annotated("haldane.dev/blue-green", PLAN).annotated("haldane.dev/settle", "1s"),
    );
    space.answers("v1");
    let stable = space.pods("app=web");
    space.set_env("web", &["VERSION=v2"]).ok();
    eventually("a question before the switch", SOON, || match before.questions() {
        0 => Err(space.summary("web").to_string()),
        _ => Ok(()),
    });
    assert_eq!(space.pods("haldane.dev/role=canary").len(), 1, "previewReplicaCount");
    assert_eq!((space.weight("web").as_deref(), after.questions()), (Some("0"), 0));
    space.reaches("web", SOON, &[("weight", "100")]);
    assert_eq!(before.questions(), 6, "the switch waits for its verdict");
    assert_eq!(space.pods("haldane.dev/role=canary").len(), 2, "the new version has its full size");
    space.answers("v2");
    eventually("a question after the switch", SOON, || match after.questions() {
        0 => Err(space.summary("web").to_string()),
        _ => Ok(()),
    });
    after.set(1.0);
    let summary = space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    let verdict = r#"Metric "errors" assessed Failed due to failed (1) > failureLimit (0)"#;
    assert!(summary["message"].as_str().is_some_and(|message| message.contains(verdict)), "{summary}");
    space.answers("v1");
    assert_eq!(space.pods("app=web"), stable, "the old version was whole all the time");
}
