use super::*;
use crate::domain::k8s::{
    label_rewrite::{CANARY_OF_LABEL, LabelRewrite},
    selector::Labels,
};
use serde_json::json;
use std::collections::BTreeSet;

fn object(api_version: &str, kind: &str, spec: Value) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "guard"}});
    object["spec"] = spec;
    object
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// For the pods of `web`, whose canary has another `app`, and its Service, which Helm has installed.
fn told(objects: &[Value]) -> String {
    let pods = labels(&[("app", "web"), ("tier", "front")]);
    let rewrite = LabelRewrite { of: "web".into(), keys: BTreeSet::from(["app".to_owned()]) };
    let service = |by, more| labels(&[("app.kubernetes.io/managed-by", by), ("app", "web"), more]);
    let canary = service("haldane", (CANARY_OF_LABEL, "web"));
    let sides = [
        Sides::pods(&pods, &rewrite, "shop"),
        Sides::services(("web", service("Helm", ("track", "stable"))), ("web-canary", canary), "shop"),
        Sides::targets("HTTPRoute", ("shop", labels(&[("team", "a")])), "web-canary-shop"),
        Sides::targets("Service", ("web", Labels::new()), "web-canary"),
    ];
    let (findings, warnings) = missed(objects, &sides);
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

/// One object a row that covers stable by a label that the canary has not.
#[test]
fn every_api_is_refused_or_told_by_name() {
    let all: Vec<Value> = APIS
        .iter()
        .filter(|api| api.group != CALICO_STORAGE)
        .map(|api| {
            let selector = match (api.form, api.subject) {
                (Form::Calico, _) => json!("app == 'web'"),
                (Form::Target, _) | (_, Subject::Targets) => {
                    json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "shop"})
                }
                (_, Subject::Pods) => json!({"matchLabels": {"app": "web"}}),
                (_, Subject::Services) => json!({"matchLabels": {"app.kubernetes.io/managed-by": "Helm"}}),
            };
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

fn monitor(kind: &str, spec: Value) -> Value {
    object("monitoring.coreos.com/v1", kind, spec)
}

#[test]
fn a_service_monitor_looks_at_the_labels_of_services() {
    let spec = |selector: Value| json!({"selector": selector, "endpoints": [{"port": "http"}]});
    for selector in [
        json!({}),
        json!({"matchLabels": {"app": "web"}}),
        // No Service has the labels of pods.
        json!({"matchLabels": {"tier": "front"}}),
        json!({"matchExpressions": [{"key": "app.kubernetes.io/managed-by", "operator": "In", "values": ["Helm", "haldane"]}]}),
    ] {
        assert_eq!(told(&[monitor("ServiceMonitor", spec(selector.clone()))]), "", "{selector}");
    }
    let by = json!([
        {"key": "app", "operator": "Exists"},
        {"key": "track", "operator": "NotIn", "values": ["canary"]},
        {"key": "track", "operator": "Exists"},
    ]);
    insta::assert_snapshot!(told(&[monitor("ServiceMonitor", spec(json!({"matchExpressions": by})))]));
    let helm =
        monitor("ServiceMonitor", spec(json!({"matchLabels": {"app.kubernetes.io/managed-by": "Helm"}})));
    let ours = monitor("ServiceMonitor", spec(json!({"matchLabels": {CANARY_OF_LABEL: "web"}})));
    assert_eq!(told(&[helm, ours]), "", "a copy scrapes the canary");
}

#[test]
fn a_monitor_may_be_about_other_namespaces() {
    for (kind, selector) in
        [("PodMonitor", json!({"app": "web"})), ("ServiceMonitor", json!({"track": "stable"}))]
    {
        let lines = |namespaces: Value| {
            let spec = json!({"selector": {"matchLabels": selector}, "namespaceSelector": namespaces});
            told(&[monitor(kind, spec)]).lines().count()
        };
        assert_eq!(lines(json!({"matchNames": ["other"]})), 0, "{kind}");
        for covering in [
            json!({}),
            json!({"any": true}),
            json!({"matchNames": []}),
            json!({"matchNames": ["other", "shop"]}),
        ] {
            assert_eq!(lines(covering.clone()), 1, "{kind} {covering}");
        }
    }
}

#[test]
fn what_is_attached_to_a_route_or_service_is_refused_unless_it_is_to_both() {
    let policy = |spec: Value| told(&[object("gateway.envoyproxy.io/v1alpha1", "SecurityPolicy", spec)]);
    let reference = |kind: &str, name: &str| json!({"kind": kind, "name": name});
    let (shop, companion) = (reference("HTTPRoute", "shop"), reference("HTTPRoute", "web-canary-shop"));
    insta::assert_snapshot!(policy(json!({"targetRefs": [shop]})), @r#"refused: SecurityPolicy[guard].spec.targetRefs.*: "{\"kind\":\"HTTPRoute\",\"name\":\"shop\"}": is attached to HTTPRoute "shop", but would not be to HTTPRoute "web-canary-shop", which gets requests of it during a release, so these would be under other rules, such as without authentication; attach the SecurityPolicy to both, or to the Gateway"#);
    for refused in [
        json!({"targetRef": shop}),
        json!({"targetRefs": [reference("Gateway", "edge"), shop]}),
        json!({"targetRefs": [reference("Service", "web")]}),
        json!({"targetSelectors": [{"kind": "HTTPRoute", "matchLabels": {"team": "a"}}]}),
    ] {
        assert!(policy(refused.clone()).starts_with("refused: "), "{refused}");
    }
    for allowed in [
        json!({"targetRefs": [shop, companion]}),
        json!({"targetRefs": [reference("Gateway", "shop"), reference("HTTPRoute", "other")]}),
        json!({"targetSelectors": [{"kind": "HTTPRoute", "matchLabels": {"team": "b"}}]}),
    ] {
        assert_eq!(policy(allowed.clone()), "", "{allowed}");
    }
}

#[test]
fn a_vertical_autoscaler_that_acts_on_the_deployment_alone_is_told() {
    let of = |name: &str, mode: &str| {
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name});
        let spec = json!({"targetRef": target, "updatePolicy": {"updateMode": mode}});
        let sides = [Sides::targets("Deployment", ("web", Labels::new()), "web-canary")];
        missed(&[object("autoscaling.k8s.io/v1", "VerticalPodAutoscaler", spec)], &sides)
    };
    let (findings, warnings) = of("web", "Recreate");
    assert_eq!(findings, []);
    insta::assert_snapshot!(warnings.join("\n"), @r#"VerticalPodAutoscaler "guard" is attached to Deployment "web", but not to Deployment "web-canary": canary pods have the requests of the template until promotion; write the recommended ones there if the canary needs them"#);
    assert_eq!(of("other", "Recreate").1, [] as [&str; 0]);
    assert_eq!(of("web", "Off").1, [] as [&str; 0], "it only recommends");
}
