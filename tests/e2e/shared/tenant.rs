//! Somebody who may edit everything in one namespace, and somebody who may only look: what they can do to a release.

use crate::harness::{App, Output, SOON, Space, cluster::kubectl, eventually, space::weight_of};
use serde_json::{Value, json};

const STRATEGY: &str = "steps: [{setWeight: 20}, {pause: {}}]";

/// A policy of the tenant's; the canary gets a copy.
const GUARD: &str = r#"{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web"},
    "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{}]}}"#;

/// `kubectl` as a user with this role of Kubernetes in the namespace.
fn user(space: &Space, role: &'static str) -> impl Fn(&[&str]) -> Output {
    let name = format!("{role}-of-{}", space.namespace);
    space.kubectl(&["create", "rolebinding", role, "--clusterrole", role, "--user", &name]).ok();
    let namespace = space.namespace.clone();
    move |args: &[&str]| kubectl(&[&["--as", &name, "--namespace", &namespace], args].concat())
}

#[test]
fn a_tenant_can_give_orders_but_forge_nothing() {
    let space = Space::new("tenant");
    space.deploy(&App::canary(STRATEGY));
    space.apply(GUARD).ok();
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    let (tenant, viewer) = (user(&space, "edit"), user(&space, "view"));
    let record = space.state("web");

    let labels = "app.kubernetes.io/managed-by=haldane,haldane.dev/canary-of=other";
    let forged: &[&[&str]] = &[
        &["patch", "configmap", "haldane-web", "--patch", r#"{"data": {"state": "{}"}}"#],
        &["label", "configmap", "haldane-web", "haldane.dev/canary-of-"],
        &[
            "annotate",
            "ingress",
            "web-canary",
            "--overwrite",
            "nginx.ingress.kubernetes.io/canary-weight=100",
        ],
        &["patch", "service", "web-canary", "--patch", r#"{"spec": {"selector": {"app": "web"}}}"#],
        &["set", "image", "deployment/web-canary", "app=localhost/evil"],
        &["label", "networkpolicy", "web-canary-web", "a=b"],
        &["annotate", "configmap", "kube-root-ca.crt", "a=b"],
    ];
    let (harmless, forged) = forged.split_last().expect("some");
    for command in forged {
        let text = tenant(command).refused();
        assert!(
            text.contains("it is made and changed by Haldane only, for a release of Deployment web"),
            "{text}"
        );
        assert!(text.contains("haldane.dev/do"), "it says what to do instead: {text}");
    }
    tenant(harmless).ok();
    tenant(&["create", "configmap", "haldane-other", "--from-literal=state={}"]).ok();
    let text = tenant(
        &[&["label", "configmap", "haldane-other"], &labels.split(',').collect::<Vec<_>>()[..]].concat(),
    );
    assert!(text.refused().contains("for a release of Deployment other"));

    let order = r#"haldane.dev/request={"id":"1","verb":"promote-full","by":"me","at":"2026-01-01T00:00:00Z","template":"x"}"#;
    let text = tenant(&["annotate", "deployment", "web", "--overwrite", order]).refused();
    assert!(text.contains("is written by Haldane only"), "{text}");
    tenant(&["annotate", "deployment", "web", "haldane.dev/held-"]).ok();
    tenant(&["label", "deployment", "web", "haldane.dev/managed-"]).ok();
    let web = space.the("apps/v1 Deployment", "web");
    assert!(web["metadata"]["annotations"]["haldane.dev/held"].is_string(), "the hold is still there");
    assert_eq!(web["metadata"]["labels"]["haldane.dev/managed"], "true");
    assert_eq!(web["spec"]["paused"], true);
    assert_eq!(space.state("web"), record, "nothing has happened");

    viewer(&["get", "configmap", "haldane-web"]).ok();
    let text = viewer(&["annotate", "deployment", "web", "haldane.dev/do=promote"]).refused();
    assert!(text.contains("cannot patch resource \"deployments\""), "{text}");
    tenant(&["annotate", "deployment", "web", "haldane.dev/do=promote"]).ok();
    space.is_healthy("web", 2 * SOON);
}

/// A role that may end releases and not let them pass.
const ON_CALL: &str = r#"{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "on-call"},
    "rules": [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch", "abort"]}]}"#;

#[test]
fn each_order_is_a_right_of_its_own_and_is_told_by_its_giver() {
    let space = Space::new("on-call");
    space.deploy(&App::canary(STRATEGY).annotated("haldane.dev/settle", "1s").sized(1));
    space.apply(ON_CALL).ok();
    let name = format!("jane-of-{}", space.namespace);
    space.kubectl(&["create", "rolebinding", "on-call", "--role=on-call", "--user", &name]).ok();
    let jane = |order: &str| {
        let order = format!("haldane.dev/do={order}");
        space.kubectl(&["--as", &name, "annotate", "deployment", "web", &order])
    };
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    for verb in ["promote", "promote-full", "pause", "skip-step"] {
        let told = jane(verb).refused();
        assert!(told.contains(&format!("User {name:?} cannot {verb} Deployment \"web\"")), "{told}");
        assert!(told.contains(&format!("grant the verb {verb:?} on resource \"deployments\"")), "{told}");
    }
    assert_eq!(space.summary("web")["weight"], "20", "nothing was carried out");
    jane("abort").ok();
    let summary = space.reaches("web", SOON, &[("phase", "Degraded")]);
    assert!(summary["message"].as_str().is_some_and(|why| why.ends_with(&format!("by {name}"))), "{summary}");
    let annotations = &space.the("apps/v1 Deployment", "web")["metadata"]["annotations"];
    let request = annotations["haldane.dev/request"].as_str().expect("the order is recorded");
    let request: Value = serde_json::from_str(request).expect("JSON");
    assert_eq!((&request["verb"], &request["by"]), (&json!("abort"), &json!(name)), "{request}");
    assert_eq!(request["template"], annotations["haldane.dev/held"], "for the template on trial: {request}");
    assert!(request["at"].is_string(), "{request}");
}

/// Deleting is a right over what is in the namespace, and garbage collection needs it; it makes no release pass.
#[test]
fn what_a_tenant_deletes_is_made_anew_and_gains_nothing() {
    let space = Space::new("deleter");
    let plan = "{abortScaleDownDelaySeconds: 1, steps: [{setWeight: 20}, {pause: {}}]}";
    space.deploy(&App::canary(plan).annotated("haldane.dev/settle", "1s"));
    let pods = space.pods("app=web");
    let tenant = user(&space, "edit");
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    let uid = |kind: &str, name: &str| {
        space.get(kind, name).map(|object| object["metadata"]["uid"].clone()).ok_or("it is gone")
    };
    let is_made_anew = |kind: &str, name: &str| {
        let before = uid(kind, name).expect("it is there");
        let resource = kind.rsplit(' ').next().unwrap_or_default();
        tenant(&["delete", resource, name]).ok();
        // Any change of the Deployment makes the controller look.
        let look = format!("look=n{}", space.next_number());
        tenant(&["label", "deployment", "web", &look, "--overwrite"]).ok();
        eventually(&format!("another {kind} {name}"), SOON, || match uid(kind, name)? {
            again if again == before => Err("it is still the same".to_owned()),
            _ => Ok(()),
        });
    };
    is_made_anew("networking.k8s.io/v1 Ingress", "web-canary");
    eventually("the traffic of its step", SOON, || {
        let weight = space.weight("web");
        if weight.as_deref() == Some("20") { Ok(()) } else { Err(format!("{weight:?}")) }
    });
    let ingresses = space.record("networking.k8s.io/v1 Ingress");
    is_made_anew("v1 ConfigMap", "haldane-web");
    space.pauses_at("web", "20");
    eventually("the traffic to be taken back and given again", SOON, || {
        let course = ingresses.course("web-canary", weight_of);
        if course.ends_with(&["0".to_owned(), "20".to_owned()]) { Ok(()) } else { Err(format!("{course:?}")) }
    });
    // An abort outlives its record: it stands on the Deployment as well.
    space.order("web", "abort").ok();
    space.reaches("web", SOON, &[("phase", "Degraded")]);
    is_made_anew("v1 ConfigMap", "haldane-web");
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    assert_eq!(space.pods("app=web"), pods, "stable is as it was");
    // A cluster administrator may repair what nobody else may change.
    space.kubectl(&["annotate", "configmap", "haldane-web", "looked-at=yes"]).ok();
    // Without its owner nothing of it stays.
    tenant(&["delete", "deployment", "web"]).ok();
    eventually("everything to go with the Deployment", SOON, || {
        let ours = space.ours();
        if ours.is_empty() { Ok(()) } else { Err(format!("{ours:?}")) }
    });
}
