//! The PromQL of metrics: checked at admission with sample values for arguments, and again when a run starts.

use crate::{
    domain::{
        k8s::{label_rewrite::LabelRewrite, selector::Labels},
        metric::MetricSpec,
        strategy::CanaryStrategy,
    },
    objects::{
        canary_deployment::canary_name, canary_service::canary_service_name, labels::service_selector,
    },
    promql::{
        Problem, Query, parse,
        sight::{Correction, Mark, Side, Sight, UNKNOWN, corrections, marks, sight},
    },
    providers, routers,
};
use k8s_openapi::api::core::v1::Service;

/// A query and its parsed form.
pub type ReadQuery = (String, Result<Query, Problem>);

/// The queries of a metric; none for providers without PromQL, or for another dialect.
///
/// Parsing is slow, above all because of regular expressions, so it is done once.
#[must_use]
pub fn queries(metric: &MetricSpec) -> Vec<ReadQuery> {
    let texts = providers::find(&metric.provider.key)
        .map(|provider| provider.promql(&metric.provider.config))
        .unwrap_or_default();
    texts
        .into_iter()
        .map(|text| {
            let parsed = parse(&without_secrets(&text));
            (text, parsed)
        })
        .collect()
}

/// The query of `minSamples`, if there is one in PromQL.
#[must_use]
pub fn counting_query(metric: &MetricSpec) -> Option<ReadQuery> {
    let text = metric.min_samples.as_ref()?.query.clone();
    if providers::find(&metric.provider.key)?.unchecked(&metric.provider.config).is_some() {
        return None;
    }
    let parsed = parse(&without_secrets(&text));
    Some((text, parsed))
}

/// Secrets are substituted last; any text can stand in for them.
fn without_secrets(text: &str) -> String {
    let mut parts = text.split("{{");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |whole, part| match part.split_once("}}") {
        Some((_, rest)) => whole + UNKNOWN + rest,
        None => whole + "{{" + part,
    })
}

/// The labels that distinguish the two sides of this pair in Prometheus.
#[must_use]
pub fn marks_of(
    rewrite: &LabelRewrite,
    pod_labels: &Labels,
    split: &[&Service],
    strategy: &CanaryStrategy,
    hashes: Option<(&str, &str)>,
) -> Vec<Mark> {
    let mut labels = rewrite.apply(pod_labels);
    labels.extend(strategy.pods.labels.clone());
    let canary_name = canary_name(&rewrite.of);
    let (of_stable, of_canary) = hashes.unzip();
    let stable = Side { deployment: &rewrite.of, labels: pod_labels.clone(), hash: of_stable };
    let canary = Side { deployment: &canary_name, labels, hash: of_canary };
    let services = split.iter().filter(|service| service_selector(service).is_some());
    let services: Vec<(String, String)> = services
        .filter_map(|service| service.metadata.name.as_deref())
        .flat_map(|name| reached(name, strategy))
        .collect();
    let namespace = split.iter().find_map(|service| service.metadata.namespace.as_deref());
    marks(&stable, &canary, &services, namespace)
}

/// The Services that select the canary, in addition to `stable`.
fn reached(stable: &str, strategy: &CanaryStrategy) -> Vec<(String, String)> {
    // If the number of pods splits the traffic, the user's Service selects both sides.
    let split =
        if routers::by_pods(strategy) { stable.to_owned() } else { canary_service_name(stable, strategy) };
    let named = [&strategy.preview_service, &strategy.canary_service].into_iter().flatten();
    let more = named.filter(|name| **name != split).cloned().collect::<Vec<_>>();
    [split].into_iter().chain(more).map(|canary| (stable.to_owned(), canary)).collect()
}

/// Which sides the queries of a metric select; `Neither` if none can be parsed.
#[must_use]
pub fn sight_of(queries: &[ReadQuery], marks: &[Mark]) -> Sight {
    sight(&readable(queries), marks)
}

/// Why a metric does not measure the canary, and what to write instead.
#[must_use]
pub fn blind(queries: &[ReadQuery], marks: &[Mark]) -> Option<String> {
    let queries = readable(queries);
    let seen = match sight(&queries, marks) {
        Sight::Stable => "stable only",
        // A constant selects no series.
        Sight::Neither if queries.iter().any(|query| !query.selectors.is_empty()) => {
            "neither side of the release"
        }
        _ => return None,
    };
    let found = corrections(&queries, marks);
    let list = |of: fn(&Correction) -> &str| found.iter().map(of).collect::<Vec<_>>().join(", ");
    let open: Vec<&str> = found.iter().filter_map(|correction| correction.open.as_deref()).collect();
    let way_out = if open.is_empty() {
        String::new()
    } else {
        format!("; if the application sets this label itself, match both values: {}", open.join(", "))
    };
    Some(format!(
        "sees {seen}, because {} does not match the canary's series; write {}{way_out}",
        list(|correction| &correction.written),
        list(|correction| &correction.wanted)
    ))
}

fn readable(queries: &[ReadQuery]) -> Vec<Query> {
    queries.iter().filter_map(|(_, read)| read.clone().ok()).collect()
}
