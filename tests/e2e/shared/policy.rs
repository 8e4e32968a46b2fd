//! Policy profiles, in the words that `kubectl` shows.

use crate::harness::{App, SOON, Space, cluster::kubectl, eventually};
use serde_json::json;

const PAUSE: &str = "steps: [{setWeight: 25}, {pause: {}}]";
const METRICS: &str = "metrics: [{name: up, successCondition: 'len(result) == 0 || result[0] == 1', provider: {prometheus: {query: 'up{service=\"web-canary\"}'}}}]";

/// A profile of this test alone, bound to its namespace.
struct Profile {
    name: String,
}

impl Profile {
    fn bind(space: &Space, mode: &str, rules: &str) -> Self {
        let profile = Self { name: space.namespace.clone() };
        profile.write(rules).ok();
        kubectl(&["label", "namespace", &space.namespace, &format!("haldane.dev/{mode}={}", profile.name)])
            .ok();
        profile
    }

    fn write(&self, rules: &str) -> crate::harness::Output {
        let map = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self.name, "namespace": "haldane-system", "labels": {"haldane.dev/policy": "true"}},
            "data": {"profile": format!("rules: {rules}")},
        });
        crate::harness::cluster::run("kubectl", &["apply", "-f", "-"], &map.to_string())
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        kubectl(&["--namespace", "haldane-system", "delete", "configmap", &self.name, "--wait=false"]);
    }
}

fn said(space: &Space, text: &str) -> String {
    text.replace(&space.namespace, "NAMESPACE").trim_end().to_owned()
}

/// The line of an answer that speaks of policy.
fn policy_line(space: &Space, text: &str) -> String {
    let line = text.lines().find(|line| line.contains("(policy ")).unwrap_or(text);
    said(space, line.split("metadata.annotations").last().unwrap_or(line))
}

