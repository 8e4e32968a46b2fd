//! Plans that name a router of routes that are not Ingresses, pasted from Argo's documentation.

use crate::case::{Case, annotated, web};
use haldane::domain::keys;
use insta::assert_snapshot;
use serde_json::{Value, json};

/// A release by this plan, where these objects of the user are.
fn release(plan: &str, objects: &[Value]) -> String {
    let [old, new] = ["a", "b"].map(|version| annotated(web(version), keys::CANARY, plan));
    let mut case = Case::update(old, new);
    case.world().routes.clear();
    objects.iter().cloned().fold(case, Case::beside).mutate()
}

/// The route of the quick start of Argo's plugin for the Gateway API, to these Services.
fn http_route(services: &[&str]) -> Value {
    let backends: Value =
        services.iter().map(|name| json!({"name": name, "kind": "Service", "port": 80})).collect();
    let matches = json!([{"path": {"type": "PathPrefix", "value": "/"}}]);
    json!({
        "kind": "HTTPRoute",
        "metadata": {"name": "http-route", "namespace": "shop"},
        "spec": {"parentRefs": [{"name": "eg"}], "rules": [{"matches": matches, "backendRefs": backends}]},
    })
}

const PLUGIN: &str = "
canaryService: web-next
stableService: web
trafficRouting:
  plugins:
    argoproj-labs/gatewayAPI:
      httpRoute: http-route
      namespace: shop
      inProgressLabelValue: in-progress
steps:
- setWeight: 50
- pause: {}
- setWeight: 100
- pause: {}";

#[test]
fn a_plan_for_argos_gateway_plugin_needs_a_route_without_the_canary() {
    let pasted = release(PLUGIN, &[http_route(&["web", "web-next"])]);
    assert_snapshot!("a_route_that_names_the_canary", pasted);
    assert_snapshot!("a_route_without_the_canary", release(PLUGIN, &[http_route(&["web"])]));
    let elsewhere = PLUGIN.replace("namespace: shop", "namespace: other");
    let answer = release(&elsewhere, &[http_route(&["web"])]);
    assert!(answer.starts_with("denied") && answer.contains("must be in the Deployment's"), "{answer}");
}

/// The objects of Argo's page about Traefik: a route to a `TraefikService` over these Services.
fn traefik(services: &[&str]) -> [Value; 2] {
    let weighted: Value = services.iter().map(|name| json!({"name": name, "port": 80})).collect();
    let to = json!([{"kind": "TraefikService", "name": "traefik-service"}]);
    let rule = json!({"kind": "Rule", "match": "PathPrefix(`/`)", "services": to});
    [
        json!({"kind": "IngressRoute", "metadata": {"name": "front"}, "spec": {"routes": [rule]}}),
        json!({
            "kind": "TraefikService",
            "metadata": {"name": "traefik-service"},
            "spec": {"weighted": {"services": weighted}},
        }),
    ]
}

fn plan(traefik: &str, more: &str) -> String {
    format!("{{stableService: web, canaryService: web-next, trafficRouting: {{traefik: {traefik}}}{more}}}")
}

#[test]
fn a_plan_for_traefik_needs_a_traefik_service_without_the_canary() {
    let by_name = plan("{weightedTraefikServiceName: traefik-service}", "");
    let pasted = release(&by_name, &traefik(&["web", "web-next"]));
    assert!(pasted.starts_with("denied"), "{pasted}");
    assert!(pasted.contains(r#"this TraefikService names Service "web-next""#), "{pasted}");
    for named in ["{weightedTraefikServiceName: traefik-service}", "{}"] {
        let answer = release(&plan(named, ""), &traefik(&["web"]));
        assert!(answer.starts_with("allowed"), "{named}: {answer}");
    }
}

#[test]
fn what_the_router_traefik_cannot_do_is_refused() {
    let mirror = plan("{}", ", steps: [{setMirrorRoute: {name: m, percentage: 5}}]");
    let mut rival = traefik(&["other"]);
    rival[0]["metadata"]["name"] = json!("rival");
    rival[0]["spec"]["routes"][0]["priority"] = json!(16);
    rival[0]["spec"]["routes"][0]["services"] = json!([{"name": "other", "port": 80}]);
    let between = [&traefik(&["web"])[..], &rival[..1]].concat();
    let answers = [
        ("no route", release(&plan("{}", ""), &[])),
        ("another name", release(&plan("{weightedTraefikServiceName: other}", ""), &traefik(&["web"]))),
        ("a mirror", release(&mirror, &traefik(&["web"]))),
        ("a rival", release(&plan("{}", ""), &between)),
    ];
    let first =
        |(case, answer): (&str, String)| format!("{case}: {}", answer.lines().next().unwrap_or_default());
    assert_snapshot!(answers.map(first).join("\n"));
}
