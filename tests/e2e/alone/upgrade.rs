//! Haldane is replaced, replica by replica, in the middle of a release.

use crate::harness::{Admissions, App, Load, Space, haldane, space::weight_of};
use std::time::Duration;

const STRATEGY: &str = "steps: [{setWeight: 20}, {pause: {}}, {setWeight: 50}, {pause: {duration: 2s}}]";

/// Two replacements, and what the release does meanwhile.
const PATIENCE: Duration = Duration::from_mins(2);

#[test]
fn an_upgrade_in_the_middle_is_noticed_by_nobody() {
    haldane::is_complete();
    let space = Space::new("upgrade");
    let other = Space::new("upgrade-other");
    space.deploy(&App::canary(STRATEGY));
    other.apply(&App::canary(STRATEGY).deployment().to_string()).ok();
    other.rolled_out("web");
    space.answers("v1");
    let ingresses = space.record("networking.k8s.io/v1 Ingress");
    let (load, releases) = (Load::start(&space, 50), Admissions::of_releases(&other, "web"));
    space.set_env("web", &["VERSION=v2"]).ok();
    haldane::upgrade();
    space.pauses_at("web", "20");
    space.order("web", "promote").ok();
    space.reaches("web", PATIENCE, &[("phase", "Promoting")]);
    haldane::upgrade();
    space.is_healthy("web", PATIENCE);
    releases.pass_again(10);
    releases.assert_nothing_failed("during two upgrades");
    load.stop().assert_nothing_failed("upgraded while the canary started, and while stable was replaced");
    assert_eq!(ingresses.course("web-canary", weight_of), ["0", "20", "50", "100", "0"], "weights over time");
    let history = &space.state("web")["history"];
    assert_eq!(history.as_array().map(Vec::len), Some(1), "{history}");
    assert_eq!(history[0]["outcome"], "Promoted");
}
