//! Haldane, half of it, or the API server is gone, hangs or is replaced: what goes on, what waits, what is refused.

use crate::harness::{
    Admissions, App, Load, SOON, Space, cluster, document, eventually, faults,
    haldane::{self, here},
};
use std::time::Duration;

const STEPS: &str = "steps: [{setWeight: 20}, {pause: {}}, {setWeight: 50}, {pause: {duration: 2s}}]";

fn has_pods(space: &Space, labels: &str, wanted: usize) {
    eventually(&format!("{wanted} pods {labels}"), SOON, || {
        let pods = space.pods(labels).len();
        if pods == wanted { Ok(()) } else { Err(format!("{pods}")) }
    });
}

#[test]
fn without_haldane_everything_serves_and_only_releases_wait() {
    haldane::is_complete();
    let space = Space::new("outage");
    let other = Space::new("outage-other");
    let unmanaged = App { name: "unmanaged".to_owned(), ..App::plain() };
    let idle = App { name: "idle".to_owned(), ..App::canary(STEPS) };
    space.deploy(&App::canary(STEPS));
    other.deploy(&unmanaged);
    other.apply(&idle.deployment().to_string()).ok();
    other.rolled_out("idle");
    space.answers("v1");
    let load = Load::start(&space, 50);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");

    let away = haldane::take_away();
    other.set_env("unmanaged", &["VERSION=v2"]).ok();
    other.rolled_out("unmanaged");
    for refused in [other.set_env("idle", &["VERSION=v2"]), space.set_env("web", &["VERSION=v3"])] {
        let text = refused.refused();
        assert!(text.contains(r#"failed calling webhook "mutate.haldane.dev""#), "{text}");
        assert!(text.contains("haldane-webhook"), "it names what is missing: {text}");
    }
    other.kubectl(&["label", "deployment", "idle", "team=shop"]).ok();
    other.kubectl(&["scale", "deployment/idle", "--replicas=3"]).ok();
    has_pods(&other, "app=idle", 3);
    space.kubectl(&["label", "deployment", "web", "team=shop"]).ok();
    space.kubectl(&["scale", "deployment/web", "--replicas=4"]).ok();
    has_pods(&space, "app=web", 4);
    other.kubectl(&["delete", "deployment", "idle"]).ok();
    has_pods(&other, "app=idle", 0);
    // Nobody is locked out of a namespace, also of one that opts its Deployments in.
    cluster::kubectl(&["label", "namespace", &other.namespace, "haldane.dev/canary=enabled"]).ok();
    other.kubectl(&["create", "deployment", "new", "--image=localhost/none", "--replicas=0"]).ok();
    other.kubectl(&["scale", "deployment/unmanaged", "--replicas=1"]).ok();
    let refused = other.set_env("unmanaged", &["VERSION=v3"]).refused();
    assert!(refused.contains(r#"failed calling webhook "namespace.mutate.haldane.dev""#), "{refused}");
    cluster::kubectl(&["label", "namespace", &other.namespace, "haldane.dev/canary-"]).ok();
    // The split goes on as well.
    let sample = Load::with(&space, &["--rate", "300", "--duration", "10s"]).finish();
    sample.assert_nothing_failed("without Haldane");
    assert!((14.0..=26.0).contains(&sample.share("v2")), "{}", sample.split());

    away.come_back();
    assert_eq!(space.weight("web").as_deref(), Some("20"), "it is where it was");
    haldane::order_when_possible(&space, "web", "promote");
    space.is_healthy("web", 2 * SOON);
    let report = load.stop();
    report.assert_nothing_failed("before, during and after the outage");
    let after = Load::with(&space, &["--rate", "200", "--duration", "2s"]).finish();
    assert_eq!(after.answers("v2"), after.sent(), "{}", after.split());
}

/// A canary that waits at weight 20, under load.
fn held(name: &str) -> (Space, Load) {
    haldane::is_complete();
    let space = Space::new(name);
    space.deploy(&App::canary(STEPS));
    space.answers("v1");
    let load = Load::start(&space, 50);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    (space, load)
}

/// The canary is where it was, and goes on to its end.
fn goes_on(space: &Space, load: Load, what: &str) {
    assert_eq!(space.weight("web").as_deref(), Some("20"), "it is where it was");
    haldane::order_when_possible(space, "web", "promote");
    space.is_healthy("web", 2 * SOON);
    load.stop().assert_nothing_failed(what);
}

/// A Deployment that has not opted in changes as ever.
fn others_change(space: &Space, name: &str) {
    let unmanaged = App { name: name.to_owned(), ..App::plain().sized(1) };
    space.apply(&unmanaged.deployment().to_string()).ok();
    space.rolled_out(name);
}

#[test]
fn a_rolling_update_of_haldane_refuses_nothing_and_the_canary_goes_on() {
    let (space, load) = held("update");
    let admissions = Admissions::start(&space, "web", false);
    here(&["rollout", "restart", "deployment/haldane"]).ok();
    haldane::rolled_out();
    admissions.pass_again(10);
    admissions.assert_nothing_failed("a rolling update of Haldane");
    goes_on(&space, load, "clients during a rolling update of Haldane");
}

/// The kubelet ends a container that does not answer; API servers then use the other replica.
#[test]
#[ignore = "about a minute alone; make e2e-long runs it"]
fn a_replica_that_hangs_is_ended_and_delays_releases_only() {
    /// Its liveness is lost within 15 s; then comes a moment of grace, and a little of everything.
    const ENDED: Duration = Duration::from_secs(90);
    let (space, load) = held("hang");
    let admissions = Admissions::start(&space, "web", false);
    let hanging = faults::hang(&haldane::leader_process().1);
    others_change(&space, "unmanaged");
    space.kubectl(&["scale", "deployment/web", "--replicas=3"]).ok();
    let since = std::time::Instant::now();
    eventually("ten requests in a row that pass again", ENDED, || {
        haldane::all_ready()?;
        let before = admissions.failed().len();
        space.is_decided_about("web")?;
        if admissions.failed().len() == before { Ok(()) } else { Err("some of the others failed".to_owned()) }
    });
    let failed = admissions.failed();
    eprintln!(
        "a replica hung: {} of {} requests refused, over after {:?}",
        failed.len(),
        failed.len() + admissions.passed(),
        since.elapsed()
    );
    assert!(failed.iter().all(|text| text.contains("failed calling webhook")), "{failed:#?}");
    drop(hanging);
    goes_on(&space, load, "clients while a replica hung");
}

/// The webhook configurations stay, and nobody answers: Haldane's own objects must not need it.
#[test]
#[ignore = "about a minute alone; make e2e-long runs it"]
fn haldane_is_made_anew_from_nothing_while_a_release_is_held() {
    let (space, load) = held("anew");
    cluster::kubectl(&["delete", "namespace", haldane::NAMESPACE, "--timeout=90s"]).ok();
    let refused = space.set_env("web", &["VERSION=v3"]).refused();
    assert!(refused.contains(r#"failed calling webhook "mutate.haldane.dev""#), "{refused}");
    others_change(&space, "unmanaged");
    haldane::install().ok();
    haldane::rolled_out();
    goes_on(&space, load, "clients while Haldane was made anew");
}

/// Every command is the documentation's own.
#[test]
#[ignore = "about a minute alone; make e2e-long runs it"]
fn the_glass_can_be_broken_as_the_documentation_says() {
    let (space, load) = held("glass");
    let other = Space::new("glass-other");
    other.apply(&App::canary(STEPS).sized(1).deployment().to_string()).ok();
    other.rolled_out("web");
    let away = haldane::take_away();
    other.set_env("web", &["VERSION=v2"]).refused();
    let blocks = document::commands("docs/operations.md", "### Break the glass");
    let [open, release, close] = &blocks[..] else { panic!("three blocks: {blocks:#?}") };
    let sh = |commands: &str| {
        let commands = commands
            .replace("NAMESPACE", &space.namespace)
            .replace("NAME", "web")
            .replace("deploy/", &cluster::setting("HALDANE_INSTALL"));
        cluster::run("bash", &["-euo", "pipefail", "-c", &commands], "").ok()
    };
    sh(open);
    other.set_env("web", &["VERSION=v2"]).ok();
    other.rolled_out("web");
    sh(release);
    space.rolled_out("web");
    drop(away);
    sh(close);
    haldane::is_complete();
    eventually("the canary to be over, by itself or by order", 2 * SOON, || {
        let summary = space.summary("web");
        // Refused when it is over already.
        space.order("web", "promote-full");
        if summary["phase"] == "Healthy" { Ok(()) } else { Err(summary.to_string()) }
    });
    space.is_healthy("web", SOON);
    load.stop().assert_nothing_failed("clients while the glass was broken");
    space.answers("v2");
    space.set_env("web", &["VERSION=v3"]).ok();
    space.pauses_at("web", "20");
}
