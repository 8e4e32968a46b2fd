//! All of Haldane is gone: what goes on, what waits, what is refused.

use crate::harness::{App, Load, SOON, Space, eventually, haldane};

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
    other.kubectl(&["create", "deployment", "new", "--image=localhost/none", "--replicas=0"]).ok();
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
