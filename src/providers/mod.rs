//! Who measures: one file per metric provider, which says what to send and what the answer means.
//!
//! No provider talks to anyone: [`MetricProvider::measure`] answers with a [`Step`], and the shell that
//! takes the step calls its continuation with the answer. So one request, a token before it, and a Job
//! that runs for an hour are one mechanism, and every one is tested with recorded answers.
//!
//! A new provider is its file and one line in [`PROVIDERS`].

pub mod hosts;
pub mod http;
pub mod job;
pub mod prometheus;
pub mod web;

use crate::{
    document::{fields::Node, schema::Schema},
    domain::value::{MetricValue, Reading, ResultType},
};
use http::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1 as batch;
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// All providers.
pub static PROVIDERS: &[&dyn MetricProvider] = &[&prometheus::Prometheus, &web::Web, &job::Job];

/// The provider that templates call `key`.
#[must_use]
pub fn find(key: &str) -> Option<&'static dyn MetricProvider> {
    PROVIDERS.iter().copied().find(|provider| provider.key() == key)
}

/// Turns a metric's configuration into a measurement.
pub trait MetricProvider: Sync {
    /// Argo's word for it in a template.
    fn key(&self) -> &'static str;

    /// What it measures, in one line.
    fn doc(&self) -> &'static str;

    /// A configuration in YAML, as it stands below the key.
    fn example(&self) -> &'static str;

    /// The fields below the key, for the reference.
    fn fields(&self) -> &'static [Field];

    /// Leaves a finding for everything wrong with a configuration; `{{args.x}}` may still stand in it.
    fn check(&self, config: Node<'_>) -> Option<()>;

    /// What is asked, in the words of who wrote it, for messages about what did not come.
    fn asked(&self, config: &Value) -> Option<String>;

    /// What more there is to say of an answer without data; `None` if it has some.
    fn without_data(&self, value: &MetricValue) -> Option<String> {
        (!value.has_data()).then(String::new)
    }

    /// The PromQL queries that a configuration asks, for those who look at what they can see; none in a dialect of it.
    fn promql(&self, _config: &Value) -> Vec<String> {
        Vec::new()
    }

    /// Why nobody looks at what the queries of a configuration can see.
    fn unchecked(&self, _config: &Value) -> Option<&'static str> {
        None
    }

    /// What the conditions see of an answer.
    fn result_type(&self, config: &Value) -> ResultType;

    /// Every address that a measurement would call, as written; policy says which hosts are allowed.
    fn addresses(&self, config: &Value, _defaults: &Defaults) -> Vec<String> {
        let fields = ["/address", "/url", "/authentication/oauth2/tokenUrl"].into_iter();
        let texts = fields.filter_map(|field| config.pointer(field)?.as_str());
        texts.filter(|text| !text.is_empty()).map(str::to_owned).collect()
    }

    /// Whether a measurement may change something where it asks: its request is not only a question.
    fn may_write(&self, _config: &Value) -> bool {
        false
    }

    /// Whether the configuration becomes part of an object in the cluster, so that no secret may be in it.
    fn stores_configuration(&self) -> bool {
        false
    }

    /// The first step of a measurement, all arguments filled in.
    fn measure(&self, question: &Question<'_>) -> Step;
}

/// A field of a configuration, for the reference.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its path below the provider's key.
    pub name: &'static str,
    /// What it means and its default.
    pub doc: &'static str,
    /// What its value may be.
    pub kind: Schema,
}

/// Whether an argument still stands in `text`, so that it cannot be judged yet.
pub(crate) fn has_argument(text: &str) -> bool {
    text.split("{{").skip(1).any(|tag| tag.trim_start().starts_with("args."))
}

/// Shorthand for a [`Field`].
#[must_use]
pub const fn field(name: &'static str, kind: Schema, doc: &'static str) -> Field {
    Field { name, doc, kind }
}

/// What is to be measured.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The provider's configuration; nothing is left to fill in.
    pub config: &'a Value,
    /// What the installation adds.
    pub defaults: &'a Defaults,
    /// The time for which it is asked.
    pub now: Timestamp,
    /// Name of this one measurement: that of its run, its metric, and its number within them.
    pub name: &'a str,
}

/// What the installation knows that templates need not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Defaults {
    /// Address of Prometheus.
    pub prometheus_address: Option<String>,
}

/// What a measurement needs next.
pub enum Step {
    /// An answer over HTTP. Redirects are not to be followed.
    Http(Box<HttpRequest>, Then<HttpResponse>),
    /// A Job, and its end. When nobody waits for it any more it is to be deleted.
    Job(Box<batch::Job>, Then<JobEnd>),
    /// Nothing more.
    Done(Result<Sample, String>),
}

/// How a Job has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// As it should.
    Complete,
    /// With this reason.
    Failed(String),
}

/// How a measurement goes on with an answer.
pub type Then<T> = Box<dyn FnOnce(T) -> Step + Send>;

impl fmt::Debug for Step {
    /// Without the content, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(request, _) => write!(f, "Http({})", request.url.host_str().unwrap_or_default()),
            Self::Job(job, _) => write!(f, "Job({:?})", job.metadata.name),
            Self::Done(outcome) => write!(f, "Done({outcome:?})"),
        }
    }
}

impl Step {
    /// The end of a measurement that failed.
    pub fn fail(problem: impl Into<String>) -> Self {
        Self::Done(Err(problem.into()))
    }
}

/// What was measured and what the provider says beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// A value for the conditions to judge, or the provider's own verdict.
    pub reading: Reading,
    /// Kept with the measurement, e.g. warnings.
    pub metadata: BTreeMap<String, String>,
}

impl Sample {
    /// With every text in it replaced, e.g. by one without secrets.
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
