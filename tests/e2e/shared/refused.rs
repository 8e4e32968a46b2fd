//! Objects of Haldane's that a webhook, a quota or a policy of somebody else refuses.

use crate::harness::{App, Load, SOON, Space, cluster::run, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// An abort takes some seconds, the time of NGINX included; here on a busy machine.
const SECONDS: Duration = Duration::from_secs(30);
const STEPS: &str = "{abortScaleDownDelaySeconds: 1, steps: [{setWeight: 50}, {pause: {}}]}";

/// Objects without a namespace, removed when it is dropped.
struct Installed(String);

impl Installed {
    fn new(objects: &[Value]) -> Self {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        run("kubectl", &["apply", "-f", "-"], &list).ok();
        Self(list)
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        run("kubectl", &["delete", "--ignore-not-found", "-f", "-"], &self.0);
    }
}

/// The webhook of an ingress controller that is away, for this namespace.
fn dead_webhook(space: &Space, operations: &[&str]) -> Installed {
    let name = format!("dead.{}.example.com", space.namespace);
    let rule = json!({
        "apiGroups": ["networking.k8s.io"], "apiVersions": ["v1"], "resources": ["ingresses"], "operations": operations,
    });
    let webhook = json!({
        "name": name,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.namespace}},
        "rules": [rule],
        "clientConfig": {"service": {"name": "nobody", "namespace": space.namespace, "path": "/"}},
        "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
    });
    let installed = Installed::new(&[json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name}, "webhooks": [webhook],
    })]);
    eventually("the webhook to be asked", SOON, || {
        let tried = space.kubectl(&[
            "annotate",
            "ingress",
            "web",
            "example.com/try=1",
            "--overwrite",
            "--dry-run=server",
        ]);
        if tried.code == 0 { Err(tried.out) } else { Ok(()) }
    });
    installed
}

/// At weight 50.
fn halfway(space: &Space, app: &App) {
    space.deploy(&app.clone().annotated("haldane.dev/settle", "1s"));
    space.answers("v1");
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
}

/// 20 of 20 answers are of stable, soon.
fn only_stable_answers(space: &Space) {
    eventually("20 of 20 answers of v1", SECONDS, || {
        let load = Load::with(space, &["--rate", "40", "--duration", "500ms"]).finish();
        if load.answers("v1") == load.sent() { Ok(()) } else { Err(load.split()) }
    });
}

/// Waits until the record says `words`.
fn is_stated(space: &Space, words: &str) -> String {
    eventually(&format!("the record to say {words}"), SOON, || {
        let message = space.summary("web")["message"].as_str().unwrap_or_default().to_owned();
        if message.contains(words) { Ok(message) } else { Err(message) }
    })
}

#[test]
fn an_abort_removes_a_route_that_it_may_not_change() {
    let space = Space::new("refused");
    halfway(&space, &App::canary(STEPS));
    let webhook = dead_webhook(&space, &["CREATE", "UPDATE"]);
    space.order("web", "abort").ok();
    only_stable_answers(&space);
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    let events = space.events("WriteRefused");
    assert!(matches!(events.as_slice(), [event] if event.contains("failed calling webhook")), "{events:?}");
    drop(webhook);
    space.only_the_record_is_left("web", SOON);
}

#[test]
fn an_abort_stops_a_canary_whose_route_it_may_not_touch() {
    let space = Space::new("refused");
    halfway(&space, &App::canary(STEPS));
    let webhook = dead_webhook(&space, &["CREATE", "UPDATE", "DELETE"]);
    space.order("web", "abort").ok();
    only_stable_answers(&space);
    let message = is_stated(&space, "failed calling webhook");
    assert!(message.contains("Ingress \"web-canary\" is refused"), "{message}");
    let summary = space.summary("web");
    assert_eq!(
        (&summary["phase"], &summary["weight"]),
        (&json!("Aborting"), &json!("50")),
        "as the Ingress says"
    );
    assert_eq!(space.weight("web").as_deref(), Some("50"));
    assert_eq!(space.the("apps/v1 Deployment", "web-canary")["spec"]["replicas"], 0);
    let status = space.kubectl(&["rollout", "status", "deployment/web", "--timeout=20s"]);
    assert_eq!(status.code, 1, "{status:?}");
    drop(webhook);
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    space.only_the_record_is_left("web", SOON);
    assert_eq!(space.events("WriteRefused").len(), 1, "once, and not at each try");
}

