use super::*;
use crate::{
    domain::{
        names::Weight,
        strategy::{HeaderMatch, HeaderRoute, HeaderValue},
    },
    objects::manifest::Owner,
    routers::raw::{items, name_of},
};
use insta::{assert_snapshot, assert_yaml_snapshot};
use serde_json::json;

const ALL: &str = "Host(`shop.example`) && PathPrefix(`/`)";

/// A route of this rule to these services, with their weights.
fn rule(matching: &str, services: &[(&str, u32)]) -> Value {
    let service = |(name, weight): &(&str, u32)| json!({"name": name, "port": 80, "weight": weight});
    json!({"kind": "Rule", "match": matching, "services": services.iter().map(service).collect::<Value>()})
}

fn route(name: &str, rules: &[Value]) -> Value {
    json!({
        "kind": "IngressRoute",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"entryPoints": ["web"], "routes": rules},
    })
}

/// The route of the everyday application: everything goes to `web`, and what is marked to `debug`.
fn shop() -> Value {
    let mut all = rule(ALL, &[("web", 1)]);
    all["middlewares"] = json!([{"name": "auth"}]);
    let mut shop = route("shop", &[rule(&format!("{ALL} && Header(`X-Debug`, `1`)"), &[("debug", 1)]), all]);
    shop["metadata"]["uid"] = json!("7");
    shop["metadata"]["labels"] = json!({"team": "shop", "kustomize.toolkit.fluxcd.io/name": "apps"});
    shop["metadata"]["annotations"] = json!({"kubernetes.io/ingress.class": "edge", "example.com/a": "b"});
    shop["spec"]["tls"] = json!({"secretName": "shop-tls"});
    shop
}

