//! Finds the reason for an answer without data. If a query returns nothing although one part of it has series, the
//! other part is the reason: mostly there are no successful responses because all are errors. If a query has a
//! fallback such as `… or vector(0)`, its answer is data only if there are series.

use super::{
    queries::queries,
    rehearsal::{asking, counts},
};
use crate::{
    domain::{metric::MetricSpec, value::MetricValue},
    promql::{Part, or_zero, parts, selectors},
};
use serde_json::{Map, Value, json};

/// The parts of a metric's query, as named queries.
#[derive(Debug, Clone, PartialEq)]
pub struct Inquiry {
    /// The provider's configuration with named queries.
    pub config: Value,
    query: String,
    parts: Vec<Part>,
}

/// What to query for a metric without data; `None` if its query has only one part.
#[must_use]
pub fn inquiry(metric: &MetricSpec) -> Option<Inquiry> {
    let (query, parts) = queries(metric)
        .into_iter()
        .map(|(text, _)| (parts(&text), text))
        .map(|(p, t)| (t, p))
        .find(|(_, parts)| parts.len() > 1)?;
    let named: Map<String, Value> =
        parts.iter().enumerate().map(|(index, part)| (name(index), json!(part.text))).collect();
    let config = asking(&metric.provider.config, &Value::Object(named))?;
    Some(Inquiry { config, query, parts })
}

fn name(index: usize) -> String {
    format!("p{index}")
}

impl Inquiry {
    /// The reason for a message, from the answer: which part has no series although another part has.
    #[must_use]
    pub fn reason(&self, answer: &MetricValue) -> Option<String> {
        let MetricValue::Map(named) = answer else { return None };
        let has_data = |index: usize| named.get(&name(index)).is_some_and(MetricValue::has_data);
        let present = (0..self.parts.len()).any(has_data);
        let missing = self.parts.iter().enumerate().find(|(index, _)| !has_data(*index));
        let (_, part) = missing.filter(|_| present)?;
        let asked = if part.selector_note.is_empty() { &part.text } else { &part.selector_note };
        Some(match or_zero(&self.query) {
            Some(better) => {
                format!(
                    "; there are series, but none for {asked}: all responses may be errors; write {better}"
                )
            }
            None => format!("; there are series, but none for {asked}"),
        })
    }
}

/// What a message adds after `no data` if the query returned its fallback.
pub const FALLBACK: &str = ", but the query has no series: this is the value of its fallback, or vector(…)";

/// What to query for a metric whose query has a fallback: the number of series. `None` for any other metric.
#[must_use]
pub fn series_behind(metric: &MetricSpec) -> Option<Value> {
    let read = queries(metric);
    let has_fallback = |text: &str| text.contains("vector(") && !text.contains("absent");
    let text = match read.as_slice() {
        [(text, Ok(query))] if query.is_total && has_fallback(text) => text,
        _ => return None,
    };
    let named = counts(&selectors(text));
    let asked = !named.is_empty();
    asking(&metric.provider.config, &Value::Object(named)).filter(|_| asked)
}

/// Whether there are series, according to the answer to [`series_behind`].
#[must_use]
pub fn has_series(answer: &MetricValue) -> bool {
    matches!(answer, MetricValue::Map(named) if named.values().any(MetricValue::has_data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::metric::ProviderRef;
    use std::collections::BTreeMap;

    fn metric(query: &str) -> MetricSpec {
        let provider = ProviderRef { key: "prometheus".into(), config: json!({"query": query}) };
        MetricSpec::new("m", provider)
    }

    fn answer(named: &[(&str, Option<f64>)]) -> MetricValue {
        let value = |value: &Option<f64>| value.map_or(MetricValue::Nil, MetricValue::Float);
        MetricValue::Map(
            named.iter().map(|(name, found)| ((*name).to_owned(), value(found))).collect::<BTreeMap<_, _>>(),
        )
    }

    #[test]
    fn a_ratio_without_successful_responses_says_so_and_what_to_write() {
        let query = r#"sum(rate(a{service="c",code!~"5.."}[30s])) / sum(rate(a{service="c"}[30s]))"#;
        let inquiry = inquiry(&metric(query)).unwrap();
        let reason = inquiry.reason(&answer(&[("p0", None), ("p1", Some(2.0))])).unwrap();
        assert!(
            reason.starts_with(
                r#"; there are series, but none for code!~"5..": all responses may be errors; write "#
            ),
            "{reason}"
        );
        assert!(reason.contains(" or 0 * "), "{reason}");
        assert_eq!(inquiry.reason(&answer(&[("p0", None), ("p1", None)])), None, "nothing at all");
    }

    #[test]
    fn a_fallback_value_is_not_evidence_without_series() {
        assert_eq!(series_behind(&metric("sum(rate(a[1m]))")), None);
        assert_eq!(series_behind(&metric("absent(up{job=\"web\"}) or vector(0)")), None);
        let config =
            series_behind(&metric("sum(rate(a{service=\"c\",code=\"500\"}[1m])) or vector(0)")).unwrap();
        assert_eq!(config["query"]["s1"], "count(a{service=\"c\"})");
        assert!(has_series(&answer(&[("s0", None), ("s1", Some(4.0))])));
        assert!(!has_series(&answer(&[("s0", None), ("s1", None)])));
    }
}
