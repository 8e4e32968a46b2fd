use super::{super::parse, *};
use proptest::prelude::*;

const STABLE_HASH: &str = "6b9f7d5c8";
const CANARY_HASH: &str = "7c4d8b6f9z";

fn side<'a>(deployment: &'a str, labels: &[(&str, &str)], hash: Option<&'a str>) -> Side<'a> {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Side { deployment, labels: labels.collect(), hash }
}

/// Deployment `web` in namespace `shop`, with two Services and labels `app` and `app.kubernetes.io/name` rewritten.
pub(in crate::promql) fn pair() -> Vec<Mark> {
    let labels = [("app", "web"), ("app.kubernetes.io/name", "web"), ("tier", "front")];
    let canary = [
        ("app", "web-canary"),
        ("app.kubernetes.io/name", "web-canary"),
        ("tier", "front"),
        ("track", "new"),
        ("haldane.dev/role", "canary"),
    ];
    let services = [("web", "web-canary"), ("web-admin", "web-admin-canary")];
    let services = services.map(|(stable, canary)| (stable.to_owned(), canary.to_owned()));
    marks(
        &side("web", &labels, Some(STABLE_HASH)),
        &side("web-canary", &canary, Some(CANARY_HASH)),
        &services,
        Some("shop"),
    )
}

fn seen(query: &str) -> Sight {
    sight(&[parse(query).unwrap()], &pair())
}

