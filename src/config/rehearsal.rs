//! Rehearsal: the queries of a metric asked about stable, before a canary has any traffic. A query that has no series
//! there can see nobody, whatever its conditions say of the empty answer.

use super::queries::queries;
use crate::{
    domain::{metric::MetricSpec, value::MetricValue},
    promql::{ValueType, on_stable, on_up, relaxed, sight::Mark},
};
use serde_json::{Map, Value, json};

/// Bytes that a question may take: it is recorded until it is answered.
const MAX_QUESTION: usize = 16 * 1024;
/// Selectors of one metric that are asked for.
const MAX_SELECTORS: usize = 8;
/// Name of the value among the named queries.
const NOW: &str = "now";

/// What is asked of the provider in place of a metric's query.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The provider's configuration with named queries: the value now, and how many series each selector has.
    pub config: Value,
    /// The selectors, as they are asked about stable.
    pub selectors: Vec<String>,
    /// Names of the queries that count series.
    counts: Vec<String>,
}

/// The rehearsal of a metric; `None` where there is nothing to rehearse: another provider, a query that cannot be
/// read, or one without series.
#[must_use]
pub fn question(metric: &MetricSpec, marks: &[Mark]) -> Option<Question> {
    if metric.skip_rehearsal {
        return None;
    }
    let mut selectors: Vec<String> = Vec::new();
    let mut now = None;
    let read = queries(metric);
    for (text, query) in &read {
        let (Ok(query), Some(stable)) = (query, on_stable(text, marks)) else { continue };
        selectors.extend(stable.selectors);
        if read.len() == 1 && query.returns == ValueType::Vector {
            now = Some(json!(stable.query));
        }
    }
    selectors.dedup();
    selectors.truncate(MAX_SELECTORS);
    let mut named = counts(&selectors);
    let counts: Vec<String> = named.keys().cloned().collect();
    named.extend(now.map(|now| (NOW.to_owned(), now)));
    let config = asking(&metric.provider.config, &Value::Object(named))?;
    (!counts.is_empty()).then_some(Question { config, selectors, counts })
}

/// Named queries that count the series of selectors; also of looser ones, because counters of errors have no series as
/// long as there was none.
pub(super) fn counts(selectors: &[String]) -> Map<String, Value> {
    let asked = selectors.iter().flat_map(|selector| [selector.clone()].into_iter().chain(relaxed(selector)));
    asked
        .enumerate()
        .map(|(index, selector)| (format!("s{index}"), json!(format!("count({selector})"))))
        .collect()
}

impl Question {
    /// What must hold of the answer, in the language of conditions: some selector has a series.
    #[must_use]
    pub fn condition(&self) -> String {
        self.counts.iter().map(|name| format!("result.{name} != nil")).collect::<Vec<_>>().join(" || ")
    }

    /// The value on stable now, as text; `None` if it has none.
    #[must_use]
    pub fn value(answer: &MetricValue) -> Option<String> {
        let MetricValue::Map(named) = answer else { return None };
        named.get(NOW).filter(|value| value.has_data()).map(ToString::to_string)
    }

    /// Whether some selector has a series on stable.
    #[must_use]
    pub fn is_seen(&self, answer: &MetricValue) -> bool {
        let MetricValue::Map(named) = answer else { return false };
        self.counts.iter().any(|name| named.get(name).is_some_and(MetricValue::has_data))
    }

    /// What is wrong when no selector has a series on stable.
    #[must_use]
    pub fn problem(&self, metric: &str) -> String {
        format!(
            "metric {metric:?} can see nobody: on stable there is no series for {}; check the name of the metric, its labels and the address of Prometheus, or set rehearsal: skip on a metric that only the new version has",
            self.selectors.join(", ")
        )
    }
}

/// Name of the query that counts the targets of stable, and of the canary, among those of [`scrape`].
const STABLE_UP: &str = "stable";
/// See [`STABLE_UP`].
const CANARY_UP: &str = "canary";

/// Whether Prometheus scrapes the canary as it does stable.
#[derive(Debug, Clone, PartialEq)]
pub struct Scrape {
    /// The provider's configuration with two named queries.
    pub config: Value,
    /// The targets of stable, as a selector of `up`.
    pub stable: String,
    /// The canary's.
    pub canary: String,
}

/// What to ask whether the targets of a metric are scraped on both sides; `None` where that cannot be told: series
/// that come from elsewhere, such as a mesh's proxy, or targets that are the same on both sides.
#[must_use]
pub fn scrape(metric: &MetricSpec, marks: &[Mark]) -> Option<Scrape> {
    if metric.skip_rehearsal {
        return None;
    }
    let mut read = queries(metric).into_iter().filter(|(_, query)| query.is_ok());
    let (stable, canary) = read.find_map(|(text, _)| on_up(&text, marks))?;
    let named = json!({STABLE_UP: format!("count({stable})"), CANARY_UP: format!("count({canary})")});
    Some(Scrape { config: asking(&metric.provider.config, &named)?, stable, canary })
}

impl Scrape {
    /// What must hold of the answer: where stable is scraped, the canary is.
    #[must_use]
    pub fn condition() -> String {
        format!("result.{STABLE_UP} == nil || result.{CANARY_UP} != nil")
    }

    /// What is wrong when it does not.
    #[must_use]
    pub fn problem(&self, after: &str) -> String {
        format!(
            "Prometheus scrapes stable ({}), but after {after} nothing of the canary ({}): a ServiceMonitor, PodMonitor or scrape configuration selects by a label that the canary's Service or pods do not have, or that has another value there",
            self.stable, self.canary
        )
    }
}

/// The provider's configuration with named queries in place of its own.
#[must_use]
pub fn asking(config: &Value, named: &Value) -> Option<Value> {
    let mut config = config.clone();
    let fields = config.as_object_mut()?;
    fields.insert("query".to_owned(), named.clone());
    fields.remove("rangeQuery");
    (named.to_string().len() <= MAX_QUESTION).then_some(config)
}
