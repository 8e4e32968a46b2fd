//! A namespace without room for what a promotion wants.

use crate::harness::{App, Load, SOON, Space, eventually, space::weight_of};
use serde_json::json;

#[test]
fn a_promotion_without_room_for_its_full_size_goes_on_at_the_last_weight() {
    let space = Space::new("room");
    let app = App::canary("steps: [{setWeight: 50}, {pause: {}}]").sized(4);
    space.deploy(&app.changed("/spec/progressDeadlineSeconds", json!(15)));
    space.answers("v1");
    // Four of stable, two of the canary, and one more, for the rolling update.
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "room"}, "spec": {"hard": {"pods": "7"}}});
    space.apply(&quota.to_string()).ok();
    let ingresses = space.record("networking.k8s.io/v1 Ingress");
    let load = Load::start(&space, 30);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    space.order("web", "promote").ok();
    let told = eventually("the Event that tells", SOON, || {
        space.events("PromotingWithoutSurge").pop().ok_or_else(|| space.summary("web").to_string())
    });
    assert!(told.contains("canary has 3 of 4 available pods and made no progress for 15s"), "{told}");
    assert!(told.contains("exceeded quota: room") && told.ends_with("promoting at weight 50"), "{told}");
    space.is_healthy("web", 2 * SOON);
    load.stop().assert_nothing_failed("a promotion without room for its full size");
    assert_eq!(ingresses.course("web-canary", weight_of), ["0", "50", "0"], "weights over time");
    assert_eq!(space.state("web")["history"][0]["outcome"], "Promoted");
}