#[test]
fn a_quota_on_ingresses_ends_the_release_at_the_deadline_in_its_own_words() {
    let space = Space::new("refused");
    space.deploy(&App::canary(STEPS).changed("/spec/progressDeadlineSeconds", json!(30)));
    space.answers("v1");
    let hard = json!({"count/ingresses.networking.k8s.io": "1"});
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "routes"}, "spec": {"hard": hard}});
    space.apply(&quota.to_string()).ok();
    eventually("the quota to count", SOON, || {
        let used = space.the("v1 ResourceQuota", "routes")["status"]["used"].take();
        if used["count/ingresses.networking.k8s.io"] == "1" { Ok(()) } else { Err(used.to_string()) }
    });
    let words = "exceeded quota: routes";
    let warned = space.set_env("web", &["VERSION=v2"]).ok().err;
    assert!(warned.contains("Ingress \"web-canary\"") && warned.contains(words), "{warned}");
    let message = is_stated(&space, words);
    assert!(message.starts_with("Ingress \"web-canary\" is refused"), "{message}");
    let event = eventually("the Event", SOON, || space.events("WriteRefused").pop().ok_or_else(String::new));
    assert!(event.contains(words), "{event}");
    let ended = space.reaches("web", 2 * SOON, &[("phase", "Degraded")])["message"].to_string();
    assert!(ended.contains("ProgressDeadlineExceeded") && ended.contains(words), "{ended}");
    assert_eq!(space.events("TrafficWeightUpdated"), [""; 0], "no weight was ever there");
    assert_eq!(space.events("WriteRefused").len(), 1);
    only_stable_answers(&space);
}

/// Every Deployment of this namespace but `web` needs a label.
fn team_policy(space: &Space) -> Installed {
    let name = format!("team-{}", space.namespace);
    let rule = json!({"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"], "operations": ["CREATE", "UPDATE"]});
    let has_team =
        "object.metadata.name == 'web' || (has(object.metadata.labels) && 'team' in object.metadata.labels)";
    let api = "admissionregistration.k8s.io/v1";
    let policy = Installed::new(&[
        json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": has_team, "message": "a Deployment needs the label team"}],
            },
        }),
        json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {
                "policyName": name, "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.namespace}}},
            },
        }),
    ]);
    eventually("the policy to be in force", SOON, || {
        let tried = space.kubectl(&["create", "deployment", "try", "--image=none", "--dry-run=server"]);
        if tried.code == 0 { Err(tried.out) } else { Ok(()) }
    });
    policy
}

#[test]
fn a_policy_on_deployments_is_quoted_and_the_release_goes_on_without_it() {
    let space = Space::new("refused");
    halfway(&space, &App::canary(STEPS));
    let policy = team_policy(&space);
    // The canary has to grow.
    space.order("web", "promote").ok();
    let message = is_stated(&space, "a Deployment needs the label team");
    assert!(message.starts_with("Deployment \"web-canary\" is refused"), "{message}");
    assert_eq!(space.summary("web")["phase"], "Promoting");
    drop(policy);
    space.is_healthy("web", 2 * SOON);
    assert_eq!(space.events("WriteRefused").len(), 1);
}

#[test]
fn what_a_policy_would_refuse_is_refused_when_the_release_is_applied() {
    let space = Space::new("tried");
    space.deploy(&App::canary(STEPS).annotated("haldane.dev/settle", "1s"));
    space.answers("v1");
    let policy = team_policy(&space);
    let refusal = space.set_env("web", &["VERSION=v2"]).refused();
    let words =
        ["Deployment web-canary", "a Deployment needs the label team", "app.kubernetes.io/managed-by"];
    assert!(words.iter().all(|words| refusal.contains(words)), "{refusal}");
    assert!(space.the("apps/v1 Deployment", "web")["spec"]["paused"].is_null(), "as it was");
    // Labels of the Deployment are the canary's too.
    space.kubectl(&["label", "deployment", "web", "team=shop"]).ok();
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    drop(policy);
}
