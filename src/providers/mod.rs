//! Metric providers: one file each, which defines the request and what the answer means.
//!
//! A provider does no I/O: [`MetricProvider::measure`] returns a [`Step`], and the shell that carries out the step
//! calls its continuation with the answer. So a request, a request for a token before it, and a Job that runs for
//! an hour are one mechanism, and each is tested with recorded answers.
//!
//! A new provider is one file and one line in [`PROVIDERS`].

pub mod hosts;
pub mod http;
pub mod job;
pub mod prometheus;
pub mod web;
pub mod webhook;

use crate::{
    document::fields::Node,
    domain::value::{MetricValue, Reading, ResultType},
};
use http::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1 as batch;
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// All providers.
pub static PROVIDERS: &[&dyn MetricProvider] =
    &[&prometheus::Prometheus, &web::Web, &webhook::Webhook, &job::Job];

/// The provider with this key in templates.
#[must_use]
pub fn find(key: &str) -> Option<&'static dyn MetricProvider> {
    PROVIDERS.iter().copied().find(|provider| provider.key() == key)
}

/// Turns a metric's configuration into a measurement.
pub trait MetricProvider: Sync {
    /// Its key in a template, as in Argo.
    fn key(&self) -> &'static str;

    /// What it measures, in one line.
    fn doc(&self) -> &'static str;

    /// An example of its configuration in YAML, as below the key.
    fn example(&self) -> &'static str;

    /// Adds a finding for everything that is wrong with a configuration, which may still contain `{{args.x}}`.
    fn check(&self, config: Node<'_>) -> Option<()>;

    /// The query as the user wrote it, for messages about missing data.
    fn asked(&self, config: &Value) -> Option<String>;

    /// What a message adds about an answer without data; `None` if it has data.
    fn without_data(&self, value: &MetricValue) -> Option<String> {
        (!value.has_data()).then(String::new)
    }

    /// The PromQL queries of a configuration, for checks of which pods they select; none in another dialect.
    fn promql(&self, _config: &Value) -> Vec<String> {
        Vec::new()
    }

    /// Why the queries of a configuration are not checked.
    fn unchecked(&self, _config: &Value) -> Option<&'static str> {
        None
    }

    /// The type of `result` in the conditions.
    fn result_type(&self, config: &Value) -> ResultType;

    /// Every address that a measurement would call, as written; policy decides which hosts are allowed.
    fn addresses(&self, config: &Value, _defaults: &Defaults) -> Vec<String> {
        let fields = ["/address", "/url", "/authentication/oauth2/tokenUrl"].into_iter();
        let texts = fields.filter_map(|field| config.pointer(field)?.as_str());
        texts.filter(|text| !text.is_empty()).map(str::to_owned).collect()
    }

    /// Whether the request of a measurement can change something on the server.
    fn may_write(&self, _config: &Value) -> bool {
        false
    }

    /// Whether the configuration becomes part of an object in the cluster, and so must not contain secrets.
    fn stores_configuration(&self) -> bool {
        false
    }

    /// The first step of a measurement; all arguments are substituted.
    fn measure(&self, question: &Question<'_>) -> Step;
}

/// Whether `text` still contains an argument and so cannot be checked yet.
pub(crate) fn has_argument(text: &str) -> bool {
    text.split("{{").skip(1).any(|tag| tag.trim_start().starts_with("args."))
}

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The provider's configuration, with all arguments substituted.
    pub config: &'a Value,
    /// Defaults of the installation.
    pub defaults: &'a Defaults,
    /// The time of the measurement.
    pub now: Timestamp,
    /// The name of this measurement: its run, its metric and its number.
    pub name: &'a str,
    /// What is released.
    pub release: Release<'a>,
}

/// The release that a measurement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Release<'a> {
    /// Name of the Deployment.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Hash of the pod template.
    pub template: &'a str,
}

/// Defaults that templates can omit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Defaults {
    /// Address of Prometheus.
    pub prometheus_address: Option<String>,
}

/// What a measurement needs next.
pub enum Step {
    /// An HTTP request. Redirects must not be followed.
    Http(Box<HttpRequest>, Then<HttpResponse>),
    /// A Job and its end. It must be deleted when nobody waits for it any more.
    Job(Box<batch::Job>, Then<JobEnd>),
    /// Nothing: the measurement is complete.
    Done(Result<Sample, String>),
}

/// How a Job has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// Successfully.
    Complete,
    /// Failed, with this reason.
    Failed(String),
}

/// Continues a measurement with an answer.
pub type Then<T> = Box<dyn FnOnce(T) -> Step + Send>;

impl fmt::Debug for Step {
    /// Without the body, which may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(request, _) => write!(f, "Http({})", request.url.host_str().unwrap_or_default()),
            Self::Job(job, _) => write!(f, "Job({:?})", job.metadata.name),
            Self::Done(outcome) => write!(f, "Done({outcome:?})"),
        }
    }
}

impl Step {
    /// The last step of a measurement that failed.
    pub fn fail(problem: impl Into<String>) -> Self {
        Self::Done(Err(problem.into()))
    }
}

/// A measured value, and what the provider returns in addition.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// A value for the conditions to judge, or the provider's own verdict.
    pub reading: Reading,
    /// Stored with the measurement, e.g. warnings.
    pub metadata: BTreeMap<String, String>,
}

impl Sample {
    /// Replaces every text in it, for example to redact secrets.
    #[must_use]
    pub fn map_texts(self, replace: &impl Fn(&str) -> String) -> Self {
        let reading = match self.reading {
            Reading::Value { value, text } => {
                Reading::Value { value: map_texts(value, replace), text: replace(&text) }
            }
            Reading::Verdict { phase, message } => Reading::Verdict { phase, message: replace(&message) },
            few @ Reading::TooFew { .. } => few,
        };
        let entry = |(key, text): (String, String)| (key, replace(&text));
        Self { reading, metadata: self.metadata.into_iter().map(entry).collect() }
    }
}

fn map_texts(value: MetricValue, replace: &impl Fn(&str) -> String) -> MetricValue {
    match value {
        MetricValue::Text(text) => MetricValue::Text(replace(&text)),
        MetricValue::List(items) => {
            MetricValue::List(items.into_iter().map(|item| map_texts(item, replace)).collect())
        }
        MetricValue::Map(entries) => MetricValue::Map(
            entries.into_iter().map(|(key, item)| (replace(&key), map_texts(item, replace))).collect(),
        ),
        other => other,
    }
}
