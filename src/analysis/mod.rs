//! Argo Rollouts' analysis engine as pure functions.
//!
//! [`start`] makes a run from templates and arguments; [`advance`] takes the results of measurements and returns
//! what to measure next. The run is plain data: it is stored between two calls, and a measurement that was in
//! flight when its process died is due again.

pub mod args;
pub mod condition;
mod evidence;
pub mod judge;
mod run;
pub mod samples;
mod schedule;
pub mod secrets;
pub mod validate;

pub use crate::domain::metric::ResolvedArg;
pub use evidence::{lacking, unsatisfied};
pub use run::{RunPlan, fields_wanted, flatten, start};

use crate::domain::{metric::AnalysisRun, value::Reading};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The result of one request to a provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The metric's name.
    pub metric: String,
    /// When the request was sent.
    pub started_at: Timestamp,
    /// When the answer was complete.
    pub finished_at: Timestamp,
    /// The answer, or why there is none.
    pub outcome: Result<Reading, String>,
    /// The query, for messages about an empty answer.
    pub asked: Option<String>,
    /// Present if the answer has no data: what a message adds about that, such as `, but …`; may be empty.
    pub no_data: Option<String>,
    /// What it returned in addition, e.g. warnings.
    pub metadata: BTreeMap<String, String>,
}

/// A run one pass later.
#[derive(Debug, Clone, PartialEq)]
pub struct Advance {
    /// The run to store.
    pub run: AnalysisRun,
    /// The metrics to measure now.
    pub due: Vec<String>,
    /// When to advance again if no answer comes before; `None` means only with an answer, or never.
    pub wake_at: Option<Timestamp>,
}

/// One pass of Argo's `reconcileAnalysisRun`.
///
/// `answers` are judged and counted, then every metric and the run are assessed, then the next measurements are
/// planned. `in_flight` names the metrics that are being measured: they are neither due nor ended. A completed run
/// does not change.
#[must_use]
pub fn advance(mut run: AnalysisRun, answers: Vec<Answer>, in_flight: &[String], now: Timestamp) -> Advance {
    if !run.phase.is_completed() {
        // As in Argo, a metric that ends badly in this pass ends the others in the next.
        let terminating = schedule::is_terminating(&run);
        run.started_at.get_or_insert(now);
        for answer in answers {
            record(&mut run, answer);
        }
        judge::assess(&mut run, in_flight, terminating, now);
    }
    let (due, wake_at) = schedule::plan(&run, in_flight, now);
    Advance { run, due, wake_at }
}

/// An answer about an unknown or completed metric comes too late to matter.
fn record(run: &mut AnalysisRun, answer: Answer) {
    let mut metrics = run.specs.iter().zip(&mut run.results);
    let open = metrics.find(|(spec, result)| spec.name == answer.metric && !result.phase.is_completed());
    let Some((spec, result)) = open else { return };
    let measurement = match samples::too_little(spec, &answer) {
        Some(little) => samples::wait(spec, result, little, &answer),
        None => Some(judge::measurement(spec, answer)),
    };
    if let Some(measurement) = measurement {
        result.thin = None;
        result.message.clear();
        judge::record(result, measurement);
    }
}
