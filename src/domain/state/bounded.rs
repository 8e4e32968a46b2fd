//! The state as text of a bounded size: Kubernetes refuses an object over 1 MiB, and with it the verdict in it.

use super::RolloutState;
use crate::domain::strategy::RolloutSpec;
use serde::Serialize;
use std::collections::BTreeMap;

/// Bytes that the text has room for, with a quarter of the object left for its metadata.
const ROOM: usize = 768 * 1024;
/// Bytes that a plan may take with what its analyses leave at least, in addition to the rest of the state.
pub const PLAN_ROOM: usize = ROOM - 64 * 1024;
/// Bytes of a metric's result in addition to the metric itself: its verdict, and a measurement of the usual length.
const RESULT: usize = 1024;
/// How many of the newest measurements a metric keeps, tried in this order. One is the least: the time of
/// the next one counts from it.
const MEASUREMENTS: [usize; 6] = [50, 20, 10, 5, 2, 1];
/// How many ended rollouts are remembered then.
const HISTORY: [usize; 3] = [10, 5, 1];

/// The state as JSON. Where there is no room for all of it, the oldest measurements go first and then the oldest
/// history; what was concluded from them stays.
///
/// # Errors
/// A state always can be written as JSON.
pub fn text(state: &RolloutState) -> serde_json::Result<String> {
    let mut text = serde_json::to_string(state)?;
    if text.len() <= ROOM {
        return Ok(text);
    }
    let mut state = state.clone();
    for kept in MEASUREMENTS {
        let runs = state.rollout.iter_mut().flat_map(|rollout| &mut rollout.runs);
        for result in runs.flat_map(|record| &mut record.run.results) {
            keep_newest(&mut result.measurements, kept);
        }
        text = serde_json::to_string(&state)?;
        if text.len() <= ROOM {
            return Ok(text);
        }
    }
    for kept in HISTORY {
        keep_newest(&mut state.history, kept);
        keep_newest(&mut state.reports, 1);
        text = serde_json::to_string(&state)?;
        if text.len() <= ROOM {
            break;
        }
    }
    Ok(text)
}

/// Bytes that a plan takes in the record, with one result of every metric of all its analyses: what the plan
/// says and what its analyses have concluded never goes.
#[must_use]
pub fn plan_bytes(spec: &RolloutSpec) -> usize {
    let templates: BTreeMap<_, _> = spec.templates.iter().map(|named| (&named.reference, named)).collect();
    let used = spec.strategy.analyses().flat_map(|analysis| &analysis.templates);
    let used = used.filter_map(|reference| templates.get(reference));
    // An analysis holds its metrics with their arguments filled in.
    let runs = used.map(|named| bytes(named).saturating_add(named.template.metrics.len() * RESULT));
    runs.fold(bytes(spec), usize::saturating_add)
}

fn bytes(part: &impl Serialize) -> usize {
    serde_json::to_string(part).map_or(usize::MAX, |text| text.len())
}

