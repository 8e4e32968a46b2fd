use super::*;
use serde_json::json;
use std::collections::BTreeSet;

fn object(api_version: &str, kind: &str, spec: Value) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "guard"}});
    object["spec"] = spec;
    object
}

/// For the pods of `web`, whose canary has another `app`.
fn told(objects: &[Value]) -> String {
    let pods = Labels::from([("app", "web"), ("tier", "front")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    let rewrite = LabelRewrite { of: "web".into(), keys: BTreeSet::from(["app".to_owned()]) };
    let (findings, warnings) = missed(objects, "shop", &pods, &rewrite);
    let findings = findings.iter().map(|finding| format!("refused: {finding}"));
    findings.chain(warnings).collect::<Vec<_>>().join("\n")
}

fn cilium(spec: Value) -> Value {
    object("cilium.io/v2", "CiliumNetworkPolicy", spec)
}

fn calico(selector: &str) -> Value {
    object("projectcalico.org/v3", "NetworkPolicy", json!({"selector": selector}))
}

fn istio(labels: Value, mut spec: Value) -> Value {
    spec["selector"]["matchLabels"] = labels;
    object("security.istio.io/v1", "AuthorizationPolicy", spec)
}

/// One object a row that covers stable by the label that changes.
#[test]
fn every_api_is_refused_or_told_by_name() {
    let by_labels = json!({"matchLabels": {"app": "web"}});
    let all: Vec<Value> = APIS
        .iter()
        .filter(|api| api.group != CALICO_STORAGE)
        .map(|api| {
            let selector = if api.form == Form::Calico { json!("app == 'web'") } else { by_labels.clone() };
            let field = api.places[0].trim_start_matches("spec/");
            object(&format!("{}/v1", api.group), api.kind, json!({field: selector}))
        })
        .collect();
    insta::assert_snapshot!(told(&all));
    for object in &all {
        assert_eq!(told(std::slice::from_ref(object)).lines().count(), 1, "{object}");
    }
}

#[test]
fn what_covers_both_or_neither_is_no_concern() {
    for spec in [
        json!({"endpointSelector": {}}),
        json!({"endpointSelector": {"matchLabels": {"k8s:tier": "front"}}}),
        json!({"endpointSelector": {"matchLabels": {"app": "other"}}}),
        json!({"endpointSelector": {"matchLabels": {"reserved:host": ""}}}),
        json!({"endpointSelector": {"matchLabels": {"app": "web", "k8s:io.kubernetes.pod.namespace": "other"}}}),
        json!({"endpointSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "web-canary"]}]}}),
        json!({"endpointSelector": {}, "ingress": [{"fromEndpoints": [{"matchLabels": {"app": "web"}}, {"matchLabels": {"app": "web-canary"}}]}]}),
        json!({"nodeSelector": {"matchLabels": {"app": "web"}}}),
    ] {
        assert_eq!(told(&[cilium(spec.clone())]), "", "{spec}");
    }
    for selector in
        ["all()", "has(app)", "app in {'web', 'web-canary'}", "app == 'other'", "app starts with 'web'"]
    {
        assert_eq!(told(&[calico(selector)]), "", "{selector}");
    }
    assert_eq!(told(&[object("security.istio.io/v1", "PeerAuthentication", json!({"mtls": {}}))]), "");
    assert_eq!(
        told(&[object(
            "other.io/v1",
            "AuthorizationPolicy",
            json!({"selector": {"matchLabels": {"app": "web"}}})
        )]),
        ""
    );
}

#[test]
fn who_lets_stable_in_must_let_the_canary_in() {
    let peers = json!([{"fromEndpoints": [{"matchLabels": {"k8s:app": "web"}}]}]);
    let database = cilium(json!({"endpointSelector": {"matchLabels": {"app": "db"}}, "ingress": peers}));
    assert!(
        told(&[database]).starts_with("refused: CiliumNetworkPolicy[guard].spec.ingress.*.fromEndpoints.*")
    );
    let rule = |source: Value| {
        object(
            "projectcalico.org/v3",
            "NetworkPolicy",
            json!({"selector": "app == 'db'", "ingress": [{"source": source}]}),
        )
    };
    assert!(told(&[rule(json!({"selector": "app == 'web'"}))]).starts_with("refused"));
    assert_eq!(told(&[rule(json!({"selector": "app == 'web'", "namespaceSelector": "all()"}))]), "");
}

#[test]
fn a_copy_for_the_canary_is_enough_if_it_says_the_same() {
    let rules = json!({"action": "ALLOW", "rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]});
    let stable = istio(json!({"app": "web"}), rules.clone());
    let canary = json!({CANARY_OF_LABEL: "web"});
    assert_eq!(told(&[stable.clone(), istio(canary.clone(), rules)]), "");
    assert!(told(&[stable, istio(canary, json!({"action": "DENY"}))]).starts_with("refused"));
}

#[test]
fn what_is_not_understood_is_told() {
    insta::assert_snapshot!(told(&[calico("app ~ 'web'")]));
}

#[test]
fn objects_that_calico_shows_twice_are_told_once() {
    let stored = |name: &str| {
        let mut object =
            object("crd.projectcalico.org/v1", "NetworkPolicy", json!({"selector": "app == 'web'"}));
        object["metadata"]["name"] = json!(name);
        object
    };
    assert_eq!(told(&[calico("app == 'web'"), stored("default.guard")]).lines().count(), 1);
    assert_eq!(told(&[stored("default.guard")]).lines().count(), 1);
}

#[test]
fn a_global_policy_may_be_about_other_namespaces() {
    let global = |namespaces: &str| {
        let spec = json!({"selector": "app == 'web'", "namespaceSelector": namespaces});
        told(&[object("projectcalico.org/v3", "GlobalNetworkPolicy", spec)])
    };
    assert_eq!(global("projectcalico.org/name == 'other'"), "");
    assert!(global("projectcalico.org/name == 'shop'").starts_with("refused"));
    assert!(global("team == 'x'").starts_with("refused"), "which namespaces have this label is not known");
}
