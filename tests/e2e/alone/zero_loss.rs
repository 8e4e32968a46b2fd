//! No request is lost in any part of a release, and the canary gets the share that was asked for.

use crate::harness::{App, Load, SOON, Space, haldane};
use std::time::Duration;

const STRATEGY: &str = "
abortScaleDownDelaySeconds: 3
steps: [{setWeight: 20}, {pause: {}}, {setWeight: 60}, {pause: {duration: 2s}}]";

/// Requests by which the share is measured: 3 points are more than 5 standard deviations.
const SAMPLE: &str = "5000";

#[test]
fn a_release_and_an_abort_lose_no_request() {
    haldane::is_complete();
    let space = Space::new("zero-loss");
    space.deploy(&App::canary(STRATEGY).sized(3));
    space.answers("v1");
    let load = Load::start(&space, 50);

    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    let sample =
        Load::with(&space, &["--rate", "300", "--max-requests", SAMPLE, "--duration", "60s"]).finish();
    sample.assert_nothing_failed("at weight 20");
    let share = sample.share("v2");
    assert!((17.0..=23.0).contains(&share), "at weight 20 the canary got {share:.1} % of {SAMPLE}");
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);

    space.set_env("web", &["VERSION=v3"]).ok();
    space.pauses_at("web", "20");
    space.order("web", "abort").ok();
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    space.only_the_record_is_left("web", Duration::from_secs(30));

    let report = load.stop();
    report.assert_nothing_failed("start, steps, promotion, abort");
    assert!(report.answers("v1") > 0 && report.answers("v2") > 0 && report.answers("v3") > 0);
    let after = Load::with(&space, &["--rate", "200", "--duration", "2s"]).finish();
    assert_eq!(after.answers("v2"), after.sent(), "after the abort everybody gets v2: {}", after.split());
}
