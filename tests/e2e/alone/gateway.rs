//! Releases by `HTTPRoutes` on a real Gateway: each has a companion, and the user's own is never written.

use super::companion::Router;
use crate::harness::{App, Front, SOON, Space, eventually};
use serde_json::{Value, json};

const ROUTE: &str = "gateway.networking.k8s.io/v1 HTTPRoute";

const GATEWAY: Router = Router { key: "gateway", front: Front::Gateway, weight_of };

/// The user's route: everything goes to `web`, with a header more, but what is marked, which goes to `debug`.
fn route(space: &Space) -> Vec<Value> {
    let mut route = Front::Gateway.route("web", &space.host);
    let all = route["spec"]["rules"][0].take();
    let mut marked = all.clone();
    marked["matches"][0]["headers"] = json!([{"name": "X-Debug", "value": "1"}]);
    marked["backendRefs"][0]["name"] = json!("debug");
    route["spec"]["rules"] = json!([marked, all]);
    route["spec"]["rules"][1]["filters"] = filters("1");
    vec![route]
}

fn filters(value: &str) -> Value {
    let set = json!([{"name": "X-Shop", "value": value}]);
    json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": set}}])
}

/// The weight of the canary in a companion, in percent.
fn weight_of(companion: &Value) -> Option<u64> {
    let rules = companion["spec"]["rules"].as_array()?;
    let backends = rules.iter().filter_map(|rule| rule["backendRefs"].as_array()).flatten();
    backends.filter(|backend| backend["name"] == "web-canary").find_map(|backend| backend["weight"].as_u64())
}

#[test]
fn a_release_and_an_abort_lose_no_request_and_leave_the_route_alone() {
    GATEWAY.loses_no_request(route, |_| {});
}

#[test]
fn a_companion_follows_its_route_and_its_pods() {
    let changed = |space: &Space| {
        let mut route = Front::Gateway.route("web", &space.host);
        route["spec"]["rules"][0]["filters"] = filters("2");
        vec![route]
    };
    GATEWAY.follows(changed, |companion| companion["spec"]["rules"][0]["filters"] == filters("2"));
}

/// The companion has the same rule, so the Gateway says the same of it: that is nothing about the canary.
#[test]
fn a_rule_without_a_service_is_no_obstacle_to_a_release_and_an_abort() {
    let space = Space::behind(Front::Gateway, "partial");
    space.deploy(&App::canary(&GATEWAY.half()).sized(1));
    let mut route = Front::Gateway.route("web", &space.host);
    let mut later = route["spec"]["rules"][0].clone();
    later["matches"][0]["path"]["value"] = json!("/later");
    later["backendRefs"][0]["name"] = json!("later");
    route["spec"]["rules"].as_array_mut().expect("rules").push(later);
    space.apply(&route.to_string()).ok();
    eventually("the Gateway to miss the Service", SOON, || {
        let parents = space.the(ROUTE, "web")["status"]["parents"].clone();
        let conditions = parents[0]["conditions"].as_array().cloned().unwrap_or_default();
        let is_missed =
            conditions.iter().any(|found| found["type"] == "ResolvedRefs" && found["status"] == "False");
        if is_missed { Ok(()) } else { Err(parents.to_string()) }
    });

    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    space.order("web", "abort").ok();
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    space.set_env("web", &["VERSION=v3"]).ok();
    space.pauses_at("web", "50");
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
    space.answers("v3");
}

#[test]
fn a_companion_goes_with_a_deployment_that_is_made_again() {
    GATEWAY.is_removed_with_its_deployment();
}

#[test]
fn what_a_companion_would_break_is_refused() {
    let space = Space::behind(Front::Gateway, "unfit");
    space.deploy(&App::canary(&GATEWAY.half()).sized(1));
    let release = || space.kubectl(&["set", "env", "deployment/web", "VERSION=v2", "--dry-run=server"]);
    eventually("the Gateway to know the route", SOON, || {
        let parents = space.the(ROUTE, "web")["status"]["parents"].clone();
        if parents[0]["controllerName"].is_string() { Ok(()) } else { Err(parents.to_string()) }
    });
    release().ok();
    let mirror = "haldane.dev/canary={trafficRouting: {gateway: {requestMirror: true}}, steps: [{setMirrorRoute: {name: shadow, percentage: 100}}]}";
    let refused = space.kubectl(&["annotate", "deployment", "web", mirror, "--overwrite"]).refused();
    let feature = "the controller traefik.io/gateway-controller of this HTTPRoute's Gateway does not have";
    assert!(refused.contains(feature), "{refused}");

    let tls = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "BackendTLSPolicy",
        "metadata": {"name": "tls"},
        "spec": {
            "targetRefs": [{"group": "", "kind": "Service", "name": "web"}],
            "validation": {"hostname": "web.example", "wellKnownCACertificates": "System"},
        },
    });
    space.apply(&tls.to_string()).ok();
    eventually("the policy to be noticed", SOON, || {
        let output = release();
        let is_told = output.code != 0
            && output
                .err
                .contains("is attached to Service \"web\", but would not be to Service \"web-canary\"");
        if is_told { Ok(()) } else { Err(output.err) }
    });
}
