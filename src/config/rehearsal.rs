//! Rehearsal: runs the queries of a metric on stable before the canary gets traffic. A query that finds no series
//! there will not find the canary either, even if its conditions accept an empty answer.

use super::queries::queries;
use crate::{
    domain::{metric::MetricSpec, value::MetricValue},
    promql::{ValueType, on_stable, on_up, relaxed, sight::Mark},
};
use serde_json::{Map, Value, json};

/// Maximum size of a question in bytes: it is recorded until it is answered.
const MAX_QUESTION: usize = 32 * 1024;
/// Maximum number of selectors of one metric.
const MAX_SELECTORS: usize = 8;
/// Name of the value among the named queries.
const NOW: &str = "now";

/// The queries that replace a metric's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The provider's configuration with named queries: the current value, and the number of series of each selector.
    pub config: Value,
    /// The selectors for stable.
    pub selectors: Vec<String>,
    /// Names of the queries that count series.
    counts: Vec<String>,
}

/// The rehearsal of a metric; `None` if there is nothing to rehearse: another provider, a query that cannot be
/// parsed, or one without selectors.
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

/// Named queries that count the series of selectors, and of less strict ones: a counter of errors has no series
/// before the first error.
pub(super) fn counts(selectors: &[String]) -> Map<String, Value> {
    let asked = selectors.iter().flat_map(|selector| [selector.clone()].into_iter().chain(relaxed(selector)));
    asked
        .enumerate()
        .map(|(index, selector)| (format!("s{index}"), json!(format!("count({selector})"))))
        .collect()
}

impl Question {
    /// The condition on the answer: some selector has a series.
    #[must_use]
    pub fn condition(&self) -> String {
        self.counts.iter().map(|name| format!("result.{name} != nil")).collect::<Vec<_>>().join(" || ")
    }

    /// The current value on stable, as text; `None` if there is none.
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

    /// The problem if no selector has a series on stable.
    #[must_use]
    pub fn problem(&self, metric: &str) -> String {
        format!(
            "metric {metric:?} cannot see the canary: stable has no series for {}; check the metric name, its labels and the address of Prometheus, or set rehearsal: skip if only the new version has it",
            self.selectors.join(", ")
        )
    }
}

/// Name of the query in [`scrape`] that counts the targets of stable.
const STABLE_UP: &str = "stable";
/// Name of the query in [`scrape`] that counts the targets of the canary.
const CANARY_UP: &str = "canary";

/// Checks whether Prometheus scrapes the canary like stable.
#[derive(Debug, Clone, PartialEq)]
pub struct Scrape {
    /// The provider's configuration with the named queries of the metric's rehearsal and two for the targets.
    pub config: Value,
    /// The condition on the answer: the canary is scraped, or stable is measured although its targets cannot be seen.
    /// While nothing of stable is seen, Prometheus may not have scraped it yet, which says nothing about the canary.
    pub condition: String,
    /// The targets of stable, as a selector of `up`.
    pub stable: String,
    /// The canary's.
    pub canary: String,
}

/// The queries that show whether Prometheus scrapes the targets of a metric on both sides; `None` if they cannot
/// show it: series of other targets, such as the proxy of a mesh, or the same targets on both sides.
#[must_use]
pub fn scrape(metric: &MetricSpec, marks: &[Mark]) -> Option<Scrape> {
    let question = question(metric, marks)?;
    let mut read = queries(metric).into_iter().filter(|(_, query)| query.is_ok());
    let (stable, canary) = read.find_map(|(text, _)| on_up(&text, marks))?;
    let mut named = counts(&question.selectors);
    named.insert(STABLE_UP.to_owned(), json!(format!("count({stable})")));
    named.insert(CANARY_UP.to_owned(), json!(format!("count({canary})")));
    let measured = question.condition();
    let condition = format!("result.{CANARY_UP} != nil || result.{STABLE_UP} == nil && ({measured})");
    Some(Scrape {
        config: asking(&metric.provider.config, &Value::Object(named))?,
        condition,
        stable,
        canary,
    })
}

impl Scrape {
    /// The problem if the condition does not become true.
    #[must_use]
    pub fn problem(&self, after: &str) -> String {
        format!(
            "Prometheus scrapes stable ({}), but after {after} it does not scrape the canary ({}): a ServiceMonitor, PodMonitor or scrape configuration selects by a label that the Service or the pods of the canary do not have, or have with another value",
            self.stable, self.canary
        )
    }
}

/// The provider's configuration with named queries instead of its own.
#[must_use]
pub fn asking(config: &Value, named: &Value) -> Option<Value> {
    let mut config = config.clone();
    let fields = config.as_object_mut()?;
    fields.insert("query".to_owned(), named.clone());
    fields.remove("rangeQuery");
    (named.to_string().len() <= MAX_QUESTION).then_some(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{analysis::condition::eval, domain::metric::ProviderRef, promql::sight};
    use jiff::Timestamp;

    #[test]
    fn a_canary_that_is_not_seen_is_not_scraped_while_stable_may_just_not_be_scraped_yet() {
        let query = "sum(rate(requests{service=\"web-canary\",code=~\"5..\"}[1m])) or vector(0)";
        let provider = ProviderRef { key: "prometheus".into(), config: json!({"query": query}) };
        let word = |value: &str| sight::Value::Word(value.to_owned());
        let (stable, canary) = (word("web"), word("web-canary"));
        let marks = [Mark { label: "service".into(), stable, canary, is_open: false }];
        let scrape = scrape(&MetricSpec::new("errors", provider), &marks).unwrap();
        for (seen, is_scraped) in [
            (&["canary"][..], true),
            (&["canary", "stable", "s0", "s1"], true),
            (&[], false),
            (&["stable"], false),
            (&["stable", "s1"], false),
            // The labels of the targets differ from the series' labels.
            (&["s1"], true),
        ] {
            let named = scrape.config["query"].as_object().unwrap().keys();
            let count = |name: &String| {
                if seen.contains(&name.as_str()) { MetricValue::Float(1.0) } else { MetricValue::Nil }
            };
            let answer = MetricValue::Map(named.map(|name| (name.clone(), count(name))).collect());
            assert_eq!(eval(&scrape.condition, &answer, Timestamp::UNIX_EPOCH), Ok(is_scraped), "{seen:?}");
        }
    }
}
