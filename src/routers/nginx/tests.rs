//! What is made of the user's Ingresses.

use super::*;
use crate::{domain::strategy::HeaderRoute, objects::manifest::Owner};

fn ingress(name: &str, class: &str, rules: &[(&str, &str, &str)]) -> Value {
    let rules: Vec<_> = rules
        .iter()
        .map(|(host, path, service)| {
            let backend = json!({"service": {"name": service, "port": {"number": 80}}});
            json!({"host": host, "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]}})
        })
        .collect();
    json!({
        "kind": "Ingress",
        "metadata": {"name": name, "annotations": {"external-dns.alpha.kubernetes.io/hostname": "a"}},
        "spec": {"ingressClassName": class, "rules": rules, "tls": [{"hosts": ["a.com"], "secretName": "tls"}]},
    })
}

fn made(ingresses: &[Value], weight: u8, routes: bool) -> Vec<Value> {
    made_with(ingresses, (weight.into(), 100), routes, None)
}

fn made_with(
    ingresses: &[Value],
    (parts, total): (u32, u32),
    routes: bool,
    header: Option<&HeaderMatch>,
) -> Vec<Value> {
    let additional =
        if header.is_some() { ("canary-by-cookie", "testers") } else { ("canary-by-header", "X-Canary") };
    let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
    let services = BTreeMap::from([("web".to_owned(), "web-canary".to_owned())]);
    let settings = json!({
        "annotationPrefix": "nginx.ingress.kubernetes.io",
        "additionalAnnotations": {additional.0: additional.1},
    });
    let route = header.map(|matching| HeaderRoute { name: "r".into(), matching: vec![matching.clone()] });
    let mut world = World::default();
    for ingress in ingresses {
        world.add(ingress.clone()).unwrap();
    }
    let intent = Intent {
        owner: &owner,
        canary_of: "web",
        services: &services,
        settings: &settings,
        weight_total: total,
        weight: Weight::of(parts, total).unwrap(),
        is_open: routes,
        headers: route.iter().collect(),
        mirror: None,
        asked_at: jiff::Timestamp::UNIX_EPOCH,
    };
    let found = Nginx.survey(&services, &settings, &world);
    Nginx.desired(&intent, &found).into_iter().map(|m| m.body).collect()
}

#[test]
fn one_ingress_has_every_host_and_path_of_the_pair_and_nothing_else() {
    let user = [
        ingress("one", "nginx", &[("a.com", "/", "web"), ("a.com", "/api", "api")]),
        ingress("two", "nginx", &[("b.com", "/shop", "web")]),
    ];
    let made = made(&user, 25, true);
    assert_eq!(made.len(), 1);
    insta::assert_yaml_snapshot!(made[0]);
}

#[test]
fn a_finer_weight_comes_with_its_total() {
    let user = [ingress("one", "nginx", &[("a.com", "/", "web")])];
    let weights = |weight| {
        let made = made_with(&user, weight, true, None);
        let annotation = |key: &str| {
            made[0]["metadata"]["annotations"][format!("nginx.ingress.kubernetes.io/{key}")].clone()
        };
        (annotation("canary-weight"), annotation("canary-weight-total"))
    };
    assert_eq!(weights((5, 1000)), (json!("5"), json!("1000")));
    assert_eq!(weights((1000, 1000)), (json!("1000"), json!("1000")));
    assert_eq!(weights((5, 100)), (json!("5"), Value::Null), "NGINX' own total");
}

#[test]
fn each_class_has_its_own() {
    let user = [
        ingress("one", "inner", &[("a.com", "/", "web")]),
        ingress("two", "outer", &[("a.com", "/", "web")]),
    ];
    let names: Vec<_> = made(&user, 5, false).iter().map(|m| m["metadata"]["name"].to_string()).collect();
    assert_eq!(names, ["\"web-canary-inner\"", "\"web-canary-outer\""]);
}

#[test]
fn header_routes_are_gone_when_they_are_off() {
    let made = made(&[ingress("one", "nginx", &[("a.com", "/", "web")])], 0, false);
    let annotations = made[0]["metadata"]["annotations"].as_object().unwrap();
    let keys: Vec<_> = annotations.keys().filter(|k| k.starts_with("nginx")).collect();
    assert_eq!(keys, ["nginx.ingress.kubernetes.io/canary", "nginx.ingress.kubernetes.io/canary-weight"]);
}

#[test]
fn a_header_route_is_added_to_weight_and_cookie() {
    let user = [ingress("one", "nginx", &[("a.com", "/", "web")])];
    let keys = |value: HeaderValue, routes| {
        let header = HeaderMatch { header: "X-Canary-Test".into(), value };
        let made = made_with(&user, (5, 100), routes, Some(&header));
        let annotations = made[0]["metadata"]["annotations"].as_object().unwrap().clone();
        let ours = annotations.iter().filter_map(|(key, value)| {
            Some(format!("{}={}", key.strip_prefix("nginx.ingress.kubernetes.io/canary-")?, value.as_str()?))
        });
        ours.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        keys(HeaderValue::Exact("true".into()), true),
        "by-cookie=testers by-header=X-Canary-Test by-header-value=true weight=5"
    );
    assert_eq!(
        keys(HeaderValue::Prefix("qa.".into()), true),
        "by-cookie=testers by-header=X-Canary-Test by-header-pattern=^qa\\. weight=5"
    );
    assert_eq!(
        keys(HeaderValue::Regex("a|b".into()), true),
        "by-cookie=testers by-header=X-Canary-Test by-header-pattern=^(?:a|b)$ weight=5"
    );
    assert_eq!(keys(HeaderValue::Exact("true".into()), false), "weight=5");
}

#[test]
fn the_behaviour_of_sticky_clients_is_on_the_ingress_where_nginx_reads_it() {
    let with = |value: &str| {
        let mut user = ingress("one", "nginx", &[("a.com", "/", "web")]);
        user["metadata"]["annotations"] = json!({"nginx.ingress.kubernetes.io/affinity-canary-behavior": value, "nginx.ingress.kubernetes.io/affinity": "cookie"});
        made(&[user], 5, false)[0]["metadata"]["annotations"].clone()
    };
    assert_eq!(with("legacy")["nginx.ingress.kubernetes.io/affinity-canary-behavior"], "legacy");
    assert_eq!(with("legacy")["nginx.ingress.kubernetes.io/affinity"], Value::Null, "NGINX takes stable's");
    assert_eq!(with("odd")["nginx.ingress.kubernetes.io/affinity-canary-behavior"], Value::Null);
}

#[test]
fn a_header_route_comes_instead_of_the_users_header() {
    let strategy = json!({
        "annotationPrefix": "nginx.ingress.kubernetes.io",
        "additionalAnnotations": {"canary-by-header": "X-Canary", "canary-by-header-pattern": "a", "canary-by-cookie": "c", "canary-weight": "5"},
    });
    let keys = |has_route| {
        let settings = Settings::of(&strategy);
        settings.additional(has_route).map(|(key, _)| key.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(keys(false), "canary-by-cookie canary-by-header canary-by-header-pattern");
    assert_eq!(keys(true), "canary-by-cookie");
}

/// The problems of an Ingress of `class` with the path `/shared`, where another has it too, made at that time.
fn problems(class: &str, rival: &str, made: &str, service: &str) -> Vec<String> {
    let with_time = |mut ingress: Value, time: &str| {
        ingress["metadata"]["creationTimestamp"] = json!(time);
        ingress
    };
    let user = ingress("one", class, &[("a.com", "/shared", "web")]);
    let other = ingress("other", rival, &[("a.com", "/shared", service)]);
    let mut world = World::default();
    world.add(with_time(user, "2026-01-02T00:00:00Z")).unwrap();
    world.add(with_time(other, made)).unwrap();
    for (name, controller) in [("nginx", "k8s.io/ingress-nginx"), ("alb", "ingress.k8s.aws/alb")] {
        let class =
            json!({"kind": "IngressClass", "metadata": {"name": name}, "spec": {"controller": controller}});
        world.add(class).unwrap();
    }
    let services = BTreeMap::from([("web".to_owned(), "web-canary".to_owned())]);
    let routes = Nginx.survey(&services, &Value::Null, &world);
    routes.conflicts.into_iter().map(|found| format!("{}: {}", found.name, found.problem)).collect()
}

#[test]
fn a_path_that_an_older_ingress_has_belongs_to_that_one() {
    let (older, younger) = ("2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z");
    insta::assert_snapshot!(problems("nginx", "nginx", older, "shop").join("\n"), @r#"one: its path a.com/shared is routed to Service "shop" by Ingress "other", which is older: NGINX honours the older one, and would give its requests to the canary; remove the path from one of the two"#);
    for (rival, made, service) in
        [("nginx", younger, "shop"), ("inner", older, "shop"), ("nginx", older, "web")]
    {
        assert_eq!(problems("nginx", rival, made, service), Vec::<String>::new(), "{rival} {made} {service}");
    }
}

/// What is refused and what is warned about for an Ingress of a class with this controller.
fn by_controller(controller: &str) -> (usize, Vec<String>) {
    let mut world = World::default();
    world.add(ingress("one", "edge", &[("a.com", "/", "web")])).unwrap();
    let class =
        json!({"kind": "IngressClass", "metadata": {"name": "edge"}, "spec": {"controller": controller}});
    world.add(class).unwrap();
    let services = BTreeMap::from([("web".to_owned(), "web-canary".to_owned())]);
    let routes = Nginx.survey(&services, &Value::Null, &world);
    (routes.conflicts.len(), obstacles::of_unknown_controllers(&routes.found, &world))
}

#[test]
fn a_controller_that_nobody_knows_is_a_warning_and_one_that_is_known_is_none() {
    let (refused, warned) = by_controller("example.com/edge");
    assert_eq!(refused, 0);
    insta::assert_snapshot!(warned.join("\n"), @r#"IngressClass "edge" belongs to the controller example.com/edge, which Haldane does not know: see that it honours NGINX' canary annotations, as ingress-nginx, Traefik's provider kubernetesIngressNGINX and Higress do; one that does not sends the canary no requests, or all"#);
    for known in [
        "k8s.io/ingress-nginx",
        "rke2.cattle.io/ingress-nginx-migration",
        "k8s.io/internal-ingress-nginx",
        "higress.io/higress-controller",
    ] {
        assert_eq!(by_controller(known), (0, Vec::new()), "{known}");
    }
    for refused in ["haproxy.org/ingress-controller/haproxy", "traefik.io/ingress-controller"] {
        assert_eq!(by_controller(refused), (1, Vec::new()), "{refused}");
    }
}

#[test]
fn a_class_that_is_an_annotation_is_known_by_its_name() {
    let refused = |class: &str| {
        let mut user = ingress("one", "x", &[("a.com", "/", "web")]);
        user["spec"].as_object_mut().unwrap().remove("ingressClassName");
        user["metadata"]["annotations"] = json!({"kubernetes.io/ingress.class": class});
        let mut world = World::default();
        world.add(user).unwrap();
        let services = BTreeMap::from([("web".to_owned(), "web-canary".to_owned())]);
        Nginx.survey(&services, &Value::Null, &world).conflicts.len()
    };
    assert_eq!(["gce", "nginx"].map(refused), [1, 0]);
}

#[test]
fn an_ingress_of_a_controller_without_canaries_is_refused_by_its_class() {
    let younger = "2026-01-03T00:00:00Z";
    insta::assert_snapshot!(problems("alb", "nginx", younger, "shop").join("\n"), @r#"one: its IngressClass "alb" belongs to the controller ingress.k8s.aws/alb, which does not honour NGINX' canary annotations, so the canary would get no traffic by it; route by a class of ingress-nginx, of Traefik's provider kubernetesIngressNGINX or of Higress, or by an HTTPRoute with trafficRouting: {gateway: {}}, or name the Ingresses of such a class in trafficRouting.nginx.stableIngresses"#);
    assert_eq!(problems("unheard-of", "nginx", younger, "shop"), Vec::<String>::new());
}
