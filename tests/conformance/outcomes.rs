//! What is otherwise in a step of a run, and by which rule.

use crate::differences::{
    CONDITION_NAMED, NEVER_SUCCESSFUL, NO_DELAY, NO_EVIDENCE, NOTHING_MEASURED, OWN_ECHO, REASON, Rule,
    SLEEPS,
};
use haldane::{
    domain::metric::{AnalysisPhase, AnalysisRun, MetricResult, MetricSpec},
    gocompat::duration::GoDuration,
};
use serde_json::{Value, json};

/// One field of a step that is not as recorded.
#[derive(Debug)]
pub struct Difference {
    field: String,
    expected: Value,
    got: Value,
}

/// Everything that is not as recorded, field by field.
pub fn differences(expected: &Value, got: &Value, run: &AnalysisRun) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (field, got) in got.as_object().unwrap() {
        let expected = match &expected[field] {
            // Not even begun, in Argo's status.
            Value::Null if field.ends_with("summary") => json!({}),
            Value::Array(measured) => {
                let mut measured: Vec<_> = measured.iter().map(|item| item.as_str().unwrap()).collect();
                measured.sort_unstable();
                json!(measured)
            }
            metrics @ Value::Object(_) if field == "metrics" => done(metrics, run),
            other => other.clone(),
        };
        if expected != *got {
            differences.push(Difference { field: field.clone(), expected, got: got.clone() });
        }
    }
    differences
}

/// Argo's metrics without what is under way, which Haldane does not store, nor counts among those it keeps.
fn done(metrics: &Value, run: &AnalysisRun) -> Value {
    let mut metrics = metrics.clone();
    for (name, metric) in metrics.as_object_mut().unwrap() {
        let measurements = metric["measurements"].as_array_mut().unwrap();
        let all = measurements.len();
        measurements.retain(|measurement| measurement["phase"] != "Running");
        let ours = run.results.iter().find(|result| result.name == *name);
        let oldest = ours.filter(|ours| measurements.len() < all && ours.measurements.len() == all);
        if let Some(oldest) = oldest.and_then(|ours| ours.measurements.first()) {
            measurements.insert(0, crate::replay::shown(oldest));
        }
        for measurement in measurements {
            measurement.as_object_mut().unwrap().remove("resume_at_s");
        }
    }
    metrics
}

impl Difference {
    /// The rule by which it is otherwise; `None` if nothing says why.
    pub fn rule(&self, expected: &Value, run: &AnalysisRun) -> Option<&'static Rule> {
        if metrics(run).any(|(spec, result)| is_never_successful(spec, result, expected)) {
            return Some(&NEVER_SUCCESSFUL);
        }
        if metrics(run).any(|(_, result)| is_unseen(result, expected)) {
            return Some(&NO_EVIDENCE);
        }
        let no_delay = |spec: &MetricSpec| spec.initial_delay == Some(GoDuration::ZERO);
        if expected["at_ms"] == 0 && run.specs.iter().any(no_delay) {
            return Some(&NO_DELAY);
        }
        match (self.field.as_str(), &self.expected, &self.got) {
            ("requeue_after_ms", _, Value::Null) if run.phase.is_completed() => Some(&SLEEPS),
            ("requeue_after_ms", _, got) if got == 0 && ended_badly(run) && !run.phase.is_completed() => {
                Some(&OWN_ECHO)
            }
            ("message", argos, got)
                if argos == "Run Terminated" && got == "Run Terminated before anything was measured" =>
            {
                Some(&NOTHING_MEASURED)
            }
            ("message", _, got) if got.as_str()?.contains(" < consecutiveSuccessLimit (") => Some(&REASON),
            ("run_summary" | "dry_run_summary", argos, got) => {
                (reported_in_summary(argos, run, self.field == "dry_run_summary") == *got).then_some(&REASON)
            }
            ("metrics", argos, got) if reported_in_metrics(argos, run) == *got => Some(&REASON),
            ("metrics" | "message", argos, got) => (unnamed(got, run) == *argos).then_some(&CONDITION_NAMED),
            _ => None,
        }
    }
}

fn metrics(run: &AnalysisRun) -> impl Iterator<Item = (&MetricSpec, &MetricResult)> {
    run.specs.iter().zip(&run.results)
}

fn ended_badly(run: &AnalysisRun) -> bool {
    run.results.iter().any(|result| {
        result.phase.is_completed() && result.phase != AnalysisPhase::Successful && !result.dry_run
    })
}

/// All that were to be measured, none of them good, no limit exceeded.
fn is_never_successful(spec: &MetricSpec, result: &MetricResult, expected: &Value) -> bool {
    result.phase == AnalysisPhase::Inconclusive
        && result.successful == 0
        && spec.effective_count().is_some_and(|count| result.count >= count)
        && expected["metrics"][&result.name]["phase"] == "Successful"
}

/// Ended without one measurement with data, otherwise than in Argo.
fn is_unseen(result: &MetricResult, expected: &Value) -> bool {
    let is_empty = result.measurements.last().is_some_and(|measurement| measurement.no_data.is_some());
    result.phase == AnalysisPhase::Inconclusive
        && result.evidence_at.is_none()
        && is_empty
        && expected["metrics"][&result.name]["phase"] != "Inconclusive"
}

/// Whether too few good ones in a row decided the metric.
fn is_too_few_in_a_row(spec: &MetricSpec, result: &MetricResult) -> bool {
    let limit = spec.consecutive_success_limit.unwrap_or(0);
    let within = match result.phase {
        AnalysisPhase::Inconclusive => result.inconclusive <= spec.inconclusive_limit.unwrap_or(0),
        AnalysisPhase::Failed => spec.failure_limit.is_some_and(|limit| limit < 0),
        _ => false,
    };
    within && result.consecutive_success < limit
}

/// Argo's summary, which counts such metrics as good, with their own phase.
fn reported_in_summary(argos: &Value, run: &AnalysisRun, dry_run: bool) -> Value {
    let mut summary = argos.clone();
    let of_this = metrics(run).filter(|(_, result)| result.dry_run == dry_run);
    for (_, result) in of_this.filter(|(spec, result)| is_too_few_in_a_row(spec, result)) {
        for (phase, change) in [("successful".to_owned(), -1), (result.phase.to_string().to_lowercase(), 1)] {
            let changed = summary[&phase].as_i64().unwrap_or(0) + change;
            summary[&phase] = changed.into();
            if changed == 0 {
                summary.as_object_mut().unwrap().remove(&phase);
            }
        }
    }
    summary
}

/// Argo's metrics; those in dry run that were decided so without a message, with ours.
fn reported_in_metrics(argos: &Value, run: &AnalysisRun) -> Value {
    let mut told = argos.clone();
    for (_, result) in
        metrics(run).filter(|(spec, result)| result.dry_run && is_too_few_in_a_row(spec, result))
    {
        told[&result.name]["message"] = result.message.clone().into();
    }
    told
}

/// Our message without the condition that it names.
fn unnamed(ours: &Value, run: &AnalysisRun) -> Value {
    let mut text = ours.to_string();
    for spec in &run.specs {
        let conditions =
            [("successCondition", &spec.success_condition), ("failureCondition", &spec.failure_condition)];
        for (name, condition) in conditions {
            let named =
                format!("could not evaluate {name} \"{}\": ", condition.as_deref().unwrap_or_default());
            text = text.replace(json!(named).to_string().trim_matches('"'), "");
        }
    }
    serde_json::from_str(&text).unwrap()
}
