//! Conditions of the user's Deployment: `Progressing`, by which `kubectl rollout status` ends, and one of Haldane's own,
//! by which `kubectl wait`, `kubectl describe` and dashboards follow a release.

use super::waits::{WaitReason, message, waits, whole_seconds};
use crate::domain::{
    observed::Observed,
    state::{Outcome, Rollout, RolloutState},
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Haldane's own condition: `True` when the newest release serves or there is none, `False` when it was aborted,
/// `Unknown` while it is under way.
pub const RELEASE: &str = "haldane.dev/Release";

/// Message prefix that distinguishes an abort's condition from the deployment controller's own.
pub const ABORT_PREFIX: &str = "RolloutAborted:";

/// A condition of the user's Deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// One word.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Condition {
    /// What the deployment controller says of a paused Deployment.
    #[must_use]
    pub fn paused() -> Self {
        Self::progressing("Unknown", "DeploymentPaused", "Deployment is paused")
    }

    /// A release that no pass has looked at yet.
    #[must_use]
    pub fn held() -> Self {
        let message = "the changed pod template is held".to_owned();
        Self { kind: RELEASE, status: "Unknown", reason: "Held", message }
    }

    fn progressing(status: &'static str, reason: &'static str, message: &str) -> Self {
        Self { kind: "Progressing", status, reason, message: message.to_owned() }
    }

    /// As it is among the Deployment's conditions, set `now`.
    #[must_use]
    pub fn json(&self, now: Timestamp) -> Value {
        let now = whole_seconds(now);
        json!({
            "type": self.kind,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "lastUpdateTime": now,
            "lastTransitionTime": now,
        })
    }
}

/// The conditions that must be written.
pub(super) fn conditions(state: &RolloutState, seen: &Observed) -> Vec<Condition> {
    progressing(state, seen).into_iter().chain(release(state, seen)).collect()
}

/// After an abort `kubectl rollout status` must fail, and after a retry it must wait again.
fn progressing(state: &RolloutState, seen: &Observed) -> Option<Condition> {
    let message = seen.progressing().and_then(|c| c.message.as_deref()).unwrap_or_default();
    match state.rollout.as_ref().and_then(Rollout::abort_message) {
        Some(abort) if message == abort => None,
        Some(abort) => Some(Condition::progressing("False", "ProgressDeadlineExceeded", abort)),
        None if message.starts_with(ABORT_PREFIX) => Some(Condition::paused()),
        None => None,
    }
}

/// A Deployment that has had no release since it opted in has no such condition.
fn release(state: &RolloutState, seen: &Observed) -> Option<Condition> {
    let known = seen.condition(RELEASE);
    let is_idle = state.rollout.is_none() && state.blocked.is_none();
    if is_idle && known.is_none() {
        return None;
    }
    let wanted = if is_idle { serves(state) } else { under_way(state) };
    let is_same = known.is_some_and(|known| {
        let texts = [&known.status, &known.reason, &known.message].map(Option::as_deref);
        texts == [Some(wanted.status), Some(wanted.reason), Some(&wanted.message)]
    });
    (!is_same).then_some(wanted)
}

fn serves(state: &RolloutState) -> Condition {
    let revision = state.revision;
    let last = state.history.last().filter(|ended| ended.revision == revision);
    let message = match last.map(|ended| ended.outcome) {
        None | Some(Outcome::Promoted) => format!("revision {revision} serves all traffic"),
        Some(_) => format!("the version before revision {revision} serves all traffic"),
    };
    Condition { kind: RELEASE, status: "True", reason: state.phase().into(), message }
}

