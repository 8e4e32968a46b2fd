//! Prometheus and everything that has its query API.
//!
//! Sources: argo-rollouts `metricproviders/prometheus` for the meaning of the fields, the API client of
//! `prometheus/client_golang` for status codes and error bodies.

mod config;
mod response;

pub use config::{ARGO_HASH_LABEL, HASH_LABEL};

use super::{
    Defaults, MetricProvider, Question, Sample, Step,
    http::{HttpRequest, HttpResponse, form_type},
};
use crate::{
    document::fields::{Node, reread},
    domain::value::{MetricValue, ResultType},
    promql::{self, ValueType},
};
use config::{Config, Dialect, Query, base_url};
use response::Response;
use serde_json::Value;
use url::form_urlencoded;

/// The provider for PromQL queries; conditions get the samples as a list of numbers.
#[derive(Debug)]
pub struct Prometheus;

/// Label that distinguishes the named queries of one request.
const NAME_LABEL: &str = "haldane_query";

impl MetricProvider for Prometheus {
    fn key(&self) -> &'static str {
        "prometheus"
    }

    fn doc(&self) -> &'static str {
        "An instant query to Prometheus, or to Thanos, Mimir, VictoriaMetrics or another server with its API."
    }

    fn example(&self) -> &'static str {
        "address: http://prometheus.monitoring:9090\n\
         query: sum(rate(http_requests_total{namespace=\"shop\",service=\"web-canary\",code!~\"5..\"}[2m]))\n\
         timeout: 20\n"
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

    /// With several queries each must have data: it is unknown which of them is about the canary.
    fn without_data(&self, value: &MetricValue) -> Option<String> {
        let MetricValue::Map(by_name) = value else { return (!value.has_data()).then(String::new) };
        let missing: Vec<_> = by_name.iter().filter(|(_, value)| !value.has_data()).collect();
        let missing: Vec<_> = missing.iter().map(|(name, _)| format!("{name:?}")).collect();
        (!missing.is_empty()).then(|| format!(", without data for {}", missing.join(", ")))
    }

    fn promql(&self, config: &Value) -> Vec<String> {
        match reread(config, "prometheus", Config::read) {
            Ok(Config { dialect: Dialect::MetricsQl, .. }) | Err(_) => Vec::new(),
            Ok(Config { query: Query::One(query), .. }) => vec![query],
            Ok(Config { query: Query::Named(queries), .. }) => queries.into_values().collect(),
        }
    }

    fn unchecked(&self, config: &Value) -> Option<&'static str> {
        let config = reread(config, "prometheus", Config::read).ok()?;
        (config.dialect == Dialect::MetricsQl).then_some("its dialect is MetricsQL")
    }

    fn result_type(&self, config: &Value) -> ResultType {
        match reread(config, "prometheus", Config::read) {
            Ok(Config { query: Query::Named(queries), .. }) => {
                ResultType::Named(queries.into_keys().collect())
            }
            Ok(Config { range: Some(_), .. }) => ResultType::Numbers,
            Ok(Config { query: Query::One(query), dialect: Dialect::PromQl, .. }) => {
                match promql::parse(&query).map(|query| query.returns) {
                    Ok(ValueType::Scalar) => ResultType::Number,
                    Ok(ValueType::Vector | ValueType::Matrix) => ResultType::Numbers,
                    Ok(ValueType::String) | Err(_) => ResultType::Any,
                }
            }
            _ => ResultType::Any,
        }
    }

    fn addresses(&self, config: &Value, defaults: &Defaults) -> Vec<String> {
        let text =
            |field: &str| config.pointer(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        let own = text("/address").or(defaults.prometheus_address.as_deref());
        own.into_iter().chain(text("/authentication/oauth2/tokenUrl")).map(str::to_owned).collect()
    }

    fn measure(&self, question: &Question<'_>) -> Step {
        let parts = reread(question.config, "prometheus", Config::read)
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
    let response = Response::read(answer)?;
    let value = match query {
        Query::One(_) => response.data.value(),
        Query::Named(queries) => response.data.by_name(queries.into_keys()),
    };
    let warnings: Vec<_> = response.warnings.iter().map(|warning| format!("\"{warning}\"")).collect();
    let metadata = (!warnings.is_empty()).then(|| ("warnings".to_owned(), warnings.join(", ")));
    Ok(Sample { reading: value.into(), metadata: metadata.into_iter().collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn each_named_query_must_have_data() {
        let named = |stable: MetricValue| {
            MetricValue::Map(BTreeMap::from([
                ("canary".to_owned(), MetricValue::Float(0.2)),
                ("stable".to_owned(), stable),
            ]))
        };
        assert_eq!(Prometheus.without_data(&named(MetricValue::Float(0.1))), None);
        for nothing in [MetricValue::Nil, MetricValue::Float(f64::NAN)] {
            let note = Prometheus.without_data(&named(nothing));
            assert_eq!(note.as_deref(), Some(", without data for \"stable\""));
        }
        assert_eq!(Prometheus.without_data(&MetricValue::Vector(Vec::new())).as_deref(), Some(""));
    }
}
