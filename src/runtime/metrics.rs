//! What all metrics have in common; each module registers its own.

use prometheus_client::{
    encoding::text,
    metrics::{histogram::Histogram, info::Info},
    registry::Registry,
};
use std::fmt;

/// Media type of [`encode`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry in which every name begins with `haldane_`.
#[must_use]
pub fn registry() -> Registry {
    let mut registry = Registry::with_prefix("haldane");
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "Version of this process", build);
    registry
}

/// A histogram of latencies from a millisecond to the five seconds after which an API server gives up.
#[must_use]
pub fn latencies() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0])
}

/// All metrics as `OpenMetrics` text.
///
/// # Errors
/// When a metric cannot be written, which no registered kind does.
pub fn encode(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    text::encode(&mut text, registry)?;
    Ok(text)
}
