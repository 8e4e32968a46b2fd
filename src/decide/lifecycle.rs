//! Which template is the canary's: starts, replaces and ends rollouts as the user's template changes.

use super::{Event, Wait, bypass, condition::ABORT_PREFIX, decision::Decision, freeze::Frozen, verbs};
use crate::domain::{
    names::TemplateHash,
    request::Verb,
    state::{Outcome, Rollout, RolloutState, Stage},
};
use jiff::SignedDuration;

/// Between two checks whether it may start, for changes that no watch reports, such as a profile that allows more now.
const QUEUE_PAUSE: SignedDuration = SignedDuration::from_secs(30);

/// Removes a canary that the state does not know: its record was deleted, or a replica that no
/// longer leads has made an object late. An abort that the Deployment still reports stays one.
pub(super) fn recover(state: &mut RolloutState, decision: &mut Decision<'_>) {
    if state.rollout.is_some() {
        return;
    }
    let seen = decision.seen();
    let abort = seen.progressing().and_then(|condition| condition.message.clone()).filter(|message| {
        let is_trial = seen.is_held() && decision.stable_hash().as_ref() != Some(&seen.template_hash());
        *state == RolloutState::default() && is_trial && message.starts_with(ABORT_PREFIX)
    });
    let (Ok(next), true) = (decision.input.next, abort.is_some() || !seen.ours.is_empty()) else { return };
    let outcome = if abort.is_some() { Outcome::Aborted } else { Outcome::Superseded };
    let message =
        abort.unwrap_or_else(|| "The canary is removed: the record of its rollout is gone".to_owned());
    decision.events.push(Event::warning("RolloutUpdated", message.clone()));
    state.revision = state.revision.max(seen.native_revision());
    // Orders were for the rollout that is forgotten.
    state.handled_request = seen.request().map(|request| request.id);
    let mut rollout = made(state.revision, seen.template_hash(), next.clone(), decision);
    rollout.stage = Stage::Retreat { outcome, since: decision.now(), message };
    state.rollout = Some(rollout);
}

/// Follows the template of the user's Deployment.
pub(super) fn follow_template(state: &mut RolloutState, decision: &mut Decision<'_>) {
    let wanted = decision.seen().template_hash();
    match &mut state.rollout {
        None if decision.seen().is_held() => {
            if decision.stable_hash().as_ref() == Some(&wanted) {
                state.blocked = None;
                state.queued_since = None;
            } else {
                start(state, wanted, decision);
            }
        }
        None => {
            state.blocked = None;
            state.queued_since = None;
            if decision.seen().has_rolled() {
                state.becomes_stable(wanted);
                state.revision = state.revision.max(decision.seen().native_revision());
            }
            bypass::hold(state, decision);
        }
        Some(rollout) if rollout.hash != wanted => on_other_template(rollout, &wanted, decision),
        Some(rollout) if decision.stable_hash().as_ref() == Some(&wanted) => on_bypass(rollout, decision),
        Some(_) => {}
    }
}

/// The user applied something else while a rollout was under way.
///
/// Also while stable was rolling: it is held again, and serves with pods of both templates. Both are
/// trusted, one because it served before, the other because it has passed its analysis.
fn on_other_template(rollout: &mut Rollout, wanted: &TemplateHash, decision: &mut Decision<'_>) {
    let back_to_stable = decision.stable_hash().as_ref() == Some(wanted);
    let outcome = if back_to_stable { Outcome::RolledBack } else { Outcome::Superseded };
    match &rollout.stage {
        // It is stable already; the next rollout waits for its clean end.
        Stage::Retreat { outcome: Outcome::Promoted, .. } => return,
        Stage::Retreat { outcome: known, .. } if *known == outcome => return,
        _ => {}
    }
    let revision = rollout.revision;
    let message = match outcome {
        Outcome::RolledBack => {
            format!("Rollback of revision {revision}: the stable template was applied again")
        }
        _ => format!("Revision {revision} is superseded by another template"),
    };
    decision.events.push(Event::normal("RolloutUpdated", message.clone()));
    decision.retreat(rollout, outcome, message);
}

/// The canary's template serves already: it was started past the webhook, and what runs is not removed.
fn on_bypass(rollout: &mut Rollout, decision: &mut Decision<'_>) {
    let ends = match rollout.stage {
        Stage::PromoteRoll => true,
        Stage::Retreat { outcome, .. } => outcome != Outcome::Aborted,
        _ => false,
    };
    if !ends {
        let message = format!(
            "Revision {} already serves: its pods were started without being held, so its canary is removed",
            rollout.revision
        );
        decision.events.push(Event::warning("RolloutUpdated", message.clone()));
        decision.retreat(rollout, Outcome::Superseded, message);
    }
}

/// A requested retry waits for its turn as a release does; until then its revision stays aborted.
pub(super) fn queue_retry(state: &mut RolloutState, decision: &mut Decision<'_>) {
    match decision.input.wait {
        Some(wait) if verbs::is_retried(state, decision.seen()) => hold_back(state, wait, decision),
        _ if state.rollout.is_some() => {
            state.blocked = None;
            state.queued_since = None;
        }
        _ => {}
    }
}

