//! The scrape targets behind a query's series, and the namespaces they are in.

use super::{
    Selector, on_stable, print, read,
    series::{Exporter, is_of_destination, is_positive},
    sight::Mark,
};
use promql_parser::{
    label::{Matcher, Matchers},
    parser::{Expr, VectorSelector},
};

/// Labels that Prometheus puts on every series of a target, so that `up` has them too.
const TARGET_LABELS: &[&str] = &[
    "namespace",
    "service",
    "job",
    "pod",
    "instance",
    "container",
    "endpoint",
    "node",
    "app",
    "k8s_app",
    "pod_template_hash",
    "rollouts_pod_template_hash",
    "kubernetes_namespace",
    "kubernetes_name",
    "kubernetes_pod_name",
];

/// Beginning of the names of kube-state-metrics.
const OBJECTS_PREFIX: &str = "kube_";

/// Labels by which other exporters name objects.
const OBJECTS: &[&str] = &[
    "deployment",
    "replicaset",
    "exported_namespace",
    "exported_service",
    "exported_pod",
    "ingress",
    "canary",
];

/// Beginning of Kubernetes' recommended pod labels, as service discovery copies them.
const RECOMMENDED: &str = "app_kubernetes_io_";

/// For each distinct selector the targets that it is about, as `up{…}`; none for series that are not scraped from
/// the pods, and none where no label of a target is named.
#[must_use]
pub fn targets(query: &str) -> Vec<String> {
    let Ok(tree) = read(query) else { return Vec::new() };
    let mut found = Vec::new();
    for selector in print::selectors(&tree) {
        let texts = super::alternatives(&selector).into_iter().filter_map(|selector| target(&selector));
        texts.for_each(|text| {
            if !found.contains(&text) {
                found.push(text);
            }
        });
    }
    found
}

fn target(selector: &Selector) -> Option<String> {
    let is_mesh = selector.matchers.iter().any(|m| m.name == "direction" || is_of_destination(&m.name));
    if is_mesh || Exporter::of(selector) != Exporter::Pod {
        return None;
    }
    let is_of_target = |matcher: &&Matcher| is_target_label(&matcher.name);
    let matchers: Vec<Matcher> = selector.matchers.iter().filter(is_of_target).cloned().collect();
    let up = VectorSelector::new(Some("up".to_owned()), Matchers::new(matchers.clone()));
    (!matchers.is_empty()).then(|| print::print(&Expr::from(up))).flatten()
}

/// A selector with only what is about the target: counters of errors have no series while there was none, but the
/// target has others of the same metric. Metrics of kube-state-metrics about what has happened, such as kills for lack of
/// memory, have series of other pods at best: the metric alone as well. Empty if that is the selector itself.
#[must_use]
pub fn relaxed(selector: &str) -> Vec<String> {
    let Ok(Expr::VectorSelector(selector)) = read(selector) else { return Vec::new() };
    let is_of_target = |matcher: &&Matcher| {
        let name = matcher.name.as_str();
        is_target_label(name) || is_of_destination(name) || OBJECTS.contains(&name)
    };
    let of_target = |group: &[Matcher]| group.iter().filter(is_of_target).cloned().collect::<Vec<_>>();
    let plain =
        VectorSelector::new(selector.name.clone(), Matchers::new(of_target(&selector.matchers.matchers)));
    let alone = VectorSelector::new(selector.name.clone(), Matchers::empty());
    let mut looser = Vec::new();
    if selector.name.is_some() && selector.matchers.or_matchers.is_empty() {
        looser.extend((!plain.matchers.matchers.is_empty() && plain != selector).then_some(plain));
        let is_of_objects = selector.name.as_ref().is_some_and(|name| name.starts_with(OBJECTS_PREFIX));
        looser.extend((is_of_objects && alone != selector).then_some(alone));
    }
    looser.into_iter().filter_map(|selector| print::print(&Expr::from(selector))).collect()
}

/// The targets of stable and of the canary that a query is about, as selectors of `up`, if they differ.
#[must_use]
pub fn on_up(query: &str, marks: &[Mark]) -> Option<(String, String)> {
    let stable = targets(&on_stable(query, marks)?.query);
    targets(query).into_iter().find(|canary| !stable.contains(canary)).and_then(|canary| {
        let own = on_stable(&canary, marks)?.query;
        stable.contains(&own).then_some((own, canary))
    })
}

fn is_target_label(label: &str) -> bool {
    TARGET_LABELS.contains(&label) || label.starts_with(RECOMMENDED)
}

/// Whether a selector says in which namespace its series are.
#[must_use]
pub fn names_namespace(selector: &Selector) -> bool {
    let exporter = Exporter::of(selector);
    selector.matchers.iter().any(|matcher| says_namespace(matcher, exporter))
}

