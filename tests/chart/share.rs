//! The queries about the canary's share, as Prometheus answers them.

use crate::{folder, output};
use haldane::{
    config::strategy::{Defaults, default_strategy},
    domain::{
        k8s::label_rewrite::LabelRewrite, names::Weight, observed::Observed, state::Traffic,
        strategy::CanaryStrategy, world::World,
    },
    objects::{manifest::Owner, pair::Pair},
    routers::{Requests, traffic},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, sync::Arc};

/// What is asked of Deployment `web` in namespace `shop`, whose route is this object.
fn requests(route: Value, strategy: &CanaryStrategy) -> Requests {
    let mut world = World::default();
    let service =
        json!({"kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}});
    for object in [service, route] {
        world.add(object).unwrap();
    }
    let template = json!({"metadata": {"labels": {"app": "web"}}});
    let spec = json!({"selector": {"matchLabels": {"app": "web"}}, "template": template});
    let seen = Observed {
        deployment: serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": spec})).unwrap(),
        template: template.into(),
        world: Arc::new(world),
        ..Observed::default()
    };
    let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
    let rewrite = LabelRewrite { of: "web".into(), keys: BTreeSet::from(["app".to_owned()]) };
    let pair = Pair { seen: &seen, owner: &owner, strategy, rewrite: &rewrite, by_pods: false };
    let weight = Weight::try_from(50).unwrap();
    let traffic = Traffic { weight, routes: true, ..Traffic::none(Timestamp::UNIX_EPOCH) };
    traffic::requests(&pair, &traffic).unwrap()
}

fn strategy() -> CanaryStrategy {
    let prefix = "nginx.ingress.kubernetes.io".to_owned();
    default_strategy(&Defaults { settle: "6s".parse().unwrap(), annotation_prefix: prefix })
}

fn of_ingress() -> Requests {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    let spec = json!({"rules": [{"host": "shop.example", "http": {"paths": [path]}}]});
    requests(json!({"kind": "Ingress", "metadata": {"name": "shop"}, "spec": spec}), &strategy())
}

fn of_http_route() -> Requests {
    let rule = json!({"backendRefs": [{"name": "web", "port": 80}]});
    let metadata = json!({"name": "shop", "namespace": "shop"});
    let route = json!({"kind": "HTTPRoute", "metadata": metadata, "spec": {"rules": [rule]}});
    requests(route, &CanaryStrategy { router: Some("gateway".to_owned()), ..strategy() })
}

/// Series with a value every 10 s, and what is answered after 5 minutes about the last of them.
struct Case {
    name: &'static str,
    requests: Requests,
    series: Vec<(String, &'static str)>,
    /// At least and at most: of the canary, of the others. `None` where there are no series.
    canary: Option<[f64; 2]>,
    others: Option<[f64; 2]>,
}

/// A counter of ingress-nginx with the labels that a scraper leaves it.
fn nginx(prefix: &str, canary: &str, more: &str) -> String {
    format!(
        "nginx_ingress_controller_response_duration_seconds_count{{{prefix}namespace=\"shop\",{prefix}service=\"web\",ingress=\"shop\",canary=\"{canary}\",status=\"200\"{more}}}"
    )
}

fn traefik(service: &str, more: &str) -> String {
    format!("traefik_service_request_duration_seconds_count{{service=\"{service}\",code=\"200\"{more}}}")
}

const CANARY: &str = "shop-web-canary-80";
/// 5 in 10 s, from a number that it has had for long.
const OLD: &str = "1000+5x30";

fn cases() -> Vec<Case> {
    let case = |name, series: &[(String, &'static str)], canary, others| Case {
        name,
        requests: of_ingress(),
        series: series.to_vec(),
        canary,
        others,
    };
    let web = "-shop-web-80";
    let of_traefik = |end: &str| format!("shop{web}{end}@kubernetesingressnginx");
    let of_gateway = |route: &str, service: &str| {
        format!(
            "httproute-shop-{route}-gw-default-edge-ep-web-0-1a2b-svc-shop-{service}-80@kubernetesgateway"
        )
    };
    vec![
        // Six values, five differences.
        case(
            "both_are_counted",
            &[(nginx("", "", ""), OLD), (nginx("", CANARY, ""), OLD)],
            Some([25.0, 25.0]),
            Some([25.0, 25.0]),
        ),
        case(
            "a_scraper_has_labels_of_its_own",
            &[(nginx("exported_", "", ""), OLD), (nginx("exported_", CANARY, ""), OLD)],
            Some([25.0, 25.0]),
            Some([25.0, 25.0]),
        ),
        case(
            "another_canary_takes_the_requests",
            &[(nginx("", "", ""), OLD), (nginx("", "other-web-80", ""), OLD)],
            None,
            Some([50.0, 50.0]),
        ),
        case(
            "what_a_new_counter_begins_with_may_be_new",
            &[
                (nginx("", "", ""), OLD),
                (nginx("", "", ",method=\"PUT\""), "_x28 7 9 9"),
                (nginx("", CANARY, ""), "_x28 300 310 320"),
            ],
            Some([20.0, 320.0]),
            Some([27.0, 34.0]),
        ),
        case(
            "a_controller_that_began_again_is_not_sure",
            &[
                (nginx("", "", ",controller_pod=\"a\""), OLD),
                (nginx("", "", ",controller_pod=\"b\""), "1000+5x27 3 8 13"),
                (nginx("", CANARY, ",controller_pod=\"a\""), OLD),
            ],
            Some([25.0, 25.0]),
            Some([25.0, 25.0 + 1132.0]),
        ),
        case(
            "upgraded_connections_and_other_routes_do_not_count",
            &[
                (nginx("", "", ""), OLD),
                (nginx("", "", "").replace("status=\"200\"", "status=\"101\""), OLD),
                (nginx("", "", "").replace("ingress=\"shop\"", "ingress=\"blog\""), OLD),
                (nginx("", "", "").replace("namespace=\"shop\"", "namespace=\"blog\""), OLD),
            ],
            None,
            Some([25.0, 25.0]),
        ),
        case(
            "traefik_with_annotations",
            &[
                (traefik(&of_traefik(""), ""), OLD),
                (traefik(&of_traefik("-canary"), ""), OLD),
                (traefik("blog-blog-web-80@kubernetesingressnginx", ""), OLD),
            ],
            Some([25.0, 25.0]),
            Some([25.0, 25.0]),
        ),
        Case {
            requests: of_http_route(),
            ..case(
                "traefik_with_http_routes",
                &[
                    (traefik(&of_gateway("web-canary-shop", "web-canary"), ""), OLD),
                    (traefik(&of_gateway("web-canary-shop", "web"), ""), OLD),
                    (traefik(&of_gateway("shop", "web"), ""), OLD),
                    (traefik(&of_gateway("blog", "web"), ""), OLD),
                ],
                Some([25.0, 25.0]),
                Some([50.0, 50.0]),
            )
        },
    ]
}

#[test]
fn prometheus_counts_the_requests_of_both_sides() {
    let samples =
        |value: Option<f64>| value.map_or(json!([]), |value| json!([{"labels": "{}", "value": value}]));
    let tests = cases().into_iter().map(|case| {
        let queries = case.requests.queries(60);
        let [canary, others] =
            [case.canary, case.others].map(|bounds| bounds.map_or([None, None], |[a, b]| [Some(a), Some(b)]));
        let expected = [
            ("canaryLeast", canary[0]),
            ("canaryMost", canary[1]),
            ("othersLeast", others[0]),
            ("othersMost", others[1]),
            ("clusters", Some(1.0)),
        ];
        let asked = expected.map(
            |(name, value)| json!({"expr": queries[name], "eval_time": "5m", "exp_samples": samples(value)}),
        );
        let series = case.series.iter().map(|(series, values)| json!({"series": series, "values": values}));
        json!({
            "name": case.name,
            "interval": "10s",
            "input_series": series.collect::<Vec<_>>(),
            "promql_expr_test": asked,
        })
    });
    let file = folder("share").join("tests.yaml");
    let text = json!({"evaluation_interval": "10s", "tests": tests.collect::<Vec<_>>()}).to_string();
    fs::write(&file, text).unwrap();
    output("promtool", &["test", "rules", &file.display().to_string()]);
}

#[test]
fn the_mean_time_of_a_request_and_the_clusters_are_seen() {
    let count = nginx("", "", "");
    let sum = count.replace("_count{", "_sum{");
    let elsewhere = nginx("", "", ",cluster=\"b\"");
    let queries = of_ingress().queries(60);
    let test = |series: &[(&str, &str)], name: &str, value: f64| {
        let series = series.iter().map(|(series, values)| json!({"series": series, "values": values}));
        json!({
            "interval": "10s",
            "input_series": series.collect::<Vec<_>>(),
            "promql_expr_test": [{
                "expr": queries[name],
                "eval_time": "5m",
                "exp_samples": [{"labels": "{}", "value": value}],
            }],
        })
    };
    let tests = [
        test(&[(&count, OLD), (&sum, "1000+40x30")], "seconds", 8.0),
        test(&[(&count, OLD), (&elsewhere, OLD)], "clusters", 2.0),
    ];
    let file = folder("share").join("about.yaml");
    fs::write(&file, json!({"evaluation_interval": "10s", "tests": tests}).to_string()).unwrap();
    output("promtool", &["test", "rules", &file.display().to_string()]);
}
