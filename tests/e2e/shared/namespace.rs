//! A Namespace opts in its Deployments: manifests that know nothing of Haldane are released by canary.

use crate::harness::{App, SOON, Space, cluster::kubectl, eventually};
use serde_json::{Value, json};

const PLAN: &str = "haldane.dev/canary={steps: [{setWeight: 20}, {pause: {}}]}";
const LABEL: &str = "haldane.dev/canary=enabled";

fn deployment(space: &Space, name: &str) -> Value {
    space.the("apps/v1 Deployment", name)
}

fn is_managed(space: &Space, name: &str) -> bool {
    deployment(space, name)["metadata"]["labels"]["haldane.dev/managed"] == "true"
}

fn becomes_managed(space: &Space, name: &str, wanted: bool) {
    eventually(&format!("{name} to be managed: {wanted}"), 2 * SOON, || {
        let is = is_managed(space, name);
        (is == wanted).then_some(()).ok_or_else(|| is.to_string())
    });
}

/// `kubectl label|annotate namespace`.
fn namespace(space: &Space, verb: &str, change: &str) -> crate::harness::Output {
    kubectl(&[verb, "namespace", &space.namespace, change, "--overwrite"])
}

/// All Deployments of the namespace: one with a route, one without, and one that stays out.
fn manifests(space: &Space, version: &str) -> String {
    let web = App::plain().with("VERSION", version);
    let worker = App { name: "worker".to_owned(), ..web.clone().sized(1) };
    let out = App { name: "out".to_owned(), ..web.clone().sized(1) };
    let out = out.annotated("haldane.dev/canary", "disabled");
    let items = [
        web.service(),
        web.ingress(space),
        web.deployment(),
        worker.service(),
        worker.deployment(),
        out.service(),
        out.ingress(space),
        out.deployment(),
    ];
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

#[test]
fn manifests_stay_wholly_unchanged() {
    let space = Space::new("namespace");
    space.apply(&manifests(&space, "v1")).ok();
    for name in ["web", "worker", "out"] {
        space.rolled_out(name);
    }
    let pods = space.pods("app=web");
    namespace(&space, "annotate", PLAN).ok();
    // No claim about lost requests is made here, so weights need not settle.
    namespace(&space, "annotate", "haldane.dev/settle=1s").ok();
    let labelled = namespace(&space, "label", LABEL).ok();
    assert!(
        labelled.err.contains("each Deployment of this Namespace that an Ingress routes to"),
        "{labelled:?}"
    );
    becomes_managed(&space, "web", true);
    assert!(!is_managed(&space, "worker") && !is_managed(&space, "out"), "no route, or its own word");
    assert_eq!(space.pods("app=web"), pods, "opting in restarts no pod");

    let applied = space.apply(&manifests(&space, "v2")).ok();
    assert!(applied.err.contains("so it is released without the canary"), "the worker's: {applied:?}");
    space.pauses_at("web", "20");
    assert_eq!(space.pods("app=web"), pods, "held");
    space.rolled_out("worker");
    space.rolled_out("out");
    assert_eq!(space.diff_with(&[], &manifests(&space, "v2")).code, 0, "nothing differs from the manifests");

    // Without the label the canary goes on by its frozen plan, and its Deployment is let go at the end.
    namespace(&space, "label", "haldane.dev/canary-").ok();
    space.kubectl(&["label", "deployment", "web", "team=shop"]).ok();
    assert_eq!(space.weight("web").as_deref(), Some("20"));
    assert_eq!(deployment(&space, "web")["spec"]["paused"], true);
    space.order("web", "promote").ok();
    becomes_managed(&space, "web", false);
    eventually("nothing of Haldane's to be left", SOON, || {
        let ours = space.ours();
        if ours.is_empty() { Ok(()) } else { Err(format!("{ours:?}")) }
    });
    let web = deployment(&space, "web");
    let keys = [&web["metadata"]["annotations"], &web["metadata"]["labels"]].map(ToString::to_string);
    assert!(!keys.concat().contains("haldane.dev/"), "{keys:?}");
    let promoted = space.pods("app=web");
    space.apply(&manifests(&space, "v1")).ok();
    space.rolled_out("web");
    assert_ne!(space.pods("app=web"), promoted, "it deploys natively");
    assert_eq!(space.ours(), Vec::<String>::new());
}

#[test]
fn a_namespace_that_says_nonsense_is_refused_and_an_idle_one_lets_go() {
    let space = Space::new("namespace-idle");
    let said = |output: crate::harness::Output| output.refused().replace(&space.namespace, "NAMESPACE");
    let refused = said(namespace(&space, "annotate", "haldane.dev/canary={steps: [{setWeigth: 20}]}"));
    insta::assert_snapshot!(refused.trim_end(), @r#"The Namespace "NAMESPACE" is invalid: metadata.annotations[haldane.dev/canary].steps[0].setWeigth: unknown field, did you mean "setWeight"?"#);
    let refused = said(namespace(&space, "label", "haldane.dev/canary=yes"));
    insta::assert_snapshot!(refused.trim_end(), @r#"The Namespace "NAMESPACE" is invalid: metadata.labels[haldane.dev/canary]: Invalid value: "yes": must be "enabled", or not set"#);
    let refused = kubectl(&["label", "namespace", "kube-system", LABEL]).refused();
    assert!(refused.contains("Haldane does not manage Deployments of this namespace"), "{refused}");
    // The look that follows the label is over before the Deployment comes that it must not find.
    let first = App { name: "first".to_owned(), ..App::plain().sized(1) };
    for object in [first.service(), first.ingress(&space), first.deployment()] {
        space.apply(&object.to_string()).ok();
    }
    namespace(&space, "label", LABEL).ok();
    becomes_managed(&space, "first", true);
    space.kubectl(&["delete", "deployment,ingress,service", "first"]).ok();
    // Everything at once, in the order of a folder: the Deployment comes before its route.
    let app = App::plain().sized(1);
    for object in [app.deployment(), app.ingress(&space), app.service()] {
        space.apply(&object.to_string()).ok();
    }
    space.rolled_out("web");
    assert!(!is_managed(&space, "web"), "nobody has looked since it has its route");
    namespace(&space, "annotate", PLAN).ok();
    becomes_managed(&space, "web", true);
    space.reaches("web", SOON, &[("phase", "Healthy")]);
    namespace(&space, "label", "haldane.dev/canary-").ok();
    becomes_managed(&space, "web", false);
    eventually("its record to go", SOON, || {
        let ours = space.ours();
        if ours.is_empty() { Ok(()) } else { Err(format!("{ours:?}")) }
    });

    // A release before anybody has looked finds its route by itself.
    let pods = space.pods("app=web");
    namespace(&space, "label", LABEL).ok();
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    assert_eq!(space.pods("app=web"), pods, "held");
    space.set_env("web", &["VERSION=v1"]).ok();
    space.is_healthy("web", SOON);
    assert_eq!(space.pods("app=web"), pods, "taken back without a restart");
}
