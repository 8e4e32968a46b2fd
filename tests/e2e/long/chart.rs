//! Haldane from its chart: installed, upgraded in the middle of a canary, and removed, by Helm itself.

use crate::harness::{
    App, Load, SOON, Space,
    cluster::{get, run, setting},
    eventually,
    haldane::{self, NAMESPACE},
};
use serde_json::Value;

/// `helm COMMAND haldane …`, with the image of this run.
#[track_caller]
fn helm(command: &str, more: &[&str]) {
    let image = setting("HALDANE_IMAGE");
    let (repository, tag) = image.rsplit_once(':').expect("a tag");
    let image = format!("image.repository={repository},image.tag={tag}");
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/chart");
    let fixed =
        [command, "haldane", chart, "--namespace", NAMESPACE, "--set", &image, "--wait", "--timeout=120s"];
    run("helm", &[&fixed, more].concat(), "").ok();
}

/// What Haldane writes itself: the Secret's data, and `caBundle` of every webhook.
fn own() -> Vec<Value> {
    let secret = get("v1 Secret", NAMESPACE, "haldane-tls").map(|mut secret| secret["data"].take());
    let bundles = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"].map(|kind| {
        let kind = format!("admissionregistration.k8s.io/v1 {kind}");
        let webhooks = get(&kind, "", "haldane").expect("it is installed")["webhooks"].take();
        webhooks.as_array().cloned().unwrap_or_default()
    });
    let bundles = bundles.concat().into_iter().map(|webhook| webhook["clientConfig"]["caBundle"].clone());
    secret.into_iter().chain(bundles).collect()
}

#[test]
fn the_chart_installs_upgrades_in_the_middle_of_a_canary_and_uninstalls() {
    let gone = haldane::uninstall();
    helm("install", &["--create-namespace"]);
    haldane::is_complete();
    let space = Space::new("chart");
    space.deploy(&App::canary("{steps: [{setWeight: 50}, {pause: {}}]}"));
    space.answers("v1");
    let load = Load::start(&space, 50);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    eventually("caBundle of every webhook", SOON, || {
        let own = own();
        let missing = own.iter().filter(|value| value.is_null()).count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} of {} are missing", own.len())) }
    });

    let before = own();
    helm("upgrade", &["--set=settings.HALDANE_LOG=debug"]);
    assert_eq!(own(), before, "an upgrade neither rotates nor drops what Haldane writes");
    haldane::is_complete();
    space.pauses_at("web", "50");
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
    load.stop().assert_nothing_failed("an upgrade in the middle of a canary");

    run(&setting("HALDANE_PROGRAM"), &["eject", "--revert", "--only", &space.namespace], "").ok();
    run("helm", &["uninstall", "haldane", "--namespace", NAMESPACE, "--wait"], "").ok();
    space.set_env("web", &["VERSION=v3"]).ok();
    space.rolled_out("web");
    assert_eq!(space.ours(), Vec::<String>::new(), "a plain Deployment");
    gone.come_back();
}