fn check(cases: &[(&str, Sight)]) {
    let wrong: Vec<_> = cases.iter().filter(|(query, sight)| seen(query) != *sight).collect();
    let got: Vec<_> = wrong.iter().map(|(query, _)| seen(query)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{got:?}");
}

/// Every label with a word for a value, in four verdicts by four operators.
#[test]
fn each_side_is_known_by_its_labels() {
    for (label, stable, canary) in [
        ("app", "web", "web-canary"),
        ("app_kubernetes_io_name", "web", "web-canary"),
        ("service", "web", "web-canary"),
        ("kubernetes_name", "web-admin", "web-admin-canary"),
        ("deployment", "web", "web-canary"),
        ("replicaset", "web-6b9f7d5c8", "web-canary-7c4d8b6f9z"),
        ("pod_template_hash", STABLE_HASH, CANARY_HASH),
        ("rollouts_pod_template_hash", STABLE_HASH, CANARY_HASH),
        ("dst_deployment", "web", "web-canary"),
        ("dst_service", "web", "web-canary"),
        ("dst_replicaset", "web-6b9f7d5c8", "web-canary-7c4d8b6f9z"),
        ("dst_pod_template_hash", STABLE_HASH, CANARY_HASH),
        ("destination_service_name", "web", "web-canary"),
        ("destination_workload", "web", "web-canary"),
        ("destination_app", "web", "web-canary"),
        ("destination_canonical_service", "web", "web-canary"),
        ("pod", "web-6b9f7d5c8-abc12", "web-canary-7c4d8b6f9z-abc12"),
        ("exported_pod", "web-6b9f7d5c8-abc12", "web-canary-7c4d8b6f9z-abc12"),
        ("destination_service", "web.shop.svc.cluster.local", "web-canary.shop.svc.corp.example"),
    ] {
        check(&[
            (&format!("a{{{label}=\"{stable}\"}}"), Sight::Stable),
            (&format!("a{{{label}=\"{canary}\"}}"), Sight::Canary),
            (&format!("a{{{label}=\"database\"}}"), Sight::Neither),
            (&format!("a{{{label}!=\"database\"}}"), Sight::Both),
            (&format!("a{{{label}=~\"{stable}|database\"}}"), expected(label, "stable")),
            (&format!("a{{{label}=~\"{canary}|database\"}}"), expected(label, "canary")),
            (&format!("a{{{label}=~\".+\"}}"), Sight::Both),
            (&format!("a{{{label}=~\"data.*\"}}"), Sight::Neither),
            (&format!("a{{{label}!~\"data.*\"}}"), Sight::Both),
            (&format!("a{{{label}!~\".+\"}}"), Sight::Neither),
        ]);
        // Without one of several pods, Services or names of a Service there are others.
        if !matches!(
            label,
            "pod"
                | "exported_pod"
                | "destination_service"
                | "service"
                | "kubernetes_name"
                | "dst_service"
                | "destination_service_name"
        ) {
            check(&[
                (&format!("a{{{label}!=\"{canary}\"}}"), Sight::Stable),
                (&format!("a{{{label}!=\"{stable}\"}}"), Sight::Canary),
                (&format!("a{{{label}!~\"{canary}\"}}"), Sight::Stable),
                (&format!("a{{{label}!~\"{stable}\"}}"), Sight::Canary),
            ]);
        }
    }
}

/// A pod of which the whole name is written is not one of those that an expression is tried with.
fn expected(label: &str, side: &str) -> Sight {
    match (label.ends_with("pod"), side) {
        (true, _) => Sight::Neither,
        (false, "stable") => Sight::Stable,
        (false, _) => Sight::Canary,
    }
}

#[test]
fn names_that_scrapers_choose_freely_decide_only_where_they_are_a_sides() {
    check(&[
        // Prometheus Operator's.
        ("a{job=\"web\"}", Sight::Stable),
        ("a{job=\"web-canary\"}", Sight::Canary),
        ("a{job=~\"web|web-canary\"}", Sight::Both),
        ("a{job=\"kubernetes-pods\"}", Sight::Both),
        ("a{job!=\"kubernetes-pods\"}", Sight::Both),
        // Labels that only the canary's pods have.
        ("a{track=\"new\"}", Sight::Canary),
        ("a{track=\"\"}", Sight::Stable),
        ("a{track=\"other\"}", Sight::Both),
        ("a{haldane_dev_role=\"canary\"}", Sight::Canary),
        // Labels that are the same on both sides, or unknown.
        ("a{tier=\"web\"}", Sight::Both),
        ("a{version=\"2\"}", Sight::Both),
        ("a{instance=~\"10[.].*\"}", Sight::Both),
        ("a{envoy_cluster_name=\"shop/web-canary/80\"}", Sight::Canary),
        ("a", Sight::Both),
        ("vector(1)", Sight::Neither),
        (&format!("a{{service=\"{UNKNOWN}\"}}"), Sight::Both),
    ]);
}

#[test]
fn expressions_are_tried_on_the_names_that_both_sides_have() {
    check(&[
        ("a{app=~\"web\"}", Sight::Stable),
        ("a{app=~\"web.*\"}", Sight::Both),
        ("a{service=~\".*-canary\"}", Sight::Canary),
        ("a{service=~\"web|web-admin\"}", Sight::Stable),
        // The names are anchored.
        ("a{service=~\"canary\"}", Sight::Neither),
        ("a{pod=~\"web-canary-.*\"}", Sight::Canary),
        ("a{pod=~\"web-canary-[a-z0-9]+-[a-z0-9]+\"}", Sight::Canary),
        ("a{pod=~\"web-.*\"}", Sight::Both),
        ("a{pod=~\"web-[a-z0-9]+-[a-z0-9]+\"}", Sight::Stable),
        ("a{pod=~\"webshop-.*\"}", Sight::Neither),
        // The walkthrough's query for kills: canary pods have one part more than those that it was written for.
        (
            "increase(kube_pod_container_status_last_terminated_reason{reason=\"OOMKilled\",pod=~\"web-.*-7c4d8b6f9z-.*\"}[5m])",
            Sight::Canary,
        ),
        ("kube_pod_container_status_last_terminated_reason{pod=~\"web-.*6b9f7d5c8-.*\"}", Sight::Stable),
    ]);
}

#[test]
fn matchers_count_together() {
    check(&[
        ("a{app=\"web\",pod_template_hash=\"7c4d8b6f9z\"}", Sight::Neither),
        ("a{service=~\"web.*\",pod=~\"web-canary-.*\"}", Sight::Canary),
        ("a{service!=\"web\",service!=\"web-admin\"}", Sight::Canary),
        ("a{app=\"web-canary\"} / a{app=\"web\"}", Sight::Canary),
        ("sum(rate(a{app=\"web\"}[1m])) / sum(rate(b{service=\"web\"}[1m]))", Sight::Stable),
        ("a{app=\"web\"} / a{service=\"webshop\"}", Sight::Stable),
        ("a{app=\"web\" or app=\"web-canary\"}", Sight::Canary),
        ("a{app=\"web\" or app=\"webshop\"}", Sight::Stable),
    ]);
}

#[test]
fn exporters_say_of_whom_they_speak() {
    check(&[
        // Outbound metrics carry the labels of the client.
        (
            "response_total{deployment=\"client\",dst_service=\"web-canary\",direction=\"outbound\"}",
            Sight::Canary,
        ),
        ("response_total{deployment=\"client\",dst_service=\"web\",direction=\"outbound\"}", Sight::Stable),
        ("response_total{deployment=\"web\",direction=\"outbound\"}", Sight::Both),
        ("response_total{deployment=\"web\",direction=\"inbound\"}", Sight::Stable),
        (
            "response_total{deployment=~\"web|client\",direction=\"outbound\",dst_deployment=\"webshop\"}",
            Sight::Neither,
        ),
        (
            "outbound_http_route_request_statuses_total{deployment=\"client\",authority=\"web.shop.svc.cluster.local:80\"}",
            Sight::Both,
        ),
        ("response_total{authority=\"web-canary.shop:80\"}", Sight::Canary),
        ("response_total{authority=\"shop.example.com\"}", Sight::Both),
        ("istio_requests_total{app=\"client\",destination_workload=\"web-canary\"}", Sight::Canary),
        ("istio_requests_total{reporter=\"source\",app=\"web\"}", Sight::Both),
        ("istio_requests_total{reporter=\"destination\",app=\"web\"}", Sight::Stable),
        (
            "istio_requests_total{destination_service=~\"web-canary[.]shop[.]svc[.]corp[.]example\"}",
            Sight::Canary,
        ),
        ("istio_requests_total{destination_service=\"web-canary.other.svc.cluster.local\"}", Sight::Neither),
        // kube-state-metrics and the kubelet have a Service and a job of their own.
        ("kube_pod_labels{label_app=\"web\"}", Sight::Stable),
        (
            "kube_deployment_status_replicas{deployment=\"web-canary\",service=\"kube-state-metrics\"}",
            Sight::Canary,
        ),
        ("container_memory_working_set_bytes{service=\"kubelet\",pod=~\"web-canary-.+\"}", Sight::Canary),
        ("container_memory_working_set_bytes{service=\"kubelet\"}", Sight::Both),
        // ingress-nginx says stable's Service of both.
        ("nginx_ingress_controller_requests{service=\"web\", canary!=\"\"}", Sight::Canary),
        ("nginx_ingress_controller_requests{service=\"web\", canary=\"shop-web-canary-80\"}", Sight::Canary),
        ("nginx_ingress_controller_requests{canary=~\"shop-web-canary-.*\"}", Sight::Canary),
        ("nginx_ingress_controller_requests{canary=\"shop-api-canary-80\"}", Sight::Neither),
        ("nginx_ingress_controller_requests{service=\"web\", canary=\"\"}", Sight::Stable),
        ("nginx_ingress_controller_requests{service=\"web\"}", Sight::Both),
        (
            "nginx_ingress_controller_requests{service=\"nginx-metrics\",exported_service=\"web\",canary!=\"\"}",
            Sight::Canary,
        ),
        ("nginx_ingress_controller_requests{service=\"web-canary\"}", Sight::Neither),
        // Others have names of their own making.
        ("traefik_service_requests_total{service=\"shop-web-80@kubernetes\"}", Sight::Both),
        ("traefik_service_requests_total{service=\"shop-web-canary-80@kubernetes\"}", Sight::Canary),
    ]);
}

#[test]
fn one_service_for_both_sides_distinguishes_them_no_more_than_none() {
    let side = |name, hash| side(name, &[("app", "web")], hash);
    let services = ["web", "web-preview"].map(|canary| ("web".to_owned(), canary.to_owned()));
    let marks = marks(&side("web", None), &side("web-canary", None), &services, None);
    for (query, expected) in [
        ("a{service=\"web\"}", Sight::Both),
        ("a{service=\"web-preview\"}", Sight::Canary),
        ("a{service=\"webshop\"}", Sight::Neither),
        ("a{app=\"web\"}", Sight::Both),
        ("a{pod=~\"web-canary-.*\"}", Sight::Canary),
        ("a{pod=\"web-abc-x1y2z\"}", Sight::Stable),
        ("a{pod=\"web-api-abc-x1y2z\"}", Sight::Neither),
        ("a{pod_template_hash=\"abc\"}", Sight::Both),
        ("a{destination_service=\"web.any.svc.cluster.local\"}", Sight::Both),
    ] {
        assert_eq!(sight(&[parse(query).unwrap()], &marks), expected, "{query}");
    }
}

#[test]
fn corrections_are_the_texts_to_write() {
    let reported = |query: &str| {
        let found = corrections(&[parse(query).unwrap()], &pair());
        let text = |c: &Correction| {
            format!(
                "{} → {}{}",
                c.written,
                c.wanted,
                c.open.as_ref().map(|open| format!(" or {open}")).unwrap_or_default()
            )
        };
        found.iter().map(text).collect::<Vec<_>>().join("; ")
    };
    for (query, text) in [
        (
            "a{app=\"web\", code=\"500\"} / a{app=\"web\", service=\"web-admin\"}",
            "app=\"web\" → app=\"web-canary\" or app=~\"web|web-canary\"; service=\"web-admin\" → service=\"web-admin-canary\" or service=~\"web-admin|web-admin-canary\"",
        ),
        (
            "a{service=\"webshop\"}",
            "service=\"webshop\" → service=\"web-canary\" or service=~\"webshop|web-canary\"",
        ),
        ("a{job=~\"web\"}", "job=~\"web\" → job=\"web-canary\""),
        ("a{pod=~\"web-[a-z0-9]+-.*\"}", ""),
        ("a{pod=~\"web-6.*\"}", "pod=~\"web-6.*\" → pod=~\"web-canary-.*\""),
        (
            "a{pod_template_hash=\"6b9f7d5c8\"}",
            "pod_template_hash=\"6b9f7d5c8\" → pod_template_hash=\"{{args.canary-hash}}\" with podTemplateHashValue: Canary",
        ),
        (
            "istio_x{destination_service=\"web.shop.svc.cluster.local\"}",
            "destination_service=\"web.shop.svc.cluster.local\" → destination_service=\"web-canary.shop.svc.cluster.local\"",
        ),
        ("nginx_ingress_controller_requests{canary=\"\"}", "canary=\"\" → canary!=\"\""),
        (
            "nginx_ingress_controller_requests{service=\"web-canary\"}",
            "service=\"web-canary\" → service=\"web\",canary!=\"\"",
        ),
    ] {
        assert_eq!(reported(query), text, "{query}");
    }
}

proptest! {
    /// An expression's verdict is the result of matching it, anchored, with the value on each side.
    #[test]
    fn expressions_decide_as_prometheus_anchors_them(
        pattern in "(web|canary|-|\\.\\*|[a-z]|\\[a-z-\\]\\+|\\(\\?i\\)|\\||\\$|\\^){1,5}",
        negative in prop::bool::ANY,
        label in prop_oneof!["app", "service", "deployment", "dst_service"],
    ) {
        let Ok(expression) = regex::Regex::new(&format!("^(?s:{pattern})$")) else { return Ok(()) };
        let matches = |value: &str| expression.is_match(value) != negative;
        let op = if negative { "!~" } else { "=~" };
        let services = ["web", "web-admin"].iter().filter(|_| label.ends_with("service")).chain(["web"].iter());
        let stable = services.clone().any(|name| matches(name));
        let canary = services.clone().any(|name| matches(&format!("{name}-canary")));
        let expected = match (canary, stable) {
            (true, false) => Sight::Canary,
            (true, true) => Sight::Both,
            (false, true) => Sight::Stable,
            (false, false) => Sight::Neither,
        };
        prop_assert_eq!(seen(&format!("a{{{label}{op}\"{pattern}\"}}")), expected, "{}", pattern);
    }
}
