//! What a template says about a Prometheus query.

use super::NAME_LABEL;
use crate::domain::fields::{Fields, Node, read};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use std::collections::BTreeMap;
use url::Url;

const DEFAULT_TIMEOUT: u32 = 30;

/// A measurement that takes longer holds the whole analysis up.
const LONGEST_TIMEOUT: u32 = 300;

/// The configuration of one metric.
#[derive(Debug)]
pub(super) struct Config {
    pub address: Option<String>,
    pub query: Query,
    /// Seconds.
    pub timeout: u32,
    pub headers: Vec<(String, String)>,
    /// The header that basic authentication needs.
    pub authorization: Option<(String, String)>,
    pub insecure: bool,
}

/// One query, or several that conditions refer to as `result.NAME`.
#[derive(Debug)]
pub(super) enum Query {
    One(String),
    Named(BTreeMap<String, String>),
}

impl Config {
    /// Reads a configuration again that was read at admission, its arguments now filled in.
    pub fn of(config: &Value) -> Result<Self, String> {
        let joined =
            |findings: Vec<_>| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        read(config, "prometheus", Self::read).map_err(joined)
    }

    /// Secrets are filled in last; without them the request would carry their names.
    pub fn require_no_placeholder(&self) -> Result<(), String> {
        let query = self.query.promql();
        let headers = self.headers.iter().chain(&self.authorization).map(|(_, value)| value);
        match headers.chain([&query]).find(|text| text.contains("{{args.")) {
            Some(_) => Err("a secret argument has not been filled in".to_owned()),
            None => Ok(()),
        }
    }

    pub fn read(node: Node<'_>) -> Option<Self> {
        node.object(|fields| {
            let address = fields.optional("address", address);
            let query = fields.required("query", query);
            let timeout = fields.optional("timeout", |node| node.integer(1..=LONGEST_TIMEOUT));
            let insecure = fields.optional("insecure", Node::bool);
            let headers = fields.list("headers", header);
            let authorization = fields.optional("authentication", |node| node.object(authorization));
            fields.unsupported("rangeQuery", "ask for the range in the query, e.g. avg_over_time(x[5m])");
            Some(Self {
                address: address.filter(|address| !address.is_empty()),
                query: query?,
                timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
                headers,
                authorization,
                insecure: insecure.unwrap_or_default(),
            })
        })
    }
}

impl Query {
    /// Named queries go as one, so that all are answered for the same instant.
    pub fn promql(&self) -> String {
        let labelled = |(name, query): (&String, &String)| {
            format!("label_replace({query}, \"{NAME_LABEL}\", \"{name}\", \"\", \"\")")
        };
        match self {
            Self::One(query) => query.clone(),
            Self::Named(queries) => queries.iter().map(labelled).collect::<Vec<_>>().join(" or "),
        }
    }
}

/// The address as a URL below which the API is found.
pub(super) fn base_url(address: &str) -> Result<Url, String> {
    let url =
        Url::parse(address).ok().filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| format!("prometheus address {address:?} is not an http or https URL"))
}

fn address(node: Node<'_>) -> Option<String> {
    match node.value().as_str() {
        Some(text) if !text.is_empty() && !text.contains("{{") => match base_url(text) {
            Ok(_) => node.string(),
            Err(problem) => node.fail(problem),
        },
        _ => node.string(),
    }
}

/// A query, a mapping of named queries, or the same mapping as a text.
fn query(node: Node<'_>) -> Option<Query> {
    match node.value() {
        Value::Object(queries) if queries.is_empty() => node.fail("names no query"),
        Value::Object(queries) => match queries.keys().find(|name| !is_label_value(name)) {
            Some(name) => node.fail(format!("{name:?} must be a word to be used as result.{name}")),
            None => node.map(promql).map(Query::Named),
        },
        Value::String(text) => match named_queries(text) {
            Some(queries) => Some(Query::Named(queries)),
            None => promql(node).map(Query::One),
        },
        _ => node.fail("must be a query or a mapping of named queries"),
    }
}

fn promql(node: Node<'_>) -> Option<String> {
    match node.value().as_str() {
        Some(text) if text.trim().is_empty() => node.fail("must not be empty"),
        _ => node.string(),
    }
}

/// A query may begin with a brace too, but never is JSON.
fn named_queries(text: &str) -> Option<BTreeMap<String, String>> {
    let one_line = text.replace(['\n', '\r', '\t'], " ");
    let queries: BTreeMap<String, String> = serde_json::from_str(&one_line).ok()?;
    let usable = !queries.is_empty() && queries.keys().all(|name| is_label_value(name));
    usable.then_some(queries)
}

fn is_label_value(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn header(node: Node<'_>) -> Option<(String, String)> {
    node.object(|header| {
        let key = header.required("key", Node::string);
        let value = header.required("value", Node::string);
        Some((key?, value?))
    })
}

fn authorization(fields: &mut Fields<'_>) -> Option<(String, String)> {
    let basic = fields.optional("basicAuth", |node| {
        node.object(|basic| {
            let username = basic.required("username", Node::string);
            let password = basic.required("password", Node::string);
            Some(BASE64_STANDARD.encode(format!("{}:{}", username?, password?)))
        })
    });
    fields.unsupported("oauth2", "put a token into headers");
    fields.unsupported("sigv4", "put a signing proxy before Prometheus");
    Some(("Authorization".to_owned(), format!("Basic {}", basic?)))
}
