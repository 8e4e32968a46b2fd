//! The API server is started anew, or Haldane answers too late: releases are refused or held, and nobody else
//! notices.

use crate::harness::{
    Admissions, App, SOON, Space, eventually, faults,
    haldane::{self, hang_all},
};
use std::time::Duration;

/// The kubelet ends what hangs after 15 s, and makes it anew; then comes a moment of grace, and a little of
/// everything.
const BACK: Duration = Duration::from_secs(90);

/// `web`, which is opted in, and `unmanaged`, which is not.
fn both(name: &str) -> Space {
    haldane::is_complete();
    let space = Space::new(name);
    space.deploy(&App::canary("steps: [{setWeight: 20}, {pause: {}}]").annotated("haldane.dev/settle", "1s"));
    let unmanaged = App { name: "unmanaged".to_owned(), ..App::plain().sized(1) };
    space.apply(&unmanaged.deployment().to_string()).ok();
    space.rolled_out("unmanaged");
    space
}

#[test]
fn an_api_server_that_restarts_answers_every_request_right() {
    let space = both("restart");
    let (releases, others) =
        (Admissions::of_releases(&space, "web"), Admissions::of_others(&space, "unmanaged"));
    for _ in 0..2 {
        releases.pass_again(10);
        others.pass_again(10);
        drop(faults::kill("apiserver"));
    }
    releases.pass_again(20);
    others.pass_again(20);
    // For a moment it does not know yet where the webhook is, or is too slow to tell it what it must know; then
    // no release passes.
    let (_, gone) = releases.assert_every_answer_is_right("releases while the API server restarts");
    let (refused, _) = others.assert_every_answer_is_right("changes of others while the API server restarts");
    assert_eq!(refused, 0, "nobody has to be asked about others: {:#?}", others.failed());
    assert!(gone > 0, "nobody has noticed that the API server was away");
}

#[test]
fn a_webhook_that_is_slow_refuses_releases_and_delays_nobody_else() {
    let space = both("slow");
    let others = Admissions::of_others(&space, "unmanaged");
    let hung = hang_all();
    let refused = space.set_env("web", &["VERSION=v2"]).refused();
    assert!(refused.contains(r#"failed calling webhook "mutate.haldane.dev""#), "{refused}");
    assert!(refused.contains("context deadline exceeded"), "it says that it is a matter of time: {refused}");
    space.kubectl(&["scale", "deployment/web", "--replicas=3"]).ok();
    space.set_env("unmanaged", &["VERSION=v2"]).ok();
    space.rolled_out("unmanaged");
    eventually("decisions in a row, by replicas that nobody has woken", BACK, || {
        haldane::all_ready()?;
        space.is_decided_about("web")
    });
    others.assert_nothing_failed("changes of others while both replicas hung");
    drop(hung);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.reaches("web", SOON, &[("phase", "Paused"), ("weight", "20")]);
}
