//! Who measures: one file per metric provider, each a pair of pure functions around one HTTP exchange.
//!
//! A new provider is its file and one line in [`PROVIDERS`].

pub mod prometheus;

use crate::domain::{fields::Node, value::MetricValue};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};
use url::Url;

/// All providers.
pub static PROVIDERS: &[&dyn MetricProvider] = &[&prometheus::Prometheus];

/// The provider that templates call `key`.
#[must_use]
pub fn find(key: &str) -> Option<&'static dyn MetricProvider> {
    PROVIDERS.iter().copied().find(|provider| provider.key() == key)
}

/// Turns a metric's configuration into a request, and the response into a value.
pub trait MetricProvider: Sync {
    /// Argo's word for it in a template.
    fn key(&self) -> &'static str;

    /// What it measures, in one line.
    fn doc(&self) -> &'static str;

    /// A configuration in YAML, as it stands below the key.
    fn example(&self) -> &'static str;

    /// Leaves a finding for everything wrong with a configuration; `{{args.x}}` may still stand in it.
    fn check(&self, config: Node<'_>) -> Option<()>;

    /// The request that measures now.
    ///
    /// # Errors
    /// Why none can be made of this configuration.
    fn request(&self, config: &Value, defaults: &Defaults) -> Result<HttpRequest, String>;

    /// What a response says.
    ///
    /// # Errors
    /// Why it says nothing.
    fn parse(&self, config: &Value, status: u16, body: &[u8]) -> Result<Sample, String>;
}

/// What the installation knows that templates need not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Defaults {
    /// Address of Prometheus.
    pub prometheus_address: Option<String>,
}

/// A request to send. Redirects are not to be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// HTTP method.
    pub method: http::Method,
    /// Where to.
    pub url: Url,
    /// Names and values, not checked for what HTTP allows in them.
    pub headers: Vec<(String, String)>,
    /// Content, may be empty.
    pub body: String,
    /// Longest time the whole exchange may take.
    pub timeout: Duration,
    /// Whether any certificate of the server is good enough.
    pub insecure: bool,
}

/// A measured value and what the provider says beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// For the conditions to judge.
    pub value: MetricValue,
    /// Kept with the measurement, e.g. warnings.
    pub metadata: BTreeMap<String, String>,
}
