//! What a release waits for, in one line, and until when.

use super::{
    events::{AFTER_REHEARSAL, AFTER_VERDICT, WITHOUT_EVIDENCE},
    steps::describe,
};
use crate::domain::{
    state::{Outcome, Rollout, RolloutState, Stage},
    strategy::{Step, StepWait},
};
use jiff::Timestamp;
use serde::Serialize;

/// What a release waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waits {
    /// What ends the wait.
    #[serde(rename = "for")]
    pub reason: WaitReason,
    /// In one line.
    pub message: String,
    /// When the wait ends. Absent where no time ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What ends a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::IntoStaticStr, strum::EnumIter)]
#[serde(rename_all = "camelCase")]
#[strum(prefix = "WaitsFor")]
pub enum WaitReason {
    /// A canary that ends, because a policy limits how many run at once, or because it is behind the same Service.
    Turn,
    /// A plan and a policy that let the release start.
    Permission,
    /// Pods that become available.
    Pods,
    /// Traffic that reaches every proxy.
    Traffic,
    /// A time.
    Time,
    /// The verdict of an analysis.
    Verdict,
    /// A share of the requests that is the weight.
    Share,
    /// Data of a metric that has had none since the canary got traffic.
    Data,
    /// What is around it: the Deployment's size, a route to it, or a data plane that does not follow.
    Surroundings,
    /// A person.
    Person,
    /// A write that is accepted: the API server, a quota, a policy or a webhook refuses it.
    Refused,
}

/// A time as Kubernetes writes it.
#[must_use]
pub fn whole_seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Waits {
    /// The wait as a sentence for people who see nothing else of it.
    fn line(&self) -> String {
        let until = self.until.map(|until| format!(" until {}", whole_seconds(until)));
        format!("waits for {}{}", self.message, until.unwrap_or_default())
    }
}

/// Why a release is where it is, in one line; never absent while it waits for something.
pub(super) fn message(state: &RolloutState) -> Option<String> {
    let rollout = state.rollout.as_ref();
    let said = state.blocked.as_deref().or_else(|| rollout?.message()).map(str::to_owned);
    let refused = state.refused.as_ref().map(ToString::to_string);
    let said = said.into_iter().chain(refused).reduce(|said, refused| format!("{said}; {refused}"));
    let line = said.or_else(|| waits(state).map(|waits| waits.line()))?;
    let advice = rollout.filter(|_| state.blocked.is_none()).and_then(advice);
    let line = advice.map_or(line.clone(), |advice| format!("{line}; {advice}"));
    let missing = rollout.and_then(Rollout::why_missing).filter(|why| !line.contains(*why));
    Some(missing.map_or(line.clone(), |why| format!("{line}; {why}")))
}

/// What a person can do about a pause that no step asks for.
fn advice(rollout: &Rollout) -> Option<&'static str> {
    match &rollout.stage {
        Stage::Step { inconclusive: Some(_), .. } => Some(AFTER_VERDICT),
        _ if rollout.waiting.is_some() || rollout.needs_person().is_none() => None,
        Stage::Start if rollout.rehearsal.as_ref().is_some_and(|tried| tried.failure().is_some()) => {
            Some(AFTER_REHEARSAL)
        }
        Stage::Start | Stage::Step { .. } => Some(WITHOUT_EVIDENCE),
        _ => None,
    }
}

/// What the recorded release waits for; `None` while nothing is under way, or it goes on with the next pass.
pub(super) fn waits(state: &RolloutState) -> Option<Waits> {
    if let Some(refused) = &state.refused {
        return Some(for_(WaitReason::Refused, refused.to_string()));
    }
    if let Some(blocked) = &state.blocked {
        let reason = if state.queued_since.is_some() { WaitReason::Turn } else { WaitReason::Permission };
        return Some(for_(reason, blocked));
    }
    let rollout = state.rollout.as_ref()?;
    if let Some(why) = &rollout.waiting {
        return Some(for_(WaitReason::Surroundings, why));
    }
    person(rollout).or_else(|| cluster(rollout))
}

fn for_(reason: WaitReason, message: impl Into<String>) -> Waits {
    Waits { reason, message: message.into(), until: None }
}

/// A person, whatever the step.
fn person(rollout: &Rollout) -> Option<Waits> {
    let message = match &rollout.stage {
        Stage::Aborted { .. } => Some("haldane.dev/do=retry or another pod template"),
        Stage::Start | Stage::Step { .. } if rollout.manual_pause.is_some() => {
            Some("haldane.dev/do=resume, because a person has paused it")
        }
        Stage::Step { inconclusive: Some(verdict), .. } => Some(verdict.as_str()),
        Stage::Start | Stage::Step { .. } => rollout.needs_person(),
        _ => None,
    };
    message.map(|message| for_(WaitReason::Person, message))
}

