//! What `/metrics` shows.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

const BUCKETS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// The media type of the exposition.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    /// Text, since there are only two values and Prometheus labels are text anyway.
    success: &'static str,
}

/// Both names are in use for the status code; queries with either work.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Status {
    status: u16,
    code: u16,
}

/// The metrics of the application.
///
/// A series appears with the first request it counts, so `success="false"` is absent, not 0,
/// as long as nothing failed; queries have to cope with that in real applications, too.
pub struct Metrics {
    registry: Registry,
    /// Counts up only, but is exposed as a gauge: the format appends `_total` to the names
    /// of counters, and this one has to be called exactly `sample_app_requests_count`.
    outcomes: Family<Outcome, Gauge>,
    statuses: Family<Status, Counter>,
    durations: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let outcomes = Family::default();
        let statuses = Family::default();
        let durations = Histogram::new(BUCKETS);
        registry.register("sample_app_requests_count", "Requests by success, counting up", outcomes.clone());
        registry.register("http_requests", "Requests by HTTP status code", statuses.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time from the head of a request to its answer",
            durations.clone(),
        );
        Self { registry, outcomes, statuses, durations }
    }
}

impl Metrics {
    /// Counts an answered request; every status below 500 is a success.
    pub fn record(&self, status: u16, took: Duration) {
        let success = if status < 500 { "true" } else { "false" };
        let code = status;
        self.outcomes.get_or_create(&Outcome { success }).inc();
        self.statuses.get_or_create(&Status { status, code }).inc();
        self.durations.observe(took.as_secs_f64());
    }

    /// The text for `/metrics`.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_have_the_documented_names_and_appear_when_they_happen() {
        let metrics = Metrics::default();
        assert!(!metrics.encode().unwrap().contains("success="));

        metrics.record(200, Duration::from_millis(20));
        metrics.record(404, Duration::from_millis(20));
        let out = metrics.encode().unwrap();
        for line in [
            "sample_app_requests_count{success=\"true\"} 2",
            "http_requests_total{status=\"200\",code=\"200\"} 1",
            "http_requests_total{status=\"404\",code=\"404\"} 1",
            "http_request_duration_seconds_bucket{le=\"0.01\"} 0",
            "http_request_duration_seconds_bucket{le=\"0.025\"} 2",
            "http_request_duration_seconds_bucket{le=\"2.5\"} 2",
            "http_request_duration_seconds_count 2",
        ] {
            assert!(out.lines().any(|l| l == line), "{line} not in\n{out}");
        }
        assert!(!out.contains("success=\"false\""));

        metrics.record(500, Duration::ZERO);
        let out = metrics.encode().unwrap();
        assert!(out.contains("sample_app_requests_count{success=\"false\"} 1\n"));
    }
}