/// Holds what starts until it may. What waits for room is woken when a canary ends; what a policy does not let start
/// has no place in the queue, where it would keep others waiting.
fn hold_back(state: &mut RolloutState, wait: &Wait, decision: &mut Decision<'_>) {
    let (why, event) = match wait {
        Wait::Queue(why) => (why, Event::normal("RolloutQueued", format!("The rollout {why}"))),
        Wait::Policy(why) => {
            (why, Event::warning("RolloutBlocked", format!("The rollout cannot start: {why}")))
        }
    };
    if state.blocked.as_ref() != Some(why) {
        decision.events.push(event);
    }
    state.blocked = Some(why.clone());
    state.queued_since = match wait {
        Wait::Queue(_) => state.queued_since.or(Some(decision.now())),
        Wait::Policy(_) => None,
    };
    decision.passed(decision.now(), QUEUE_PAUSE);
}

fn start(state: &mut RolloutState, hash: TemplateHash, decision: &mut Decision<'_>) {
    let next = match decision.input.next {
        Ok(next) => next.clone(),
        Err(why) => {
            if state.blocked.as_ref() != Some(why) {
                decision
                    .events
                    .push(Event::warning("InvalidSpec", format!("The rollout cannot start: {why}")));
            }
            state.blocked = Some(why.clone());
            state.queued_since = None;
            return;
        }
    };
    if let Some(wait) = decision.input.wait {
        return hold_back(state, wait, decision);
    }
    state.blocked = None;
    state.queued_since = None;
    state.revision = state.revision.max(decision.seen().native_revision()).saturating_add(1);
    decision
        .events
        .push(Event::normal("RolloutUpdated", format!("Rollout updated to revision {}", state.revision)));
    let mut rollout = made(state.revision, hash, next, decision);
    // The user had paused the Deployment before changing it: the canary waits for their `resume`.
    if let Some(request) = decision.seen().request().filter(|r| state.handled_request.as_ref() != Some(&r.id))
    {
        state.handled_request = Some(request.id);
        if request.verb == Verb::Pause && request.template == rollout.hash {
            rollout.manual_pause = Some(decision.now());
        }
    }
    let window = rollout.strategy().rollback_window;
    if state.served_lately(&rollout.hash, window) && rollout.manual_pause.is_none() {
        decision.events.push(Event::normal(
            "RolloutPromoting",
            format!("The template was stable within the last {window} revisions (rollbackWindow): steps and analyses are skipped"),
        ));
        rollout.stage = Stage::PromoteScale;
    }
    state.rollout = Some(rollout);
}

/// A rollout of which nothing has been done yet.
fn made(revision: u64, hash: TemplateHash, next: Frozen, decision: &Decision<'_>) -> Rollout {
    let Frozen { spec, rewrite, metric_hosts } = next;
    Rollout {
        metric_hosts,
        ..Rollout::new(revision, hash, spec, rewrite, decision.seen().replicas(), decision.now())
    }
}

/// Ends a retreat: an aborted one when the traffic is back, any other when nothing of the canary is left.
pub(super) fn finish_retreat(state: &mut RolloutState, decision: &mut Decision<'_>) {
    for entry in std::mem::take(&mut decision.ended) {
        state.remember(entry);
    }
    if let Some(report) = decision.report.take() {
        state.add_report(report);
    }
    let Some(rollout) = &mut state.rollout else { return };
    let Stage::Retreat { outcome, since, message } = rollout.stage.clone() else { return };
    if outcome == Outcome::Aborted {
        if decision.settled(rollout) {
            let (revision, seen_at) = (rollout.revision, rollout.traffic.seen_at);
            rollout.stage = Stage::Aborted { since, message };
            if let Some(seen_at) = seen_at {
                state.traffic_is_back(revision, seen_at.duration_since(since));
            }
        }
        return;
    }
    if !decision.removal_is_due(rollout) || !decision.seen().ours.is_empty() {
        return;
    }
    if outcome == Outcome::Promoted {
        let hash = rollout.hash.clone();
        state.becomes_stable(hash);
    }
    state.rollout = None;
    // A template that waited behind the retreat is taken up at once.
    follow_template(state, decision);
}

#[cfg(test)]
mod tests {
    use super::Frozen;
    use crate::decide::{
        Start, Wait,
        fixtures::{decided_in_turn, decided_with, next, now, ordered, seen, set, state},
        needs,
    };
    use crate::domain::{
        observed::{Observed, ReplicaSetView},
        state::{Phase, RolloutState, Stage, Traffic},
    };
    use serde_json::json;

    /// Version `b` was aborted.
    fn aborted() -> RolloutState {
        let stage = Stage::Aborted { since: now(), message: "RolloutAborted: bad".into() };
        let mut aborted = state(&seen(4, "b", true), stage);
        aborted.rollout.as_mut().unwrap().traffic = Traffic::none(now());
        aborted
    }

    /// The Deployment of this image with an order to try it again.
    fn retried(image: &str) -> Observed {
        ordered(seen(4, image, true), "retry")
    }

