//! From the first canary pod to the end of the plan.

use super::{Event, analyses, decision::Decision, evidence, rehearsal};
use crate::{
    domain::{
        metric::AnalysisPhase,
        names::Weight,
        state::{Rollout, Stage},
        strategy::{CanaryScale, Step, StepWait},
    },
    routers,
};
use jiff::Timestamp;

/// The canary is made at weight 0, in the size of the first step; where pods are the split, without any.
pub(super) fn start(rollout: &mut Rollout, decision: &mut Decision<'_>) {
    rollout.canary_replicas =
        if routers::by_pods(rollout.strategy()) { 0 } else { decision.size_at(rollout, 0) };
    rollout.traffic.ask(Weight::ZERO, true, decision.now());
    match decision.canary_is_sized(rollout) {
        Err(late) => on_deadline(rollout, &late, decision),
        Ok(true) if rollout.traffic.seen_at.is_some() && rollout.manual_pause.is_none() => {
            if rehearsal::is_passed(rollout, decision) {
                enter(rollout, 0, decision);
            }
        }
        Ok(_) => {}
    }
}

/// One step of the plan: moves on when its own condition holds.
pub(super) fn step(rollout: &mut Rollout, index: usize, entered_at: Timestamp, decision: &mut Decision<'_>) {
    let Some(step) = rollout.strategy().steps.get(index).cloned() else {
        // The canary grows with the promotion, not while a person still has to decide about it.
        if !is_held_by_person(rollout) && evidence::allows(rollout, index, decision) {
            rollout.unseen = None;
            decision
                .events
                .push(Event::normal("RolloutPromoting", "All steps completed, promoting the canary"));
            rollout.stage = Stage::PromoteScale;
        }
        return;
    };
    analyses::ensure_background(rollout, index, decision);
    // Before the canary grows: where pods are the split, its size is its share.
    let is_seen = evidence::allows(rollout, index, decision);
    if is_seen {
        rollout.canary_replicas = decision.size_at(rollout, index);
    }
    let sized = match decision.canary_is_sized(rollout) {
        Ok(sized) => sized,
        Err(late) => return on_deadline(rollout, &late, decision),
    };
    if is_held_by_person(rollout) || !is_seen {
        return;
    }
    let in_force = shift(rollout, index, sized, decision);
    let done = match step.wait() {
        StepWait::Settle => true,
        StepWait::Size => sized,
        StepWait::Person => false,
        StepWait::Time(span) => decision.passed(entered_at, span.signed()),
        StepWait::Verdict(step) => {
            let waited = step.at_least.is_none_or(|span| decision.passed(entered_at, span.signed()));
            in_force && analysis(rollout, index, decision) && waited
        }
    };
    // No step ends without the traffic that it is to be tried with.
    if done && in_force && rollout.astray().is_none() {
        leave(rollout, index, &step, decision);
    }
}

/// Brings the traffic to what the plan says at `index`; true once every proxy knows it.
///
/// It rises only on a canary that can carry it. A step that was jumped to has its weight too, as in Argo.
fn shift(rollout: &mut Rollout, index: usize, sized: bool, decision: &mut Decision<'_>) -> bool {
    let strategy = rollout.strategy();
    let (weight, headers, mirror) =
        (strategy.weight_at(index), strategy.headers_at(index), strategy.mirror_at(index));
    let more = rollout.traffic.is_less_than(weight, &headers, mirror);
    if more && (!sized || decision.would_fail(rollout)) {
        return false;
    }
    rollout.traffic.ask_all(weight, headers, mirror, decision.now());
    decision.settled(rollout)
}

fn analysis(rollout: &mut Rollout, index: usize, decision: &mut Decision<'_>) -> bool {
    match analyses::phase_of_step(rollout, index) {
        // `analyses::advance` has already drawn the consequence of a bad verdict.
        Some(AnalysisPhase::Successful) => true,
        Some(_) => false,
        None => {
            analyses::start_step(rollout, index, decision);
            false
        }
    }
}

/// Whether a person must act before the plan goes on, whatever the step.
fn is_held_by_person(rollout: &Rollout) -> bool {
    rollout.manual_pause.is_some() || matches!(&rollout.stage, Stage::Step { inconclusive: Some(_), .. })
}

/// Leaves a step that is done.
pub(super) fn leave(rollout: &mut Rollout, index: usize, step: &Step, decision: &mut Decision<'_>) {
    let count = rollout.strategy().steps.len();
    let done = index.saturating_add(1);
    decision.events.push(Event::normal(
        "RolloutStepCompleted",
        format!("Rollout step {done}/{count} completed ({})", describe(step)),
    ));
    enter(rollout, done, decision);
}

pub(super) fn enter(rollout: &mut Rollout, index: usize, decision: &mut Decision<'_>) {
    rollout.stage = Stage::Step { index, entered_at: decision.now(), inconclusive: None };
    if let Some(Step::Pause(_)) = rollout.strategy().steps.get(index) {
        decision.events.push(Event::normal("RolloutPaused", "Rollout is paused (CanaryPauseStep)"));
    }
    analyses::start_background(rollout, index, decision);
}

/// The canary has not grown in time, which ends the rollout unless the plan says otherwise.
pub(super) fn on_deadline(rollout: &mut Rollout, late: &str, decision: &mut Decision<'_>) {
    if rollout.strategy().progress_deadline_abort {
        decision.abort(rollout, &format!("ProgressDeadlineExceeded: {late}"));
    }
}

/// A step in Argo's words.
#[must_use]
pub fn describe(step: &Step) -> String {
    match step {
        Step::SetWeight(weight) => format!("setWeight: {weight}"),
        Step::SetCanaryScale(CanaryScale::Replicas(replicas)) => {
            format!("setCanaryScale: {replicas} replicas")
        }
        Step::SetCanaryScale(CanaryScale::Weight(weight)) => format!("setCanaryScale: weight {weight}"),
        Step::SetCanaryScale(CanaryScale::MatchTrafficWeight) => {
            "setCanaryScale: matchTrafficWeight".to_owned()
        }
        Step::SetHeaderRoute(route) if route.matching.is_empty() => {
            format!("setHeaderRoute: {} removed", route.name)
        }
        Step::SetHeaderRoute(route) => format!("setHeaderRoute: {}", route.name),
        Step::SetMirrorRoute(route) => match route.share {
            Some(share) => format!("setMirrorRoute: {}, {share} %", route.name),
            None => format!("setMirrorRoute: {} removed", route.name),
        },
        Step::Pause(None) => "pause: {}".to_owned(),
        Step::Pause(Some(duration)) => format!("pause: {duration}"),
        Step::Analysis(step) => {
            let templates = &step.analysis.templates;
            let names: Vec<_> = templates.iter().map(|template| template.name.as_str()).collect();
            format!("analysis: {}", names.join(", "))
        }
    }
}
