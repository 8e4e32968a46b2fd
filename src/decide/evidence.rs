//! Nothing is promoted unseen: before the weight rises further, and before the canary is promoted, every metric
//! under way must have had a measurement with data since the canary got traffic.

use super::{Event, decision::Decision, events::WITHOUT_EVIDENCE};
use crate::domain::{
    metric::{MetricResult, MetricSpec},
    names::Weight,
    state::{Rollout, RunRecord, Stage, Unseen},
};
use jiff::{SignedDuration, Timestamp};

/// How long a metric that has been measured is given to have data, before a person is asked.
const PATIENCE: SignedDuration = SignedDuration::from_mins(2);

/// What mostly is the reason of "no data", for the person who is asked.
pub(super) const USUAL_CAUSES: &str = "usual causes: the canary gets no requests; nothing scrapes its pods or its Service; the query asks for a metric or labels that the canary does not have, or only for good answers and all are errors";

/// Whether the rollout may go on to the step at `index`, as far as evidence is concerned: always, unless its weight
/// is more than what the canary has, or the plan is done. Waits for evidence, and then for a person.
pub(super) fn allows(rollout: &mut Rollout, index: usize, decision: &mut Decision<'_>) -> bool {
    let known = rollout.unseen.take().filter(|unseen| unseen.index == index);
    let missing = if is_gate(rollout, index) { missing(rollout) } else { None };
    let Some((problem, is_measured)) = missing else {
        if known.is_some_and(|unseen| unseen.asked && !unseen.accepted) {
            decision
                .events
                .push(Event::normal("RolloutResumed", "All metrics have data now, the rollout continues"));
        }
        return true;
    };
    let mut unseen = known.unwrap_or(Unseen {
        index,
        since: decision.now(),
        asked: false,
        accepted: false,
        message: String::new(),
    });
    let message = format!("{problem} since the canary got traffic; {USUAL_CAUSES}");
    // What is measured again says the same in other figures; one Event is enough.
    let is_late = decision.passed(unseen.since, PATIENCE) && is_measured;
    let is_asked =
        matches!(rollout.stage, Stage::Step { inconclusive: Some(_), .. }) || rollout.manual_pause.is_some();
    if is_late && !is_asked && !unseen.asked && !unseen.accepted {
        unseen.asked = true;
        decision.events.push(Event::warning(
            "RolloutPaused",
            format!("Rollout is paused (NoEvidence): {message}; {WITHOUT_EVIDENCE}"),
        ));
    }
    unseen.message = message;
    let accepted = unseen.accepted;
    rollout.unseen = Some(unseen);
    accepted
}

/// A person continues without evidence: what that is, if the rollout waits for some.
pub(super) fn accept(rollout: &mut Rollout) -> Option<&str> {
    let unseen = rollout.unseen.as_mut().filter(|unseen| !unseen.accepted)?;
    unseen.accepted = true;
    Some(&unseen.message)
}

/// A person sends the rollout to the step at `index`, whatever has been seen.
pub(super) fn accept_at(rollout: &mut Rollout, index: usize, decision: &Decision<'_>) {
    let message = "a person has skipped the steps before".to_owned();
    rollout.unseen = Some(Unseen { index, since: decision.now(), asked: false, accepted: true, message });
}

/// Beyond the first weight, where the analysis is under way already, and at the plan's end.
fn is_gate(rollout: &Rollout, index: usize) -> bool {
    let strategy = rollout.strategy();
    let (before, weight) = (rollout.traffic.weight, strategy.weight_at(index));
    let begins = strategy.background.as_ref().is_some_and(|background| background.starting_step >= index);
    index >= strategy.steps.len() || (before > Weight::ZERO && weight > before && !begins)
}

/// The first metric without evidence, in words, and whether each such metric has been measured since the canary got
/// traffic. A plan that gives it none is judged by what is measured without.
fn missing(rollout: &Rollout) -> Option<(String, bool)> {
    let exposed_at = rollout.exposed_at.unwrap_or(rollout.started_at);
    let newest = rollout.background_run();
    let metrics = newest.into_iter().flat_map(|RunRecord { run, .. }| run.specs.iter().zip(&run.results));
    let unseen: Vec<_> = metrics.filter(|(spec, result)| is_unseen(spec, result, exposed_at)).collect();
    let (_, first) = unseen.first()?;
    let is_open = newest.is_some_and(|record| record.run.completed_at.is_none());
    let is_measured = unseen.iter().all(|(_, result)| !is_open || is_measured(result, exposed_at));
    Some((described(first), is_measured))
}

fn is_unseen(spec: &MetricSpec, result: &MetricResult, exposed_at: Timestamp) -> bool {
    let seen = result.evidence_at.is_some_and(|seen| seen >= exposed_at);
    spec.needs_evidence() && !result.dry_run && !seen
}

fn is_measured(result: &MetricResult, exposed_at: Timestamp) -> bool {
    let newest = result.measurements.last().map(|measurement| measurement.started_at);
    let newest = newest.max(result.thin.map(|thin| thin.counted_at));
    newest.is_some_and(|measured| measured >= exposed_at)
}

fn described(result: &MetricResult) -> String {
    let name = &result.name;
    let nothing = result.measurements.last().and_then(|measurement| measurement.no_data.as_deref());
    match nothing.or(Some(result.message.as_str()).filter(|message| !message.is_empty())) {
        Some(nothing) => format!("metric {name:?} has had no data ({nothing})"),
        None => format!("metric {name:?} has not been measured"),
    }
}
