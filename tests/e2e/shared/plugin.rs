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
    canary(&space, "wait deployment/web --for=paused --timeout=120s").ok();
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
    let status = canary(&space, "status web --timeout=120s");
    assert_eq!(status.code, 3, "it waits for a person: {status:?}");

    shows(&canary(&space, "promote web").ok(), &["deployment.apps/web: ordered promote"]);
    canary(&space, "status web --timeout=180s").ok();
    space.answers("v2");

    space.set_env("web", &["VERSION=v3"]).ok();
    canary(&space, "wait web --for=step=2 --timeout=120s").ok();
    canary(&space, "abort web").ok();
    let status = canary(&space, "status web --timeout=120s");
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
fn the_plugin_goes_back_where_kubectl_refuses() {
    let space = Space::new("plugin-undo");
    space.deploy(&App::canary("steps: [{setWeight: 50}, {pause: {}}]"));
    let uids =
        space.kubectl(&["get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.uid}"]).ok().out;

    let set = canary(&space, "set image web *=nowhere.invalid/none:2").ok();
    shows(&set, &["deployment.apps/web: image updated", "kubectl canary get web --watch"]);
    assert!(set.err.contains("Warning: "), "the plan is shown: {}", set.err);
    let same = canary(&space, "set image web *=nowhere.invalid/none:2").ok();
    shows(&same, &["it has these images already"]);
    let unknown = canary(&space, "set image web none=a:1").refused();
    assert!(unknown.contains("there is no container \"none\"; there are"), "{unknown}");
    space.kubectl(&["rollout", "undo", "deployment/web"]).refused();

    shows(&canary(&space, "undo web").ok(), &["back to revision 1, which serves; the canary is removed"]);
    canary(&space, "status web --timeout=120s").ok();
    let after =
        space.kubectl(&["get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.uid}"]).ok().out;
    assert_eq!(after, uids, "stable was not restarted");
    let nothing = canary(&space, "undo web").refused();
    assert!(nothing.contains("there is no earlier revision"), "{nothing}");

    space.set_env("web", &["VERSION=v2"]).ok();
    canary(&space, "wait web --for=paused --timeout=120s").ok();
    canary(&space, "promote web --full").ok();
    canary(&space, "status web --timeout=180s").ok();
    shows(&canary(&space, "get -o wide").ok(), &["REVISION", "IMAGES", "2/2"]);
    shows(&canary(&space, "undo web").ok(), &["the template of revision 1 is a release and starts a canary"]);
    canary(&space, "wait web --for=paused --timeout=120s").ok();
    shows(&canary(&space, "get web -o wide").ok(), &["web-canary-", "Running"]);
}

#[test]
fn the_doctor_finds_a_sound_installation_and_what_is_wrong_with_a_deployment() {
    let space = Space::new("plugin-doctor");
    let sound = canary(&space, "doctor").ok();
    let parts = [
        "MutatingWebhookConfiguration \"haldane\" is there",
        "the caBundle's certificate is valid for",
        "ready endpoint",
        " leads",
        "IngressClass nginx (k8s.io/ingress-nginx)",
        "you may give every order",
    ];
    shows(&sound, &parts);
    space.deploy(&App::canary("steps: [{setWeight: 50}]"));
    space.is_opted_in("web");
    let web = canary(&space, "doctor web").ok();
    shows(
        &web,
        &[
            "Deployment web is managed",
            "Service web selects its pods, and a route routes to it",
            "the record says",
        ],
    );
    space.kubectl(&["create", "deployment", "plain", "--image=nowhere/plain"]).ok();
    let plain = canary(&space, "doctor plain");
    assert_eq!(plain.code, 1, "{plain:?}");
    shows(&plain, &["problem  Deployment plain is not managed", "→ kubectl -n", "no Service selects"]);
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
