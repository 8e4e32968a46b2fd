//! What people and tools do to every Deployment: pause and resume it, go back, restart it for new configuration.

use crate::harness::{App, Load, SOON, Space, eventually};
use serde_json::json;

const STEPS: &str = "steps: [{setWeight: 20}, {pause: {}}]";

fn rollout(space: &Space, verb: &str) -> String {
    space.kubectl(&["rollout", verb, "deployment/web"]).ok().err
}

#[test]
fn a_pause_holds_all_changes_until_resume_and_resume_skips_no_step() {
    let space = Space::new("paused");
    space.deploy(&App::canary(STEPS).annotated("haldane.dev/settle", "1s"));
    rollout(&space, "pause");
    let told = space.set_env("web", &["VERSION=v2"]).ok().err;
    assert!(told.contains("its canary waits for `kubectl rollout resume`"), "{told}");
    space.reaches("web", SOON, &[("phase", "Paused"), ("weight", "0")]);
    let told = space.kubectl(&["set", "resources", "deployment/web", "--requests=cpu=6m"]).ok().err;
    assert!(told.contains("its canary waits for `kubectl rollout resume`"), "{told}");
    space.reaches("web", SOON, &[("phase", "Paused"), ("weight", "0"), ("revision", "3")]);
    rollout(&space, "resume");
    space.pauses_at("web", "20");
    // The plan's own pause is for another `resume`.
    rollout(&space, "resume");
    space.is_healthy("web", 2 * SOON);

    // As a script does it, without a look in between.
    rollout(&space, "pause");
    space.set_env("web", &["VERSION=v4"]).ok();
    space.kubectl(&["set", "resources", "deployment/web", "--requests=cpu=7m"]).ok();
    rollout(&space, "resume");
    space.pauses_at("web", "20");
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
    let ignored = space.events("RequestIgnored");
    assert!(ignored.is_empty(), "{ignored:?}");
}

#[test]
fn the_way_back_from_a_promoted_version_is_named_and_is_fast() {
    let space = Space::new("wayback");
    space.deploy(&App::canary(STEPS).annotated("haldane.dev/settle", "1s"));
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    space.order("web", "promote-full").ok();
    space.is_healthy("web", 2 * SOON);
    let load = Load::start(&space, 30);
    let told = rollout(&space, "undo");
    assert!(told.contains("this template was stable until 20"), "{told}");
    assert!(told.contains("order haldane.dev/do=promote-full"), "{told}");
    space.pauses_at("web", "20");
    space.order("web", "promote-full").ok();
    space.is_healthy("web", 2 * SOON);
    space.answers("v1");
    load.stop().assert_nothing_failed("the way back");

    let plan = "haldane.dev/canary={steps: [{setWeight: 20}, {pause: {}}], rollbackWindow: {revisions: 3}}";
    space.kubectl(&["annotate", "--overwrite", "deployment", "web", plan]).ok();
    let told = space.set_env("web", &["VERSION=v2"]).ok().err;
    assert!(told.contains("by rollbackWindow its steps and analyses are skipped"), "{told}");
    space.is_healthy("web", 2 * SOON);
    space.answers("v2");
}

#[test]
fn a_rotated_secret_restarts_the_pods_without_a_canary_where_its_checksum_is_named() {
    let space = Space::new("rotated");
    let annotations = "/spec/template/metadata/annotations";
    let app = App::canary(STEPS).annotated("haldane.dev/restart-annotations", "checksum/secret");
    let rotated = |checksum: &str| app.clone().changed(annotations, json!({"checksum/secret": checksum}));
    space.deploy(&rotated("1"));
    let before = space.pods("app=web");
    let told = space.apply(&rotated("2").manifest(&space)).ok().err;
    assert!(told.contains("the pods are restarted without a canary"), "{told}");
    space.rolled_out("web");
    eventually("all pods to be replaced", SOON, || {
        let now = space.pods("app=web");
        if now.iter().any(|pod| before.contains(pod)) { Err(format!("{now:?}")) } else { Ok(()) }
    });
    space.reaches("web", SOON, &[("phase", "Healthy")]);
    space.apply(&rotated("3").with("VERSION", "v2").manifest(&space)).ok();
    space.pauses_at("web", "20");
}

#[test]
fn a_change_within_min_ready_seconds_of_the_last_is_held_too() {
    let space = Space::new("minready");
    let app = App::canary(STEPS).sized(1).changed("/spec/minReadySeconds", json!(300));
    space.apply(&app.manifest(&space)).ok();
    space.answers("v1");
    let told = space.set_env("web", &["VERSION=v2"]).ok().err;
    assert!(told.contains("the new template is held"), "{told}");
    assert_eq!(space.the("apps/v1 Deployment", "web")["spec"]["paused"], true);
}
