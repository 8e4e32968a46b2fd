//! Keys of Haldane's that have no effect where they stand are reported with what to write, and never refused.

use crate::case::{Case, annotated, web, with};
use haldane::{
    admit::facts::Questions,
    config::namespace::Namespace,
    domain::{k8s::selector::Labels, keys, review::Stage},
};
use insta::assert_snapshot;
use serde_json::{Value, json};

/// A Deployment that nothing opts in.
fn plain() -> Value {
    let mut object = web("a");
    object["metadata"]["annotations"] = json!({});
    object["metadata"].as_object_mut().unwrap().remove("labels");
    object
}

fn warned(object: Value) -> String {
    Case::create(object).warn()
}

#[test]
fn keys_with_an_effect_and_keys_of_others_are_not_reported() {
    assert_eq!(warned(plain()), "allowed");
    let foreign = with(plain(), "/metadata/labels", json!({"team": "shop"}));
    let foreign =
        with(foreign, "/spec/template/metadata/annotations", json!({"prometheus.io/scrape": "true"}));
    assert_eq!(warned(annotated(foreign, "example.com/haldane.dev", "enabled")), "allowed");
    let out = annotated(annotated(plain(), keys::CANARY, "disabled"), keys::SETTLE, "3s");
    assert_eq!(warned(out), "allowed", "it has said that it stays out");
    let managed = Case::create(web("a")).mutate();
    assert!(!managed.contains("no effect"), "{managed}");
}

