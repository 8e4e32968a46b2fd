//! Leaving Haldane: plain Deployments go on serving, and nothing of it is left on them.

use crate::harness::{
    App, Load, Output, SOON, Space,
    cluster::{get, kubectl, run, setting},
    eventually, haldane,
};
use serde_json::Value;

const STEPS: &str = "{steps: [{setWeight: 50}, {pause: {}}]}";

/// `haldane eject`, as an administrator runs it on their own machine, here for one namespace.
fn eject(space: &Space, flags: &[&str]) -> Output {
    let only = ["eject", "--only", &space.namespace];
    run(&setting("HALDANE_PROGRAM"), &[&only, flags].concat(), "")
}

/// Nothing is Haldane's any more, and a change is an ordinary rolling update.
fn is_plain(space: &Space, name: &str) {
    // A controller that looked before may write a last record, and removes it.
    eventually("nothing to be left", SOON, || {
        let ours = space.ours();
        if ours.is_empty() { Ok(()) } else { Err(format!("{ours:?}")) }
    });
    let deployment = space.the("apps/v1 Deployment", name);
    let metadata = deployment["metadata"].to_string().replace("last-applied-configuration", "");
    let keys = ["annotations", "labels"]
        .map(|map| deployment["metadata"][map].as_object().cloned().unwrap_or_default());
    let ours = keys.iter().flat_map(serde_json::Map::keys).find(|key| key.starts_with("haldane.dev/"));
    assert_eq!(ours, None, "{metadata}");
    assert_eq!(deployment["spec"]["paused"], Value::Null);
    assert_eq!(space.condition(name, "haldane.dev/Release"), Value::Null);
}

fn version(space: &Space) -> Value {
    space.the("apps/v1 Deployment", "web")["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"]
        .clone()
}

#[test]
fn eject_reverts_what_is_under_way_and_leaves_plain_deployments() {
    haldane::is_complete();
    let space = Space::new("eject");
    space.deploy(&App::canary(STEPS));
    let idle = App { name: "idle".to_owned(), ..App::canary(STEPS) };
    space.apply(&idle.deployment().to_string()).ok();
    space.rolled_out("idle");
    space.answers("v1");
    let before = (space.pods("app=web"), space.pods("app=idle"));
    let load = Load::start(&space, 50);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    kubectl(&["label", "namespace", &space.namespace, "haldane.dev/canary=enabled"]).ok();
    kubectl(&["annotate", "namespace", &space.namespace, "haldane.dev/settle=1s"]).ok();
    let undecided = eject(&space, &[]).refused();
    let named = format!("rollouts are running: {}/web (Paused); use --revert", space.namespace);
    assert!(undecided.contains(&named), "{undecided}");
    eject(&space, &["--revert"]).ok();
    for name in ["web", "idle"] {
        is_plain(&space, name);
    }
    let namespace = get("v1 Namespace", "", &space.namespace).unwrap_or_default()["metadata"].to_string();
    assert!(!namespace.contains("\"haldane.dev/"), "{namespace}");
    assert_eq!(version(&space), "v1");
    assert_eq!((space.pods("app=web"), space.pods("app=idle")), before, "no pod was replaced");
    space.set_env("web", &["VERSION=v3"]).ok();
    space.rolled_out("web");
    assert_eq!(space.ours(), Vec::<String>::new(), "an ordinary rolling update");
    load.stop().assert_nothing_failed("eject --revert");
}

#[test]
fn eject_leaves_what_it_cannot_read_and_says_what_to_do() {
    haldane::is_complete();
    let space = Space::new("unreadable");
    let names = ["broken", "newer", "sound"];
    for name in names {
        let app = App { name: name.to_owned(), ..App::canary(STEPS).sized(1) };
        space.apply(&app.deployment().to_string()).ok();
    }
    for name in names {
        space.rolled_out(name);
        space.is_opted_in(name);
    }
    for (name, state) in [("broken", r#""{""#), ("newer", r#""{\"version\": 99}""#)] {
        let patch = format!(r#"{{"data": {{"state": {state}}}}}"#);
        space.kubectl(&["patch", "configmap", &format!("haldane-{name}"), "--patch", &patch]).ok();
    }
    let told = eject(&space, &["--revert"]).refused();
    let head = "2 Deployments are not ejected; fix each, then run eject again:";
    let broken = format!("\n  {}/broken: ConfigMap \"haldane-broken\", key \"state\": EOF", space.namespace);
    let newer = format!("\n  {}/newer: ConfigMap \"haldane-newer\" has version 99", space.namespace);
    assert!([head, &broken, &newer].iter().all(|part| told.contains(part)), "{told}");
    assert!(told.contains("delete the ConfigMap to start from what is running"), "{told}");
    let left = space.ours();
    assert_eq!(left, ["ConfigMap/haldane-broken", "ConfigMap/haldane-newer"], "the sound one is plain");
    space.kubectl(&["delete", "configmap", "haldane-broken", "haldane-newer"]).ok();
    eject(&space, &["--revert"]).ok();
    for name in names {
        is_plain(&space, name);
    }
}

#[test]
fn after_haldane_is_deleted_everything_serves_and_eject_finishes_what_was_under_way() {
    haldane::is_complete();
    let space = Space::new("deleted");
    space.deploy(&App::canary(STEPS));
    space.answers("v1");
    let load = Load::start(&space, 50);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    let gone = haldane::uninstall();
    let sample = Load::with(&space, &["--rate", "100", "--duration", "3s"]).finish();
    assert!(sample.answers("v1") > 0 && sample.answers("v2") > 0, "both serve on: {}", sample.split());
    eject(&space, &["--finish"]).ok();
    is_plain(&space, "web");
    assert_eq!(version(&space), "v2");
    space.rolled_out("web");
    load.stop().assert_nothing_failed("deleting Haldane and eject --finish");
    // NGINX may still know a pod of v1 that is ending.
    space.answers("v2");
    let sample = Load::with(&space, &["--rate", "100", "--duration", "1s"]).finish();
    assert_eq!(sample.answers("v2"), sample.sent(), "{}", sample.split());
    gone.come_back();
    space.rolled_out("web");
    assert_eq!(space.ours(), Vec::<String>::new(), "it is opted out also for a new installation");
}
