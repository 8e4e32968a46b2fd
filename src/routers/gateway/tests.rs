use super::*;
use crate::{
    domain::{
        names::Weight,
        strategy::{HeaderMatch, HeaderRoute, HeaderValue, MirrorRoute},
    },
    objects::manifest::Owner,
    routers::raw::{items, name_of},
};
use insta::{assert_snapshot, assert_yaml_snapshot};
use serde_json::json;

/// A rule of these matches to these backends, with their weights.
fn rule(matches: &Value, backends: &[(&str, u32)]) -> Value {
    let backend = |(name, weight): &(&str, u32)| json!({"name": name, "port": 80, "weight": weight});
    json!({"matches": matches, "backendRefs": backends.iter().map(backend).collect::<Value>()})
}

fn path(value: &str) -> Value {
    json!({"path": {"type": "PathPrefix", "value": value}})
}

fn route(name: &str, host: &str, rules: &[Value]) -> Value {
    json!({
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"parentRefs": [{"name": "edge"}], "hostnames": [host], "rules": rules},
    })
}

/// The route of the everyday application: everything goes to `web`, and what is marked to `debug`.
fn shop() -> Value {
    let marked = json!([{"path": path("/")["path"], "headers": [{"name": "X-Debug", "value": "1"}]}]);
    let set = json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "X-A", "value": "1"}]}});
    let mut all = rule(&json!([path("/")]), &[("web", 1)]);
    all["filters"] = json!([set]);
    route("shop", "shop.example", &[rule(&marked, &[("debug", 1)]), all])
}

fn world(routes: &[Value]) -> World {
    let mut world = World::default();
    for route in routes {
        world.add(route.clone()).unwrap();
    }
    world
}

fn services() -> BTreeMap<String, String> {
    BTreeMap::from([("web".to_owned(), "web-canary".to_owned())])
}

fn surveyed<'a>(world: &'a World, settings: &Value) -> Routes<'a> {
    Gateway.survey(&services(), settings, world)
}

/// The companions of these routes, by a weight in percent and what else is on.
fn made(routes: &[Value], percent: u8, headers: &[HeaderRoute], mirror: Option<&MirrorRoute>) -> Vec<Value> {
    let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
    let (world, services) = (world(routes), services());
    let intent = Intent {
        owner: &owner,
        canary_of: "web",
        services: &services,
        settings: &Value::Null,
        weight_total: Weight::PERCENT,
        weight: percent.try_into().unwrap(),
        is_open: true,
        headers: headers.iter().collect(),
        mirror,
        asked_at: jiff::Timestamp::UNIX_EPOCH,
    };
    let found = surveyed(&world, &Value::Null);
    Gateway.desired(&intent, &found).into_iter().map(|manifest| manifest.body).collect()
}

/// The weights of the backends of each rule: `web 80, web-canary 20`.
fn weights(companion: &Value) -> Vec<String> {
    let of = |rule: &Value| {
        let backends = items(rule, "/backendRefs");
        backends
            .map(|b| format!("{} {}", b["name"].as_str().unwrap(), b["weight"]))
            .collect::<Vec<_>>()
            .join(", ")
    };
    items(companion, "/spec/rules").map(of).collect()
}

#[test]
fn a_companion_is_the_whole_route_with_one_more_condition_and_weights() {
    let companions = made(&[shop()], 20, &[], None);
    assert_eq!(companions.len(), 1);
    assert_yaml_snapshot!(companions[0]);
}

#[test]
fn header_routes_are_rules_of_their_own_and_requests_are_copied() {
    let matching = |header: &str, value| HeaderMatch { header: header.into(), value };
    let headers = [
        HeaderRoute {
            name: "a".into(),
            matching: vec![matching("X-Test", HeaderValue::Prefix("qa.".into()))],
        },
        HeaderRoute {
            name: "b".into(),
            matching: vec![
                matching("X-B", HeaderValue::Exact("1".into())),
                matching("X-C", HeaderValue::Regex("a|b".into())),
            ],
        },
    ];
    let mirror = MirrorRoute { name: "shadow".into(), share: Some(Weight::try_from(5).unwrap()) };
    let companion = made(&[shop()], 0, &headers, Some(&mirror)).remove(0);
    assert_yaml_snapshot!(companion["spec"]["rules"]);
}

#[test]
fn shares_of_several_backends_stay_as_they_are_to_each_other() {
    let rules = [
        rule(&json!([path("/")]), &[("web", 3), ("other", 1)]),
        rule(&json!([path("/off")]), &[("web", 0)]),
        rule(&json!([path("/api")]), &[("api", 7)]),
    ];
    let companion = made(&[route("shop", "shop.example", &rules)], 25, &[], None).remove(0);
    assert_eq!(
        weights(&companion),
        ["web 225, web-canary 75, other 100", "web 0, web-canary 0", "api 100"],
        "a quarter of what web has"
    );
}

