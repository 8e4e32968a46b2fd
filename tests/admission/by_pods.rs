//! Deployments without an Ingress, and plans that name their Services as Argo's do.

use crate::case::{Case, annotated, web};
use haldane::domain::keys;
use insta::assert_snapshot;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};
use std::sync::Arc;

/// What manifests for Argo Rollouts have.
const BOTH: &str = "{stableService: web-stable, canaryService: web-canary}";
const CANARY_ONLY: &str = "{canaryService: web-canary}";

fn service(name: &str, selector: &Value) -> Service {
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"selector": selector}})).unwrap()
}

/// A release by `plan`, with these Services, which select the pods.
fn release(plan: &str, services: &[&str]) -> Case {
    let web = |version| annotated(web(version), keys::CANARY, plan);
    let mut case = Case::update(web("a"), web("b"));
    let neighbours = case.facts.neighbours.as_mut().unwrap();
    Arc::make_mut(&mut neighbours.world).services =
        services.iter().map(|name| service(name, &json!({"app": "web"}))).collect();
    case
}

/// The same, where no Ingress leads to them.
fn by_pods(plan: &str, services: &[&str]) -> Case {
    let mut case = release(plan, services);
    case.world().routes.clear();
    case
}

#[test]
fn a_canary_service_of_the_user_that_selects_both_sides_is_refused() {
    assert_snapshot!(by_pods(BOTH, &["web-stable", "web-canary"]).mutate());
    // It is left out as a candidate, so that what is wrong is said once.
    let alone = by_pods(CANARY_ONLY, &["web-stable", "web-canary"]).mutate();
    assert_eq!(alone, by_pods(BOTH, &["web-stable", "web-canary"]).mutate());
}

#[test]
fn without_it_the_plan_is_accepted() {
    assert_snapshot!(by_pods(BOTH, &["web-stable"]).mutate());
    assert_eq!(by_pods(CANARY_ONLY, &["web-stable"]).mutate(), by_pods(BOTH, &["web-stable"]).mutate());
}

#[test]
fn a_name_that_is_not_asked_for_is_not_needed() {
    let plain = by_pods("enabled", &["web", "web-canary"]).mutate();
    assert!(plain.starts_with("allowed"), "{plain}");
}

#[test]
fn a_canary_service_without_a_stable_one_is_that_of_the_only_service() {
    let none = by_pods(CANARY_ONLY, &[]).mutate();
    assert_snapshot!("no_service_selects_the_pods", none);
    let several = by_pods(CANARY_ONLY, &["front", "back"]).mutate();
    assert_snapshot!("several_services_select_the_pods", several);
    // With an Ingress it is the same.
    let mut routed = release(CANARY_ONLY, &["web"]);
    assert!(routed.mutate().starts_with("allowed"), "{}", routed.mutate());
    let neighbours = routed.facts.neighbours.as_mut().unwrap();
    Arc::make_mut(&mut neighbours.world).services.push(service("back", &json!({"app": "web"})));
    assert!(routed.mutate().contains(r#"the Services "back" and "web" select"#), "{}", routed.mutate());
}

#[test]
fn a_deployment_may_come_before_its_service() {
    let mut early = Case::create(annotated(web("a"), keys::CANARY, CANARY_ONLY));
    early.world().services.clear();
    assert_snapshot!(early.mutate());
}

#[test]
fn a_stable_service_must_exist_and_select_the_pods() {
    let missing = by_pods(BOTH, &["web"]).mutate();
    assert!(missing.contains("stableService: this Service does not exist"), "{missing}");
    let mut other = by_pods(BOTH, &[]);
    let services = &mut other.world().services;
    services.push(service("web-stable", &json!({"app": "shop", "tier": "front"})));
    assert_snapshot!(other.mutate());
}

/// What is said of a query on this Service.
fn said_of(service: &str, plan: &str) -> String {
    let query = format!("sum(errors{{namespace=\"shop\",service=\"{service}\"}}) or vector(0)");
    let metric = json!({"metrics": [{
        "name": "errors", "count": 1, "successCondition": "result[0] == 0", "provider": {"prometheus": {"query": query}},
    }]});
    let mut case = by_pods(plan, &["web-stable"]);
    let new = case.review.object.take().unwrap();
    case.review.object = Some(annotated(new, keys::ANALYSIS, &metric.to_string()));
    let said = case.mutate();
    said.lines().find(|line| line.contains("metric \"errors\"")).unwrap_or_default().to_owned()
}

#[test]
fn only_the_service_of_the_canary_distinguishes_the_sides() {
    let both = "the query does not tell the canary from stable";
    assert!(said_of("web-stable", BOTH).contains(both), "{}", said_of("web-stable", BOTH));
    assert!(said_of("web-stable", "enabled").contains(both));
    assert_eq!(said_of("web-canary", BOTH), "");
}
