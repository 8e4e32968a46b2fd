//! The phase of a measurement from its value, of a metric from its measurements, and of a run from its metrics.

use super::{Answer, condition, evidence};
use crate::domain::{
    metric::{AnalysisPhase, AnalysisRun, Measurement, MetricResult, MetricSpec, RunSummary},
    value::{MetricValue, Reading},
};
use jiff::Timestamp;

/// Longest text that a measurement keeps, in characters.
const MAX_TEXT: usize = 1000;

/// The reason of an error that the condition did not cause.
const NO_DATA: &str = "metric result is nil or empty: no data returned from the metric provider";

/// The phase that the conditions of `spec` give to a `value` measured at `now`.
///
/// # Errors
/// Why a condition could not be evaluated.
pub fn verdict(spec: &MetricSpec, value: &MetricValue, now: Timestamp) -> Result<AnalysisPhase, String> {
    let holds = |name: &str, condition: &Option<String>| {
        condition.as_deref().map(|text| {
            let explained = |why: String| {
                // The condition is valid for other values: it failed because there is no value.
                let no_data = value.is_empty() && condition::check(text).is_ok();
                let why = if no_data { NO_DATA } else { &why };
                format!("could not evaluate {name} \"{text}\": {why}")
            };
            condition::eval(text, value, now).map_err(explained)
        })
    };
    // Both are always evaluated: an error in either is an error.
    let success = holds("successCondition", &spec.success_condition).transpose()?;
    let failure = holds("failureCondition", &spec.failure_condition).transpose()?;
    Ok(match (success, failure) {
        (_, Some(true)) | (Some(false), None) => AnalysisPhase::Failed,
        (Some(false), Some(false)) => AnalysisPhase::Inconclusive,
        _ => AnalysisPhase::Successful,
    })
}

/// A provider's answer as a measurement.
pub(super) fn measurement(spec: &MetricSpec, answer: Answer) -> Measurement {
    let no_data = evidence::nothing(&answer).map(bounded);
    let (phase, value, message) = match answer.outcome {
        Err(message) => (AnalysisPhase::Error, None, message),
        Ok(Reading::Verdict { phase, message }) => (phase, None, message),
        // `samples` has already handled it.
        Ok(Reading::TooFew { .. }) => (AnalysisPhase::Inconclusive, None, "too few samples".to_owned()),
        Ok(Reading::Value { value, text }) => {
            let settled = evidence::settled(spec).filter(|_| no_data.is_some()).map(Ok);
            let judge = || verdict(spec, &evidence::judged(spec, &value), answer.finished_at);
            match settled.unwrap_or_else(judge) {
                Ok(phase) => (phase, Some(text), String::new()),
                // An empty answer is a separate reason: the message shows the query and the answer.
                Err(message) => match no_data.as_ref().filter(|_| answer.asked.is_some()) {
                    Some(nothing) => (AnalysisPhase::Error, None, format!("{message}: {nothing}")),
                    None => (AnalysisPhase::Error, None, message),
                },
            }
        }
    };
    let Answer { started_at, finished_at, metadata, .. } = answer;
    Measurement {
        phase,
        value: value.map(bounded),
        message: bounded(message),
        started_at,
        finished_at,
        no_data,
        metadata: metadata.into_iter().map(|(key, text)| (key, bounded(text))).collect(),
    }
}

/// The text, shortened to fit into the recorded state. The whole answer was judged; its size must not prevent the
/// verdict, for example an abort, from being recorded.
fn bounded(text: String) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        None => text,
        Some((end, _)) => {
            let kept = text.get(..end).unwrap_or_default();
            format!("{kept}… ({} characters)", text.chars().count())
        }
    }
}