#[test]
fn a_backend_of_another_namespace_or_kind_is_not_split() {
    let mut rule = rule(&json!([path("/")]), &[("web", 1), ("web", 1), ("web", 1)]);
    rule["backendRefs"][0]["namespace"] = json!("elsewhere");
    rule["backendRefs"][1]["kind"] = json!("ServiceImport");
    let companion = made(&[route("shop", "shop.example", &[rule])], 10, &[], None).remove(0);
    assert_eq!(weights(&companion), ["web 100, web 100, web 90, web-canary 10"]);
}

#[test]
fn a_rule_that_replaces_a_prefix_has_one_match() {
    let mut rule = rule(&json!([path("/old")]), &[("web", 1)]);
    rule["name"] = json!("moved");
    let replaced = json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"});
    rule["filters"] = json!([{"type": "URLRewrite", "urlRewrite": {"path": replaced}}]);
    let companion = made(&[route("shop", "shop.example", &[rule])], 10, &[], None).remove(0);
    let rules: Vec<&Value> = items(&companion, "/spec/rules").collect();
    assert_eq!(rules.len(), 4);
    assert!(rules.iter().all(|rule| items(rule, "/matches").count() == 1 && rule.get("name").is_none()));
}

#[test]
fn a_rule_of_many_matches_is_split() {
    let many: Value = (0..17).map(|n| path(&format!("/{n}"))).collect();
    let mut rule = rule(&many, &[("web", 1)]);
    rule["name"] = json!("all");
    let companion = made(&[route("shop", "shop.example", &[rule])], 10, &[], None).remove(0);
    let sizes: Vec<usize> =
        items(&companion, "/spec/rules").map(|rule| items(rule, "/matches").count()).collect();
    assert_eq!(sizes, [64, 4]);
    assert!(items(&companion, "/spec/rules").all(|rule| rule.get("name").is_none()), "names are unique");
}

#[test]
fn each_route_has_a_companion_of_its_own_which_goes_with_it() {
    let rules = [rule(&json!([path("/")]), &[("web", 1)])];
    let mut a = route("a", "a.example", &rules);
    a["metadata"]["uid"] = json!("7");
    a["metadata"]["annotations"] = json!({"konghq.com/plugins": "key-auth", "example.com/a": "b"});
    let made = made(&[a, route("b", "b.example", &rules)], 10, &[], None);
    let names: Vec<&str> = made.iter().map(name_of).collect();
    assert_eq!(names, ["web-canary-a", "web-canary-b"]);
    let owners = &made[0]["metadata"]["ownerReferences"];
    let expected =
        json!([{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "name": "a", "uid": "7"}]);
    assert_eq!(*owners, expected, "its Deployment does not own it: garbage collection would wait for both");
    let annotations = &made[0]["metadata"]["annotations"];
    assert_eq!(annotations["haldane.dev/deployment"], "web/u");
    assert_eq!(annotations["konghq.com/plugins"], "key-auth", "as authentication is written there");
    assert_eq!(annotations["example.com/a"], Value::Null);
}

#[test]
fn what_keeps_a_route_from_having_a_companion_is_said() {
    let by_header =
        |name: &str| json!([{"path": path("/")["path"], "headers": [{"name": name, "value": "https"}]}]);
    let elsewhere = |host: &str, at: &str| route("other", host, &[rule(&json!([path(at)]), &[("other", 1)])]);
    let mut mesh = shop();
    mesh["spec"]["parentRefs"][0]["kind"] = json!("Service");
    let argo = rule(&json!([path("/")]), &[("web", 1), ("web-canary", 1)]);
    let cases: [(&str, Vec<Value>); 6] = [
        ("mesh", vec![mesh]),
        ("header", vec![route("shop", "a.example", &[rule(&by_header("x-forwarded-proto"), &[("web", 1)])])]),
        ("rival", vec![shop(), elsewhere("*.example", "/")]),
        ("other host", vec![shop(), elsewhere("other.example", "/")]),
        ("other path", vec![shop(), elsewhere("shop.example", "/other")]),
        ("Argo's", vec![route("shop", "a.example", &[argo])]),
    ];
    let found = cases.iter().map(|(case, routes)| {
        let world = world(routes);
        let conflicts = surveyed(&world, &Value::Null).conflicts;
        let said: Vec<String> = conflicts.iter().map(|o| format!("{}: {}", o.name, o.problem)).collect();
        format!("{case}: {}", said.join("; "))
    });
    assert_snapshot!(found.collect::<Vec<_>>().join("\n"));
}

