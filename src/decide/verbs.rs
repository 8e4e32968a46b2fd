//! Orders of people: when each is allowed, and what it does. Admission asks with the same words.

use super::{Event, analyses, decision::Decision, evidence, rehearsal, share, steps};
use crate::domain::{
    names::{TemplateHash, Weight},
    observed::Observed,
    request::{Order, Request, Verb},
    state::{Outcome, Rollout, RolloutState, Stage},
    strategy::Step,
};

/// Whether `order` makes sense in this state.
///
/// # Errors
/// Why it does not, and what would.
pub fn check(order: Order, state: &RolloutState) -> Result<(), String> {
    let verb = order.verb;
    let Some(rollout) = &state.rollout else {
        return Err(match &state.blocked {
            Some(why) => format!("the held template cannot start its rollout: {why}"),
            None => format!(
                "no rollout is under way, so there is nothing to {verb}; change the pod template to start one"
            ),
        });
    };
    let revision = rollout.revision;
    match (&rollout.stage, verb) {
        (Stage::Aborted { .. } | Stage::Retreat { outcome: Outcome::Aborted, .. }, Verb::Retry) => Ok(()),
        (Stage::Aborted { .. } | Stage::Retreat { outcome: Outcome::Aborted, .. }, _) => Err(format!(
            "revision {revision} was aborted; try it again with haldane.dev/do=retry, or apply another pod template"
        )),
        (_, Verb::Retry) => Err(format!(
            "revision {revision} is {}; only an aborted revision can be retried",
            rollout.phase()
        )),
        (Stage::Retreat { outcome, .. }, _) => {
            Err(format!("revision {revision} is already ending as {outcome}; wait until it is done"))
        }
        (Stage::PromoteRoll, Verb::Abort) => Err(format!(
            "revision {revision} has passed its analysis and is replacing stable natively; apply the previous pod template to go back"
        )),
        (
            Stage::PromoteScale | Stage::PromoteShift | Stage::PromoteRoll,
            Verb::Promote | Verb::PromoteFull | Verb::Pause | Verb::Resume | Verb::SkipStep,
        ) => Err(format!(
            "revision {revision} is being promoted already; until stable rolls, haldane.dev/do=abort stops it"
        )),
        (Stage::Start, Verb::Promote | Verb::Resume | Verb::SkipStep)
            if rollout.manual_pause.is_none() && rollout.needs_person().is_none() =>
        {
            Err(format!(
                "revision {revision} waits for its canary to become available; haldane.dev/do=promote-full skips all steps"
            ))
        }
        (_, Verb::Resume) => check_resume(rollout),
        (Stage::Step { index, .. }, Verb::Promote) => check_step(*index, order.step, rollout),
        _ => Ok(()),
    }
}

/// `--step` goes forward only: what a release has shown it need not show again, `retry` starts from the beginning.
fn check_step(at: usize, to: Option<usize>, rollout: &Rollout) -> Result<(), String> {
    let count = rollout.strategy().steps.len();
    let (Some(to), number) = (to, at.saturating_add(1)) else { return Ok(()) };
    if to > at && to < count {
        return Ok(());
    }
    let possible = match count.saturating_sub(number) {
        0 => "it is the last one, which haldane.dev/do=promote leaves".to_owned(),
        1 => format!("--step can only be {count}"),
        _ => format!("--step must be from {} to {count}", number.saturating_add(1)),
    };
    Err(format!("revision {} is at step {number}/{count}; {possible}", rollout.revision))
}

/// `resume` continues past a pause only: skipping a verdict is `promote`'s, which is granted apart.
fn check_resume(rollout: &Rollout) -> Result<(), String> {
    if rollout.is_paused() || rollout.manual_pause.is_some() || rollout.stage == Stage::Start {
        return Ok(());
    }
    let revision = rollout.revision;
    if let Some(why) = &rollout.waiting {
        return Err(format!("revision {revision} is not paused, it waits: {why}"));
    }
    if let Some(why) = rollout.needs_person() {
        return Err(format!(
            "revision {revision} waits for evidence: {why}; haldane.dev/do=promote continues without it"
        ));
    }
    let step = rollout.step_index().and_then(|index| rollout.strategy().steps.get(index));
    let waits = step.map_or_else(|| "its last step to end".to_owned(), steps::describe);
    Err(format!("revision {revision} is not paused, it waits for {waits}; haldane.dev/do=promote skips that"))
}

