//! Metrics: what to measure, how often, and what of it is good.

use super::is_default;
use crate::gocompat::duration::GoDuration;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a measurement, a metric or a whole run stands.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Default,
    strum::Display,
    strum::IntoStaticStr,
    strum::EnumString,
)]
pub enum AnalysisPhase {
    /// Not begun.
    #[default]
    Pending,
    /// Begun, not decided.
    Running,
    /// Good.
    Successful,
    /// Bad: a failure limit was exceeded.
    Failed,
    /// Not measurable: the provider or a condition failed.
    Error,
    /// Neither good nor bad: a person must decide.
    Inconclusive,
}

impl AnalysisPhase {
    /// Whether it is final.
    #[must_use]
    pub const fn is_completed(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// The worse of two; of equally bad ones either.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        if other.badness() > self.badness() { other } else { self }
    }

    /// Argo's order from best to worst.
    #[must_use]
    pub const fn badness(self) -> u8 {
        match self {
            Self::Successful => 0,
            Self::Running => 1,
            Self::Pending => 2,
            Self::Inconclusive => 3,
            Self::Error => 4,
            Self::Failed => 5,
        }
    }
}

/// An argument whose value is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedArg {
    /// What `{{args.NAME}}` refers to.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A metric as written in a template: durations and numbers may still be arguments.
pub type RawMetric = Metric<String, IntOrString>;

/// A metric with its arguments filled in, read and validated.
pub type MetricSpec = Metric<GoDuration, i32>;

/// What to measure, how often, and what of it is good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric<Span, Number> {
    /// Unique within a run.
    pub name: String,
    /// Time before the first measurement.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub initial_delay: Option<Span>,
    /// Time between two measurements.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// Measurements to take; endless without it, if there is an interval.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub count: Option<Number>,
    /// What must hold for a measurement to be good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_condition: Option<String>,
    /// What makes a measurement bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_condition: Option<String>,
    /// More bad measurements than this fail the metric; 0 by default, −1 means unlimited.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub failure_limit: Option<Number>,
    /// More undecided measurements than this end the metric; 0 by default.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub inconclusive_limit: Option<Number>,
    /// More errors in a row than this end the metric; 4 by default.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub consecutive_error_limit: Option<Number>,
    /// So many good measurements in a row end the metric; 0 by default, which is off.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub consecutive_success_limit: Option<Number>,
    /// How many samples a value must rest on to be judged at all; not in Argo.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub min_samples: Option<MinSamples<Span, Number>>,
    /// What a measurement without data comes to; not in Argo.
    #[serde(default, skip_serializing_if = "is_default")]
    pub no_data: NoData,
    /// Whether stable need not have it, because only the new version does; not in Argo.
    #[serde(rename = "rehearsal", default, skip_serializing_if = "is_default")]
    pub skip_rehearsal: bool,
    /// The provider that measures.
    pub provider: ProviderRef,
}

impl<Span, Number> Metric<Span, Number> {
    /// A metric that says nothing but who measures: measured once, and good whatever comes of it.
    #[must_use]
    pub fn new(name: &str, provider: ProviderRef) -> Self {
        Self {
            name: name.to_owned(),
            initial_delay: None,
            interval: None,
            count: None,
            success_condition: None,
            failure_condition: None,
            failure_limit: None,
            inconclusive_limit: None,
            consecutive_error_limit: None,
            consecutive_success_limit: None,
            min_samples: None,
            no_data: NoData::default(),
            skip_rehearsal: false,
            provider,
        }
    }
}

/// With fewer samples than this a measurement is made again, up to a bound; then it is inconclusive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MinSamples<Span, Number> {
    /// A query to the same provider; the sum of its samples is their number.
    pub query: String,
    /// The least number.
    pub count: Number,
    /// How long too few are waited for, from the first time that they were; 10 minutes by default.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub extend_up_to: Option<Span>,
}

/// What a measurement without data comes to: one whose answer is empty, null or not a number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, strum::EnumString, strum::VariantNames,
)]
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "camelCase")]
pub enum NoData {
    /// It is good: the metric has nothing to say where nothing happens.
    Pass,
    /// The conditions judge it as Argo does, but it is not evidence: without one measurement with data the
    /// metric ends Inconclusive, the weight does not rise and nothing is promoted.
    #[default]
    Wait,
    /// It is bad.
    Fail,
}

impl MetricSpec {
    /// Whether the rollout must not go on before the metric has had a measurement with data.
    #[must_use]
    pub fn needs_evidence(&self) -> bool {
        self.no_data == NoData::Wait
    }

    /// How many measurements complete the metric, if any number does.
    #[must_use]
    pub fn effective_count(&self) -> Option<i32> {
        match self.count {
            None | Some(0) => self.interval.is_none().then_some(1),
            count => count,
        }
    }
}

/// A provider's key in the registry and its own configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProviderRef {
    /// Argo's word for it, e.g. `prometheus`.
    pub key: String,
    /// The value of that key.
    pub config: Value,
}
