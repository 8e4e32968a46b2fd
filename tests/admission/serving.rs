//! A Service never runs empty: what would leave requests without an answer is refused when a plan or a release is applied.

use crate::case::{Case, annotated, held, web, with};
use haldane::domain::keys;
use insta::assert_snapshot;
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use serde_json::{Value, json};

/// The release of a template with these labels, over pods with those.
fn relabelled(running: &Value, new: &Value, selector: &Value) -> Case {
    let labelled =
        |version, labels: &Value| with(web(version), "/spec/template/metadata/labels", labels.clone());
    let mut case = Case::update(labelled("a", running), labelled("b", new));
    set_services(&mut case, &[json!({"metadata": {"name": "web"}, "spec": {"selector": selector}})]);
    case
}

fn set_services(case: &mut Case, services: &[Value]) {
    let world = case.world();
    world.services =
        services.iter().map(|service| serde_json::from_value::<Service>(service.clone()).unwrap()).collect();
}

/// Without an Ingress: the number of pods splits the traffic.
fn by_pods(mut case: Case) -> Case {
    case.world().routes.clear();
    case
}

#[test]
fn a_template_that_drops_a_label_of_its_service_is_refused() {
    let (running, new) = (json!({"app": "web", "tier": "front"}), json!({"app": "web"}));
    let case = relabelled(&running, &new, &json!({"tier": "front"}));
    assert_snapshot!(by_pods(case.clone()).mutate());
    // With an Ingress the Service is not even split, because it does not select the new pods.
    assert!(case.mutate().contains("spec.template.metadata.labels[tier]: "), "{}", case.mutate());
}

#[test]
fn a_template_that_drops_a_label_of_one_of_two_services_is_reported() {
    let (running, new) = (json!({"app": "web", "tier": "front"}), json!({"app": "web"}));
    let mut case = relabelled(&running, &new, &json!({"app": "web"}));
    let metrics = json!({"metadata": {"name": "metrics"}, "spec": {"selector": {"tier": "front"}}});
    set_services(
        &mut case,
        &[json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}}), metrics],
    );
    assert_snapshot!(case.mutate());
}

#[test]
fn a_service_that_has_changed_with_the_label_of_the_template_is_refused() {
    let (running, new) = (json!({"app": "web", "version": "1"}), json!({"app": "web", "version": "2"}));
    let case = relabelled(&running, &new, &json!({"app": "web", "version": "2"}));
    assert_snapshot!(case.mutate());
    // Applied in the other order, with the Service of before.
    let before = relabelled(&running, &new, &json!({"app": "web", "version": "1"})).mutate();
    assert!(before.contains("version=1, as the running pods have it"), "{before}");
}

#[test]
fn what_runs_behind_a_held_template_is_not_known_at_admission() {
    let (running, new) = (json!({"app": "web", "tier": "front"}), json!({"app": "web", "tier": "back"}));
    let mut case = relabelled(&running, &new, &json!({"app": "web", "tier": "back"}));
    case.review.old_object = case.review.old_object.map(held);
    assert!(case.mutate().starts_with("allowed"), "{}", case.mutate());
}

/// The release of a template with these ports, over pods with those, behind a Service with these.
fn reported(running: &Value, new: &Value, service: &Value) -> Case {
    let ported =
        |version, ports: &Value| with(web(version), "/spec/template/spec/containers/0/ports", ports.clone());
    let mut case = Case::update(ported("a", running), ported("b", new));
    let spec = json!({"selector": {"app": "web"}, "ports": service});
    set_services(&mut case, &[json!({"metadata": {"name": "web"}, "spec": spec})]);
    case
}

#[test]
fn a_port_that_moves_under_a_numeric_target_port_is_refused() {
    let (old, new) = (json!([{"containerPort": 8080}]), json!([{"containerPort": 9090}]));
    let target = |port: &Value| json!([{"port": 80, "targetPort": port}]);
    assert_snapshot!("the_template_before_the_service", reported(&old, &new, &target(&json!(8080))).mutate());
    assert_snapshot!("the_service_before_the_template", reported(&old, &new, &target(&json!(9090))).mutate());
    let named = |port: i64| json!([{"name": "http", "containerPort": port}]);
    let by_name = reported(&named(8080), &named(9090), &target(&json!("http"))).mutate();
    assert!(by_name.starts_with("allowed") && !by_name.contains("targetPort"), "{by_name}");
}

#[test]
fn a_port_that_comes_with_a_sidecar_is_reported() {
    let (old, new) =
        (json!([{"containerPort": 8080}]), json!([{"containerPort": 8080}, {"containerPort": 9113}]));
    let service =
        json!([{"name": "a", "port": 80, "targetPort": 8080}, {"name": "b", "port": 81, "targetPort": 9113}]);
    assert_snapshot!(reported(&old, &new, &service).mutate());
}

#[test]
fn a_deployment_that_forgets_its_replica_sets_is_refused_when_it_opts_in() {
    let forgetful = with(web("a"), "/spec/revisionHistoryLimit", json!(0));
    assert_snapshot!(Case::create(forgetful).mutate());
}

