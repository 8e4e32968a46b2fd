//! Prometheus and everything that speaks its query API.
//!
//! Sources: argo-rollouts `metricproviders/prometheus` for the meaning, `prometheus/client_golang`'s API
//! client for the treatment of status codes and error bodies.

mod config;
mod response;

pub use config::{ARGO_HASH_LABEL, HASH_LABEL};

use super::{
    Defaults, Field, MetricProvider, Question, Sample, Step, field,
    http::{AUTHENTICATION, HEADERS, HttpRequest, HttpResponse, TIMEOUT, form_type},
};
use crate::domain::{
    fields::{Node, told},
    kind::Kind,
};
use config::{Config, Query, base_url};
use response::Response;
use serde_json::Value;
use url::form_urlencoded;

/// One query whose samples the conditions see as a list of numbers.
#[derive(Debug)]
pub struct Prometheus;

/// Label that tells the named queries of one request apart.
const NAME_LABEL: &str = "haldane_query";

static FIELDS: &[Field] = &[
    field("address", Kind::Text, "Where Prometheus is; by default what `--prometheus-address` says."),
    field(
        "query",
        Kind::Queries,
        "PromQL. The conditions see its samples as a list of numbers. A mapping of names to queries (or \
                 the same as JSON in a text) asks several for the same instant: `result.NAME` is a number, a \
                 list if there are several samples, nil if there is none.",
    ),
    field(
        "rangeQuery",
        Kind::Object(&[("start", Kind::Text), ("end", Kind::Text), ("step", Kind::Span)]),
        "`{start, end, step}` asks for a range, e.g. `{start: 'now() - duration(\"5m\")', end: 'now()', \
                 step: 1m}`; the conditions see all samples, series by series.",
    ),
    field("timeout", TIMEOUT, "Seconds, 1 to 300; 30 by default."),
    field("headers", HEADERS, "A list of `{key, value}`."),
    field("insecure", Kind::Bool, "`true` accepts any certificate."),
    AUTHENTICATION,
];

impl MetricProvider for Prometheus {
    fn key(&self) -> &'static str {
        "prometheus"
    }

    fn doc(&self) -> &'static str {
        "An instant query to Prometheus, Thanos, Mimir, VictoriaMetrics or any other of its kind."
    }

    fn example(&self) -> &'static str {
        "address: http://prometheus.monitoring:9090\n\
         query: sum(rate(http_requests_total{service=\"web-canary\",code!~\"5..\"}[2m]))\n\
         timeout: 20\n"
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn check(&self, config: Node<'_>) -> Option<()> {
        Config::read(config).map(|_| ())
    }

    fn asked(&self, config: &Value) -> Option<String> {
        match config.get("query")? {
            Value::String(query) => Some(query.trim().to_owned()),
            queries => Some(queries.to_string()),
        }
    }

    fn promql(&self, config: &Value) -> Vec<String> {
        match told(config, "prometheus", Config::read).map(|config| config.query) {
            Ok(Query::One(query)) => vec![query],
            Ok(Query::Named(queries)) => queries.into_values().collect(),
            Err(_) => Vec::new(),
        }
    }

    fn addresses(&self, config: &Value, defaults: &Defaults) -> Vec<String> {
        let text =
            |field: &str| config.pointer(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        let own = text("/address").or(defaults.prometheus_address.as_deref());
        own.into_iter().chain(text("/authentication/oauth2/tokenUrl")).map(str::to_owned).collect()
    }

    fn measure(&self, question: &Question<'_>) -> Step {
        let parts = told(question.config, "prometheus", Config::read)
            .and_then(|config| Ok((request(&config, question)?, config)));
        match parts {
            Err(problem) => Step::fail(problem),
            Ok((request, Config { authentication, query, .. })) => {
                authentication.send(request, Box::new(move |answer| Step::Done(read(query, &answer))))
            }
        }
    }
}

fn request(config: &Config, question: &Question<'_>) -> Result<HttpRequest, String> {
    let address = config.address.as_ref().or(question.defaults.prometheus_address.as_ref());
    let mut url = base_url(address.ok_or("prometheus address is not configured")?)?;
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("query", &config.query.promql());
    if let Some(range) = &config.range {
        form.extend_pairs(range.parameters(question.now)?);
    }
    let endpoint = if config.range.is_some() { "query_range" } else { "query" };
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["api", "v1", endpoint]);
    }
    Ok(HttpRequest {
        method: http::Method::POST,
        url,
        headers: config.headers.iter().cloned().chain([form_type()]).collect(),
        body: form.finish(),
        timeout: config.timeout,
        insecure: config.insecure,
    })
}

fn read(query: Query, answer: &HttpResponse) -> Result<Sample, String> {
    let response = Response::read(answer.status, &answer.body)?;
    let value = match query {
        Query::One(_) => response.data.value(),
        Query::Named(queries) => response.data.by_name(queries.into_keys()),
    };
    let warnings: Vec<_> = response.warnings.iter().map(|warning| format!("\"{warning}\"")).collect();
    let metadata = (!warnings.is_empty()).then(|| ("warnings".to_owned(), warnings.join(", ")));
    Ok(Sample { reading: value.into(), metadata: metadata.into_iter().collect() })
}