/// Adds a measurement to the counters and the list of its metric.
pub(super) fn record(result: &mut MetricResult, measurement: Measurement) {
    let counter = match measurement.phase {
        AnalysisPhase::Successful => &mut result.successful,
        AnalysisPhase::Failed => &mut result.failed,
        AnalysisPhase::Inconclusive => &mut result.inconclusive,
        AnalysisPhase::Error => &mut result.error,
        AnalysisPhase::Pending | AnalysisPhase::Running => return,
    };
    *counter += 1;
    if measurement.phase == AnalysisPhase::Error {
        result.consecutive_error += 1;
    } else {
        result.consecutive_error = 0;
        result.count += 1;
    }
    // Only a judged answer has a value or a verdict of the provider.
    if measurement.no_data.is_none() && measurement.phase != AnalysisPhase::Error {
        result.evidence_at = Some(measurement.started_at);
    }
    if measurement.phase == AnalysisPhase::Successful {
        result.consecutive_success += 1;
    } else {
        result.consecutive_success = 0;
    }
    result.measurements.push(measurement);
    let kept = usize::try_from(result.retention).unwrap_or(usize::MAX);
    let excess = result.measurements.len().saturating_sub(kept);
    result.measurements.drain(..excess);
}

/// Updates the phases, messages and summaries of the metrics and of the run.
pub(super) fn assess(run: &mut AnalysisRun, in_flight: &[String], terminating: bool, now: Timestamp) {
    let mut worst: Option<AnalysisPhase> = None;
    let mut message = if run.terminate { "Run Terminated".to_owned() } else { String::new() };
    let mut all_completed = true;
    run.run_summary = RunSummary::default();
    run.dry_run_summary = RunSummary::default();
    for (spec, result) in run.specs.iter().zip(&mut run.results) {
        let is_in_flight = in_flight.contains(&spec.name);
        let reason = assess_metric(spec, result, is_in_flight, terminating);
        let phase = result.phase;
        all_completed &= phase.is_completed();
        if result.dry_run {
            run.dry_run_summary.add(phase);
            if phase.is_completed() {
                worst.get_or_insert(AnalysisPhase::Successful);
            }
            continue;
        }
        run.run_summary.add(phase);
        // Of equally bad ones, the first with a reason: others may have ended only because the run ends.
        let is_worse = worst
            .is_none_or(|worst| phase.badness() > worst.badness() || (phase == worst && message.is_empty()));
        if phase.is_completed() && is_worse {
            worst = Some(phase);
            if !reason.is_empty() {
                message = run_message(result, &reason);
            }
        }
    }
    let nothing_measured = run.results.iter().all(|result| result.measurements.is_empty());
    run.phase = match worst {
        None if terminating => AnalysisPhase::Successful,
        Some(worst) if terminating || all_completed => worst,
        _ => AnalysisPhase::Running,
    };
    if run.phase.is_completed() {
        if run.terminate && nothing_measured {
            message.push_str(" before anything was measured");
        }
        run.message = message;
        run.completed_at = Some(now);
    }
}

fn run_message(result: &MetricResult, reason: &str) -> String {
    let MetricResult { name, phase, message, .. } = result;
    let cause = if message.is_empty() { String::new() } else { format!(": \"Error Message: {message}\"") };
    format!("Metric \"{name}\" assessed {phase} due to {reason}{cause}")
}

/// Updates the phase and message of one metric. Returns the reason, unless the phase is plain success.
fn assess_metric(spec: &MetricSpec, result: &mut MetricResult, in_flight: bool, terminating: bool) -> String {
    let ending = ending(spec, result);
    if !result.phase.is_completed() {
        result.phase = match (&ending, result.measurements.last()) {
            _ if in_flight => AnalysisPhase::Running,
            (_, None) => AnalysisPhase::Pending,
            (Some((phase, _)), _) => *phase,
            (None, _) if terminating && evidence::lacking(spec, result).is_some() => {
                AnalysisPhase::Inconclusive
            }
            (None, _) if terminating => AnalysisPhase::Successful,
            (None, _) => AnalysisPhase::Running,
        };
        if let (true, Some(last)) = (result.phase.is_completed(), result.measurements.last()) {
            result.message.clone_from(&last.message);
        }
    }
    let Some((phase, reason)) = ending.filter(|(phase, _)| *phase == result.phase) else {
        return String::new();
    };
    if result.dry_run && !reason.is_empty() {
        result.message = format!("Metric assessed {phase} due to {reason}");
    }
    reason
}

