//! A leader that cannot reach the API server, or does not run for a while, has been replaced when it comes back.

use crate::harness::{App, Load, Space, audit, eventually, faults, haldane, space::weight_of};
use ::haldane::runtime::clock;
use jiff::Timestamp;
use std::time::Duration;

/// A new leader takes over within the lease's 15 s; the rest is for the step.
const TAKEOVER: Duration = Duration::from_secs(90);

const STRATEGY: &str = "
steps: [{setWeight: 20}, {pause: {duration: 5s}}, {setWeight: 40}, {pause: {}}, {setWeight: 60}, {pause: {}}]";

/// The old leader is back: it has looked at the lease since.
fn is_back(old: &str, since: Timestamp) {
    eventually(&format!("{old} to look at the lease again"), TAKEOVER, || {
        let asked = audit::since(since);
        let is_back = asked.iter().any(|request| request.pod() == old && request.is_about_the_lease());
        if is_back { Ok(()) } else { Err(format!("{} requests since, none of them its", asked.len())) }
    });
}

/// From the first write of the new leader on, the old one has written nothing.
fn assert_handed_over(old: &str, new: &str, since: Timestamp) {
    let writes: Vec<_> = audit::since(since).into_iter().filter(audit::Request::has_written).collect();
    let first = writes.iter().find(|write| write.pod() == new);
    let first = first.unwrap_or_else(|| panic!("{new} has written nothing"));
    let late: Vec<_> = writes
        .iter()
        .filter(|write| write.pod() == old && write.answered_at >= first.at)
        .map(ToString::to_string)
        .collect();
    assert!(late.is_empty(), "{new} wrote first at {first}; {old} still wrote {late:#?}");
}

#[test]
fn a_leader_that_was_cut_off_or_hung_writes_no_more() {
    haldane::is_complete();
    let space = Space::new("leader");
    space.deploy(&App::canary(STRATEGY));
    space.answers("v1");
    let ingresses = space.record("networking.k8s.io/v1 Ingress");
    let load = Load::start(&space, 50);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.reaches("web", TAKEOVER, &[("weight", "20")]);

    let (first, _) = haldane::leader_process();
    let (cut_at, cut) = (clock::now(), faults::cut_off(&first));
    let second = haldane::another_leads(&first);
    space.reaches("web", TAKEOVER, &[("phase", "Paused"), ("weight", "40")]);
    let healed_at = clock::now();
    drop(cut);
    is_back(&first, healed_at);
    assert_handed_over(&first, &second, cut_at);

    let (second, process) = haldane::leader_process();
    let (hung_at, hung) = (clock::now(), faults::hang(&process));
    haldane::order_when_possible(&space, "web", "promote");
    let third = haldane::another_leads(&second);
    space.reaches("web", TAKEOVER, &[("phase", "Paused"), ("weight", "60")]);
    let woken_at = clock::now();
    drop(hung);
    is_back(&second, woken_at);
    assert_handed_over(&second, &third, hung_at);

    haldane::order_when_possible(&space, "web", "promote");
    space.is_healthy("web", TAKEOVER);
    load.stop().assert_nothing_failed("a leader cut off, the next one hung");
    assert_eq!(
        ingresses.course("web-canary", weight_of),
        ["0", "20", "40", "60", "100", "0"],
        "weights over time"
    );
}
