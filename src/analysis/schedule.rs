//! Decides when a metric is measured next.

use crate::{
    domain::metric::{AnalysisPhase, AnalysisRun, MetricResult, MetricSpec, Thin},
    gocompat::duration::GoDuration,
};
use jiff::{SignedDuration, Timestamp};

/// Retry after an error, regardless of the interval.
const ERROR_RETRY: SignedDuration = SignedDuration::from_secs(10);

/// Whether the run must end: on request, or because a metric that is not in dry run ended badly.
pub(super) fn is_terminating(run: &AnalysisRun) -> bool {
    let ended_badly = |result: &MetricResult| {
        result.phase.is_completed() && result.phase != AnalysisPhase::Successful && !result.dry_run
    };
    run.terminate || run.results.iter().any(ended_badly)
}

/// The metrics to measure at `now`, and when to check again.
pub(super) fn plan(
    run: &AnalysisRun,
    in_flight: &[String],
    now: Timestamp,
) -> (Vec<String>, Option<Timestamp>) {
    if run.phase.is_completed() {
        return (Vec::new(), None);
    }
    if is_terminating(run) {
        // A metric ended the run in this pass; the next pass completes it.
        return (Vec::new(), Some(now));
    }
    let mut due = Vec::new();
    let mut wake_at = None;
    for (spec, result) in run.specs.iter().zip(&run.results) {
        if in_flight.contains(&spec.name) {
            continue;
        }
        let Some(next) = next(spec, result, run.started_at.unwrap_or(now)) else { continue };
        if next.is_due(now) {
            due.push(spec.name.clone());
        } else {
            wake_at = wake_at.into_iter().chain([next.at.max(now)]).min();
        }
    }
    (due, wake_at)
}

struct Next {
    at: Timestamp,
    /// The first measurement is due at `at`, every other one strictly after it.
    is_first: bool,
}

impl Next {
    fn is_due(&self, now: Timestamp) -> bool {
        if self.is_first { self.at <= now } else { self.at < now }
    }
}

/// The next measurement of a metric, if there is one.
fn next(spec: &MetricSpec, result: &MetricResult, started_at: Timestamp) -> Option<Next> {
    if result.phase.is_completed() {
        return None;
    }
    if let Some(thin) = result.thin {
        return Some(Next { at: counted_again(spec, thin), is_first: true });
    }
    let Some(last) = result.measurements.last() else {
        let delay = spec.initial_delay.unwrap_or_default().signed();
        return Some(Next { at: later(started_at, delay), is_first: true });
    };
    if spec.effective_count().is_some_and(|count| result.count >= count) {
        return None;
    }
    let pause = match last.phase {
        AnalysisPhase::Error => ERROR_RETRY,
        _ => spec.interval?.signed(),
    };
    Some(Next { at: later(last.finished_at, pause), is_first: false })
}

/// When to count the samples again: after the same time as after an error, or after the interval if that is shorter.
fn counted_again(spec: &MetricSpec, thin: Thin) -> Timestamp {
    let interval = spec.interval.map_or(ERROR_RETRY, GoDuration::signed);
    let pause = interval.clamp(SignedDuration::from_secs(1), ERROR_RETRY);
    later(thin.counted_at, pause)
}

fn later(from: Timestamp, span: SignedDuration) -> Timestamp {
    from.checked_add(span).unwrap_or(Timestamp::MAX)
}