/// Whether an aborted revision is to be tried again, by an order that was not carried out yet.
#[must_use]
pub fn is_retried(state: &RolloutState, seen: &Observed) -> bool {
    let aborted = state.rollout.as_ref().filter(|rollout| rollout.abort_message().is_some());
    let Some((rollout, request)) = aborted.zip(seen.request()) else { return false };
    request.verb == Verb::Retry
        && request.template == rollout.hash
        && state.handled_request.as_ref() != Some(&request.id)
}

/// Whether an order for this held template is for the rollout that comes next: none of it is recorded yet.
#[must_use]
pub fn is_for_next(template: &TemplateHash, state: &RolloutState) -> bool {
    let is_other = |rollout: &Rollout| {
        let ends = matches!(rollout.stage, Stage::Retreat { outcome: Outcome::Superseded, .. });
        ends || rollout.hash != *template
    };
    state.rollout.as_ref().is_none_or(is_other)
}

/// Carries out a new order, once.
pub(super) fn carry_out(state: &mut RolloutState, decision: &mut Decision<'_>) {
    let Some(request) = decision.seen().request() else { return };
    if state.handled_request.as_ref() == Some(&request.id) {
        return;
    }
    // A rollout that is about to start decides whether an early `pause` or `resume` is for it.
    let is_early = matches!(request.verb, Verb::Pause | Verb::Resume)
        && request.template == decision.seen().template_hash()
        && is_for_next(&request.template, state);
    let pending = (state.rollout.is_none() || is_early) && decision.seen().is_held();
    let queued = decision.input.wait.is_some() && is_retried(state, decision.seen());
    if pending || queued {
        return;
    }
    state.handled_request = Some(request.id.clone());
    let legal = check(request.order(), state);
    let Some(rollout) = &mut state.rollout else { return };
    if request.template != rollout.hash {
        decision.events.push(Event::warning(
            "RequestIgnored",
            format!("{} by {} was for another revision, so it is ignored", request.order(), request.by),
        ));
        return;
    }
    match legal {
        Ok(()) => obey(rollout, &request, decision),
        Err(why) => decision
            .events
            .push(Event::warning("RequestIgnored", format!("{} by {}: {why}", request.order(), request.by))),
    }
}

fn obey(rollout: &mut Rollout, request: &Request, decision: &mut Decision<'_>) {
    let by = &request.by;
    if matches!(request.verb, Verb::Promote | Verb::SkipStep | Verb::Resume) {
        rollout.resumed_at = Some(decision.now());
    }
    match request.verb {
        Verb::Promote if request.step.is_some() => promote_to(rollout, request, decision),
        Verb::Promote => {
            decision.events.push(Event::normal(
                "RolloutResumed",
                format!("Rollout is promoted past its current step by {by}"),
            ));
            rehearsal::accept(rollout);
            if !goes_on_unseen(rollout, decision) {
                continue_on(rollout, true, decision);
            }
        }
        Verb::SkipStep => {
            decision
                .events
                .push(Event::normal("RolloutResumed", format!("The current step is skipped by {by}")));
            skip_step(rollout, decision);
        }
        Verb::PromoteFull => {
            decision.events.push(Event::normal(
                "RolloutResumed",
                format!("Rollout is fully promoted by {by}: remaining steps and analyses are skipped"),
            ));
            rollout.manual_pause = None;
            analyses::overrule(rollout);
            rollout.skipped_after = Some(rollout.step_index().unwrap_or(0));
            rollout.stage = Stage::PromoteScale;
        }
        Verb::Abort => decision.abort(rollout, &format!("by {by}")),
        Verb::Retry => {
            decision.events.push(Event::normal(
                "RolloutRetried",
                format!("Rollout of revision {} is retried by {by}", rollout.revision),
            ));
            retry(rollout, decision);
        }
        Verb::Pause => {
            rollout.manual_pause = Some(decision.now());
            decision.events.push(Event::normal("RolloutPaused", format!("Rollout is paused by {by}")));
        }
        Verb::Resume => {
            decision.events.push(Event::normal("RolloutResumed", format!("Rollout is resumed by {by}")));
            rehearsal::repeat(rollout);
            let was_manual = rollout.manual_pause.is_some();
            continue_on(rollout, !was_manual, decision);
        }
    }
}

