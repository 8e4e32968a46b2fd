//! Prometheus and everything that speaks its query API.
//!
//! Sources: argo-rollouts `metricproviders/prometheus` for the meaning, `prometheus/client_golang`'s API
//! client for the treatment of status codes and error bodies.

mod config;
mod response;

use super::{Defaults, HttpRequest, MetricProvider, Sample};
use crate::domain::fields::Node;
use config::{Config, Query, base_url};
use response::Response;
use serde_json::Value;
use std::time::Duration;
use url::form_urlencoded;

/// One query whose samples the conditions see as a list of numbers.
#[derive(Debug)]
pub struct Prometheus;

/// Label that tells the named queries of one request apart.
const NAME_LABEL: &str = "haldane_query";

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

    fn check(&self, config: Node<'_>) -> Option<()> {
        Config::read(config).map(|_| ())
    }

    fn request(&self, config: &Value, defaults: &Defaults) -> Result<HttpRequest, String> {
        let config = Config::of(config)?;
        config.require_no_placeholder()?;
        let address = config.address.as_ref().or(defaults.prometheus_address.as_ref());
        let mut url = base_url(address.ok_or("prometheus address is not configured")?)?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1", "query"]);
        }
        let form_type = ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned());
        Ok(HttpRequest {
            method: http::Method::POST,
            url,
            headers: config.headers.into_iter().chain(config.authorization).chain([form_type]).collect(),
            body: form_urlencoded::Serializer::new(String::new())
                .append_pair("query", &config.query.promql())
                .finish(),
            timeout: Duration::from_secs(config.timeout.into()),
            insecure: config.insecure,
        })
    }

    fn parse(&self, config: &Value, status: u16, body: &[u8]) -> Result<Sample, String> {
        let response = Response::read(status, body)?;
        let value = match Config::of(config)?.query {
            Query::One(_) => response.data.value(),
            Query::Named(queries) => response.data.by_name(queries.into_keys()),
        };
        let warnings: Vec<_> = response.warnings.iter().map(|warning| format!("\"{warning}\"")).collect();
        let metadata = (!warnings.is_empty()).then(|| ("warnings".to_owned(), warnings.join(", ")));
        Ok(Sample { value, metadata: metadata.into_iter().collect() })
    }
}
