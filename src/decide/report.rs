//! What an abort was about, in one place: which metrics failed, which pods were missing, what had changed.

use super::troubles::EVENTS;
use crate::domain::{
    metric::{AnalysisPhase, MetricResult, MetricSpec},
    names::TemplateHash,
    observed::Observed,
    restarts::Code,
    state::{AbortReport, Rollout},
};

/// Metrics that are named.
const MAX_METRICS: usize = 5;
/// Values of a metric that are shown.
const MAX_VALUES: usize = 5;
/// Longest value, in bytes.
const MAX_VALUE: usize = 60;
/// Longest condition, in bytes.
const MAX_CONDITION: usize = 200;

/// The report of a rollout that is aborted now, while this template is stable.
pub(super) fn of(rollout: &Rollout, seen: &Observed, stable: Option<&TemplateHash>) -> AbortReport {
    let runs = rollout.runs.iter().map(|record| &record.run);
    let metrics = runs.flat_map(|run| run.specs.iter().zip(&run.results));
    let failed = metrics.filter(|(_, result)| {
        !result.dry_run && matches!(result.phase, AnalysisPhase::Failed | AnalysisPhase::Error)
    });
    let missing = seen.unavailable.as_ref().map(|missing| missing.message.as_str());
    AbortReport {
        revision: rollout.revision,
        attempt: rollout.attempt,
        metrics: failed.take(MAX_METRICS).map(|(spec, result)| metric(spec, result)).collect(),
        pods: missing.or_else(|| rollout.why_missing()).map(str::to_owned),
        changes: changes(rollout, seen, stable),
        back_after_seconds: None,
    }
}

/// `errors: [0.01], [0.5] (good if result[0] < 0.05)`.
fn metric(spec: &MetricSpec, result: &MetricResult) -> String {
    let newest = result.measurements.iter().rev().take(MAX_VALUES).collect::<Vec<_>>();
    let shown = newest.into_iter().rev().map(|taken| match taken.value.as_deref() {
        Some(value) if !value.is_empty() => bounded(value, MAX_VALUE),
        _ => bounded(&taken.message, MAX_VALUE),
    });
    let values = shown.collect::<Vec<_>>().join(", ");
    let limits = [("good if", &spec.success_condition), ("bad if", &spec.failure_condition)];
    let limits = limits.into_iter().filter_map(|(word, condition)| {
        let condition = condition.as_deref().filter(|condition| !condition.is_empty())?;
        Some(format!("{word} {}", bounded(condition, MAX_CONDITION)))
    });
    let limits = limits.collect::<Vec<_>>().join(", ");
    let limits = if limits.is_empty() { limits } else { format!(" ({limits})") };
    let error = if result.phase == AnalysisPhase::Error { " (Error)" } else { "" };
    format!("{}{error}: {values}{limits}", spec.name)
}

/// In what the aborted template differs from stable's, while the Deployment still has it.
fn changes(rollout: &Rollout, seen: &Observed, stable: Option<&TemplateHash>) -> Vec<String> {
    let stable = stable.filter(|stable| **stable != rollout.hash);
    match seen.replica_sets.iter().find(|set| Some(&set.template) == stable) {
        Some(set) if seen.template_hash() == rollout.hash => {
            set.code.changes_to(&Code::of(seen.template.body()))
        }
        _ => Vec::new(),
    }
}

fn bounded(text: &str, bytes: usize) -> String {
    match text.get(..text.floor_char_boundary(bytes)) {
        Some(kept) if kept.len() < text.len() => format!("{kept}…"),
        _ => text.to_owned(),
    }
}

