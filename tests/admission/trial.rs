//! The canary's objects are tried before its release is admitted.

use crate::case::{Case, config, held, web, with, words};
use haldane::{
    admit::{Ruling, plan_review::trial::Answer},
    domain::review::Stage,
};
use insta::assert_snapshot;
use serde_json::json;

/// A release of a Deployment that the API server has stored.
fn release() -> Case {
    let stored = |version| with(web(version), "/metadata/uid", json!("u"));
    Case::update(stored("a"), stored("b"))
}

/// The verdict if the API server answers so about the object of this kind, and accepts all others.
fn answered(kind: &str, answer: &Answer) -> String {
    let Ruling { verdict, trial, .. } = release().ruling(Stage::Mutate, &config());
    let trial = trial.unwrap();
    let is_it = |object: &haldane::objects::manifest::Manifest| object.kind.name() == kind;
    let answers: Vec<_> = trial
        .objects
        .iter()
        .map(|object| if is_it(object) { answer.clone() } else { Answer::Accepted })
        .collect();
    assert!(answers.contains(answer), "{kind} is tried");
    words(&trial.conclude(verdict, &answers))
}

#[test]
fn every_object_of_the_canary_is_tried_at_weight_0_for_its_owner() {
    let trial = release().ruling(Stage::Mutate, &config()).trial.unwrap();
    let kinds: Vec<_> = trial.objects.iter().map(|object| object.kind.name()).collect();
    assert_eq!(kinds, ["Deployment", "Service", "Ingress"]);
    for object in &trial.objects {
        assert_eq!(object.body["metadata"]["ownerReferences"][0]["uid"], "u", "{:?}", object.kind);
    }
    let ingress = &trial.objects[2].body["metadata"]["annotations"];
    assert_eq!(ingress["nginx.ingress.kubernetes.io/canary-weight"], "0");
}

#[test]
fn what_is_refused_by_a_policy_is_refused_when_it_is_applied() {
    let message = "deployments.apps \"web-canary\" is forbidden: ValidatingAdmissionPolicy 'team' with binding 'team' denied request: a Deployment needs the label team";
    assert_snapshot!(answered("Deployment", &Answer::Refused(422, message.into())));
}

#[test]
fn what_may_be_accepted_later_is_a_warning() {
    let message = "ingresses.networking.k8s.io \"web-canary\" is forbidden: exceeded quota: routes, requested: 1, used: 1, limited: 1";
    assert_snapshot!(answered("Ingress", &Answer::Refused(403, message.into())));
}

#[test]
fn what_is_not_known_refuses_nothing() {
    let late = answered("Service", &Answer::None);
    assert!(late.starts_with("allowed") && late.contains("gave no answer in time"), "{late}");
    let message = "admission webhook \"x\" does not support dry run";
    let untried = answered("Service", &Answer::Refused(400, message.into()));
    assert_eq!(untried, release().mutate(), "nothing is known, so nothing is said");
}

#[test]
fn only_a_release_that_starts_is_tried() {
    let trial = |case: Case| case.ruling(Stage::Mutate, &config()).trial.is_some();
    assert!(trial(release()));
    let stored = |version| with(web(version), "/metadata/uid", json!("u"));
    assert!(!trial(Case::update(stored("a"), with(stored("a"), "/spec/replicas", json!(9)))));
    assert!(!trial(Case::update(
        held(stored("b")),
        with(held(stored("b")), "/spec/template", web("c")["spec"]["template"].clone())
    )));
    let mut unread = release();
    unread.facts.neighbours = Err("no answer".into());
    assert!(!trial(unread));
}
