//! One metric of an analysis template, as users write it.

use crate::{
    analysis::{args::has_placeholder, condition, validate},
    document::{
        fields::{Fields, Node, nearest},
        schema::Schema,
    },
    domain::metric::{Metric, MinSamples, NoData, ProviderRef, RawMetric},
    gocompat::duration::GoDuration,
    providers::{self, PROVIDERS},
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Map, Value};
use strum::VariantNames;

/// Reads one metric. Limits that contradict each other are findings, unless they contain arguments.
#[must_use]
pub fn metric(node: Node<'_>) -> Option<RawMetric> {
    node.named("metric", |node| node.object(fields))
}

fn fields(fields: &mut Fields<'_>) -> Option<RawMetric> {
    let name = fields.doc("Unique within an analysis. Required.").required("name", Node::string);
    let interval = fields
        .doc("Time between two measurements, at least `1s`. After an error it is 10 s.")
        .optional("interval", span);
    let initial_delay = fields.doc("Time before the first measurement.").optional("initialDelay", span);
    let count = fields
        .doc("Number of measurements; by default one, or with an `interval` no limit.")
        .optional("count", number);
    let success_condition = fields
        .doc("The condition on `result` for a successful measurement.")
        .optional("successCondition", condition);
    let failure_condition = fields
        .doc("The condition on `result` for a failed measurement. With both conditions and neither true, the measurement is inconclusive; without conditions it is always successful.")
        .optional("failureCondition", condition);
    let failure_limit = fields
        .doc("More failed measurements than this fail the metric; 0 by default, -1 means no limit.")
        .optional("failureLimit", number);
    let inconclusive_limit = fields
        .doc("More inconclusive measurements than this end the metric, and the rollout waits for a person; 0 by default.")
        .optional("inconclusiveLimit", number);
    let consecutive_error_limit = fields
        .doc("More consecutive errors than this end the metric; 4 by default.")
        .optional("consecutiveErrorLimit", number);
    let consecutive_success_limit = fields
        .doc("This many consecutive successful measurements complete the metric; off by default.")
        .optional("consecutiveSuccessLimit", number);
    let min_samples = fields
        .doc("`{query, count, extendUpTo}`: while `query` returns fewer samples than `count`, the metric waits for up to `extendUpTo` (10m by default); then the measurement is inconclusive. Not in Argo; provider `prometheus` only.")
        .optional("minSamples", min_samples);
    let no_data = fields
        .doc("The result of a measurement without data (empty, null or NaN). `wait`, the default: the conditions judge it, but it is not evidence; NaN is measured again. `pass`: it is successful. `fail`: it is failed. Not in Argo.")
        .optional("noData", no_data);
    let skip_rehearsal = fields
        .doc("`skip`: Haldane does not test the query on stable before the canary gets traffic, because only the new version has such series. Not in Argo; provider `prometheus` only.")
        .optional("rehearsal", |node| node.word(&[("skip", ())], "must be skip, or not set"));
    let provider = fields.doc("The metric provider, see below. Required.").required("provider", provider);
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
    checked(metric, fields)
}

fn checked(metric: RawMetric, fields: &mut Fields<'_>) -> Option<RawMetric> {
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
}

fn no_data(node: Node<'_>) -> Option<NoData> {
    let words = NoData::VARIANTS;
    node.typed(Schema::Word(words.to_vec()), |node| match node.value().as_str().map(str::parse) {
        Some(Ok(known)) => Some(known),
        _ => node.fail(format!("must be one of {}", words.join(", "))),
    })
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
    node.typed(Schema::Span, |node| match node.value().as_str() {
        Some(text) if !text.is_empty() && !has_placeholder(text) => {
            let text = text.to_owned();
            node.parsed::<GoDuration>().map(|_| text)
        }
        _ => node.string(),
    })
}

/// A whole number, also in quotes, or a text that becomes one with its arguments.
fn number(node: Node<'_>) -> Option<IntOrString> {
    node.typed(Schema::Count, |node| match node.value() {
        Value::String(text) if has_placeholder(text) || text.parse::<i32>().is_ok() => {
            Some(IntOrString::String(text.clone()))
        }
        Value::String(_) => node.fail("must be a whole number"),
        value => match value.as_i64().and_then(|number| i32::try_from(number).ok()) {
            Some(number) => Some(IntOrString::Int(number)),
            None => node.fail("must be a whole number or a string"),
        },
    })
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

/// A mapping with the key of one provider.
fn provider(node: Node<'_>) -> Option<ProviderRef> {
    let mut given = node.value().as_object().into_iter().flat_map(Map::keys);
    let key = match (given.next(), given.next()) {
        (None, _) if node.value().is_object() => return node.fail("no provider specified"),
        (Some(_), Some(_)) => return node.fail("multiple providers specified"),
        (key, _) => key.map(String::as_str),
    };
    if let Some(key) = key.filter(|key| providers::find(key).is_none()) {
        return node.fail(unknown_provider(key));
    }
    node.named("provider", |node| {
        node.object(|fields| {
            let config = PROVIDERS.iter().filter_map(|provider| {
                let read = |node: Node<'_>| {
                    let config = node.value().clone();
                    provider.check(node).map(|()| config)
                };
                if key == Some(provider.key()) {
                    fields.require(provider.key());
                }
                let config = fields.doc(provider.doc()).optional(provider.key(), read)?;
                Some(ProviderRef { key: provider.key().to_owned(), config })
            });
            config.last()
        })
    })
}

fn unknown_provider(key: &str) -> String {
    let keys: Vec<_> = PROVIDERS.iter().map(|provider| provider.key()).collect();
    let hint = nearest(key, &keys).map(|known| format!(", did you mean {known:?}?")).unwrap_or_default();
    format!("provider {key:?} is not supported{hint}; supported are {}", keys.join(", "))
}