fn says_namespace(matcher: &Matcher, exporter: Exporter) -> bool {
    let label = matcher.name.as_str();
    let is_host = matches!(label, "destination_service" | "authority") && matcher.value.contains('.');
    let is_named = matches!(label, "namespace" | "kubernetes_namespace" | "exported_namespace");
    let of_destination = is_of_destination(label) && label.ends_with("_namespace");
    // The name of a router's upstream begins with it.
    let is_of_router = matches!(exporter, Exporter::Router(series) if series.side == label);
    let is_upstream = is_of_router && matcher.value.contains('-');
    // A proxy's own namespace is the client's.
    let fits = match exporter {
        Exporter::Client => of_destination || is_host,
        _ => is_named || of_destination || is_host || is_upstream,
    };
    fits && is_positive(matcher)
}

/// The selectors of a query that name no namespace, each with the matcher to add.
#[must_use]
pub fn with_namespace(selectors: &[Selector], namespace: &str) -> Vec<String> {
    let mut wanted = Vec::new();
    for selector in selectors.iter().filter(|selector| !names_namespace(selector)) {
        let text = format!("{}={namespace:?}", Exporter::of(selector).namespace_label(&selector.metric));
        if !wanted.contains(&text) {
            wanted.push(text);
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::parse;
    use crate::promql::sight::Value;

    #[test]
    fn targets_are_known_by_the_labels_that_up_has_too() {
        for (query, up) in [
            (
                "sum(rate(a{namespace=\"shop\",service=\"web-canary\",code!~\"5..\"}[1m])) / sum(rate(a{namespace=\"shop\",service=\"web-canary\"}[1m]))",
                &["up{namespace=\"shop\",service=\"web-canary\"}"][..],
            ),
            (
                "a{app_kubernetes_io_name=\"web\"} / b{pod=~\"web-.*\"}",
                &["up{app_kubernetes_io_name=\"web\"}", "up{pod=~\"web-.*\"}"],
            ),
            ("a{code=\"500\"}", &[]),
            ("a", &[]),
            ("vector(1)", &[]),
            ("nginx_ingress_controller_requests{service=\"web\"}", &[]),
            ("istio_requests_total{namespace=\"shop\"}", &[]),
            ("response_total{deployment=\"web\",namespace=\"shop\",direction=\"inbound\"}", &[]),
            ("kube_pod_labels{namespace=\"shop\"}", &[]),
            ("container_memory_working_set_bytes{pod=~\"web-.*\"}", &[]),
        ] {
            assert_eq!(targets(query), up, "{query}");
        }
    }

    #[test]
    fn a_namespace_is_named_by_the_label_that_the_exporter_gives_it() {
        for (query, wanted) in [
            ("a{service=\"web\"}", &["namespace=\"shop\""][..]),
            ("a{namespace=\"shop\"}", &[]),
            ("a{namespace!=\"shop\"}", &["namespace=\"shop\""]),
            ("a{kubernetes_namespace=~\"shop|mall\"}", &[]),
            ("a{exported_namespace=\"shop\"} / b", &["namespace=\"shop\""]),
            ("response_total{namespace=\"clients\",direction=\"outbound\"}", &["dst_namespace=\"shop\""]),
            ("response_total{dst_namespace=\"shop\",direction=\"outbound\"}", &[]),
            (
                "istio_requests_total{destination_workload=\"web\"}",
                &["destination_workload_namespace=\"shop\""],
            ),
            ("istio_requests_total{destination_service=\"web.shop.svc.cluster.local\"}", &[]),
            ("istio_requests_total{destination_service_namespace=\"shop\"}", &[]),
            ("nginx_ingress_controller_requests{canary!=\"\"}", &["exported_namespace=\"shop\""]),
            ("nginx_ingress_controller_requests{canary=\"shop-web-canary-80\"}", &[]),
        ] {
            assert_eq!(with_namespace(&parse(query).unwrap().selectors, "shop"), wanted, "{query}");
        }
    }

    #[test]
    fn a_counter_of_errors_is_looser_without_them() {
        let selector = "http_requests_total{service=\"web\",namespace=\"shop\",code=~\"5..\"}";
        assert_eq!(relaxed(selector), ["http_requests_total{namespace=\"shop\",service=\"web\"}"]);
        let oom = "kube_pod_container_status_last_terminated_reason{reason=\"OOMKilled\"}";
        assert_eq!(relaxed(oom), ["kube_pod_container_status_last_terminated_reason"]);
        assert_eq!(relaxed("http_requests_total{service=\"web\"}"), Vec::<String>::new());
    }

    #[test]
    fn targets_are_reported_for_both_sides() {
        let word = |value: &str| Value::Word(value.to_owned());
        let (stable, canary) = (word("web"), word("web-canary"));
        let marks = [Mark { label: "service".into(), stable, canary, is_open: false }];
        let up = |query: &str| on_up(query, &marks).map(|(stable, canary)| format!("{stable} {canary}"));
        assert_eq!(
            up("sum(rate(a{service=\"web-canary\",code=\"500\"}[1m]))").as_deref(),
            Some("up{service=\"web\"} up{service=\"web-canary\"}")
        );
        assert_eq!(up("a{namespace=\"shop\"}"), None, "the same targets on both sides");
    }
}