/// A person continues although a metric has no data, if that is what the rollout waits for. Whether it is.
fn goes_on_unseen(rollout: &mut Rollout, decision: &mut Decision<'_>) -> bool {
    let Some(unseen) = evidence::accept(rollout) else { return false };
    let message = format!("Rollout continues without evidence: {unseen}");
    decision.events.push(Event::warning("RolloutResumed", message));
    rollout.manual_pause = None;
    if let Stage::Step { index, inconclusive, .. } = &mut rollout.stage {
        let (index, was_inconclusive) = (*index, inconclusive.take().is_some());
        if was_inconclusive {
            analyses::start_again(rollout, index, decision);
        }
    }
    true
}

/// Clears what a person's consent was missing for; then leaves the step if `leave` says so.
fn continue_on(rollout: &mut Rollout, leave: bool, decision: &mut Decision<'_>) {
    rollout.manual_pause = None;
    let Stage::Step { index, inconclusive, .. } = &mut rollout.stage else { return };
    let index = *index;
    let was_inconclusive = inconclusive.take().is_some();
    let Some(step) = rollout.strategy().steps.get(index).cloned() else { return };
    // Weight that was asked for but never reached is skipped, not forced on a canary that is too small.
    let judged_again = was_inconclusive && !matches!(step, Step::Pause(_));
    if leave && !judged_again {
        share::accept(rollout);
        steps::leave(rollout, index, &step, decision);
    } else {
        analyses::start_again(rollout, index, decision);
    }
}

/// Goes on with a later step. Its weight comes into force as soon as the canary has the pods for it.
fn promote_to(rollout: &mut Rollout, request: &Request, decision: &mut Decision<'_>) {
    let Some(step) = request.step else { return };
    decision.events.push(Event::normal(
        "RolloutResumed",
        format!(
            "Rollout is promoted to step {} by {}: the steps before it are skipped",
            step.saturating_add(1),
            request.by
        ),
    ));
    rollout.manual_pause = None;
    evidence::accept_at(rollout, step, decision);
    share::accept(rollout);
    steps::enter(rollout, step, decision);
}

/// Leaves the step, also with an inconclusive verdict that `promote` would have measured again.
fn skip_step(rollout: &mut Rollout, decision: &mut Decision<'_>) {
    rollout.manual_pause = None;
    rehearsal::accept(rollout);
    share::accept(rollout);
    let Stage::Step { index, .. } = rollout.stage else { return };
    match rollout.strategy().steps.get(index).cloned() {
        Some(step) => {
            if evidence::accept(rollout).is_some() {
                evidence::accept_at(rollout, index.saturating_add(1), decision);
            }
            steps::leave(rollout, index, &step, decision);
        }
        None => continue_on(rollout, true, decision),
    }
}

/// From the first step again, with new analyses; what the last attempt measured stays in the history.
fn retry(rollout: &mut Rollout, decision: &Decision<'_>) {
    rollout.attempt = rollout.attempt.saturating_add(1);
    rollout.runs.clear();
    rollout.started_at = decision.now();
    rollout.canary_pod_hash = None;
    rollout.baseline_replicas = decision.seen().replicas();
    rollout.traffic.ask(Weight::ZERO, true, decision.now());
    rollout.lagging = None;
    rollout.exposed_at = None;
    rollout.skipped_after = None;
    rollout.unseen = None;
    rehearsal::begin_again(rollout);
    rollout.stage = Stage::Start;
}