#[test]
fn a_profile_holds_releases_of_its_namespace_to_its_rules() {
    let space = Space::new("policy");
    let app = App::canary(PAUSE).annotated("haldane.dev/analysis", METRICS);
    space.deploy(&app);
    let profile = Profile::bind(&space, "enforce", "{first-weight: {max: 10}, canary-required: {}}");
    let refused = space.set_env("web", &["VERSION=v2"]).refused();
    insta::assert_snapshot!(policy_line(&space, &refused), @r#"[haldane.dev/canary].steps[0].setWeight: "25": the first weight must be at most 10 (policy NAMESPACE, rule first-weight)"#);
    assert_eq!(space.the("apps/v1 Deployment", "web")["spec"]["paused"], json!(null));

    // Scaling is none of its business, and neither are Deployments without a route.
    space.kubectl(&["scale", "deployment", "web", "--replicas=3"]).ok();
    let worker = App { name: "worker".to_owned(), ..App::plain() };
    space.apply(&worker.deployment().to_string()).ok();
    let shop = App { name: "shop".to_owned(), ..App::plain() };
    space.apply(&shop.service().to_string()).ok();
    space.apply(&shop.ingress(&space).to_string()).ok();
    let refused = space.apply(&shop.deployment().to_string()).refused();
    insta::assert_snapshot!(policy_line(&space, &refused), @r#"[haldane.dev/canary]: a Deployment with a route must use canary releases: set the annotation haldane.dev/canary to "enabled" or to a plan (policy NAMESPACE, rule canary-required)"#);

    // Told only, and a profile that cannot be read is refused when it is written.
    kubectl(&[
        "label",
        "namespace",
        &space.namespace,
        "haldane.dev/enforce-",
        &format!("haldane.dev/warn={}", profile.name),
    ])
    .ok();
    let shown = space.kubectl(&["set", "env", "deployment/web", "VERSION=v2", "--dry-run=server"]);
    let warned: Vec<_> = shown.err.lines().filter(|line| line.contains("would be refused")).collect();
    insta::assert_snapshot!(said(&space, &warned.join("\n")), @r#"Warning: haldane: would be refused: metadata.annotations[haldane.dev/canary].steps[0].setWeight: "25": the first weight must be at most 10 (policy NAMESPACE, rule first-weight)"#);
    insta::assert_snapshot!(said(&space, &profile.write("{first-weight: {maximum: 10}}").refused()), @r#"
    The ConfigMap "NAMESPACE" is invalid: 
    * data[profile].rules.first-weight.max: is required
    * data[profile].rules.first-weight.maximum: unknown field, allowed are max
    "#);
}

#[test]
fn a_freeze_holds_until_a_reason_comes_from_who_may_give_one() {
    let space = Space::new("policy");
    space.deploy(&App::canary(PAUSE));
    let _profile = Profile::bind(
        &space,
        "enforce",
        "{freeze: {windows: [{name: always, from: 2020-01-01, to: 2099-12-31, timeZone: Europe/Berlin}]}}",
    );
    let refused = space.set_env("web", &["VERSION=v2"]).refused();
    assert!(
        refused.contains("the freeze \"always\" does not allow releases until 2100-01-01 00:00 CET"),
        "{refused}"
    );
    let release = json!({
        "metadata": {"annotations": {"haldane.dev/override-freeze": "outage 4711"}},
        "spec": {"template": {"metadata": {"annotations": {"release": "2"}}}},
    })
    .to_string();
    let editor = ["--as", "editor", "--as-group", "editors"];
    space.kubectl(&["create", "rolebinding", "editors", "--clusterrole=edit", "--group=editors"]).ok();
    let patch = ["patch", "deployment", "web", "--patch", &release];
    let refused = space.kubectl(&[&patch, &editor[..]].concat()).refused();
    assert!(refused.contains("override-freeze"), "an editor may not: {refused}");
    space.kubectl(&patch).ok();
    space.pauses_at("web", "25");
    space.order("web", "abort").ok();
}

#[test]
fn releases_beyond_the_budget_wait_for_their_turn() {
    let space = Space::new("policy");
    let app = |name: &str| {
        App { name: name.to_owned(), replicas: 1, ..App::canary(PAUSE) }.annotated("haldane.dev/settle", "1s")
    };
    for name in ["a", "b"] {
        space.deploy(&app(name));
    }
    let rules = "{concurrent-canaries: {perNamespace: 1}}\nexemptions: {groups: [platform]}";
    let profile = Profile::bind(&space, "enforce", rules);
    space.set_env("a", &["VERSION=v2"]).ok();
    space.pauses_at("a", "25");
    space.set_env("b", &["VERSION=v2"]).ok();
    let waits =
        format!("waits for its turn: policy {} allows 1 canary at once in this namespace", space.namespace);
    space.reaches("b", SOON, &[("phase", "Held"), ("message", &waits)]);
    assert!(space.get("apps/v1 Deployment", "b-canary").is_none(), "nothing of its canary is made");
    assert_eq!(space.awaits_events("RolloutQueued"), [format!("The rollout {waits}")]);
    space.order("a", "abort").ok();
    space.pauses_at("b", "25");
    assert!(
        space
            .get("v1 ConfigMap", "haldane-b")
            .is_some_and(|map| map["metadata"]["labels"]["haldane.dev/progress"] == "running")
    );
    // A retry takes its turn as well, and the revision stays aborted until then.
    space.reaches("a", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    space.order("a", "retry").ok();
    space.reaches("a", SOON, &[("phase", "Degraded"), ("message", &waits)]);
    // Who is exempt waits for nobody.
    space.kubectl(&["create", "rolebinding", "platform", "--clusterrole=edit", "--group=platform"]).ok();
    space.deploy(&app("c"));
    let release = ["set", "env", "deployment/c", "VERSION=v2", "--as=jane", "--as-group=platform"];
    space.kubectl(&release).ok();
    space.pauses_at("c", "25");
    let exempt = |name: &str| {
        space.the("apps/v1 Deployment", name)["metadata"]["annotations"]["haldane.dev/exempt"].clone()
    };
    assert_eq!((exempt("b"), exempt("c")), (json!(null), json!(profile.name)));
    assert_eq!(space.summary("a")["message"], waits, "it still waits");
    space.order("c", "promote-full").ok();
    space.reaches("c", SOON, &[("phase", "Healthy")]);
    assert_eq!(exempt("c"), json!(null), "nothing of it is left");
    space.order("b", "promote-full").ok();
    space.pauses_at("a", "25");
    assert_eq!(space.state("a")["rollout"]["attempt"], 2);
}

#[test]
fn a_new_deployment_over_running_pods_is_held_for_its_canary() {
    let space = Space::new("policy");
    let app = App::canary(PAUSE).annotated("haldane.dev/settle", "1s");
    space.deploy(&app);
    let pods = space.pods("app=web");
    space.kubectl(&["delete", "deployment", "web", "--cascade=orphan"]).ok();
    eventually("the record to go with the Deployment", SOON, || {
        let ours = space.ours();
        if ours.is_empty() { Ok(()) } else { Err(format!("{ours:?}")) }
    });
    let profile = Profile::bind(
        &space,
        "enforce",
        "{freeze: {windows: [{name: always, from: 2020-01-01, to: 2099-12-31}]}}",
    );
    let newer = app.with("VERSION", "v2").deployment().to_string();
    let refused = space.apply(&newer).refused();
    assert!(refused.contains("the freeze \"always\" does not allow releases"), "{refused}");
    profile.write("{canary-required: {}}").ok();
    let told = space.apply(&newer);
    assert!(told.err.contains("pods of another template already run"), "{}", told.err);
    space.pauses_at("web", "25");
    assert_eq!(space.pods("app=web"), pods, "the pods that served are stable");
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
    space.answers("v2");
}

#[test]
fn a_template_that_changes_after_admission_is_judged_when_the_rollout_starts_anew() {
    let space = Space::new("policy");
    let template = |name: &str| {
        let metric = json!({
            "name": name,
            "successCondition": "result == 1",
            "provider": {"web": {"url": "http://prometheus.monitoring:9090/", "jsonPath": "{$.up}"}},
        });
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "checks", "labels": {"haldane.dev/analysis-template": "true"}},
            "data": {"spec": json!({"metrics": [metric]}).to_string()},
        })
        .to_string()
    };
    space.apply(&template("up")).ok();
    let plan = "steps: [{setWeight: 25}, {pause: {}}, {analysis: {templates: [{templateName: checks}]}}]";
    space.deploy(&App::canary(plan).annotated("haldane.dev/settle", "1s"));
    let profile = Profile::bind(&space, "enforce", "{required-metrics: {names: [up]}}");
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "25");
    space.apply(&template("other")).ok();
    space.kubectl(&["delete", "configmap", "haldane-web"]).ok();
    space.kubectl(&["label", "deployment", "web", "look=again"]).ok();
    let why = format!(
        "metadata.annotations[haldane.dev/canary]: \"other\": an analysis must measure up as well (policy {}, rule required-metrics)",
        profile.name
    );
    space.reaches("web", 2 * SOON, &[("phase", "Held"), ("message", &why)]);
    assert!(space.get("apps/v1 Deployment", "web-canary").is_none(), "nothing of its canary is left");
    assert_eq!(space.awaits_events("RolloutBlocked").len(), 1);
    space.apply(&template("up")).ok();
    // Nothing reports the change of a template: it is looked at every 30 s.
    space.reaches("web", 2 * SOON, &[("phase", "Paused"), ("weight", "25")]);
    space.order("web", "promote-full").ok();
    space.is_healthy("web", 2 * SOON);
}