fn keep_newest<T>(list: &mut Vec<T>, count: usize) {
    let excess = list.len().saturating_sub(count);
    list.drain(..excess);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        metric::{AnalysisPhase, AnalysisRun, Measurement, MetricResult, MetricSpec},
        state::RunRecord,
        strategy::Step,
    };
    use jiff::Timestamp;
    use serde_json::json;

    /// A rollout that has measured nothing yet.
    fn started() -> RolloutState {
        let at = "2026-01-01T00:00:00Z";
        let strategy = json!({
            "steps": [], "progressDeadlineAbort": true, "nginx": {"annotationPrefix": "nginx"}, "settle": "6s",
        });
        let rollout = json!({
            "revision": 2, "hash": "b", "spec": {"strategy": strategy}, "rewrite": {"of": "web", "keys": ["app"]},
            "startedAt": at, "attempt": 1, "baselineReplicas": 4, "canaryReplicas": 2,
            "traffic": {"weight": 0, "routes": true, "askedAt": at}, "stage": {"name": "start"},
        });
        serde_json::from_value(json!({"version": 1, "revision": 2, "rollout": rollout})).unwrap()
    }

    /// Twelve analyses of 40 metrics with as many measurements as a plan may keep.
    fn large() -> RolloutState {
        let mut state = started();
        let measurement = |number: usize| Measurement {
            phase: AnalysisPhase::Successful,
            value: Some(number.to_string()),
            message: "m".repeat(900),
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::UNIX_EPOCH,
            no_data: None,
            metadata: std::collections::BTreeMap::new(),
        };
        let result = |number: usize| MetricResult {
            name: format!("m{number}"),
            phase: AnalysisPhase::Failed,
            message: "failed (1) > failureLimit (0)".to_owned(),
            count: 100,
            successful: 99,
            failed: 1,
            measurements: (0..100).map(measurement).collect(),
            ..MetricResult::default()
        };
        let run = |number: usize| RunRecord {
            step: None,
            run: AnalysisRun {
                name: format!("web-{number}"),
                results: (0..40).map(result).collect(),
                message: "Metric \"m0\" assessed Failed".to_owned(),
                phase: AnalysisPhase::Failed,
                ..AnalysisRun::default()
            },
        };
        state.rollout.as_mut().unwrap().runs = (0..12).map(run).collect();
        state
    }

    #[test]
    fn the_largest_state_fits_and_keeps_every_verdict_and_the_newest_measurement() {
        let state = large();
        let text = text(&state).unwrap();
        assert!(text.len() <= ROOM, "{} bytes", text.len());
        let read: RolloutState = serde_json::from_str(&text).unwrap();
        let (before, after) = (state.rollout.unwrap().runs, read.rollout.unwrap().runs);
        assert_eq!(before.len(), after.len());
        for (before, after) in before.iter().zip(&after) {
            assert_eq!((&before.run.message, before.run.phase), (&after.run.message, after.run.phase));
            for (before, after) in before.run.results.iter().zip(&after.run.results) {
                assert_eq!((before.count, before.failed), (after.count, after.failed));
                assert_eq!(before.measurements.last(), after.measurements.last());
            }
        }
    }

    #[test]
    fn a_state_that_has_room_is_written_whole() {
        let mut state = large();
        state.rollout.as_mut().unwrap().runs.truncate(1);
        let results = &mut state.rollout.as_mut().unwrap().runs[0].run.results;
        results.truncate(2);
        let read: RolloutState = serde_json::from_str(&text(&state).unwrap()).unwrap();
        assert_eq!(read, state);
    }

    /// One metric's result as it mostly is.
    fn result(spec: &MetricSpec) -> MetricResult {
        let measurement = Measurement {
            phase: AnalysisPhase::Successful,
            value: Some("[0.98765]".to_owned()),
            message: String::new(),
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::UNIX_EPOCH,
            no_data: None,
            metadata: BTreeMap::new(),
        };
        MetricResult {
            name: spec.name.clone(),
            message: "failed (1) > failureLimit (0)".to_owned(),
            measurements: vec![measurement],
            ..MetricResult::default()
        }
    }

    #[test]
    fn the_largest_plan_that_is_admitted_can_be_recorded_with_its_results() {
        for (length, metrics) in [(100, 20), (3_000, 5), (40_000, 2)] {
            let provider = json!({"key": "prometheus", "config": {"query": "q".repeat(length)}});
            let metrics: Vec<_> =
                (0..metrics).map(|n| json!({"name": format!("m{n}"), "provider": provider})).collect();
            let specs: Vec<MetricSpec> = serde_json::from_value(json!(metrics)).unwrap();
            let named = json!({"name": "t", "template": {"metrics": metrics}});
            let step: Step =
                serde_json::from_value(json!({"analysis": {"templates": [{"name": "t"}]}})).unwrap();
            let mut state = started();
            let rollout = state.rollout.as_mut().unwrap();
            rollout.spec.templates = vec![serde_json::from_value(named).unwrap()];
            while plan_bytes(&rollout.spec) <= PLAN_ROOM {
                rollout.spec.strategy.steps.push(step.clone());
            }
            rollout.spec.strategy.steps.pop();
            let steps = rollout.spec.strategy.steps.len();
            assert!(steps > 1, "{steps} steps of {length} bytes");
            let results = specs.iter().map(result).collect();
            let run = AnalysisRun { name: "web-2".to_owned(), specs, results, ..AnalysisRun::default() };
            rollout.runs = (0..steps).map(|step| RunRecord { step: Some(step), run: run.clone() }).collect();
            let bytes = serde_json::to_string(&state).unwrap().len();
            assert!(bytes <= ROOM, "{bytes} bytes with {steps} steps of {length}");
        }
    }
}