/// Changes with the step and with the reason of a wait, not with each pod and each second.
fn under_way(state: &RolloutState) -> Condition {
    let rollout = state.rollout.as_ref();
    if rollout.is_some_and(|rollout| rollout.abort_message().is_some()) {
        let message = message(state).unwrap_or_default();
        return Condition { kind: RELEASE, status: "False", reason: state.phase().into(), message };
    }
    let waits = waits(state).map(|waits| waits.reason);
    let missing = rollout.and_then(Rollout::why_missing);
    let short = match waits {
        Some(WaitReason::Pods) => Some(match missing {
            Some(why) => format!("waits for pods: {why}"),
            None => "waits for pods".to_owned(),
        }),
        Some(WaitReason::Traffic) | None => {
            rollout.map(|rollout| format!("traffic weight {}", rollout.traffic.weight))
        }
        Some(_) => None,
    };
    let reason = match waits {
        Some(WaitReason::Traffic) | None => state.phase().into(),
        Some(reason) => reason.into(),
    };
    let message = short.or_else(|| message(state)).unwrap_or_default();
    Condition { kind: RELEASE, status: "Unknown", reason, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decide::fixtures::{now, seen, state},
        domain::state::{HistoryEntry, Lag, Missing, Stage},
    };

    /// `status reason: message` of what is written over what is there.
    fn line(state: &RolloutState, seen: &Observed) -> Option<String> {
        release(state, seen).map(|c| format!("{} {}: {}", c.status, c.reason, c.message))
    }

    /// The Deployment with what `condition` says.
    fn with(condition: &Condition) -> Observed {
        let mut seen = seen(4, "b", true);
        let conditions = serde_json::json!([condition.json(now())]);
        seen.deployment.status.as_mut().unwrap().conditions = serde_json::from_value(conditions).unwrap();
        seen
    }

    fn at(stage: Stage, change: impl FnOnce(&mut Rollout)) -> RolloutState {
        let mut recorded = state(&seen(4, "b", true), stage);
        change(recorded.rollout.as_mut().unwrap());
        recorded
    }

    const PAUSE: Stage = Stage::Step { index: 1, entered_at: Timestamp::UNIX_EPOCH, inconclusive: None };

    #[test]
    fn a_release_under_way_says_what_it_waits_for_and_is_written_once() {
        let plain = seen(4, "b", true);
        let paused = at(PAUSE, |rollout| rollout.manual_pause = Some(now()));
        let expected =
            "Unknown WaitsForPerson: waits for haldane.dev/do=resume, because a person has paused it";
        assert_eq!(line(&paused, &plain).unwrap(), expected);
        let written = release(&paused, &plain).unwrap();
        assert_eq!(line(&paused, &with(&written)), None);
        let lag = |available, message: Option<&str>| {
            at(Stage::Start, |rollout| {
                rollout.lagging = Some(Lag { available, since: now() });
                let message = message.map(str::to_owned);
                rollout.missing = Some(Missing { message, reported: Vec::new() });
            })
        };
        let first = release(&lag(0, None), &plain).unwrap();
        assert_eq!(line(&lag(1, None), &with(&first)), None, "not for each pod");
        let why = line(&lag(0, Some("pod web-1: no image")), &with(&first));
        assert_eq!(why.unwrap(), "Unknown WaitsForPods: waits for pods: pod web-1: no image");
        let unseen = at(PAUSE, |rollout| rollout.traffic.seen_at = None);
        assert_eq!(line(&unseen, &plain).unwrap(), "Unknown Paused: traffic weight 50");
    }

    #[test]
    fn an_abort_is_false_and_what_serves_is_true() {
        let aborted = Stage::Aborted { since: now(), message: "RolloutAborted: bad".into() };
        let degraded = line(&at(aborted, |_| {}), &with(&Condition::held()));
        assert_eq!(degraded.unwrap(), "False Degraded: RolloutAborted: bad");
        let mut ended = RolloutState { revision: 2, ..RolloutState::default() };
        let healthy = |state: &RolloutState| line(state, &with(&Condition::held())).unwrap();
        assert_eq!(healthy(&ended), "True Healthy: revision 2 serves all traffic");
        ended.history.push(HistoryEntry {
            revision: 2,
            hash: seen(4, "b", true).template_hash(),
            outcome: Outcome::RolledBack,
            started_at: now(),
            ended_at: now(),
            baseline_replicas: 4,
            message: String::new(),
        });
        assert_eq!(healthy(&ended), "True Healthy: the version before revision 2 serves all traffic");
    }

    #[test]
    fn a_deployment_without_a_release_gets_no_condition() {
        assert_eq!(line(&RolloutState::default(), &seen(4, "a", false)), None);
        let blocked = RolloutState { blocked: Some("no Ingress".into()), ..RolloutState::default() };
        let line = line(&blocked, &seen(4, "a", true)).unwrap();
        assert_eq!(line, "Unknown WaitsForPermission: no Ingress");
    }
}