/// Pods, traffic, time or a verdict.
fn cluster(rollout: &Rollout) -> Option<Waits> {
    let (pods, weight) = (rollout.canary_replicas, rollout.traffic.weight);
    let why = rollout.why_missing().map(|why| format!(": {why}")).unwrap_or_default();
    if let Some(lag) = rollout.lagging.filter(|_| rollout.stage != Stage::PromoteRoll) {
        let message = format!("canary pods: {} of {pods} are available{why}", lag.available);
        return Some(for_(WaitReason::Pods, message));
    }
    if let Some((_, awaited)) = rollout.traffic.awaited().filter(|_| rollout.stage != Stage::PromoteRoll) {
        return Some(for_(WaitReason::Surroundings, awaited));
    }
    match &rollout.stage {
        Stage::Start if rollout.rehearsal.as_ref().is_some_and(|rehearsal| rehearsal.run.is_some()) => {
            Some(for_(WaitReason::Verdict, "the rehearsal of its metrics on stable"))
        }
        Stage::Start => Some(for_(WaitReason::Pods, "its canary to be ready for traffic")),
        Stage::Step { index, entered_at, .. } => match &rollout.unseen {
            Some(unseen) if !unseen.accepted => Some(for_(WaitReason::Data, &unseen.message)),
            _ if let Some(astray) = rollout.astray() => {
                let message =
                    format!("the canary's share of the requests to be weight {weight}: {}", astray.message);
                Some(for_(WaitReason::Share, message))
            }
            _ => Some(at_step(rollout, rollout.strategy().steps.get(*index)?, *entered_at)),
        },
        Stage::PromoteScale => Some(for_(WaitReason::Pods, format!("the canary to grow to {pods} pods"))),
        Stage::PromoteShift => Some(traffic(rollout, format!("weight {weight} to reach every proxy"))),
        Stage::PromoteRoll => {
            Some(for_(WaitReason::Pods, format!("the Deployment to roll out the new template{why}")))
        }
        Stage::Retreat { outcome: Outcome::Promoted, .. } => {
            Some(traffic(rollout, "traffic to leave the canary".to_owned()))
        }
        Stage::Retreat { .. } => Some(traffic(rollout, "traffic to return to stable".to_owned())),
        Stage::Aborted { .. } => None,
    }
}

fn at_step(rollout: &Rollout, step: &Step, entered_at: Timestamp) -> Waits {
    let after = |span: jiff::SignedDuration| entered_at.saturating_add(span).ok();
    // Each step waits for its traffic, whatever else it waits for.
    if rollout.traffic.seen_at.is_none() {
        let message = format!("weight {} to reach every proxy", rollout.traffic.weight);
        return for_(WaitReason::Traffic, message);
    }
    let what = describe(step);
    match step.wait() {
        StepWait::Person => for_(WaitReason::Person, "haldane.dev/do=resume, because of step pause: {}"),
        StepWait::Time(span) => Waits { until: after(span.signed()), ..for_(WaitReason::Time, what) },
        StepWait::Verdict(analysis) => {
            let until = analysis.at_least.and_then(|span| after(span.signed()));
            Waits { until, ..for_(WaitReason::Verdict, what) }
        }
        StepWait::Size => for_(WaitReason::Pods, what),
        StepWait::Settle => traffic(rollout, format!("{what} to reach every proxy")),
    }
}