#[test]
fn a_misspelt_key_of_a_deployment_that_is_not_opted_in() {
    assert_snapshot!(warned(annotated(plain(), "haldane.dev/cannary", "enabled")));
    assert_snapshot!(warned(annotated(plain(), "haldane.dev/colour", "blue")), @r#"
    allowed
    Warning: haldane: metadata.annotations[haldane.dev/colour]: "blue": unknown annotation, allowed are haldane.dev/canary, haldane.dev/blue-green, haldane.dev/analysis, haldane.dev/settle, haldane.dev/do, haldane.dev/restart, haldane.dev/restart-annotations,
    Warning: haldane: … haldane.dev/override-freeze
    Warning: haldane: the Deployment is not opted in, so it is released without a canary; opt it in with the annotation haldane.dev/canary: enabled, or with a plan as its value
    "#);
}

#[test]
fn annotations_without_a_plan() {
    assert_snapshot!(warned(annotated(annotated(plain(), keys::ANALYSIS, "{}"), keys::SETTLE, "3s")));
}

#[test]
fn an_order_to_a_deployment_that_is_not_opted_in() {
    assert_snapshot!(warned(annotated(plain(), keys::DO, "promote")));
    let out = annotated(annotated(plain(), keys::CANARY, "disabled"), keys::DO, "promote");
    assert_eq!(warned(out), warned(annotated(plain(), keys::DO, "promote")));
}

#[test]
fn the_label_of_a_namespace_on_a_deployment() {
    assert_snapshot!(
        "the_label_that_opts_in",
        warned(with(plain(), "/metadata/labels", json!({keys::CANARY: "enabled"})))
    );
    assert_snapshot!(
        "the_label_of_a_policy",
        warned(with(plain(), "/metadata/labels", json!({keys::ENFORCE: "strict"})))
    );
    assert_snapshot!(
        "an_unknown_label",
        warned(with(plain(), "/metadata/labels", json!({"haldane.dev/colour": "blue"})))
    );
}

#[test]
fn an_annotation_on_the_pod_template() {
    let on_pods = |map: &str| {
        with(
            plain(),
            &format!("/spec/template/metadata/{map}"),
            json!({
                keys::CANARY: "enabled", "haldane.dev/colour": "blue", "haldane.dev/setle": "3s",
            }),
        )
    };
    assert_snapshot!("annotations_of_pods", warned(on_pods("annotations")));
    assert_snapshot!("labels_of_pods", warned(on_pods("labels")));
}

#[test]
fn misplaced_keys_of_an_opted_in_deployment_are_reported() {
    let mut object = with(web("b"), "/spec/template/metadata/annotations", json!({keys::ANALYSIS: "{}"}));
    object["metadata"]["labels"][keys::CANARY] = json!("disabled");
    assert_snapshot!(Case::update(web("a"), object.clone()).mutate());
    let paused = with(object.clone(), "/spec/paused", json!(true));
    assert!(!Case::update(object, paused).mutate().contains("no effect"), "once, when it is written");
}

#[test]
fn where_the_namespace_opts_in_a_setting_has_its_effect_and_a_misspelt_one_has_none() {
    let label = Labels::from([(keys::CANARY.to_owned(), "enabled".to_owned())]);
    let namespace = Namespace::new("shop", "haldane-system", label, Labels::new());
    let in_namespace = |key: &str, value: &str| {
        let mut case = Case::create(annotated(plain(), key, value));
        case.world().routes.clear();
        case.namespace = Ok(namespace.clone());
        case.mutate()
    };
    assert_eq!(in_namespace(keys::SETTLE, "3s"), "allowed", "as soon as it has a route");
    assert_snapshot!(in_namespace("haldane.dev/setle", "3s"), @r#"
    allowed
    Warning: haldane: metadata.annotations[haldane.dev/setle]: "3s": unknown annotation, did you mean "haldane.dev/settle"?
    "#);
}

#[test]
fn a_canary_of_haldanes_has_keys_of_its_own() {
    let labels = json!({"app.kubernetes.io/managed-by": "haldane", "haldane.dev/canary-of": "web"});
    let canary =
        with(with(plain(), "/metadata/labels", labels.clone()), "/spec/template/metadata/labels", labels);
    let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u"});
    let canary = with(canary, "/metadata/ownerReferences", json!([owner]));
    assert_eq!(warned(canary), "allowed");
}

#[test]
fn nothing_is_looked_up_for_a_warning_and_nothing_refuses_it() {
    let mut case = Case::create(annotated(plain(), "haldane.dev/cannary", "enabled"));
    case.namespace = Err("no answer from the API server within 3s".into());
    case.facts.neighbours = Err("no answer from the API server within 3s".into());
    assert_eq!(case.questions(Stage::Warn), Questions::default());
    assert!(!case.needs_namespace(Stage::Warn));
    assert!(case.warn().starts_with("allowed"), "{}", case.warn());
    case.review.group = "batch".into();
    assert_eq!(case.warn(), "allowed", "another kind");
}

/// A `ConfigMap` is written.
fn template(text: &str) -> Case {
    let mut case = Case::create(json!({
        "metadata": {"name": "errors", "labels": {keys::TEMPLATE_LABEL: "true"}},
        "data": {"template.yaml": text},
    }));
    (case.review.group, case.review.kind, case.review.name) =
        (String::new(), "ConfigMap".to_owned(), "errors".to_owned());
    case
}

#[test]
fn an_analysis_template_is_read_when_it_is_written() {
    let good = "metrics: [{name: a, successCondition: 'result[0] < 1', provider: {prometheus: {query: up}}}]";
    assert_eq!(template(good).validate(), "allowed");
    let bad = "metrics: [{name: a, successCondition: 'result[0] >< 1', provider: {prometheus: {query: 'sum(up'}}}, {name: b, failurLimit: 1, provider: {promtheus: {}}}]";
    assert_snapshot!("a_template_with_mistakes", template(bad).validate());
    assert_snapshot!("a_template_that_is_not_yaml", template("metrics: [").validate());
    let mut two = template(good);
    two.review.object.as_mut().unwrap()["data"]["other"] = json!("");
    assert_snapshot!("a_template_with_two_keys", two.validate());
    let mut unlabelled = template(bad);
    unlabelled.review.object.as_mut().unwrap()["metadata"]["labels"][keys::TEMPLATE_LABEL] = json!("false");
    assert_eq!(unlabelled.validate(), "allowed");
}
