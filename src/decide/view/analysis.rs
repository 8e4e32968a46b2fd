//! Analyses as people see them.

use crate::{
    domain::{
        metric::{AnalysisPhase, Measurement, MetricResult, MetricSpec},
        state::RunRecord,
    },
    providers,
};
use jiff::Timestamp;
use serde::Serialize;

/// An analysis run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisView {
    /// Its name.
    pub name: String,
    /// Index of its step; absent for the background analysis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// Its verdict, or `Running`.
    pub phase: AnalysisPhase,
    /// The verdict's reason.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Its metrics, in the order of the templates.
    pub metrics: Vec<MetricView>,
}

/// A metric of an analysis run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricView {
    /// Its name.
    pub name: String,
    /// Key of the provider that is asked.
    pub provider: String,
    /// Its verdict, or `Running`.
    pub phase: AnalysisPhase,
    /// What the provider is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The condition of a good measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_condition: Option<String>,
    /// The condition of a bad measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_condition: Option<String>,
    /// The newest measurements, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<MeasurementView>,
    /// The last measurement's message, or the verdict's reason.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Good measurements.
    pub successful: i32,
    /// Bad measurements.
    pub failed: i32,
    /// Undecided measurements.
    pub inconclusive: i32,
    /// Measurements that failed themselves.
    pub error: i32,
}

/// A measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeasurementView {
    /// When the provider had answered.
    pub at: Timestamp,
    /// Its verdict.
    pub phase: AnalysisPhase,
    /// The value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The reason of an error, or the provider's own word.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

pub(super) fn analysis(RunRecord { step, run }: &RunRecord) -> AnalysisView {
    AnalysisView {
        name: run.name.clone(),
        step: *step,
        phase: run.phase,
        message: run.message.clone(),
        metrics: run.specs.iter().zip(&run.results).map(|(spec, result)| metric(spec, result)).collect(),
    }
}

fn metric(spec: &MetricSpec, result: &MetricResult) -> MetricView {
    MetricView {
        name: spec.name.clone(),
        provider: spec.provider.key.clone(),
        phase: result.phase,
        query: providers::find(&spec.provider.key).and_then(|provider| provider.asked(&spec.provider.config)),
        success_condition: spec.success_condition.clone(),
        failure_condition: spec.failure_condition.clone(),
        measurements: result.measurements.iter().map(measurement).collect(),
        message: result.message.clone(),
        successful: result.successful,
        failed: result.failed,
        inconclusive: result.inconclusive,
        error: result.error,
    }
}

fn measurement(taken: &Measurement) -> MeasurementView {
    MeasurementView {
        at: taken.finished_at,
        phase: taken.phase,
        value: taken.value.clone(),
        message: taken.message.clone(),
    }
}
