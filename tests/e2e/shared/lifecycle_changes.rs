//! Another template, or the stable one again, at every stage of a rollout.

use crate::harness::{App, Load, SOON, Space, eventually};
use serde_json::{Value, json};

const STEPS: &str = "{steps: [{setWeight: 50}, {pause: {}}]}";

/// Waits until the recorded rollout of `version` is at a stage.
fn is_at(space: &Space, revision: u64, stage: &str) {
    eventually(&format!("revision {revision} to be at {stage}"), SOON, || {
        let rollout = space.state("web")["rollout"].take();
        let now = (&rollout["revision"], &rollout["stage"]["name"]);
        if *now.0 == revision && now.1 == stage { Ok(()) } else { Err(format!("{now:?}")) }
    });
}

/// Waits until this revision is on trial, with its traffic.
fn is_on_trial(space: &Space, revision: u64) {
    let revision = revision.to_string();
    space.reaches("web", 2 * SOON, &[("phase", "Paused"), ("weight", "50"), ("revision", &revision)]);
}

fn set_version(space: &Space, number: u64) {
    space.set_env("web", &[&format!("VERSION=v{number}")]).ok();
}

#[test]
fn a_newer_template_gets_its_canary_at_every_stage() {
    let space = Space::new("newer");
    // Stages that last as long as traffic settles must be seen, and the template changed within them.
    space.deploy(&App::canary(STEPS).annotated("haldane.dev/settle", "3s"));
    space.answers("v1");
    set_version(&space, 2);
    // Whether revision 2 was ever seen depends on the moment; nobody gets it either way.
    set_version(&space, 3);
    eventually("v3 to be on trial", SOON, || {
        // The canary first: v2 may have been on trial, and what the record says after v3's canary is there is of v3.
        let is_newest = canary_version(&space) == "v3";
        let summary = space.summary("web");
        if is_newest && summary["phase"] == "Paused" { Ok(()) } else { Err(summary.to_string()) }
    });
    let mut newest: u64 =
        space.summary("web")["revision"].as_str().and_then(|text| text.parse().ok()).unwrap();
    assert_eq!(canary_version(&space), "v3", "the last of two changes within a second is on trial");

    for stage in ["start", "step", "promoteScale", "promoteShift", "promoteRoll", "retreat"] {
        if stage.starts_with("promote") || stage == "retreat" {
            is_on_trial(&space, newest);
            space.order("web", "promote").ok();
        } else {
            set_version(&space, 100 + newest);
            newest += 1;
        }
        // Scaling to full size may be over before it is seen.
        if stage != "promoteScale" {
            is_at(&space, newest, stage);
        }
        set_version(&space, 200 + newest);
        newest += 1;
        is_on_trial(&space, newest);
        assert_eq!(canary_version(&space), format!("v{}", 199 + newest), "after a change at {stage}");
    }
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
    space.answers(&format!("v{}", 199 + newest));
}

/// The version that the canary's pods are made of.
fn canary_version(space: &Space) -> String {
    let canary = space.get("apps/v1 Deployment", "web-canary").unwrap_or_default();
    let version = canary.pointer("/spec/template/spec/containers/0/env/0/value").and_then(Value::as_str);
    version.unwrap_or_default().to_owned()
}

#[test]
fn the_stable_template_again_is_safe_while_the_traffic_shifts() {
    let space = Space::new("shifted");
    // The delay gives time to change the template before stable rolls.
    space.deploy(&App::canary("{scaleDownDelaySeconds: 30, steps: [{setWeight: 50}, {pause: {}}]}"));
    space.answers("v1");
    let before = space.pods("app=web");
    let load = Load::start(&space, 40);
    set_version(&space, 2);
    is_on_trial(&space, 2);
    space.order("web", "promote").ok();
    is_at(&space, 2, "promoteShift");
    set_version(&space, 1);
    space.is_healthy("web", SOON);
    space.rolled_out("web");
    load.stop().assert_nothing_failed("the stable template again, while the traffic shifts");
    assert_eq!(space.pods("app=web"), before, "no pod of stable was replaced");
    assert_eq!(space.the("apps/v1 Deployment", "web")["spec"]["paused"], Value::Null);
}

#[test]
fn what_arrives_late_on_an_idle_deployment_is_removed() {
    let space = Space::new("late");
    let app = App::canary("steps: [{setWeight: 50}, {pause: {}}]");
    space.deploy(&app);
    space.is_opted_in("web");
    // As a request of Haldane's own that was on its way for long.
    let mut autoscaler = app.autoscaler(1..=2, &json!({}));
    let uid = space.the("apps/v1 Deployment", "web")["metadata"]["uid"].take();
    autoscaler["metadata"] = json!({
        "name": "web-canary",
        "labels": {"app.kubernetes.io/managed-by": "haldane", "haldane.dev/canary-of": "web"},
        "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid, "controller": true}
        ],
    });
    autoscaler["spec"]["scaleTargetRef"]["name"] = json!("web-canary");
    let account = "--as=system:serviceaccount:haldane-system:haldane";
    space.apply_with(&[account], &autoscaler.to_string()).ok();
    space.only_the_record_is_left("web", SOON);
}
