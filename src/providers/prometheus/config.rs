//! The configuration of a Prometheus query.

use super::NAME_LABEL;
use crate::{
    analysis::condition,
    document::{fields::Node, schema::Schema},
    gocompat::duration::GoDuration,
    providers::{
        has_argument,
        http::{self, Authentication},
    },
};
use jiff::Timestamp;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};
use url::Url;

/// Default timeout, in seconds.
const DEFAULT_TIMEOUT: u32 = 30;

/// The configuration of one metric.
pub(super) struct Config {
    pub address: Option<String>,
    pub query: Query,
    pub range: Option<Range>,
    pub dialect: Dialect,
    pub timeout: Duration,
    pub headers: Vec<(String, String)>,
    pub authentication: Authentication,
    pub insecure: bool,
}

/// One query, or several that conditions refer to as `result.NAME`.
#[derive(Debug)]
pub(super) enum Query {
    One(String),
    Named(BTreeMap<String, String>),
}

/// The language of the queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Dialect {
    #[default]
    PromQl,
    /// A superset of PromQL, which Haldane cannot parse.
    MetricsQl,
}

/// Their names.
const DIALECTS: &[(&str, Dialect)] = &[("PromQL", Dialect::PromQl), ("MetricsQL", Dialect::MetricsQl)];

/// The times of a range query; the first two are in the language of conditions.
#[derive(Debug)]
pub(super) struct Range {
    start: String,
    end: String,
    step: GoDuration,
}

impl Config {
    pub fn read(node: Node<'_>) -> Option<Self> {
        node.object(|fields| {
            let address = fields
                .doc("The address of Prometheus; the default is `--prometheus-address`.")
                .optional("address", address);
            let query = fields
                .doc("PromQL. In conditions, `result` is the list of its samples. A mapping of names to queries (or the same as JSON in a string) runs several queries for the same instant: `result.NAME` is a number, a list if there are several samples, or nil if there are none.")
                .required("query", query);
            let range = fields
                .doc("`{start, end, step}` makes it a range query, e.g. `{start: 'now() - duration(\"5m\")', end: 'now()', step: 1m}`; `result` has all samples, series by series.")
                .optional("rangeQuery", Range::read);
            let dialect = fields
                .doc("`PromQL` (the default), or `MetricsQL` for syntax that only VictoriaMetrics or a newer Prometheus supports: Haldane then checks neither the syntax of the query nor which side of the release it selects.")
                .optional("dialect", |node| node.word(DIALECTS, "must be PromQL or MetricsQL"))
                .unwrap_or_default();
            fields.doc("Seconds, 1 to 300; 30 by default.");
            let timeout = http::timeout(fields, "timeout", DEFAULT_TIMEOUT);
            let headers = http::headers(fields);
            let insecure = http::insecure(fields);
            let authentication = Authentication::of(fields);
            Some(Self {
                address: address.filter(|address| !address.is_empty()),
                query: query?,
                range,
                dialect,
                timeout,
                headers,
                authentication,
                insecure,
            })
        })
    }
}

impl Range {
    fn read(node: Node<'_>) -> Option<Self> {
        node.object(|range| {
            let start = range.required("start", time);
            let end = range.required("end", time);
            let step = range.required("step", step);
            Some(Self { start: start?, end: end?, step: step? })
        })
    }

    /// The parameters of the API.
    ///
    /// # Errors
    /// Which of the times is invalid, with Argo's error text.
    pub fn parameters(&self, now: Timestamp) -> Result<[(&'static str, String); 3], String> {
        let at = |name: &str, text: &str| {
            condition::time(text, now)
                .map(|at| at.to_string())
                .map_err(|why| format!("failed to parse rangeQuery.{name} as time: {why}"))
        };
        let step = self.step.signed().as_secs_f64().to_string();
        Ok([("start", at("start", &self.start)?), ("end", at("end", &self.end)?), ("step", step)])
    }
}

/// A duration, or a text that becomes one with its arguments.
fn step(node: Node<'_>) -> Option<GoDuration> {
    node.typed(Schema::Span, |node| match node.value().as_str() {
        Some(text) if has_argument(text) => Some(GoDuration::from_secs(1)),
        _ => node.duration(),
    })
}

/// An expression for a time, such as `now() - duration("5m")`.
fn time(node: Node<'_>) -> Option<String> {
    match node.value().as_str() {
        Some(text) if !has_argument(text) => match condition::time(text, Timestamp::UNIX_EPOCH) {
            Ok(_) => node.string(),
            Err(problem) => node.fail(format!("is not a time such as now() - duration(\"5m\"): {problem}")),
        },
        _ => node.string(),
    }
}

impl Query {
    /// Named queries are sent as one query, so that all have the same instant.
    pub fn promql(&self) -> String {
        let labelled = |(name, query): (&String, &String)| {
            let query = own_hash_label(query);
            format!("label_replace({query}, \"{NAME_LABEL}\", \"{name}\", \"\", \"\")")
        };
        match self {
            Self::One(query) => own_hash_label(query),
            Self::Named(queries) => queries.iter().map(labelled).collect::<Vec<_>>().join(" or "),
        }
    }
}

/// Argo's label for the version of a pod, which pods do not have here.
pub const ARGO_HASH_LABEL: &str = "rollouts_pod_template_hash";
/// The label that Kubernetes sets on the pods of both sides.
pub const HASH_LABEL: &str = "pod_template_hash";

/// Replaces Argo's label with Kubernetes' label in the matchers and groupings of a query.
fn own_hash_label(query: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut quote = None;
    let mut text = String::with_capacity(query.len());
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        let follows_word = text.ends_with(is_word);
        let tail = rest.strip_prefix(ARGO_HASH_LABEL).filter(|tail| !tail.starts_with(is_word));
        if let (None, false, Some(tail)) = (quote, follows_word, tail) {
            text.push_str(HASH_LABEL);
            rest = tail;
            continue;
        }
        if c == '\\' && quote.is_some_and(|quote| quote != '`') {
            text.push(c);
            rest = rest.get(1..).unwrap_or_default();
        } else if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && matches!(c, '"' | '\'' | '`') {
            quote = Some(c);
        }
        let next = rest.chars().next();
        text.extend(next);
        rest = rest.get(next.map_or(0, char::len_utf8)..).unwrap_or_default();
    }
    text
}

