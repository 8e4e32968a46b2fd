//! Finds contradictions in metrics, with the error texts of Argo's `ValidateMetric`.

use super::args::RunArgs;
use crate::domain::metric::{MetricSpec, ProviderRef, RawMetric};
use serde_json::Value;
use std::collections::BTreeSet;

/// The first contradiction among the metrics of a run.
///
/// # Errors
/// Argo's error text, after the index of the metric.
pub fn metrics(specs: &[MetricSpec]) -> Result<(), String> {
    if specs.is_empty() {
        return Err("no metrics specified".to_owned());
    }
    let mut names = BTreeSet::new();
    for (index, spec) in specs.iter().enumerate() {
        if !names.insert(&spec.name) {
            return Err(format!("metrics[{index}]: duplicate name '{}'", spec.name));
        }
        metric(spec).map_err(|why| format!("metrics[{index}]: {why}"))?;
    }
    Ok(())
}

/// The first contradiction within a metric of a template; none while its limits contain arguments.
///
/// # Errors
/// Argo's error text.
pub fn limits(raw: &RawMetric) -> Result<(), String> {
    let numbers_only = RawMetric {
        name: String::new(),
        success_condition: None,
        failure_condition: None,
        min_samples: None,
        provider: ProviderRef { key: String::new(), config: Value::Null },
        ..raw.clone()
    };
    RunArgs::default().resolve(&numbers_only).map_or(Ok(()), |spec| metric(&spec))
}

/// The first contradiction within one metric.
///
/// # Errors
/// Argo's error text.
pub fn metric(spec: &MetricSpec) -> Result<(), String> {
    let count = spec.count.unwrap_or(0);
    let failures = spec.failure_limit.unwrap_or(0);
    let successes = spec.consecutive_success_limit.unwrap_or(0);
    let inconclusive = spec.inconclusive_limit.unwrap_or(0);

    let refuse = |problem: &str| Err(problem.to_owned());
    if successes < 0 {
        return refuse("consecutiveSuccessLimit must be >= 0");
    }
    if failures < -1 {
        return refuse("failureLimit must be >= 0, or -1 to be disabled");
    }
    if successes == 0 && failures == -1 {
        return refuse("failureLimit and consecutiveSuccessLimit cannot both be disabled");
    }
    if inconclusive < 0 {
        return refuse("inconclusiveLimit must be >= 0");
    }
    if spec.consecutive_error_limit.is_some_and(|limit| limit < 0) {
        return refuse("consecutiveErrorLimit must be >= 0");
    }
    if count > 0 && failures >= 0 && i64::from(count) < i64::from(failures) + i64::from(successes) {
        return Err(format!(
            "count ({count}) must be >= failureLimit + consecutiveSuccessLimit ({failures} + {successes}) if both >= 0"
        ));
    }
    if count > 0 && failures < 0 && count < successes {
        return refuse("count must be >= consecutiveSuccessLimit");
    }
    if count > 0 && count < inconclusive {
        return refuse("count must be >= inconclusiveLimit");
    }
    if count > 1 && spec.interval.is_none() {
        return refuse("interval must be specified when count > 1");
    }
    Ok(())
}
