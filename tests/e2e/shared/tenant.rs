//! Somebody who may edit everything in one namespace, and somebody who may only look: what they can do to a release.

use crate::harness::{App, Output, SOON, Space, cluster::kubectl};

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
    space.is_healthy("web", SOON);
}
