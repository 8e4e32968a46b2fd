//! Metrics, their measurements and the run that judges them, in Argo Rollouts' words.
//!
//! All of it is stored as JSON in a `ConfigMap` of limited size, so empty and default fields are left out.

pub use super::template::{
    AnalysisTemplate, Arg, MetricRule, MetricRules, RunMetadata, SecretKeyRef, TemplateRef,
};

use crate::gocompat::duration::GoDuration;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

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
    /// More bad measurements than this fail the metric; 0 by default, −1 is no limit.
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
    /// Who measures.
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
    /// Asked of the same provider; the sum of its samples is their number.
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
    /// What stands below that word.
    pub config: Value,
}

/// One question to a provider and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measurement {
    /// Always a completed phase.
    pub phase: AnalysisPhase,
    /// The measured value as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The reason of an error, or the provider's own word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When the provider was asked.
    pub started_at: Timestamp,
    /// When it had answered.
    pub finished_at: Timestamp,
    /// What was missing, if the answer had no data in it: such a measurement is not evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data: Option<String>,
    /// What the provider says in addition to the value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// What has become of one metric of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricResult {
    /// The metric's name.
    pub name: String,
    /// Final once completed.
    pub phase: AnalysisPhase,
    /// The last measurement's message or, in dry run, the reason of the phase.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Measurements taken, errors not counted.
    #[serde(skip_serializing_if = "is_default")]
    pub count: i32,
    /// Good ones.
    #[serde(skip_serializing_if = "is_default")]
    pub successful: i32,
    /// Bad ones.
    #[serde(skip_serializing_if = "is_default")]
    pub failed: i32,
    /// Undecided ones.
    #[serde(skip_serializing_if = "is_default")]
    pub inconclusive: i32,
    /// Errors.
    #[serde(skip_serializing_if = "is_default")]
    pub error: i32,
    /// Errors since the last measurement that was none.
    #[serde(skip_serializing_if = "is_default")]
    pub consecutive_error: i32,
    /// Good ones since the last that was not.
    #[serde(skip_serializing_if = "is_default")]
    pub consecutive_success: i32,
    /// Measured, but without a say in the run's phase.
    #[serde(skip_serializing_if = "is_default")]
    pub dry_run: bool,
    /// Since when there has been too little to judge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thin: Option<Thin>,
    /// When the provider was asked the last time that it answered with data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_at: Option<Timestamp>,
    /// The last attempt under a leader whose predecessor died.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// How many measurements are kept.
    pub retention: u32,
    /// The newest measurements, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
}

/// An attempt to measure that was recorded before it began, because the process before may have died of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The leader's term of office.
    pub term: String,
    /// Whether an answer was judged.
    pub answered: bool,
}

/// Too little to judge, so far: too few samples, or an answer that is not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Thin {
    /// When they were counted first.
    pub since: Timestamp,
    /// When they were counted last.
    pub counted_at: Timestamp,
}

/// How many metrics of a run ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct RunSummary {
    /// All of them.
    #[serde(skip_serializing_if = "is_default")]
    pub count: i32,
    /// Good.
    #[serde(skip_serializing_if = "is_default")]
    pub successful: i32,
    /// Bad.
    #[serde(skip_serializing_if = "is_default")]
    pub failed: i32,
    /// Undecided.
    #[serde(skip_serializing_if = "is_default")]
    pub inconclusive: i32,
    /// Not measurable.
    #[serde(skip_serializing_if = "is_default")]
    pub error: i32,
}

impl RunSummary {
    /// Counts one more metric.
    pub fn add(&mut self, phase: AnalysisPhase) {
        self.count += 1;
        match phase {
            AnalysisPhase::Successful => self.successful += 1,
            AnalysisPhase::Failed => self.failed += 1,
            AnalysisPhase::Inconclusive => self.inconclusive += 1,
            AnalysisPhase::Error => self.error += 1,
            AnalysisPhase::Pending | AnalysisPhase::Running => {}
        }
    }
}

/// One analysis of one revision: what to measure and what came of it so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct AnalysisRun {
    /// Unique within the Deployment's history.
    pub name: String,
    /// What the plan marks it with.
    #[serde(skip_serializing_if = "RunMetadata::is_empty")]
    pub metadata: RunMetadata,
    /// The metrics, arguments filled in.
    pub specs: Vec<MetricSpec>,
    /// What came of each, in the order of `specs`.
    pub results: Vec<MetricResult>,
    /// Secret arguments by name. They stay unresolved in `specs`: a `ConfigMap` is no place for a secret.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretKeyRef>,
    /// When the run was first advanced; initial delays count from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it reached its final phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// Asked to end now, e.g. because the rollout goes on without it.
    #[serde(skip_serializing_if = "is_default")]
    pub terminate: bool,
    /// Final once completed.
    pub phase: AnalysisPhase,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The metrics that count.
    #[serde(skip_serializing_if = "is_default")]
    pub run_summary: RunSummary,
    /// The metrics in dry run.
    #[serde(skip_serializing_if = "is_default")]
    pub dry_run_summary: RunSummary,
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
