//! Metrics, their measurements and the run that judges them, in Argo Rollouts' words.
//!
//! All of it is stored as JSON in a `ConfigMap` of limited size, so empty and default fields are left out.

mod run;
mod spec;
mod template;

pub use run::{AnalysisRun, Attempt, Measurement, MetricResult, RunSummary, Thin};
pub use spec::{AnalysisPhase, Metric, MetricSpec, MinSamples, NoData, ProviderRef, RawMetric, ResolvedArg};
pub use template::{AnalysisTemplate, Arg, MetricRule, MetricRules, RunMetadata, SecretKeyRef, TemplateRef};

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