fn traefik_service(name: &str, spec: &Value) -> Value {
    json!({"kind": "TraefikService", "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

/// A route to a `TraefikService` of this spec, and that.
fn by_traefik_service(spec: &Value) -> Vec<Value> {
    let mut all = rule(ALL, &[("split", 1)]);
    all["services"] = json!([{"kind": "TraefikService", "name": "split"}]);
    vec![route("shop", &[all]), traefik_service("split", spec)]
}

fn world(objects: &[Value]) -> World {
    let mut world = World::default();
    for object in objects {
        world.add(object.clone()).unwrap();
    }
    world
}

fn services() -> BTreeMap<String, String> {
    BTreeMap::from([("web".to_owned(), "web-canary".to_owned())])
}

/// What these objects come to, by a weight in percent and the header routes that are on.
fn with_intent<T>(
    objects: &[Value],
    percent: u8,
    headers: &[HeaderRoute],
    read: impl FnOnce(&Intent<'_>, &Routes<'_>, &World) -> T,
) -> T {
    let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
    let (world, services) = (world(objects), services());
    let intent = Intent {
        owner: &owner,
        canary_of: "web",
        services: &services,
        settings: &Value::Null,
        weight_total: Weight::PERCENT,
        weight: percent.try_into().unwrap(),
        is_open: true,
        headers: headers.iter().collect(),
        mirror: None,
        asked_at: jiff::Timestamp::UNIX_EPOCH,
    };
    read(&intent, &Traefik.survey(&services, &Value::Null, &world), &world)
}

/// The companions among these objects.
fn made(objects: &[Value], percent: u8, headers: &[HeaderRoute]) -> Vec<Value> {
    with_intent(objects, percent, headers, |intent, found, _| {
        Traefik.desired(intent, found).into_iter().map(|manifest| manifest.body).collect()
    })
}

#[test]
fn requests_are_counted_by_the_names_that_traefik_gives_to_services() {
    let requests = |objects: &[Value]| {
        with_intent(objects, 20, &[], |intent, found, world| Traefik.requests(intent, found, world))
    };
    let counted = |objects: &[Value]| {
        let Requests { canary, others, .. } = requests(objects).unwrap();
        [canary, others].map(|side| side[0].matchers.clone())
    };
    let [canary, others] = counted(&[shop()]);
    assert_snapshot!(canary, @r#"service=~"(shop-web-canary-80)@kubernetescrd",code!="101""#);
    assert_snapshot!(others, @r#"service=~"(shop-shop-3c2e70392add7e57ac5d|shop-web-80)@kubernetescrd",code!="101""#);
    let [canary, others] =
        counted(&by_traefik_service(&json!({"weighted": {"services": [{"name": "web", "port": "http"}]}})));
    assert_snapshot!(canary, @r#"service=~"(shop-web-canary-http)@kubernetescrd",code!="101""#);
    assert_snapshot!(others, @r#"service=~"(shop-web-http)@kubernetescrd",code!="101""#);
    let copies =
        json!({"mirroring": {"name": "other", "mirrors": [{"name": "web", "port": 80, "percent": 50}]}});
    assert_eq!(
        requests(&[shop(), traefik_service("copies", &copies)]),
        None,
        "copies would count as stable's"
    );
}

/// The services of each route of a companion: `web 80, web-canary 20`; one alone has no weight.
fn shares(objects: &[Value], percent: u8) -> Vec<String> {
    let companion = made(objects, percent, &[]).remove(0);
    let service = |service: &Value| match service["weight"].as_u64() {
        Some(weight) => format!("{} {weight}", service["name"].as_str().unwrap()),
        None => service["name"].as_str().unwrap().to_owned(),
    };
    let of = |rule| items(rule, "/services").map(service).collect::<Vec<_>>().join(", ");
    items(&companion, "/spec/routes").map(of).collect()
}

#[test]
fn a_companion_has_the_split_routes_with_the_next_priority_and_weights() {
    let companions = made(&[shop()], 20, &[]);
    assert_eq!(companions.len(), 1);
    assert_yaml_snapshot!(companions[0]);
}

#[test]
fn header_routes_are_routes_of_their_own_that_come_first() {
    let matching = |header: &str, value| HeaderMatch { header: header.into(), value };
    let headers = [
        HeaderRoute {
            name: "a".into(),
            matching: vec![matching("X-Test", HeaderValue::Prefix("qa.".into()))],
        },
        HeaderRoute {
            name: "b".into(),
            matching: vec![
                matching("X-B", HeaderValue::Exact("a`b\"".into())),
                matching("X-C", HeaderValue::Regex("a|b".into())),
            ],
        },
    ];
    assert_yaml_snapshot!(made(&[shop()], 0, &headers)[0]["spec"]["routes"]);
    let mut old = rule(ALL, &[("web", 1)]);
    old["syntax"] = json!("v2");
    let companion = made(&[route("shop", &[old])], 0, &headers[..1]).remove(0);
    let by_header = companion["spec"]["routes"][1]["match"].as_str().unwrap();
    assert!(by_header.ends_with(r"&& HeadersRegexp(`X-Test`, `^qa\..*$`)"), "{by_header}");
}

#[test]
fn a_service_without_a_share_is_left_out() {
    let plain = [route("shop", &[rule(ALL, &[("web", 1)])])];
    assert_eq!(shares(&plain, 0), ["web"], "a canary without pods would cost the whole route");
    assert_eq!(shares(&plain, 100), ["web-canary"], "and so would stable");
    assert_eq!(shares(&[route("shop", &[rule(ALL, &[("web", 0)])])], 20), ["web 80, web-canary 20"]);
}

#[test]
fn shares_of_several_services_stay_as_they_are_to_each_other() {
    let several = [route("shop", &[rule(ALL, &[("web", 3), ("other", 1)])])];
    assert_eq!(shares(&several, 25), ["web 225, web-canary 75, other 100"]);
    assert_eq!(shares(&several, 0), ["web 300, other 100"]);
}

#[test]
fn a_weighted_traefik_service_is_split_in_its_place() {
    let spec = json!({"weighted": {"services": [{"name": "web", "port": 80, "weight": 4}, {"name": "other", "port": 80}]}});
    let objects = by_traefik_service(&spec);
    assert_eq!(shares(&objects, 25), ["web 300, web-canary 100, other 100"]);
    let argo = json!({"weightedTraefikServiceName": "split"});
    let (world, services) = (world(&[objects.clone(), vec![shop()]].concat()), services());
    let found = |settings: &Value| {
        let found = Traefik.survey(&services, settings, &world);
        let names: Vec<String> = found.found.iter().map(|object| name_of(object).to_owned()).collect();
        (found.is_routed, names, found.missing.len())
    };
    assert_eq!(found(&argo), (true, vec!["shop".into(), "split".into()], 0));
    let other = json!({"weightedTraefikServiceName": "other"});
    assert_eq!(found(&other), (false, Vec::new(), 1));
}

#[test]
fn a_service_of_another_namespace_or_provider_is_not_split() {
    for (field, value) in [("namespace", "elsewhere"), ("kind", "TraefikService"), ("name", "web@file")] {
        let mut all = rule(ALL, &[("web", 1)]);
        all["services"][0][field] = json!(value);
        assert!(made(&[route("shop", &[all])], 20, &[]).is_empty(), "{field}");
    }
}

/// What keeps a plan of these steps from these objects.
fn unfit(objects: &[Value], steps: &Value) -> String {
    let plan = json!({"traefik": {}, "steps": steps, "progressDeadlineAbort": true, "settle": "6s"});
    let strategy = serde_json::from_value(plan).unwrap();
    let (world, services) = (world(objects), services());
    let found = Traefik.survey(&services, &Value::Null, &world);
    let unfit = Traefik.unfit(&services, &strategy, &found, &world);
    let all = found.conflicts.into_iter().chain(unfit);
    all.map(|found| format!("{}: {}", found.name, found.problem)).collect::<Vec<_>>().join("\n")
}

fn weight() -> Value {
    json!([{"setWeight": 20}])
}

#[test]
fn what_keeps_a_route_from_having_a_companion_is_said() {
    let services = |services: Value| by_traefik_service(&json!({"weighted": {"services": services}}));
    let mut child = shop();
    child["spec"]["parentRefs"] = json!([{"name": "edge"}]);
    let mut sticky = rule(ALL, &[("web", 1)]);
    sticky["services"][0]["sticky"] = json!({"cookie": {}});
    let web = json!({"name": "web", "port": 80});
    let mut sticky_over_both = services(json!([web]));
    sticky_over_both[1]["spec"]["weighted"]["sticky"] = json!({"cookie": {}});
    let mut two = by_traefik_service(&json!({"weighted": {"services": [web]}}));
    let own = two[0]["spec"]["routes"][0]["services"].as_array_mut().unwrap();
    own.push(json!({"name": "other", "port": 80}));
    let mut nested = services(json!([{"kind": "TraefikService", "name": "inner"}]));
    nested.push(traefik_service("inner", &json!({"weighted": {"services": [web]}})));
    let cases = [
        ("parent", vec![child]),
        ("sticky", vec![route("shop", &[sticky])]),
        ("sticky over both", sticky_over_both),
        ("two", two),
        ("nested", nested),
        ("mirroring", by_traefik_service(&json!({"mirroring": web}))),
        (
            "failover",
            by_traefik_service(&json!({"failover": {"service": web, "fallback": {"name": "other"}}})),
        ),
        ("Argo's route", vec![route("shop", &[rule(ALL, &[("web", 100), ("web-canary", 0)])])]),
        ("Argo's service", services(json!([web, {"name": "web-canary", "port": 80}]))),
        ("around itself", services(json!([{"kind": "TraefikService", "name": "split"}, web]))),
    ];
    let said = cases.map(|(case, objects)| format!("{case}: {}", unfit(&objects, &weight())));
    assert_snapshot!(said.join("\n"));
    let mirror = json!({"mirroring": {"name": "other", "mirrors": [web]}});
    let world = world(&by_traefik_service(&mirror));
    let found = Traefik.survey(&self::services(), &Value::Null, &world);
    assert!(!found.is_routed, "copies go to stable, as before");
}

#[test]
fn a_route_that_would_lose_requests_to_the_companion_is_refused() {
    let at = |matching: &str, priority: i64, service: &str| {
        let mut rule = rule(matching, &[(service, 1)]);
        rule["priority"] = json!(priority);
        rule
    };
    let other = |rule: Value| vec![route("shop", &[rule_of_all()]), route("other", &[rule])];
    let own = i64::try_from(ALL.len()).unwrap();
    for priority in [own, own + 1] {
        let found = unfit(&other(at(ALL, priority, "other")), &weight());
        assert!(found.starts_with("other: its route "), "{priority}: {found}");
    }
    for priority in [own - 1, own + 2] {
        assert_eq!(unfit(&other(at(ALL, priority, "other")), &weight()), "", "{priority}");
    }
    let header =
        json!([{"setHeaderRoute": {"name": "a", "matching": {"header": "A", "value": {"exact": "1"}}}}]);
    let found = unfit(&other(at(ALL, own + 2, "other")), &header);
    assert_snapshot!(found, @"other: its route \"Host(`shop.example`) && PathPrefix(`/`)\" has priority 41, and the companion of IngressRoute \"shop\" for \"Host(`shop.example`) && PathPrefix(`/`)\" gets priorities up to 41, so it could take its requests; give this route a priority of 42 or more if it is to come first, or else one below 39");
    assert_eq!(unfit(&other(at(ALL, own + 3, "other")), &header), "");
    let longer = "Host(`shop.example`) && PathPrefix(`/a`)";
    let within = [route("shop", &[rule_of_all(), rule(longer, &[("other", 1)])])];
    assert!(unfit(&within, &weight()).contains("PathPrefix(`/a`)"), "its length is one more");
    let copied = [route("shop", &[rule_of_all(), rule(longer, &[("web", 1)])])];
    assert_eq!(unfit(&copied, &header), "", "it has a copy, which is ahead as it is");
}

fn rule_of_all() -> Value {
    rule(ALL, &[("web", 1)])
}

#[test]
fn routes_that_never_meet_may_have_any_priority() {
    let beside = |matching: &str| {
        let mut rule = rule(matching, &[("other", 1)]);
        rule["priority"] = json!(ALL.len());
        vec![route("shop", &[rule_of_all()]), route("other", &[rule])]
    };
    for apart in [
        "Host(`blog.example`)",
        "Host(`a.example`) || (Host(`b.example`) && PathPrefix(`/`))",
        "(Host(\"a.example\") || Host(`b.example`)) && !ClientIP(`10.0.0.1`)",
    ] {
        assert_eq!(unfit(&beside(apart), &weight()), "", "{apart}");
    }
    for meeting in [
        "Host(`SHOP.example.`)",
        "Host(`a.example`) || PathPrefix(`/a`)",
        "HostRegexp(`.*`)",
        "!Host(`a.example`)",
        "Host(`*.example`)",
        "Host(`a.example`) & nonsense",
        "",
    ] {
        assert_ne!(unfit(&beside(meeting), &weight()), "", "{meeting}");
    }
    let paths = |one: &str, other: &str| {
        let [one, other] = [one, other].map(|matching| json!({"match": matching}));
        rule::may_meet(&one, &other)
    };
    assert!(!paths("PathPrefix(`/a`)", "PathPrefix(`/b`)") && !paths("Path(`/a`)", "PathPrefix(`/a/`)"));
    assert!(paths("PathPrefix(`/a`)", "Path(`/ab`)") && paths("Path(`/{x:.*}`)", "Path(`/b`)"));
    let mut elsewhere = beside(ALL);
    elsewhere[1]["spec"]["entryPoints"] = json!(["internal"]);
    assert_eq!(unfit(&elsewhere, &weight()), "", "another entry point");
}

#[test]
fn a_priority_without_room_is_refused() {
    let with = |priority: i64| {
        let mut rule = rule_of_all();
        rule["priority"] = json!(priority);
        unfit(&[route("shop", &[rule])], &weight())
    };
    let largest = i64::MAX - 1000;
    assert_eq!((with(0), with(1), with(-2), with(largest - 1)), Default::default());
    assert_snapshot!(with(-1), @"shop: its route \"Host(`shop.example`) && PathPrefix(`/`)\" has priority -1, and its companion gets priorities up to 0: Traefik takes 0 for none, and allows none above 9223372036854774807; set another priority");
    assert!(with(largest).contains("none above"), "{}", with(largest));
}