/// What a report says, by title; a text may have several lines.
#[must_use]
pub fn facts(report: &AbortReport) -> Vec<(&'static str, String)> {
    let back = report.back_after_seconds.map(|seconds| match seconds {
        ..1 => "before the abort".to_owned(),
        _ => format!("after {seconds} s"),
    });
    let facts = [
        ("Failed", report.metrics.join("\n")),
        ("Pods", report.pods.clone().unwrap_or_default()),
        ("Changed", report.changes.join("\n")),
        ("Traffic back", back.unwrap_or_default()),
    ];
    facts.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// What a person can do after an abort.
#[must_use]
pub fn next(report: &AbortReport) -> String {
    let advice = EVENTS.iter().find(|trouble| trouble.says.contains(&"RolloutAborted"));
    let advice = advice.map(|trouble| trouble.advice).unwrap_or_default();
    match report.pods {
        Some(_) => format!("repair what keeps the pods from running, then {advice}"),
        None => advice.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decide::{
            Plan,
            fixtures::{decided, now, seen, set, state},
        },
        domain::{
            k8s::pods::Unavailable,
            metric::AnalysisRun,
            observed::ReplicaSetView,
            state::{Lag, RolloutState, RunRecord, Stage},
        },
    };
    use jiff::SignedDuration;
    use serde_json::json;

    /// `web:2` over `web:1`, with a failed metric and a canary without progress for ten minutes.
    fn stuck() -> (RolloutState, Observed) {
        let (old, mut seen) = (seen(4, "web:1", false), seen(4, "web:2", true));
        seen.replica_sets =
            vec![ReplicaSetView { wanted: 4, ready: 4, ..set(&old, "web-1", "2026-01-01T00:00:00Z") }];
        let message = "pod web-canary-1: web: OOMKilled (exit code 137)".to_owned();
        seen.unavailable = Some(Unavailable { kind: "exit".into(), message, is_usual: false });
        let mut state = state(&seen, Stage::Start);
        let rollout = state.rollout.as_mut().unwrap();
        rollout.lagging = Some(Lag { available: 0, since: now() - SignedDuration::from_secs(600) });
        let taken =
            |value: &str| json!({"phase": "Failed", "value": value, "startedAt": now(), "finishedAt": now()});
        let run = json!({
            "name": "web-b-2", "phase": "Failed", "completedAt": now(),
            "specs": [{
                "name": "errors", "successCondition": "result[0] < 0.05",
                "provider": {"key": "prometheus", "config": {"query": "errors"}},
            }],
            "results": [{"name": "errors", "phase": "Failed", "measurements": [taken("[0.01]"), taken("[0.5]")]}],
        });
        rollout.runs.push(RunRecord { step: None, run: serde_json::from_value::<AnalysisRun>(run).unwrap() });
        (state, seen)
    }

    fn text(plan: &Plan) -> String {
        let report = plan.state.report(2).unwrap();
        let lines = facts(report).into_iter().chain([("Next", next(report))]);
        lines.map(|(title, text)| format!("{title}: {text}")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn an_abort_says_what_failed_what_was_missing_and_what_had_changed() {
        let (state, seen) = stuck();
        insta::assert_snapshot!(text(&decided(state, &seen)), @r"
        Failed: errors: [0.01], [0.5] (good if result[0] < 0.05)
        Pods: pod web-canary-1: web: OOMKilled (exit code 137)
        Changed: container web: image web:1 → web:2
        Next: repair what keeps the pods from running, then apply a fixed template, or the stable one to end the release; haldane.dev/do=retry tries the same again
        ");
    }

    #[test]
    fn the_time_until_traffic_is_back_is_added_when_it_is_seen() {
        let (state, seen) = stuck();
        let aborted = decided(state, &seen).state;
        let nothing = Observed { ours: Vec::new(), ..seen };
        // A canary that loses its last pod may give its traffic back long before the deadline.
        for (seconds, expected) in [(3, "after 3 s"), (0, "before the abort"), (-594, "before the abort")] {
            let mut aborted = aborted.clone();
            let rollout = aborted.rollout.as_mut().unwrap();
            let decided_at = now() - SignedDuration::from_secs(9);
            let Stage::Retreat { since, .. } = &mut rollout.stage else { panic!("{:?}", rollout.stage) };
            *since = decided_at;
            rollout.traffic.seen_at = Some(decided_at + SignedDuration::from_secs(seconds));
            let text = text(&decided(aborted, &nothing));
            assert!(text.contains(&format!("Traffic back: {expected}")), "{text}");
        }
    }
}
