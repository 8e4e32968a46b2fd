//! The webhook configuration is not there, as after breaking the glass: what changes past it is held late, or told.

use crate::harness::{App, Load, SOON, Space, eventually, haldane};
use serde_json::json;

const STEPS: &str = "{steps: [{setWeight: 50}, {pause: {}}]}";

#[test]
fn a_template_that_slipped_past_the_webhook_is_held_before_it_serves() {
    haldane::is_complete();
    let space = Space::new("bypass");
    space.deploy(&App::canary(STEPS).with("START_DELAY", "3s"));
    space.answers("v1");
    let before = space.pods("app=web");
    let load = Load::start(&space, 50);
    let webhooks = haldane::take_webhooks_away();
    space.set_env("web", &["VERSION=v2"]).ok();
    eventually("the Event that tells", SOON, || {
        let events = space.events("HeldLate");
        if events.len() == 1 { Ok(()) } else { Err(format!("{events:?}")) }
    });
    space.pauses_at("web", "50");
    assert_eq!(space.pods("app=web"), before, "no pod of v2 is left outside of the canary");
    webhooks.come_back();
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
    load.stop().assert_nothing_failed("a template that slipped past the webhook");
    assert_eq!(space.events("HeldLate").len(), 1, "it is told once");
}

#[test]
fn a_template_whose_pods_serve_already_is_recorded_as_released_natively() {
    haldane::is_complete();
    let space = Space::new("native");
    let slow = json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    let app = App::canary(STEPS)
        .sized(4)
        .changed("/spec/minReadySeconds", json!(6))
        .changed("/spec/strategy", slow);
    space.deploy(&app);
    space.reaches("web", SOON, &[("phase", "Healthy")]);
    let webhooks = haldane::take_webhooks_away();
    let away = haldane::take_away();
    space.set_env("web", &["VERSION=v2"]).ok();
    eventually("a pod of v2 to serve", SOON, || {
        let sets = space.list("apps/v1 ReplicaSet", "app=web");
        let serving = sets.iter().filter(|set| set["status"]["availableReplicas"].as_u64() > Some(0)).count();
        if serving == 2 { Ok(()) } else { Err(format!("{serving} versions serve")) }
    });
    webhooks.come_back();
    away.come_back();
    eventually("the Event that tells", SOON, || {
        let events = space.events("ReleasedNatively");
        if events.len() == 1 { Ok(()) } else { Err(format!("{events:?}")) }
    });
    space.rolled_out("web");
    space.is_healthy("web", SOON);
    assert_eq!(space.events("ReleasedNatively").len(), 1, "it is told once");

    // What is everywhere by the time that somebody looks is stable: there is nothing to tell.
    let webhooks = haldane::take_webhooks_away();
    let away = haldane::take_away();
    space.set_env("web", &["VERSION=v3"]).ok();
    space.rolled_out("web");
    webhooks.come_back();
    away.come_back();
    haldane::set_env_when_possible(&space, "web", &["VERSION=v4"]);
    space.pauses_at("web", "50");
    space.set_env("web", &["VERSION=v3"]).ok();
    space.is_healthy("web", SOON);
    assert_eq!(space.events("ReleasedNatively").len(), 1, "told of v2 alone");
}
