//! Orders of people: when each is allowed, and what it does. Admission asks with the same words.

use super::{Event, analyses, evidence, rehearsal, steps, turn::Turn};
use crate::domain::{
    names::Weight,
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

/// `--step` goes forward only: what a release has shown it need not show again, `retry` starts anew.
fn check_step(at: usize, to: Option<usize>, rollout: &Rollout) -> Result<(), String> {
    let count = rollout.strategy().steps.len();
    match to {
        Some(to) if to <= at || to > count => Err(format!(
            "revision {} is at step {at}/{count}, so --step must be from {} to {count}, counted from 0",
            rollout.revision,
            at.saturating_add(1)
        )),
        _ => Ok(()),
    }
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
            "revision {revision} waits for evidence: {why}; haldane.dev/do=promote goes on without"
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

/// Carries out a new order, once.
pub(super) fn carry_out(state: &mut RolloutState, turn: &mut Turn<'_>) {
    let Some(request) = turn.seen().request() else { return };
    if state.handled_request.as_ref() == Some(&request.id) {
        return;
    }
    // A rollout that is about to start decides whether an early `pause` is for it.
    let pending = state.rollout.is_none() && turn.seen().is_held();
    let queued = turn.input.wait.is_some() && is_retried(state, turn.seen());
    if pending || queued {
        return;
    }
    state.handled_request = Some(request.id.clone());
    let legal = check(request.order(), state);
    let Some(rollout) = &mut state.rollout else { return };
    if request.template != rollout.hash {
        turn.events.push(Event::warning(
            "RequestIgnored",
            format!("{} by {} was for another revision, so it is ignored", request.order(), request.by),
        ));
        return;
    }
    match legal {
        Ok(()) => obey(rollout, &request, turn),
        Err(why) => turn
            .events
            .push(Event::warning("RequestIgnored", format!("{} by {}: {why}", request.order(), request.by))),
    }
}

fn obey(rollout: &mut Rollout, request: &Request, turn: &mut Turn<'_>) {
    let by = &request.by;
    match request.verb {
        Verb::Promote if request.step.is_some() => promote_to(rollout, request, turn),
        Verb::Promote => {
            turn.events.push(Event::normal(
                "RolloutResumed",
                format!("Rollout is promoted past its present step by {by}"),
            ));
            rehearsal::accept(rollout);
            if !goes_on_unseen(rollout, turn) {
                continue_on(rollout, true, turn);
            }
        }
        Verb::SkipStep => {
            turn.events.push(Event::normal("RolloutResumed", format!("The present step is skipped by {by}")));
            skip_step(rollout, turn);
        }
        Verb::PromoteFull => {
            turn.events.push(Event::normal(
                "RolloutResumed",
                format!("Rollout is fully promoted by {by}: remaining steps and analyses are skipped"),
            ));
            rollout.manual_pause = None;
            analyses::overrule(rollout);
            rollout.stage = Stage::PromoteScale;
        }
        Verb::Abort => turn.abort(rollout, &format!("by {by}")),
        Verb::Retry => {
            turn.events.push(Event::normal(
                "RolloutRetried",
                format!("Rollout of revision {} is retried by {by}", rollout.revision),
            ));
            retry(rollout, turn);
        }
        Verb::Pause => {
            rollout.manual_pause = Some(turn.now());
            turn.events.push(Event::normal("RolloutPaused", format!("Rollout is paused by {by}")));
        }
        Verb::Resume => {
            turn.events.push(Event::normal("RolloutResumed", format!("Rollout is resumed by {by}")));
            rehearsal::repeat(rollout);
            let was_manual = rollout.manual_pause.is_some();
            continue_on(rollout, !was_manual, turn);
        }
    }
}

/// A person goes on although a metric has seen nothing, if that is what the rollout waits for. Whether it is.
fn goes_on_unseen(rollout: &mut Rollout, turn: &mut Turn<'_>) -> bool {
    let Some(unseen) = evidence::accept(rollout) else { return false };
    let message = format!("Rollout goes on without evidence: {unseen}");
    turn.events.push(Event::warning("RolloutResumed", message));
    rollout.manual_pause = None;
    if let Stage::Step { index, inconclusive, .. } = &mut rollout.stage {
        let (index, was_inconclusive) = (*index, inconclusive.take().is_some());
        if was_inconclusive {
            analyses::start_anew(rollout, index, turn);
        }
    }
    true
}

/// Takes away what a person's consent was missing for; then leaves the step if `leave` says so.
fn continue_on(rollout: &mut Rollout, leave: bool, turn: &mut Turn<'_>) {
    rollout.manual_pause = None;
    let Stage::Step { index, inconclusive, .. } = &mut rollout.stage else { return };
    let index = *index;
    let was_inconclusive = inconclusive.take().is_some();
    let Some(step) = rollout.strategy().steps.get(index).cloned() else { return };
    // Weight that was asked for but never reached is skipped, not forced on a canary that is too small.
    let judged_anew = was_inconclusive && !matches!(step, Step::Pause(_));
    if leave && !judged_anew {
        steps::leave(rollout, index, &step, turn);
    } else {
        analyses::start_anew(rollout, index, turn);
    }
}

/// Goes on with a later step. Its weight comes into force as soon as the canary has the pods for it.
fn promote_to(rollout: &mut Rollout, request: &Request, turn: &mut Turn<'_>) {
    let Some(step) = request.step else { return };
    turn.events.push(Event::normal(
        "RolloutResumed",
        format!("Rollout is promoted to step {step} by {}: the steps before it are skipped", request.by),
    ));
    rollout.manual_pause = None;
    evidence::accept_at(rollout, step, turn);
    steps::enter(rollout, step, turn);
}

/// Leaves the step, also with an inconclusive verdict that `promote` would have asked for anew.
fn skip_step(rollout: &mut Rollout, turn: &mut Turn<'_>) {
    rollout.manual_pause = None;
    rehearsal::accept(rollout);
    let Stage::Step { index, .. } = rollout.stage else { return };
    match rollout.strategy().steps.get(index).cloned() {
        Some(step) => {
            if evidence::accept(rollout).is_some() {
                evidence::accept_at(rollout, index.saturating_add(1), turn);
            }
            steps::leave(rollout, index, &step, turn);
        }
        None => continue_on(rollout, true, turn),
    }
}

/// From the first step again, with new analyses; what the last attempt measured stays in the history.
fn retry(rollout: &mut Rollout, turn: &Turn<'_>) {
    rollout.attempt = rollout.attempt.saturating_add(1);
    rollout.runs.clear();
    rollout.started_at = turn.now();
    rollout.canary_pod_hash = None;
    rollout.baseline_replicas = turn.seen().replicas();
    rollout.traffic.ask(Weight::ZERO, true, turn.now());
    rollout.lagging = None;
    rollout.exposed_at = None;
    rollout.unseen = None;
    rehearsal::begin_anew(rollout);
    rollout.stage = Stage::Start;
}
