//! Writes that are not accepted: what is recorded of them, and how long a rollout waits for them, or for a data plane
//! that does not follow them.

use super::{Event, decision::Decision};
use crate::domain::state::{Phase, Refused, Rollout, RolloutState, Stage};
use jiff::{SignedDuration, Timestamp};

/// An answer that does not accept a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Kind and name of the object.
    pub object: String,
    /// The API server's words.
    pub message: String,
}

/// The state that is to be recorded after the writes of a pass, and its Event; `None` where `state` says it already.
pub(super) fn stated(
    state: &RolloutState,
    refusal: Option<Refusal>,
    now: Timestamp,
) -> Option<(RolloutState, Option<Event>)> {
    let known = state.refused.as_ref();
    let since = known.map_or(now, |known| known.since);
    let refused = refusal.map(|refusal| Refused::new(refusal.object, &refusal.message, since));
    let is_same = match (known, &refused) {
        (Some(known), Some(refused)) => known.says_the_same(refused),
        (known, refused) => known.is_none() && refused.is_none(),
    };
    if is_same {
        return None;
    }
    let event = refused.as_ref().map(|refused| Event::warning("WriteRefused", refused.to_string()));
    Some((RolloutState { refused, ..state.clone() }, event))
}

/// Ends a rollout that a refused write, or a data plane, has kept from going on for the progress deadline, as a canary
/// does that does not grow; unless the plan says otherwise.
pub(super) fn on_deadline(rollout: &mut Rollout, decision: &mut Decision<'_>) {
    let refused = decision.refused.as_ref().map(|refused| (refused.since, refused.to_string()));
    // To replace stable needs no traffic.
    let awaited = rollout.traffic.awaited().filter(|_| rollout.stage != Stage::PromoteRoll);
    let awaited = awaited.map(|(since, awaited)| (since, format!("waits for {awaited}")));
    let Some((begun, why)) = refused.or(awaited) else { return };
    let since = hangs_since(rollout, decision).filter(|_| rollout.strategy().progress_deadline_abort);
    let Some(since) = since.map(|since| rollout.counted_from(since.max(begun))) else { return };
    let deadline = decision.seen().progress_deadline_seconds();
    if decision.passed(since, SignedDuration::from_secs(i64::from(deadline))) {
        let why = format!("ProgressDeadlineExceeded: made no progress for {deadline}s: {why}");
        decision.abort(rollout, &why);
    }
}

/// Since when the rollout can only go on with what was not accepted yet, if that is so.
fn hangs_since(rollout: &Rollout, decision: &Decision<'_>) -> Option<Timestamp> {
    match rollout.stage {
        // Time that a person takes does not count.
        Stage::Start | Stage::Step { .. } if rollout.phase() == Phase::Paused => None,
        Stage::Start | Stage::Step { .. } | Stage::PromoteShift if rollout.traffic.seen_at.is_none() => {
            Some(rollout.traffic.asked_at)
        }
        Stage::Start | Stage::Step { .. } | Stage::PromoteShift => Some(rollout.lagging?.since),
        Stage::PromoteRoll => is_unreleased(rollout, decision).then_some(Timestamp::MIN),
        // It goes on with the size that it has.
        Stage::PromoteScale | Stage::Retreat { .. } | Stage::Aborted { .. } => None,
    }
}

/// The hold could not be removed, so stable is as it was.
fn is_unreleased(rollout: &Rollout, decision: &Decision<'_>) -> bool {
    let seen = decision.seen();
    let is_new = seen.replica_sets.iter().any(|set| set.wanted > 0 && set.template == rollout.hash);
    seen.is_held() && seen.is_paused() && !is_new
}