/// The final phase of a metric, if it ends now, and the reason; success needs none.
fn ending(spec: &MetricSpec, result: &MetricResult) -> Option<(AnalysisPhase, String)> {
    let counted = counted(spec, result)?;
    match evidence::lacking(spec, result) {
        Some(why) if counted.0 != AnalysisPhase::Inconclusive => Some((AnalysisPhase::Inconclusive, why)),
        _ => Some(counted),
    }
}

/// The final phase that follows from the counters, as in Argo.
fn counted(spec: &MetricSpec, result: &MetricResult) -> Option<(AnalysisPhase, String)> {
    if let Some(broken) = broken_limit(spec, result) {
        return Some(broken);
    }
    let wanted = spec.consecutive_success_limit.filter(|limit| *limit > 0);
    if wanted.is_some_and(|wanted| result.consecutive_success >= wanted) {
        return Some((AnalysisPhase::Successful, String::new()));
    }
    let count = spec.effective_count().filter(|count| result.count >= *count)?;
    if let Some(wanted) = wanted {
        // If failures are limited as well, too few successes are inconclusive; otherwise they are a failure.
        let phase = match spec.failure_limit {
            Some(limit) if limit < 0 => AnalysisPhase::Failed,
            _ => AnalysisPhase::Inconclusive,
        };
        let got = result.consecutive_success;
        return Some((phase, format!("consecutiveSuccess ({got}) < consecutiveSuccessLimit ({wanted})")));
    }
    if result.successful == 0 {
        // Argo would call it Successful because no limit is exceeded. But no measurement was successful either.
        return Some((AnalysisPhase::Inconclusive, format!("successful (0) after count ({count})")));
    }
    Some((AnalysisPhase::Successful, String::new()))
}

/// The exceeded limit that decides: first errors, then inconclusive, then failed.
fn broken_limit(spec: &MetricSpec, result: &MetricResult) -> Option<(AnalysisPhase, String)> {
    let failures = spec.failure_limit.unwrap_or(0);
    let inconclusive = spec.inconclusive_limit.unwrap_or(0);
    let errors = spec.consecutive_error_limit.unwrap_or(DEFAULT_CONSECUTIVE_ERROR_LIMIT);
    if result.consecutive_error > errors {
        let got = result.consecutive_error;
        Some((AnalysisPhase::Error, format!("consecutiveErrors ({got}) > consecutiveErrorLimit ({errors})")))
    } else if result.inconclusive > inconclusive {
        let got = result.inconclusive;
        Some((
            AnalysisPhase::Inconclusive,
            format!("inconclusive ({got}) > inconclusiveLimit ({inconclusive})"),
        ))
    } else if failures >= 0 && result.failed > failures {
        Some((AnalysisPhase::Failed, format!("failed ({}) > failureLimit ({failures})", result.failed)))
    } else {
        None
    }
}

/// Default of consecutiveErrorLimit.
pub const DEFAULT_CONSECUTIVE_ERROR_LIMIT: i32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::metric::ProviderRef;
    use serde_json::Value;
    use std::collections::BTreeMap;

    #[test]
    fn a_hostile_answer_is_judged_whole_and_kept_in_part() {
        let provider = ProviderRef { key: "prometheus".into(), config: Value::Null };
        let condition = Some("len(result) == 60000".to_owned());
        let spec = MetricSpec { success_condition: condition, ..MetricSpec::new("m", provider) };
        let (value, text) = (MetricValue::Vector(vec![0.5; 60_000]), "é".repeat(300_000));
        let answer = Answer {
            metric: "m".into(),
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::UNIX_EPOCH,
            outcome: Ok(Reading::Value { value, text: text.clone() }),
            asked: None,
            no_data: None,
            metadata: BTreeMap::from([("warnings".to_owned(), text)]),
        };
        let kept = measurement(&spec, answer);
        assert_eq!(kept.phase, AnalysisPhase::Successful, "{kept:?}");
        assert!(kept.value.as_ref().is_some_and(|value| value.ends_with("… (300000 characters)")));
        assert!(serde_json::to_string(&kept).unwrap().len() < 6_000, "it fits into the record");
        assert_eq!(bounded("short".into()), "short");
    }
}
