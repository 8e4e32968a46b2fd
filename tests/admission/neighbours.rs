//! What else is in the namespace: names, routes, selectors.

use crate::case::{Case, annotated, web, with};
use haldane::{admit::facts::Holder, domain::keys};
use insta::assert_snapshot;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};
use std::sync::Arc;

fn change() -> Case {
    Case::update(web("a"), web("b"))
}

fn service(value: Value) -> Service {
    serde_json::from_value(value).unwrap()
}

#[test]
fn what_could_not_be_read_in_time_is_a_warning() {
    let mut case = change();
    case.facts.neighbours = Err("no answer from the API server within 3s".into());
    assert_snapshot!(case.mutate());
}

#[test]
fn recreate_is_refused() {
    let case = Case::update(web("a"), with(web("b"), "/spec/strategy", json!({"type": "Recreate"})));
    assert_snapshot!(case.mutate());
}

#[test]
fn a_selector_that_would_catch_the_canary_is_refused() {
    let mut case = change();
    let catch_all = json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]});
    case.review.object.as_mut().unwrap()["spec"]["selector"] = catch_all;
    assert_snapshot!(case.mutate());
}

#[test]
fn names_that_others_have_are_refused() {
    let mut case = change();
    let neighbours = case.facts.neighbours.as_mut().unwrap();
    neighbours.holders.push(Holder { kind: "Deployment", name: "web-canary".into(), is_ours: false });
    Arc::make_mut(&mut neighbours.world)
        .services
        .push(service(json!({"metadata": {"name": "web-canary"}, "spec": {"selector": {"x": "y"}}})));
    assert_snapshot!(case.mutate());
}

#[test]
fn a_release_behind_the_service_of_another_is_announced_to_wait() {
    let labels = json!({"app.kubernetes.io/managed-by": "haldane", "haldane.dev/canary-of": "web-spot"});
    let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-spot", "uid": "s"});
    let metadata = json!({"name": "web-canary", "labels": labels, "ownerReferences": [owner]});
    let mut other =
        json!({"kind": "Service", "metadata": metadata, "spec": {"selector": {"app": "web-canary"}}});
    let said = r#"Deployment "web-spot" is in a release behind the same Service "web": this release waits until that one has ended"#;
    let answer = change().beside(other.clone()).mutate();
    assert!(answer.starts_with("allowed") && answer.contains(said), "{answer}");
    // Also where its plan names the canary's Service.
    other["metadata"]["name"] = json!("next");
    other["metadata"]["annotations"] = json!({"haldane.dev/service": "web"});
    let answer = change().beside(other).mutate();
    assert!(answer.starts_with("allowed") && answer.contains(said), "{answer}");
}

#[test]
fn our_own_objects_are_no_conflict() {
    let mut case = change();
    let neighbours = case.facts.neighbours.as_mut().unwrap();
    neighbours.holders.push(Holder { kind: "ConfigMap", name: "haldane-web".into(), is_ours: true });
    let labels = json!({"app.kubernetes.io/managed-by": "haldane", "haldane.dev/canary-of": "web"});
    let ours = json!({"kind": "Service", "metadata": {"name": "web-canary", "labels": labels}, "spec": {"selector": {"app": "web-canary"}}});
    let case = case.beside(ours);
    assert!(case.mutate().starts_with("allowed"), "{}", case.mutate());
}

#[test]
fn a_foreign_canary_on_the_same_route_is_refused() {
    let backend = json!({"service": {"name": "other", "port": {"number": 80}}});
    let foreign = |path: &str| {
        json!({
            "kind": "Ingress",
            "metadata": {"name": "experiment", "annotations": {"nginx.ingress.kubernetes.io/canary": "true"}},
            "spec": {"rules": [{"host": "shop.example", "http": {"paths": [
                {"path": path, "pathType": "Prefix", "backend": backend},
            ]}}]},
        })
    };
    assert_snapshot!(change().beside(foreign("/")).mutate());
    assert!(change().beside(foreign("/beta")).mutate().starts_with("allowed"));
}

