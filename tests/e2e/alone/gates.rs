//! Gates: services with the interface of Flagger's webhooks, which say whether a release may go on.

use crate::harness::{App, Load, Provider, SOON, Space, eventually, haldane};
use serde_json::json;

/// Nobody is asked before a gate has opened; a second one may send the canary back.
const PLAN: &str =
    "steps: [{analysis: {templates: [{templateName: approval}]}}, {setWeight: 20}, {pause: {}}]";

/// Waits until a gate was asked once more.
fn is_asked(gate: &Provider) {
    let before = gate.questions();
    eventually("the gate to be asked", SOON, || {
        let asked = gate.questions();
        if asked > before { Ok(()) } else { Err(format!("{asked} times")) }
    });
}

#[test]
fn a_release_waits_for_one_gate_and_goes_back_when_another_says_so() {
    // A release may write only to hosts that an administrator has named.
    let settings = haldane::set(&["HALDANE_METRIC_HOSTS_ALLOWED=10.0.0.0/8"]);
    let (approval, rollback, space) = (Provider::start(0.0), Provider::start(0.0), Space::new("gates"));
    let metric = format!(
        "{{name: approval, interval: 1s, failureLimit: -1, consecutiveSuccessLimit: 1, provider: {{webhook: {{url: '{}/gate/check', metadata: {{team: shop}}}}}}}}",
        approval.address()
    );
    let template = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "approval", "labels": {"haldane.dev/analysis-template": "true"}},
        "data": {"template": format!("metrics: [{metric}]")},
    });
    space.apply(&template.to_string()).ok();
    let checks = format!(
        "metrics: [{{name: rollback, interval: 1s, provider: {{webhook: {{url: '{}/rollback/check', rollback: true}}}}}}]",
        rollback.address()
    );
    space.deploy(
        &App::canary(PLAN).annotated("haldane.dev/analysis", &checks).annotated("haldane.dev/settle", "1s"),
    );
    space.answers("v1");
    approval.set_status(403);
    rollback.set_status(403);
    let load = Load::start(&space, 20);

    space.set_env("web", &["VERSION=v2"]).ok();
    is_asked(&approval);
    is_asked(&approval);
    let sent = approval.body();
    assert_eq!((&sent["name"], &sent["phase"]), (&json!("web"), &json!("Progressing")), "{sent}");
    assert_eq!(
        (&sent["namespace"], &sent["metadata"]),
        (&json!(space.namespace), &json!({"team": "shop"})),
        "{sent}"
    );
    eventually("the record to say why it waits", SOON, || {
        let summary = space.summary("web");
        let says = summary["analysis"].to_string().contains("answered 403");
        if says && summary["step"] == "1/3" { Ok(()) } else { Err(summary.to_string()) }
    });
    assert_ne!(space.weight("web").as_deref(), Some("20"));

    approval.set_status(200);
    space.reaches("web", SOON, &[("phase", "Paused"), ("weight", "20")]);
    is_asked(&rollback);
    assert_eq!(space.summary("web")["phase"], "Paused", "the other gate is closed, and is asked on");

    rollback.set_status(200);
    space.reaches("web", SOON, &[("phase", "Degraded")]);
    let message = space.summary("web")["message"].to_string();
    assert!(message.contains("which asks for a rollback"), "{message}");
    space.answers("v1");
    load.stop().assert_nothing_failed("while gates decided");
    settings.take_back();
}