/// Why a route cannot carry a plan of these steps, as they are recorded, where its Gateway's controller has this class.
fn unfit(mut route: Value, steps: &Value, class: Option<Value>) -> String {
    let plan = json!({"gateway": {}, "steps": steps, "progressDeadlineAbort": true, "settle": "6s"});
    let strategy = serde_json::from_value(plan).unwrap();
    route["status"] = json!({"parents": [{"controllerName": "example.com/gateway"}]});
    let mut world = world(&[route]);
    if let Some(class) = class {
        world.add(class).unwrap();
    }
    let routes = surveyed(&world, &Value::Null);
    let unfit = Gateway.unfit(&services(), &strategy, &routes, &world);
    unfit.into_iter().map(|found| format!("{}: {}", found.name, found.problem)).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_companion_may_have_as_many_rules_and_matches_as_the_plan_needs() {
    let rules =
        |count: usize| route("shop", "a.example", &vec![rule(&json!([path("/")]), &[("web", 1)]); count]);
    let header = |name: &str| {
        let matching = json!({"header": name, "value": {"exact": "1"}});
        json!({"setHeaderRoute": {"name": name, "matching": matching}})
    };
    let weight = json!({"setWeight": 20});
    assert_eq!(unfit(rules(16), &json!([weight]), None), "", "16 rules without a header route");
    assert_eq!(unfit(rules(8), &json!([header("A"), weight]), None), "", "8 rules with one");
    assert_snapshot!(unfit(rules(8), &json!([header("A"), header("B"), weight]), None), @r#"shop: its companion needs 24 rules and 96 matches with 2 setHeaderRoute at once, of 16 and 128 that an HTTPRoute can have: 4 for each match of this one; split this HTTPRoute in two"#);
    let many: Value = (0..33).map(|n| path(&format!("/{n}"))).collect();
    let many = route("shop", "a.example", &[rule(&many, &[("web", 1)])]);
    assert_snapshot!(unfit(many, &json!([weight]), None), @r#"shop: its companion needs 3 rules and 132 matches, of 16 and 128 that an HTTPRoute can have: 4 for each match of this one; split this HTTPRoute in two"#);
}

#[test]
fn requests_are_copied_only_where_the_controller_can() {
    let class = |features: Value| {
        let spec = json!({"controllerName": "example.com/gateway"});
        Some(
            json!({"kind": "GatewayClass", "metadata": {"name": "edge"}, "spec": spec, "status": {"supportedFeatures": features}}),
        )
    };
    let mirror = |percentage: u8| json!([{"setMirrorRoute": {"name": "shadow", "share": percentage}}]);
    assert_snapshot!(unfit(shop(), &mirror(100), None), @r#"shop: setMirrorRoute needs the feature HTTPRouteRequestMirror, and the class of this HTTPRoute's Gateway does not say whether its controller has it; if it has, set trafficRouting.gateway.requestMirror: true"#);
    let without = class(json!([{"name": "HTTPRouteMethodMatching"}]));
    assert_snapshot!(unfit(shop(), &mirror(100), without), @r#"shop: setMirrorRoute needs the feature HTTPRouteRequestMirror, which the controller example.com/gateway of this HTTPRoute's Gateway does not have, so that it might answer with errors; remove the step"#);
    let with = || class(json!([{"name": "HTTPRouteRequestMirror"}]));
    assert_eq!(unfit(shop(), &mirror(100), with()), "");
    assert!(unfit(shop(), &mirror(5), with()).contains("HTTPRouteRequestPercentageMirror"));
    let as_texts = class(json!(["HTTPRouteRequestMirror"]));
    assert_eq!(unfit(shop(), &mirror(100), as_texts), "", "as before Gateway API 1.1");
    assert_eq!(unfit(shop(), &json!([{"setWeight": 5}]), None), "");
}

#[test]
fn a_named_route_that_is_missing_is_said() {
    let world = world(&[shop()]);
    let found = surveyed(&world, &json!({"httpRoutes": ["front"]}));
    assert_eq!((found.is_routed, found.missing[0].name.as_str()), (false, "front"));
    assert!(surveyed(&world, &json!({"httpRoutes": ["shop"]})).missing.is_empty());
}

#[test]
fn the_namespace_of_argos_plugin_is_the_deployments() {
    let world = world(&[shop()]);
    let found =
        |namespace: &str| surveyed(&world, &json!({"httpRoutes": ["shop"], "namespace": namespace})).missing;
    assert_eq!(found("shop"), []);
    assert_snapshot!(found("elsewhere")[0].problem, @"no such HTTPRoute routes to a Service of this Deployment in the namespace elsewhere; it must be in the Deployment's, others are not read");
}
