//! `kubectl canary`, as people and scripts use it.

use crate::harness::{
    App, Space,
    cluster::{Output, run},
};
use serde_json::Value;

/// `kubectl canary` in the namespace.
fn canary(space: &Space, line: &str) -> Output {
    let words = ["canary"].into_iter().chain(line.split(' ')).chain(["--namespace", &space.namespace]);
    run("kubectl", &words.collect::<Vec<_>>(), "")
}

#[track_caller]
fn shows(output: &Output, parts: &[&str]) {
    for part in parts {
        assert!(output.out.contains(part), "`{}` does not show {part:?}:\n{}", output.line, output.out);
    }
}

#[test]
fn a_release_is_followed_and_ordered_by_the_plugin() {
    let space = Space::new("plugin");
    space.deploy(&App::canary("steps: [{setWeight: 50}, {pause: {}}, {setWeight: 80}]"));
    shows(&canary(&space, "list").ok(), &["NAMESPACE", &space.namespace, "web", "Healthy"]);
    assert_eq!(canary(&space, "status web").ok().out, "Healthy\n", "nothing is under way");

    space.set_env("web", &["VERSION=v2"]).ok();
    canary(&space, "wait deployment/web --for=paused --timeout=60s").ok();
    let shown = canary(&space, "get web").ok();
    let parts = [
        "Paused, step 2/3",
        "haldane.dev/do=resume",
        "50 % to the canary",
        "✔ 1  setWeight: 50",
        "▶ 2  pause: {}",
        "· 3  setWeight: 80",
        "web-canary-",
    ];
    shows(&shown, &parts);
    assert!(!shown.out.contains('\u{1b}'), "no colours in a pipe: {shown:?}");
    let view: Value = serde_json::from_str(&canary(&space, "get web -o json").ok().out).expect("JSON");
    assert_eq!(
        (&view["phase"], &view["rollout"]["observedWeight"]),
        (&"Paused".into(), &50.into()),
        "{view}"
    );
    let status = canary(&space, "status web --timeout=60s");
    assert_eq!(status.code, 3, "it waits for a person: {status:?}");

    shows(&canary(&space, "promote web").ok(), &["deployment.apps/web: ordered promote"]);
    canary(&space, "status web --timeout=90s").ok();
    space.answers("v2");

    space.set_env("web", &["VERSION=v3"]).ok();
    canary(&space, "wait web --for=step=2 --timeout=60s").ok();
    canary(&space, "abort web").ok();
    let status = canary(&space, "status web --timeout=60s");
    assert_eq!(status.code, 1, "{status:?}");
    shows(&status, &["Degraded", "RolloutAborted: Rollout aborted update to revision"]);
    let wait = canary(&space, "wait web --for=promoted --timeout=5s");
    assert_eq!(wait.code, 1, "it has ended elsewhere: {wait:?}");
    shows(&canary(&space, "history web").ok(), &["OUTCOME", "Promoted"]);

    canary(&space, "retry web").ok();
    let wait = canary(&space, "wait web --for=promoted --timeout=3s");
    assert_eq!(wait.code, 2, "it is not over: {wait:?}");
}

#[test]
fn the_plugin_says_what_to_do_next() {
    let space = Space::new("plugin-errors");
    let absent = canary(&space, "get nothing").refused();
    assert!(absent.contains("does not exist in namespace") && absent.contains("canary list -A"), "{absent}");
    space.kubectl(&["create", "deployment", "plain", "--image=nowhere/plain"]).ok();
    let plain = canary(&space, "abort plain").refused();
    assert!(plain.contains("is not managed by Haldane; opt it in with kubectl -n"), "{plain}");
    shows(&canary(&space, "list").ok(), &["no managed Deployments; opt one in"]);
    space.deploy(&App::canary("steps: [{setWeight: 50}]"));
    let idle = canary(&space, "promote web").refused();
    assert!(idle.contains("promote"), "admission's own words: {idle}");
}
