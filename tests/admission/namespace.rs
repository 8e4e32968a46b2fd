//! A Namespace opts its Deployments in and gives them defaults; their manifests have no annotations.

use crate::case::{Case, annotated, held, state, web, with};
use haldane::{
    admit::facts::Questions,
    config::namespace::Namespace,
    domain::{k8s::selector::Labels, keys, review::Stage},
};
use insta::assert_snapshot;
use serde_json::{Value, json};

const PLAN: &str = "{steps: [{setWeight: 10}, {pause: {duration: 1m}}]}";

/// A Deployment that says nothing.
fn silent(version: &str) -> Value {
    let mut object = web(version);
    object["metadata"]["annotations"] = json!({});
    object["metadata"].as_object_mut().unwrap().remove("labels");
    object
}

/// One that its Namespace has opted in.
fn member(version: &str) -> Value {
    with(silent(version), "/metadata/labels", json!({keys::MANAGED: "true"}))
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn namespace(annotations: &[(&str, &str)]) -> Namespace {
    let label = labels(&[(keys::CANARY, "enabled")]);
    Namespace::new("shop", "haldane-system", label, labels(annotations))
}

/// In a Namespace that opts in, with a plan.
fn change(old: Value, new: Value) -> Case {
    let mut case = Case::update(old, new);
    case.namespace = Ok(namespace(&[(keys::CANARY, PLAN)]));
    case
}

/// The same after the label was taken off.
fn unlabelled(mut case: Case) -> Case {
    case.namespace = Ok(Namespace::new("shop", "haldane-system", Labels::new(), Labels::new()));
    case
}

fn without_route(mut case: Case) -> Case {
    case.world().routes.clear();
    case
}

#[test]
fn a_manifest_without_annotations_is_held_for_the_plan_of_its_namespace() {
    let case = change(silent("a"), silent("b"));
    assert_snapshot!(case.mutate());
    assert_eq!(case.mutated().validate(), "allowed");
}

#[test]
fn what_is_looked_up_depends_on_the_namespace() {
    let case = change(silent("a"), silent("b"));
    let wanted = case.questions(Stage::Mutate);
    assert!(wanted.pair && wanted.policy.is_some() && wanted.state);
    assert!(case.questions(Stage::Validate).pair, "what has slipped past the mutating phase");
    assert_eq!(unlabelled(case.clone()).questions(Stage::Mutate), Questions::default());
    assert!(case.needs_namespace(Stage::Validate));
    assert!(!case.mutated().needs_namespace(Stage::Validate), "what is held needs no look");
}

#[test]
fn without_a_route_it_deploys_natively() {
    assert_snapshot!(without_route(change(silent("a"), silent("b"))).mutate());
    let mut worker = without_route(change(silent("a"), silent("b")));
    worker.world().services.clear();
    assert_eq!((worker.mutate().as_str(), worker.validate().as_str()), ("allowed", "allowed"));
    // An Ingress of the canary's is no route.
    let ingress =
        change(silent("a"), silent("b")).facts.neighbours.unwrap().world.routes("Ingress")[0].clone();
    let labels = json!({"app.kubernetes.io/managed-by": "haldane", "haldane.dev/canary-of": "web"});
    let canary =
        without_route(change(silent("a"), silent("b"))).beside(with(ingress, "/metadata/labels", labels));
    assert!(!canary.mutate().contains("/spec/paused"), "{}", canary.mutate());
}

#[test]
fn no_template_passes_if_routes_could_not_be_looked_up() {
    let mut case = change(silent("a"), silent("b"));
    case.facts.neighbours = Err("no answer from the API server within 3s".into());
    assert!(case.mutate().contains("/spec/paused"), "{}", case.mutate());
    case.namespace = Err("no answer from the API server within 3s".into());
    assert_snapshot!(case.mutate());
}

#[test]
fn the_validating_phase_refuses_what_was_not_held() {
    assert!(change(silent("a"), silent("b")).validate().contains("is not held"));
    assert!(change(member("a"), member("b")).validate().contains("is not held"));
    assert_eq!(without_route(change(silent("a"), silent("b"))).validate(), "allowed");
}

#[test]
fn its_own_annotations_win() {
    let own = |version| annotated(silent(version), keys::CANARY, "{steps: [{setWeight: 40}, {pause: {}}]}");
    assert!(change(own("a"), own("b")).mutate().contains("weight 40"));
    let enabled = |version| annotated(silent(version), keys::CANARY, "enabled");
    assert!(change(enabled("a"), enabled("b")).mutate().contains("weight 10"), "the default plan");
    let out = |version| annotated(silent(version), keys::CANARY, "disabled");
    let case = change(out("a"), out("b"));
    assert_eq!((case.mutate().as_str(), case.validate().as_str()), ("allowed", "allowed"));
}

#[test]
fn a_restart_is_what_the_namespace_says() {
    let stamp = json!({keys::RESTARTED_AT: "2026-01-01T00:00:00Z"});
    let restarted = with(member("a"), "/spec/template/metadata/annotations", stamp);
    let mut case = change(member("a"), restarted);
    assert_eq!(case.mutate(), "allowed");
    case.namespace = Ok(namespace(&[(keys::RESTART, "canary")]));
    assert!(case.mutate().contains("/spec/paused"), "{}", case.mutate());
    assert!(case.validate().contains("is not held"), "{}", case.validate());
}

#[test]
fn a_finding_says_where_its_text_is_and_how_to_opt_out() {
    let mut case = change(silent("a"), with(silent("b"), "/spec/strategy", json!({"type": "Recreate"})));
    case.namespace = Ok(namespace(&[(keys::CANARY, "{steps: [{setWeigth: 5}]}"), (keys::SETTLE, "soon")]));
    assert_snapshot!(case.mutate());
}

#[test]
fn removing_the_label_takes_effect_when_no_rollout_is_under_way() {
    let idle = unlabelled(change(member("a"), member("b")));
    assert!(!idle.mutate().contains("paused"), "{}", idle.mutate());
    assert_eq!(idle.mutated().object()["metadata"]["labels"], json!({}));
    let stage = haldane::domain::state::Stage::PromoteRoll;
    let promoting = unlabelled(change(member("b"), member("c"))).state(state(&web("b"), stage));
    assert!(promoting.mutate().contains("/spec/paused"), "held behind it: {}", promoting.mutate());
    let unpaused = with(held(member("b")), "/spec/paused", json!(false));
    let case = unlabelled(change(held(member("b")), unpaused));
    assert_snapshot!(case.mutate());
}

#[test]
fn opting_out_during_a_rollout_is_refused_in_a_namespace_that_opts_in() {
    let out = annotated(held(member("b")), keys::CANARY, "disabled");
    assert_snapshot!(change(held(member("b")), out).mutate());
    let idle = change(member("a"), annotated(member("a"), keys::CANARY, "disabled"));
    assert_eq!(idle.mutated().object()["metadata"]["labels"], json!({}));
}

#[test]
fn a_deployment_that_removes_its_plan_stays_managed_where_the_namespace_opts_in() {
    let mut new = web("a");
    new["metadata"]["annotations"].as_object_mut().unwrap().remove(keys::CANARY);
    let still = change(web("a"), new.clone()).mutated();
    assert_eq!(still.object()["metadata"]["labels"][keys::MANAGED], "true");
    assert_eq!(unlabelled(change(web("a"), new)).mutated().object()["metadata"]["labels"], json!({}));
}

#[test]
fn an_order_to_an_unmanaged_deployment_is_reported_as_ignored() {
    let ordered = annotated(silent("a"), keys::DO, "promote");
    assert_snapshot!(unlabelled(change(silent("a"), ordered)).mutate());
}

/// A Namespace is written.
fn written(old: Value, new: Value) -> Case {
    let mut case = Case::update(old, new);
    case.review.group = String::new();
    case.review.kind = "Namespace".into();
    case.review.name = "shop".into();
    case
}

fn document(label: Option<&str>, annotations: &Value) -> Value {
    let labels = label.map(|value| json!({keys::CANARY: value})).unwrap_or_default();
    json!({"metadata": {"name": "shop", "labels": labels, "annotations": annotations}})
}

#[test]
fn a_namespace_is_checked_when_it_is_written() {
    let plain = document(None, &json!({}));
    let opted_in = written(plain.clone(), document(Some("enabled"), &json!({keys::CANARY: PLAN})));
    let in_vain = written(plain.clone(), document(None, &json!({keys::CANARY: PLAN})));
    let template = "{steps: [{setWeight: 10}, {analysis: {templates: [{templateName: errors}]}}]}";
    let early = written(plain.clone(), document(Some("enabled"), &json!({keys::CANARY: template})));
    let bad =
        json!({keys::CANARY: "{steps: [{setWeight: 500}]}", keys::DO: "promote", "haldane.dev/setle": "1s"});
    let bad = written(plain, document(Some("yes"), &bad));
    let answers = [opted_in, in_vain, early, bad].map(|case| case.validate());
    assert_snapshot!(answers.join("\n\n"));
}