#[test]
fn a_canary_without_a_route_is_warned_about() {
    let mut case = change();
    case.world().routes.clear();
    assert_snapshot!(case.mutate());
}

#[test]
fn a_switch_of_all_traffic_needs_an_ingress_when_it_comes_to_it() {
    let blue_green = |version| {
        let plan = json!({keys::BLUE_GREEN: "{activeService: web}"});
        with(web(version), "/metadata/annotations", plan)
    };
    let answer = |mut case: Case| {
        case.world().routes.clear();
        case.mutate()
    };
    let release = answer(Case::update(blue_green("a"), blue_green("b")));
    assert!(release.starts_with("denied") && release.contains("make the Ingress first"), "{release}");
    let early = answer(Case::create(blue_green("a")));
    assert!(early.starts_with("allowed") && early.contains("no Ingress routes"), "{early}");
}

#[test]
fn unknown_names_in_the_plan_are_refused_when_they_are_needed() {
    let plan = "{stableService: shop, trafficRouting: {nginx: {stableIngress: front}}}";
    let case = Case::update(annotated(web("a"), keys::CANARY, plan), annotated(web("b"), keys::CANARY, plan));
    assert_snapshot!("unknown_names_at_a_release", case.mutate());
    // A Deployment may come before its Service.
    let early = Case::create(annotated(web("a"), keys::CANARY, plan));
    assert_snapshot!("unknown_names_at_creation", early.mutate());
}

#[test]
fn an_external_name_cannot_be_split() {
    let mut case = change();
    let external =
        json!({"metadata": {"name": "web"}, "spec": {"type": "ExternalName", "selector": {"app": "web"}}});
    case.world().services = vec![service(external)];
    assert_snapshot!(case.mutate());
}

#[test]
fn every_route_of_the_upstream_is_listed() {
    let paths: Vec<Value> = (1..=7)
        .map(|n| json!({"path": format!("/{n}"), "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}))
        .collect();
    let annotations = json!({
        "nginx.ingress.kubernetes.io/affinity": "cookie",
        "external-dns.alpha.kubernetes.io/hostname": "shop.example",
    });
    let more = json!({
        "kind": "Ingress",
        "metadata": {"name": "more", "annotations": annotations},
        "spec": {"rules": [{"host": "a.example", "http": {"paths": paths}}]},
    });
    assert_snapshot!(change().beside(more).mutate());
}

#[test]
fn policies_that_miss_the_canary_are_reported() {
    let term =
        json!({"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"});
    let affinity = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
    let mut case = Case::update(web("a"), with(web("b"), "/spec/template/spec/affinity", affinity));
    let neighbours = case.facts.neighbours.as_mut().unwrap();
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}});
    neighbours.selecting.push(budget);
    Arc::make_mut(&mut neighbours.world).services[0] = service(json!({
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
    }));
    assert_snapshot!(case.mutate());
}

#[test]
fn a_service_monitor_that_misses_the_canary_is_reported_with_the_label() {
    let mut case = change();
    let neighbours = case.facts.neighbours.as_mut().unwrap();
    let labels = json!({
        "app.kubernetes.io/instance": "shop",
        "app.kubernetes.io/managed-by": "Helm",
        "kustomize.toolkit.fluxcd.io/name": "apps",
    });
    Arc::make_mut(&mut neighbours.world).services[0] = service(json!({
        "metadata": {"name": "web", "labels": labels},
        "spec": {"selector": {"app": "web"}},
    }));
    // Each scrapes a port of its name, so that none is a copy of the other.
    let monitor = |name: &str, labels: Value| {
        let spec = json!({"selector": {"matchLabels": labels}, "endpoints": [{"port": name}]});
        json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": name}, "spec": spec})
    };
    // The labels by which public charts select are carried.
    neighbours.selecting.push(monitor("good", json!({"app.kubernetes.io/instance": "shop"})));
    neighbours.selecting.push(monitor("whole-chart", labels));
    assert_snapshot!(case.mutate());
    // Where pods are the split, the user's Service leads to the canary as well.
    case.world().routes.clear();
    assert!(!case.mutate().contains("ServiceMonitor"), "{}", case.mutate());
}
