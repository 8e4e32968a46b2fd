use super::*;
use crate::{
    domain::{
        names::Weight,
        strategy::{HeaderMatch, HeaderRoute, HeaderValue, MirrorRoute},
    },
    objects::manifest::{Meta, Owner},
};
use insta::{assert_snapshot, assert_yaml_snapshot};

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
fn each_route_has_a_companion_of_its_own() {
    let rules = [rule(&json!([path("/")]), &[("web", 1)])];
    let made = made(&[route("a", "a.example", &rules), route("b", "b.example", &rules)], 10, &[], None);
    let names: Vec<&str> = made.iter().map(name_of).collect();
    assert_eq!(names, ["web-canary-a", "web-canary-b"]);
}

#[test]
fn what_keeps_a_route_from_having_a_companion_is_said() {
    let by_header =
        |name: &str| json!([{"path": path("/")["path"], "headers": [{"name": name, "value": "https"}]}]);
    let many: Value = (0..17).map(|n| path(&format!("/{n}"))).collect();
    let rules = |count: usize| vec![rule(&json!([path("/")]), &[("web", 1)]); count];
    let elsewhere = |host: &str, at: &str| route("other", host, &[rule(&json!([path(at)]), &[("other", 1)])]);
    let mut mesh = shop();
    mesh["spec"]["parentRefs"][0]["kind"] = json!("Service");
    let cases: [(&str, Vec<Value>); 7] = [
        ("mesh", vec![mesh]),
        ("header", vec![route("shop", "a.example", &[rule(&by_header("x-forwarded-proto"), &[("web", 1)])])]),
        ("matches", vec![route("shop", "a.example", &[rule(&many, &[("web", 1)])])]),
        ("rules", vec![route("shop", "a.example", &rules(5))]),
        ("rival", vec![shop(), elsewhere("*.example", "/")]),
        ("other host", vec![shop(), elsewhere("other.example", "/")]),
        ("other path", vec![shop(), elsewhere("shop.example", "/other")]),
    ];
    let found = cases.iter().map(|(case, routes)| {
        let world = world(routes);
        let conflicts = surveyed(&world, &Value::Null).conflicts;
        let said: Vec<String> = conflicts.iter().map(|o| format!("{}: {}", o.name, o.problem)).collect();
        format!("{case}: {}", said.join("; "))
    });
    assert_snapshot!(found.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_named_route_that_is_missing_is_said() {
    let world = world(&[shop()]);
    let found = surveyed(&world, &json!({"httpRoutes": ["front"]}));
    assert_eq!((found.is_routed, found.missing[0].name.as_str()), (false, "front"));
    assert!(surveyed(&world, &json!({"httpRoutes": ["shop"]})).missing.is_empty());
}

#[test]
fn a_companion_is_in_force_unless_a_gateway_says_otherwise() {
    let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
    let spec = json!({"rules": []});
    let wanted = Manifest::new(HTTP_ROUTE, "web-canary", &owner, "web", Meta::default(), spec);
    let is_in_force = |conditions: Value| {
        let mut seen = wanted.body.clone();
        seen["metadata"]["generation"] = json!(2);
        seen["status"] = json!({"parents": [{"conditions": conditions}]});
        let desired = std::slice::from_ref(&wanted);
        Gateway.in_force(&Sight { desired, ours: &[seen], canary: "web-canary", pods: 1, retreats: false })
    };
    let condition = |kind: &str, status: &str, generation: i64| json!({"type": kind, "status": status, "observedGeneration": generation});
    assert!(is_in_force(json!([])), "no Gateway says anything");
    assert!(is_in_force(json!([condition("Accepted", "True", 2), condition("Programmed", "False", 1)])));
    for bad in [
        condition("Accepted", "False", 2),
        condition("Accepted", "True", 1),
        condition("ResolvedRefs", "False", 2),
    ] {
        assert!(!is_in_force(json!([condition("Accepted", "True", 2), bad])));
    }
}
