//! The PromQL of metrics: read at admission, with samples for arguments, and again when a run starts.

use crate::{
    build::{canary_service::canary_service_name, labels::service_selector},
    domain::{metric::MetricSpec, rewrite::LabelRewrite, selector::Labels, strategy::CanaryStrategy},
    promql::{
        Problem, Query, parse,
        sight::{Mark, Sight, corrections, marks, sight},
    },
    providers,
};
use k8s_openapi::api::core::v1::Service;
use std::collections::BTreeMap;

/// A query as text, and what it says.
pub type ReadQuery = (String, Result<Query, Problem>);

/// The queries of a metric; none for providers without PromQL.
///
/// To read one takes a while, for its regular expressions above all: it is done once.
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

/// The query by which `minSamples` counts, if there is one.
#[must_use]
pub fn counting_query(metric: &MetricSpec) -> Option<ReadQuery> {
    let text = metric.min_samples.as_ref()?.query.clone();
    let parsed = parse(&without_secrets(&text));
    Some((text, parsed))
}

/// Secrets are filled in last; any text does in their place.
fn without_secrets(text: &str) -> String {
    let mut parts = text.split("{{");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |whole, part| match part.split_once("}}") {
        Some((_, rest)) => whole + "sample" + rest,
        None => whole + "{{" + part,
    })
}

/// What tells the sides of this pair apart in Prometheus.
#[must_use]
pub fn marks_of(
    rewrite: &LabelRewrite,
    pod_labels: &Labels,
    split: &[&Service],
    strategy: &CanaryStrategy,
    hashes: Option<(&str, &str)>,
) -> Vec<Mark> {
    let services: BTreeMap<String, String> = split
        .iter()
        // Where pods are the split, the Service leads to both sides.
        .filter(|service| service_selector(service).is_some() && !strategy.splits_by_pods())
        .filter_map(|service| service.metadata.name.clone())
        .map(|name| (name.clone(), canary_service_name(&name, strategy)))
        .collect();
    marks(rewrite, pod_labels, &services, hashes)
}

/// What a metric's queries see; `Elsewhere` if it has none that can be read.
#[must_use]
pub fn sight_of(queries: &[ReadQuery], marks: &[Mark]) -> Sight {
    sight(&readable(queries), marks)
}

/// Why a metric would judge stable instead of the canary, and what to write instead.
#[must_use]
pub fn blind(queries: &[ReadQuery], marks: &[Mark]) -> Option<String> {
    let queries = readable(queries);
    if sight(&queries, marks) != Sight::Stable {
        return None;
    }
    let pairs = corrections(&queries, marks);
    let written: Vec<_> = pairs.iter().map(|(from, _)| from.as_str()).collect();
    let wanted: Vec<_> = pairs.iter().map(|(_, to)| to.as_str()).collect();
    Some(format!(
        "sees stable only, because {} does not match the canary's series; write {} (or a regular expression, =~, if the application sets this label itself)",
        written.join(", "),
        wanted.join(", ")
    ))
}

fn readable(queries: &[ReadQuery]) -> Vec<Query> {
    queries.iter().filter_map(|(_, read)| read.clone().ok()).collect()
}
