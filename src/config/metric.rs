//! One metric of an analysis template, as users write it.

use crate::{
    analysis::{args::has_placeholder, condition, validate},
    document::{
        fields::{Node, nearest},
        schema::Schema,
    },
    domain::metric::{Metric, MinSamples, NoData, ProviderRef, RawMetric},
    gocompat::duration::GoDuration,
    providers::{self, Field, PROVIDERS, field},
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use strum::VariantNames;

/// The one value of `rehearsal`.
const REHEARSAL_SKIP: &str = "skip";

/// The fields of a metric, for the reference. Every text may contain `{{args.NAME}}`.
pub static METRIC_FIELDS: &[Field] = &[
    field("name", Schema::Text, "Unique within an analysis. Required."),
    field(
        "interval",
        Schema::Span,
        "Time between two measurements, at least `1s`. After an error it is 10 s.",
    ),
    field("initialDelay", Schema::Span, "Time before the first measurement."),
    field("count", Schema::Count, "Number of measurements; by default one, or with an `interval` no limit."),
    field("successCondition", Schema::Text, "The condition on `result` for a successful measurement."),
    field(
        "failureCondition",
        Schema::Text,
        "The condition on `result` for a failed measurement. With both conditions and neither true, the measurement is inconclusive; without conditions it is always successful.",
    ),
    field(
        "failureLimit",
        Schema::Count,
        "More failed measurements than this fail the metric; 0 by default, -1 means no limit.",
    ),
    field(
        "inconclusiveLimit",
        Schema::Count,
        "More inconclusive measurements than this end the metric, and the rollout waits for a person; 0 by default.",
    ),
    field(
        "consecutiveErrorLimit",
        Schema::Count,
        "More consecutive errors than this end the metric; 4 by default.",
    ),
    field(
        "consecutiveSuccessLimit",
        Schema::Count,
        "This many consecutive successful measurements complete the metric; off by default.",
    ),
    field(
        "minSamples",
        Schema::Object(&[("query", Schema::Text), ("count", Schema::Count), ("extendUpTo", Schema::Span)]),
        "`{query, count, extendUpTo}`: while `query` returns fewer samples than `count`, the metric waits for up to `extendUpTo` (10m by default); then the measurement is inconclusive. Not in Argo; provider `prometheus` only.",
    ),
    field(
        "noData",
        Schema::Word(NoData::VARIANTS),
        "The result of a measurement without data (empty, null or NaN). `wait`, the default: the conditions judge it, but it is not evidence; NaN is measured again. `pass`: it is successful. `fail`: it is failed. Not in Argo.",
    ),
    field(
        "rehearsal",
        Schema::Word(&[REHEARSAL_SKIP]),
        "`skip`: Haldane does not test the query on stable before the canary gets traffic, because only the new version has such series. Not in Argo; provider `prometheus` only.",
    ),
    field("provider", Schema::Named("provider"), "The metric provider, see below. Required."),
];

/// Reads one metric. Limits that contradict each other are findings, unless they contain arguments.
#[must_use]
pub fn metric(node: Node<'_>) -> Option<RawMetric> {
    node.object(|fields| {
        let name = fields.required("name", Node::string);
        let initial_delay = fields.optional("initialDelay", span);
        let interval = fields.optional("interval", span);
        let count = fields.optional("count", number);
        let success_condition = fields.optional("successCondition", condition);
        let failure_condition = fields.optional("failureCondition", condition);
        let failure_limit = fields.optional("failureLimit", number);
        let inconclusive_limit = fields.optional("inconclusiveLimit", number);
        let consecutive_error_limit = fields.optional("consecutiveErrorLimit", number);
        let consecutive_success_limit = fields.optional("consecutiveSuccessLimit", number);
        let min_samples = fields.optional("minSamples", min_samples);
        let no_data = fields.optional("noData", no_data);
        let skip_rehearsal = fields.optional("rehearsal", rehearsal);
        let provider = fields.required("provider", provider);
        let metric = Metric {
            name: name?,
            initial_delay,
            interval,
            count,
            success_condition,
            failure_condition,
            failure_limit,
            inconclusive_limit,
            consecutive_error_limit,
            consecutive_success_limit,
            min_samples,
            no_data: no_data.unwrap_or_default(),
            skip_rehearsal: skip_rehearsal.is_some(),
            provider: provider?,
        };
        if metric.min_samples.is_some() && metric.provider.key != "prometheus" {
            fields.fail("minSamples needs a second query, which only provider prometheus supports");
            return None;
        }
        match validate::limits(&metric) {
            Err(problem) if fields.is_clean() => {
                fields.fail(problem);
                None
            }
            _ => Some(metric),
        }
    })
}

fn no_data(node: Node<'_>) -> Option<NoData> {
    match node.value().as_str().map(str::parse) {
        Some(Ok(known)) => Some(known),
        _ => node.fail(format!("must be one of {}", NoData::VARIANTS.join(", "))),
    }
}

fn rehearsal(node: Node<'_>) -> Option<()> {
    match node.value().as_str() {
        Some(REHEARSAL_SKIP) => Some(()),
        _ => node.fail(format!("must be {REHEARSAL_SKIP}, or not set")),
    }
}

fn min_samples(node: Node<'_>) -> Option<MinSamples<String, IntOrString>> {
    node.object(|fields| {
        let query = fields.required("query", Node::string);
        let count = fields.required("count", number);
        let extend_up_to = fields.optional("extendUpTo", span);
        Some(MinSamples { query: query?, count: count?, extend_up_to })
    })
}

/// A duration, or a text that becomes one with its arguments.
fn span(node: Node<'_>) -> Option<String> {
    match node.value().as_str() {
        Some(text) if text.is_empty() || has_placeholder(text) => node.string(),
        _ => {
            let text = node.value().as_str().unwrap_or_default().to_owned();
            node.parsed::<GoDuration>().map(|_| text)
        }
    }
}

/// A whole number, also in quotes, or a text that becomes one with its arguments.
fn number(node: Node<'_>) -> Option<IntOrString> {
    match node.value().as_str() {
        Some(text) if !has_placeholder(text) && text.parse::<i32>().is_err() => {
            node.fail("must be a whole number")
        }
        _ => node.int_or_string(),
    }
}

fn condition(node: Node<'_>) -> Option<String> {
    match node.value().as_str() {
        Some(text) if !text.is_empty() && !has_placeholder(text) => match condition::check(text) {
            Ok(()) => node.string(),
            Err(problem) => node.fail(problem),
        },
        _ => node.string(),
    }
}

fn provider(node: Node<'_>) -> Option<ProviderRef> {
    let Some(object) = node.value().as_object() else { return node.fail("must be a mapping") };
    let mut given = object.keys();
    let key = match (given.next(), given.next()) {
        (Some(only), None) => only,
        (None, _) => return node.fail("no provider specified"),
        (Some(_), Some(_)) => return node.fail("multiple providers specified"),
    };
    let Some(provider) = providers::find(key) else {
        let keys: Vec<_> = PROVIDERS.iter().map(|provider| provider.key()).collect();
        let hint = nearest(key, &keys).map(|known| format!(", did you mean {known:?}?")).unwrap_or_default();
        return node
            .fail(format!("provider {key:?} is not supported{hint}; supported are {}", keys.join(", ")));
    };
    node.object(|fields| {
        let config = fields.required(provider.key(), |node| {
            let config = node.value().clone();
            provider.check(node).map(|()| config)
        });
        Some(ProviderRef { key: provider.key().to_owned(), config: config? })
    })
}
