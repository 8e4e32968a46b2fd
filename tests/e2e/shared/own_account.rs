//! Haldane's account: what the API server refuses to somebody who has stolen its token, whatever RBAC grants, and which
//! queue its requests wait in.

use crate::harness::{App, SOON, Space, cluster::run, haldane};
use serde_json::json;

const ACCOUNT: &str = "system:serviceaccount:haldane-system:haldane";

/// `kubectl` as the account, in this namespace.
fn thief(namespace: &str, args: &[&str], input: &str) -> crate::harness::Output {
    run("kubectl", &[&["--as", ACCOUNT, "--namespace", namespace], args].concat(), input)
}

/// The request is one that RBAC grants, and the policy refuses it.
#[track_caller]
fn refused(namespace: &str, args: &[&str], input: &str) {
    let text = thief(namespace, args, input).refused();
    assert!(text.contains("ValidatingAdmissionPolicy 'haldane-own-account'"), "{args:?}: {text}");
}

#[test]
fn a_stolen_token_writes_only_what_haldane_writes() {
    let space = Space::new("thief");
    space.deploy(&App::canary("steps: [{setWeight: 20}, {pause: {}}]").annotated("haldane.dev/settle", "1s"));
    let here = space.namespace.as_str();
    let map = |labels: serde_json::Value| {
        let metadata = json!({"name": "stolen", "labels": labels});
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}).to_string()
    };
    let both = json!({"app.kubernetes.io/managed-by": "haldane", "haldane.dev/canary-of": "web"});
    let one = json!({"app.kubernetes.io/managed-by": "haldane"});

    refused(here, &["create", "-f", "-"], &map(json!({})));
    refused(here, &["create", "-f", "-"], &map(one));
    refused("kube-system", &["create", "-f", "-"], &map(both.clone()));
    thief(here, &["create", "-f", "-"], &map(both)).ok();
    thief(here, &["delete", "configmap", "stolen"], "").ok();

    let pods = json!({
        "metadata": {"labels": {"app": "stolen"}},
        "spec": {"containers": [{"name": "stolen", "image": "localhost/stolen"}]},
    });
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "stolen"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "stolen"}}, "template": pods},
    });
    refused(here, &["create", "-f", "-"], &deployment.to_string());
    let patch = |kind: &str, name: &str, patch: &str| {
        refused(here, &["patch", kind, name, "--patch", patch], "");
    };
    patch("deployment", "web", r#"{"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}}"#);
    patch("deployment", "web", r#"{"spec": {"replicas": 9}}"#);
    patch("deployment", "web", r#"{"spec": {"minReadySeconds": 9}}"#);
    patch("deployment", "web", r#"{"metadata": {"labels": {"a": "b"}}}"#);
    patch("deployment", "web", r#"{"metadata": {"annotations": {"a": "b"}}}"#);
    patch("service", "web", r#"{"spec": {"selector": {"app": "stolen"}}}"#);
    // The labels cannot be put on first.
    patch(
        "service",
        "web",
        r#"{"metadata": {"labels": {"app.kubernetes.io/managed-by": "haldane", "haldane.dev/canary-of": "web"}}}"#,
    );
    refused(here, &["delete", "service", "web"], "");
    refused(here, &["delete", "deployment", "web"], "");
    let own = ["patch", "deployment", "haldane", "--patch", r#"{"spec": {"replicas": 0}}"#];
    refused(haldane::NAMESPACE, &own, "");
    let token = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "stolen", "annotations": {"kubernetes.io/service-account.name": "haldane"}},
    });
    refused(haldane::NAMESPACE, &["create", "-f", "-"], &token.to_string());

    // What Haldane does is let through: all of a release, and this of the user's Deployment.
    let pause = |paused: bool| json!({"spec": {"paused": paused}}).to_string();
    for paused in [true, false] {
        thief(here, &["patch", "deployment", "web", "--patch", &pause(paused)], "").ok();
    }
    thief(here, &["annotate", "deployment", "web", "haldane.dev/exempt=nobody"], "").ok();
    thief(here, &["annotate", "deployment", "web", "haldane.dev/exempt-"], "").ok();
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
}

#[test]
fn its_requests_do_not_wait_behind_those_of_all_service_accounts() {
    let flow = |args: &[&str]| {
        let told = thief(haldane::NAMESPACE, &[args, &["-v=8"]].concat(), "").ok().err;
        let header = "X-Kubernetes-Pf-Flowschema-Uid: ";
        let uid = told.lines().find_map(|line| Some(line.split_once(header)?.1.trim().to_owned()));
        uid.unwrap_or_else(|| panic!("no {header}in {told}"))
    };
    let schema = |name: &str| {
        let uid = "jsonpath={.metadata.uid} {.spec.priorityLevelConfiguration.name}";
        run("kubectl", &["get", "flowschema", name, "-o", uid], "").ok().out
    };
    let deployments = flow(&["get", "deployments", "--all-namespaces"]);
    assert_eq!(format!("{deployments} workload-high"), schema("haldane"));
    let lease = flow(&["get", "lease", "haldane"]);
    assert_eq!(format!("{lease} leader-election"), schema("haldane-lease"));
}
