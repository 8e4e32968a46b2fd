//! Runs: the metrics of one analysis and their results so far.

use super::{
    is_default,
    spec::{AnalysisPhase, MetricSpec},
    template::{RunMetadata, SecretKeyRef},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One question to a provider and its result.
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
    /// Dry run: measured, but not counted in the run's phase.
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

/// One analysis of one revision: what to measure and the results so far.
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
    /// The result of each, in the order of `specs`.
    pub results: Vec<MetricResult>,
    /// Secret arguments by name. They stay unresolved in `specs`: a `ConfigMap` must not hold secrets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretKeyRef>,
    /// When the run was first advanced; initial delays count from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it reached its final phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// Asked to end now, e.g. because the rollout continues without it.
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