/// The base URL of the API.
pub(super) fn base_url(address: &str) -> Result<Url, String> {
    http::checked_url(address).map_err(|problem| format!("prometheus address {problem}"))
}

fn address(node: Node<'_>) -> Option<String> {
    if node.value().as_str() == Some("") { node.string() } else { http::url(node) }
}

/// A query, a mapping of named queries, or the same mapping as a string.
fn query(node: Node<'_>) -> Option<Query> {
    node.typed(Schema::Queries, |node| match node.value() {
        Value::Object(queries) if queries.is_empty() => node.fail("must have at least one query"),
        Value::Object(queries) => match queries.keys().find(|name| !is_label_value(name)) {
            Some(name) => node.fail(unusable(name)),
            None => node.map(promql).map(Query::Named),
        },
        Value::String(text) if is_mapping(text) => match named_queries(text) {
            Ok(queries) => Some(Query::Named(queries)),
            Err(problem) => node.fail(problem),
        },
        Value::String(_) => promql(node).map(Query::One),
        _ => node.fail("must be a query or a mapping of named queries"),
    })
}

fn promql(node: Node<'_>) -> Option<String> {
    match node.value().as_str() {
        Some(text) if text.trim().is_empty() => node.fail("must not be empty"),
        _ => node.string(),
    }
}

/// Whether a text is meant as a mapping of named queries: a query can also begin with a brace and a string, but has no
/// colon after it.
fn is_mapping(text: &str) -> bool {
    let inner = text.trim().strip_prefix('{').map(str::trim_start);
    let rest = inner.and_then(|inner| inner.strip_prefix('"')?.split_once('"'));
    rest.is_some_and(|(_, rest)| rest.trim_start().starts_with(':'))
}

/// The queries of a mapping that is written as JSON.
fn named_queries(text: &str) -> Result<BTreeMap<String, String>, String> {
    let one_line = text.replace(['\n', '\r', '\t'], " ");
    let queries: BTreeMap<String, String> = serde_json::from_str(&one_line).map_err(|error| {
        format!(
            "looks like a mapping of named queries, but is not JSON of one: {error}; write it as YAML instead of a text, or put a backslash before each quotation mark within a query"
        )
    })?;
    match queries.iter().find(|(name, query)| !is_label_value(name) || query.trim().is_empty()) {
        Some((name, query)) if query.trim().is_empty() => Err(format!("query {name:?} must not be empty")),
        Some((name, _)) => Err(unusable(name)),
        None => Ok(queries),
    }
}

/// Why conditions cannot refer to a query by its name.
fn unusable(name: &str) -> String {
    format!(
        "{name:?} must consist of letters, digits and '_', and not start with a digit, so that conditions can use result.{name}"
    )
}

fn is_label_value(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn argos_label_of_a_version_is_kubernetes_own_here() {
        for (query, own) in [
            (r#"x{rollouts_pod_template_hash="a"}"#, r#"x{pod_template_hash="a"}"#),
            (
                r#"sum by (rollouts_pod_template_hash) (x{a="b",rollouts_pod_template_hash=~"a"})"#,
                r#"sum by (pod_template_hash) (x{a="b",pod_template_hash=~"a"})"#,
            ),
            (r#"x{a="rollouts_pod_template_hash"}"#, r#"x{a="rollouts_pod_template_hash"}"#),
            (r#"x{a="\"",rollouts_pod_template_hash="b"}"#, r#"x{a="\"",pod_template_hash="b"}"#),
            ("label_rollouts_pod_template_hash", "label_rollouts_pod_template_hash"),
            ("rollouts_pod_template_hash_x", "rollouts_pod_template_hash_x"),
        ] {
            assert_eq!(own_hash_label(query), own);
        }
    }

    proptest! {
        #[test]
        fn other_queries_stay_as_they_are(query in "[a-z\"'`\\\\{}é_ ]{0,40}") {
            prop_assert_eq!(own_hash_label(&query), query);
        }
    }
}