#[test]
fn a_strategy_that_may_remove_every_pod_is_refused() {
    let strategy = |rolling: Value, replicas: i64| {
        let rolling = json!({"type": "RollingUpdate", "rollingUpdate": rolling});
        let web = |version| {
            with(with(web(version), "/spec/replicas", json!(replicas)), "/spec/strategy", rolling.clone())
        };
        Case::update(web("a"), web("b"))
    };
    assert_snapshot!(
        "max_unavailable_of_one_pod",
        strategy(json!({"maxUnavailable": 1, "maxSurge": 1}), 1).mutate()
    );
    assert_snapshot!(
        "no_surge_of_one_pod",
        strategy(json!({"maxSurge": 0, "maxUnavailable": "25%"}), 1).mutate()
    );
    // Canary pods stay in the Service.
    let split = by_pods(strategy(json!({"maxUnavailable": "100%"}), 2)).mutate();
    assert_snapshot!("all_of_two_where_pods_are_the_split", split);
    assert!(strategy(json!({"maxUnavailable": "25%", "maxSurge": "25%"}), 1).mutate().starts_with("allowed"));
}

#[test]
fn a_deployment_without_ready_pods_is_released_natively_whatever_its_labels() {
    let (running, new) = (json!({"app": "web", "tier": "front"}), json!({"app": "web"}));
    let mut case = relabelled(&running, &new, &json!({"tier": "front"}));
    case.review.old_object.as_mut().unwrap()["status"] = json!({});
    let answer = case.mutate();
    assert!(answer.starts_with("allowed") && !answer.contains("/spec/paused"), "{answer}");
}

/// Ready pods of these names behind Service `web`.
fn behind(mut case: Case, pods: &[&str]) -> Case {
    let endpoints: Vec<Value> =
        pods.iter().map(|pod| json!({"addresses": ["10.0.0.1"], "targetRef": {"name": pod}})).collect();
    let labels = json!({"kubernetes.io/service-name": "web"});
    let slice = json!({"addressType": "IPv4", "metadata": {"labels": labels}, "endpoints": endpoints});
    let slice: EndpointSlice = serde_json::from_value(slice).unwrap();
    case.facts.neighbours.as_mut().unwrap().endpoints.push(slice);
    case
}

#[test]
fn a_service_in_front_of_two_deployments_is_reported_with_the_other() {
    let own = ["web-7c5d8f9b6-2bcdf"];
    let others = ["web-spot-6d4cf56db-2bcdf", "web-spot-6d4cf56db-4bcdf", "db-0"];
    let case = || Case::update(web("a"), web("b"));
    let both = behind(behind(case(), &own), &others);
    assert_snapshot!("routed", both.mutate());
    assert_snapshot!("by_pods", by_pods(both).mutate());
    assert!(!behind(case(), &own).mutate().contains("ready pods"), "only its own");
}

#[test]
fn a_readiness_probe_of_a_sidecar_alone_is_reported() {
    let containers = json!([
        {"name": "app", "image": "web:b", "ports": [{"containerPort": 8080}]},
        {"name": "proxy", "image": "proxy:1", "readinessProbe": {"httpGet": {"path": "/", "port": 15000}}},
    ]);
    let release = |containers: &Value| {
        let mut case =
            Case::update(web("a"), with(web("b"), "/spec/template/spec/containers", containers.clone()));
        let ports = json!([{"port": 80, "targetPort": 8080}]);
        let spec = json!({"selector": {"app": "web"}, "ports": ports});
        set_services(&mut case, &[json!({"metadata": {"name": "web"}, "spec": spec})]);
        case.mutate()
    };
    assert_snapshot!(release(&containers));
    let mut proxied = containers;
    proxied[0]["ports"] = Value::Null;
    proxied[1]["ports"] = json!([{"containerPort": 8080}]);
    assert!(!release(&proxied).contains("readinessProbe"), "requests arrive at the proxy");
}

#[test]
fn annotations_of_plans_for_argo_that_have_no_effect_are_reported() {
    let steps = "steps: [{setHeaderRoute: {name: qa, match: [{headerName: X-Canary, headerValue: {exact: qa}}]}}, {setWeight: 5}, {pause: {}}]";
    let plan = format!(
        "{{trafficRouting: {{nginx: {{additionalIngressAnnotations: {{canary-weight: '5', canary-by-header: x-canary}}}}}}, {steps}}}"
    );
    let web = |version| annotated(web(version), keys::CANARY, &plan);
    assert_snapshot!(Case::update(web("a"), web("b")).mutate());
}

#[test]
fn a_network_policy_that_may_mean_another_namespace_is_reported() {
    let policy = |namespaces: Value| {
        let peer = json!({"namespaceSelector": {"matchLabels": namespaces}, "podSelector": {"matchLabels": {"app": "web"}}});
        json!({
            "kind": "NetworkPolicy",
            "metadata": {"name": "redis"},
            "spec": {"podSelector": {"matchLabels": {"app": "redis"}}, "ingress": [{"from": [peer]}]},
        })
    };
    let answer = |namespaces| Case::update(web("a"), web("b")).beside(policy(namespaces)).mutate();
    assert_snapshot!(answer(json!({"team": "shop"})));
    assert!(!answer(json!({"kubernetes.io/metadata.name": "shop"})).contains("redis"), "it is cloned");
}