    #[test]
    fn a_retry_takes_its_turn_and_its_revision_stays_aborted_until_then() {
        let decision = Wait::Queue("waits for its turn".to_owned());
        let full = Some(&decision);
        let (before, world) = (aborted(), retried("b"));
        assert_eq!(needs(&before, &world, false, now()).start, Start::Retry);
        let queued = decided_in_turn(before, &world, full);
        assert_eq!(queued.state.phase(), Phase::Degraded);
        assert_eq!(queued.state.blocked.as_deref(), Some("waits for its turn"));
        assert_eq!((queued.state.queued_since, queued.events.len()), (Some(now()), 1));
        assert!(queued.wake_at.is_some(), "it looks again");
        let again = decided_in_turn(queued.state.clone(), &world, full);
        assert_eq!((&again.state, again.events.len()), (&queued.state, 0), "reported once");

        let started = decided_in_turn(again.state, &world, None).state;
        let rollout = started.rollout.as_ref().unwrap();
        assert_eq!((&rollout.stage, rollout.attempt), (&Stage::Start, 2));
        assert_eq!((started.blocked.as_ref(), started.queued_since), (None, None));
        assert_eq!(needs(&started, &world, false, now()).start, Start::Nothing, "the order was carried out");
    }

    #[test]
    fn a_retry_that_waits_is_forgotten_when_another_template_comes() {
        let decision = Wait::Queue("waits for its turn".to_owned());
        let queued = decided_in_turn(aborted(), &retried("b"), Some(&decision)).state;
        let superseded = decided_in_turn(queued, &seen(4, "c", true), None).state;
        assert_eq!((superseded.blocked, superseded.queued_since), (None, None));
    }

    /// Version `b` is held next to four pods of `a`.
    fn held() -> Observed {
        let mut world = seen(4, "b", true);
        world.replica_sets =
            vec![ReplicaSetView { wanted: 4, ready: 4, ..set(&seen(4, "a", false), "web-a", "1") }];
        world
    }

    #[test]
    fn a_pause_or_resume_that_comes_with_a_newer_template_is_for_its_rollout() {
        for (verb, is_paused) in [("pause", true), ("resume", false)] {
            let mut before = state(&seen(4, "a", true), Stage::Start);
            before.rollout.as_mut().unwrap().manual_pause = Some(now());
            before.rollout.as_mut().unwrap().traffic = Traffic::none(now());
            let world = ordered(held(), verb);
            let superseded = decided_with(before, &world, &Ok(next()), None);
            assert_eq!(superseded.state.handled_request, None, "it is not for the old one");
            let reasons: Vec<_> = superseded.events.iter().map(|event| event.reason).collect();
            assert!(!reasons.contains(&"RequestIgnored"), "{reasons:?}");
            let ended = RolloutState { rollout: None, ..superseded.state };
            let started = decided_with(ended, &world, &Ok(next()), None).state;
            assert_eq!(started.handled_request.as_deref(), Some(verb));
            assert_eq!(started.rollout.unwrap().manual_pause.is_some(), is_paused, "{verb}");
        }
    }

    #[test]
    fn a_profile_cannot_be_got_around_by_templates_that_change_after_admission() {
        let refused = Wait::Policy("host x is not allowed".to_owned());
        let blocked = decided_with(RolloutState::default(), &held(), &Ok(next()), Some(&refused));
        assert_eq!((blocked.state.rollout.is_none(), blocked.state.phase()), (true, Phase::Held));
        assert_eq!(blocked.state.blocked.as_deref(), Some("host x is not allowed"));
        assert_eq!(blocked.state.queued_since, None, "it keeps nobody waiting");
        assert_eq!(blocked.events.iter().map(|event| event.reason).collect::<Vec<_>>(), ["RolloutBlocked"]);
        assert!(blocked.apply.is_empty() && blocked.wake_at.is_some(), "it looks again");
        let again = decided_with(blocked.state, &held(), &Ok(next()), Some(&refused));
        assert!(again.events.is_empty(), "reported once");
        let started = decided_with(again.state, &held(), &Ok(next()), None).state;
        assert_eq!((started.blocked.as_ref(), started.phase()), (None, Phase::Held));
        assert!(started.rollout.is_some());

        // A canary whose record is gone is taken back whatever the policy says of the plan that would follow.
        let mut lost = held();
        lost.ours = vec![json!({"kind": "Ingress", "metadata": {"name": "web-canary"}})];
        let taken = decided_with(RolloutState::default(), &lost, &Ok(next()), Some(&refused)).state;
        assert!(matches!(taken.rollout.unwrap().stage, Stage::Retreat { .. }));
    }

    #[test]
    fn the_hosts_that_a_profile_names_are_frozen_with_the_plan() {
        let hosts = Some(vec!["prometheus.monitoring".parse().unwrap()]);
        let next = Frozen { metric_hosts: hosts.clone(), ..next() };
        let started = decided_with(RolloutState::default(), &held(), &Ok(next), None).state;
        assert_eq!(started.rollout.unwrap().metric_hosts, hosts);
    }
}