/// Traffic, and when every proxy has it, once the routing objects do.
fn traffic(rollout: &Rollout, message: String) -> Waits {
    let settle = rollout.strategy().settle.signed();
    let until = rollout.traffic.seen_at.and_then(|seen_at| seen_at.saturating_add(settle).ok());
    Waits { until, ..for_(WaitReason::Traffic, message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decide::fixtures::{now, seen, state},
        domain::{
            names::Weight,
            state::{Lag, Missing, Unseen},
        },
    };

    /// `reason: message until time` of a rollout at this stage, once `change` is made.
    fn line(stage: Stage, change: impl FnOnce(&mut Rollout)) -> String {
        let mut recorded = state(&seen(4, "web:2", true), stage);
        change(recorded.rollout.as_mut().unwrap());
        let waits = waits(&recorded).unwrap();
        let until = waits.until.map(|until| format!(" until {until}")).unwrap_or_default();
        format!("{:?}: {}{until}", waits.reason, waits.message)
    }

    fn at(step: Step) -> impl FnOnce(&mut Rollout) {
        |rollout| rollout.spec.strategy.steps = vec![step]
    }

    const FIRST: Stage = Stage::Step { index: 0, entered_at: Timestamp::UNIX_EPOCH, inconclusive: None };

    #[test]
    fn each_step_says_what_ends_it_and_when() {
        assert_eq!(
            line(FIRST, at(Step::Pause(None))),
            "Person: haldane.dev/do=resume, because of step pause: {}"
        );
        assert_eq!(
            line(FIRST, at(Step::Pause("10m".parse().ok()))),
            "Time: pause: 10m until 1970-01-01T00:10:00Z"
        );
        let weight = Step::SetWeight(Weight::try_from(50).unwrap());
        assert_eq!(
            line(FIRST, at(weight)),
            "Traffic: setWeight: 50 to reach every proxy until 2026-01-01T00:00:06Z"
        );
        let analysis = serde_json::json!({"analysis": {"templates": [{"name": "errors"}], "atLeast": "5m"}});
        assert_eq!(
            line(FIRST, at(serde_json::from_value(analysis).unwrap())),
            "Verdict: analysis: errors until 1970-01-01T00:05:00Z"
        );
        let unseen = |rollout: &mut Rollout| rollout.traffic.seen_at = None;
        assert_eq!(line(FIRST, unseen), "Traffic: weight 50 to reach every proxy");
    }

    #[test]
    fn a_person_comes_before_the_cluster_and_pods_before_the_step() {
        let lag = Some(Lag { available: 1, since: now() });
        assert_eq!(line(FIRST, |rollout| rollout.lagging = lag), "Pods: canary pods: 1 of 2 are available");
        let stopped = |rollout: &mut Rollout| rollout.waiting = Some("scaled to 0".to_owned());
        assert_eq!(line(FIRST, stopped), "Surroundings: scaled to 0");
        let paused = |rollout: &mut Rollout| (rollout.lagging, rollout.manual_pause) = (lag, Some(now()));
        assert_eq!(line(FIRST, paused), "Person: haldane.dev/do=resume, because a person has paused it");
        let verdict = Stage::Step { index: 0, entered_at: now(), inconclusive: Some("too few".into()) };
        assert_eq!(line(verdict, |_| {}), "Person: too few");
        let aborted = Stage::Aborted { since: now(), message: "RolloutAborted: bad".into() };
        assert_eq!(line(aborted, |_| {}), "Person: haldane.dev/do=retry or another pod template");
    }

    #[test]
    fn the_message_says_how_to_go_on_where_no_step_asks_for_it() {
        let message = |stage: Stage, change: fn(&mut Rollout)| {
            let mut recorded = state(&seen(4, "web:2", true), stage);
            change(recorded.rollout.as_mut().unwrap());
            message(&recorded).unwrap()
        };
        let undecided = Stage::Step { index: 0, entered_at: now(), inconclusive: Some("too few".into()) };
        assert_eq!(message(undecided, |_| {}), format!("too few; {AFTER_VERDICT}"));
        let unseen = message(FIRST, |rollout| {
            let message = "no data".to_owned();
            rollout.unseen = Some(Unseen { index: 1, since: now(), asked: true, accepted: false, message });
        });
        assert_eq!(unseen, format!("no data; {WITHOUT_EVIDENCE}"));
        let paused = message(FIRST, |rollout| {
            rollout.manual_pause = Some(now());
            rollout.missing = Some(Missing { message: Some("no image".into()), reported: Vec::new() });
        });
        let expected = "waits for haldane.dev/do=resume, because a person has paused it; no image";
        assert_eq!(paused, expected, "a person may not have seen why pods are missing");
        assert_eq!(
            message(Stage::PromoteRoll, |_| {}),
            "waits for the Deployment to roll out the new template"
        );
    }

    #[test]
    fn a_release_that_cannot_start_says_whether_it_is_in_the_queue() {
        let blocked = |queued_since| RolloutState {
            blocked: Some("why".to_owned()),
            queued_since,
            ..RolloutState::default()
        };
        assert_eq!(waits(&blocked(Some(now()))), Some(for_(WaitReason::Turn, "why")));
        assert_eq!(waits(&blocked(None)), Some(for_(WaitReason::Permission, "why")));
        assert_eq!(waits(&RolloutState::default()), None, "nothing is under way");
    }
}
