//! Pods that a rollout waits for: why they are not available, and when to look at them again.

use super::{Event, decision::Decision};
use crate::domain::{
    observed::Observed,
    state::{Missing, Rollout, Stage},
};
use jiff::{SignedDuration, Timestamp};

/// Looks at pods that make no progress, counted from their last progress: no watch reports that the reason changes. A
/// start without trouble is over before the first.
const LOOKS: [SignedDuration; 3] =
    [SignedDuration::from_secs(5), SignedDuration::from_secs(10), SignedDuration::from_secs(20)];

/// The time between two looks after that.
const INTERVAL: SignedDuration = SignedDuration::from_secs(30);

/// How long pods may be in a situation that is usual at a start, before an Event reports it.
const USUAL: SignedDuration = SignedDuration::from_secs(30);

/// Since when pods that the rollout waits for have made no progress.
fn stalled_since(rollout: &Rollout, seen: &Observed) -> Option<Timestamp> {
    if rollout.stage != Stage::PromoteRoll {
        return rollout.lagging.map(|lag| lag.since);
    }
    let status = seen.deployment.status.as_ref()?;
    status.unavailable_replicas.filter(|count| *count > 0)?;
    Some(seen.condition("Progressing")?.last_update_time.as_ref()?.0)
}

/// Whether the reason is to be looked up.
pub(super) fn asks_for_pods(rollout: &Rollout, seen: &Observed, now: Timestamp) -> bool {
    let [first, ..] = LOOKS;
    stalled_since(rollout, seen).is_some_and(|since| now.duration_since(since) >= first)
}

/// The next look after this time without progress.
fn next_look(idle: SignedDuration) -> SignedDuration {
    let early = LOOKS.into_iter().find(|look| *look > idle);
    early.unwrap_or_else(|| {
        let passed = i32::try_from(idle.as_secs() / INTERVAL.as_secs()).unwrap_or(i32::MAX - 1);
        INTERVAL.saturating_mul(passed + 1)
    })
}

/// Writes down why pods are missing. An Event reports each kind of reason once, until all pods are available.
pub(super) fn note(rollout: &mut Rollout, decision: &mut Decision<'_>) {
    let before = rollout.missing.take();
    let stalled = stalled_since(rollout, decision.seen());
    if stalled.is_none() && rollout.stage != Stage::PromoteRoll {
        return;
    }
    let idle = stalled.map(|since| decision.now().duration_since(since));
    if let (Some(since), Some(idle)) = (stalled, idle) {
        decision.passed(since, next_look(idle));
    }
    let is_late = rollout.stage != Stage::PromoteRoll && idle.is_some_and(|idle| idle >= USUAL);
    let mut reported = before.map(|missing| missing.reported).unwrap_or_default();
    let seen = decision.seen().unavailable.as_ref();
    if let Some(seen) = seen.filter(|seen| is_late || !seen.is_usual)
        && !reported.contains(&seen.kind)
    {
        reported.push(seen.kind.clone());
        let message = format!("Rollout waits for pods: {}", seen.message);
        decision.events.push(Event::warning("PodsUnavailable", message));
    }
    let message = seen.map(|seen| seen.message.clone());
    rollout.missing = (message.is_some() || !reported.is_empty()).then_some(Missing { message, reported });
}

#[cfg(test)]
mod tests {
    use crate::{
        decide::{
            Event, Plan,
            fixtures::{decided, now, seen, state},
        },
        domain::{
            k8s::pods::Unavailable,
            observed::Observed,
            state::{Lag, RolloutState, Stage},
        },
    };
    use jiff::SignedDuration;

    /// The Deployment with a canary without pods, for this reason.
    fn lags(kind: &str, message: &str, is_usual: bool) -> Observed {
        let unavailable = Unavailable { kind: kind.into(), message: message.into(), is_usual };
        Observed { unavailable: Some(unavailable), ..seen(4, "b", true) }
    }

    /// A rollout that has made no progress for so many seconds.
    fn after(seconds: i64, mut state: RolloutState) -> RolloutState {
        let since = now() - SignedDuration::from_secs(seconds);
        state.rollout.as_mut().unwrap().lagging = Some(Lag { available: 0, since });
        state
    }

    fn start() -> RolloutState {
        state(&seen(4, "b", true), Stage::Start)
    }

    fn warnings(plan: &Plan) -> Vec<&Event> {
        plan.events.iter().filter(|event| event.reason == "PodsUnavailable").collect()
    }

    fn message(plan: &Plan) -> Option<&str> {
        plan.state.rollout.as_ref().unwrap().missing.as_ref()?.message.as_deref()
    }

    #[test]
    fn a_reason_is_recorded_at_once_and_reported_once_however_its_text_changes() {
        let first = decided(start(), &lags("image", "back-off 10s", false));
        assert_eq!(message(&first), Some("back-off 10s"));
        let [event] = warnings(&first)[..] else { panic!("{:?}", first.events) };
        assert_eq!(event.message, "Rollout waits for pods: back-off 10s");
        let again = decided(first.state, &lags("image", "back-off 20s", false));
        assert_eq!((message(&again), warnings(&again).len()), (Some("back-off 20s"), 0));
        let other = decided(again.state, &lags("exit", "exited", false));
        assert_eq!(warnings(&other).len(), 1, "another reason");
        let unknown = decided(other.state, &seen(4, "b", true));
        assert_eq!(message(&unknown), None);
        let back = decided(unknown.state, &lags("image", "back-off 40s", false));
        assert_eq!(warnings(&back).len(), 0, "it alternates");
    }

    #[test]
    fn what_is_usual_at_a_start_is_reported_when_it_lasts() {
        let usual = lags("readiness", "not ready", true);
        for (seconds, reported) in [(1, 0), (29, 0), (30, 1)] {
            let plan = decided(after(seconds, start()), &usual);
            assert_eq!((message(&plan), warnings(&plan).len()), (Some("not ready"), reported), "{seconds} s");
        }
    }

    #[test]
    fn pods_that_make_no_progress_are_looked_at_with_growing_pauses() {
        let next = |seconds| {
            let wake_at = decided(after(seconds, start()), &seen(4, "b", true)).wake_at.unwrap();
            wake_at.duration_since(now()).as_secs() + seconds
        };
        assert_eq!([0, 4, 5, 10, 20, 30].map(next), [5, 5, 10, 20, 30, 60], "the progress deadline is later");
    }

    #[test]
    fn the_reason_is_in_the_text_of_the_abort() {
        let plan = decided(after(600, start()), &lags("image", "pod web-1: no image", false));
        let rollout = plan.state.rollout.unwrap();
        let expected = "canary has 0 of 2 available pods and made no progress for 600s: pod web-1: no image";
        assert!(rollout.abort_message().unwrap().ends_with(expected), "{:?}", rollout.abort_message());
        assert_eq!(rollout.missing, None);
    }
}
