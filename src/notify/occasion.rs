//! What an Event means to the people who are notified.

use crate::{
    decide::{Event, RolloutView, WaitReason},
    domain::state::{RolloutState, Stage},
};
use serde::Serialize;

/// A group of Events.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    strum::EnumIter,
    strum::EnumMessage,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "camelCase")]
pub enum Occasion {
    /// A release starts, or an aborted one is tried again.
    Started,
    /// A release pauses: for a time, for a person, or because of what is around it.
    Paused,
    /// A release pauses until a person decides. `paused` includes it.
    WaitsForPerson,
    /// The new template is stable.
    Promoted,
    /// A release is aborted, with the reason.
    Aborted,
    /// A release ends because another template, or the stable one, was applied.
    Replaced,
    /// A release cannot go on until something is repaired: a pod that does not start, a refused write, a plan or a policy.
    Blocked,
}

/// The reasons of all Events that can be sent.
pub const REASONS: [&str; 29] = [
    "AnalysisRehearsed",
    "AnalysisRunError",
    "AnalysisRunFailed",
    "AnalysisRunInconclusive",
    "AnalysisRunRunning",
    "AnalysisRunSuccessful",
    "HeldLate",
    "InvalidSpec",
    "MetricError",
    "MetricFailed",
    "MetricInconclusive",
    "MetricSuccessful",
    "PodsUnavailable",
    "PromotingWithoutSurge",
    "ReleasedNatively",
    "RequestIgnored",
    "RolloutAborted",
    "RolloutBlocked",
    "RolloutCompleted",
    "RolloutPaused",
    "RolloutPromoting",
    "RolloutQueued",
    "RolloutResumed",
    "RolloutRetried",
    "RolloutStepCompleted",
    "RolloutUpdated",
    "TrafficWeightUpdated",
    "WeightNotFollowed",
    "WriteRefused",
];

impl Occasion {
    /// What a destination gets that does not say otherwise.
    pub const BY_DEFAULT: [Self; 4] = [Self::Started, Self::WaitsForPerson, Self::Promoted, Self::Aborted];

    /// The group of an Event that is published once `state` is recorded. Many Events are in none.
    #[must_use]
    pub fn of(event: &Event, state: &RolloutState) -> Option<Self> {
        let ends = || match &state.rollout {
            Some(rollout) => matches!(rollout.stage, Stage::Retreat { .. }),
            None => true,
        };
        match event.reason {
            "RolloutUpdated" if ends() => Some(Self::Replaced),
            "RolloutUpdated" | "RolloutRetried" => Some(Self::Started),
            "RolloutPaused" => {
                let waits = RolloutView::recorded(state).waits;
                let by_person = waits.is_some_and(|waits| waits.reason == WaitReason::Person);
                Some(if by_person { Self::WaitsForPerson } else { Self::Paused })
            }
            "RolloutCompleted" => Some(Self::Promoted),
            "RolloutAborted" => Some(Self::Aborted),
            "InvalidSpec" | "PodsUnavailable" | "RolloutBlocked" | "WeightNotFollowed" | "WriteRefused" => {
                Some(Self::Blocked)
            }
            _ => None,
        }
    }

    /// Whether a destination that asks for this group gets the other one.
    #[must_use]
    pub fn includes(self, other: Self) -> bool {
        self == other || (self, other) == (Self::Paused, Self::WaitsForPerson)
    }

    /// The group in words, after the name of the Deployment.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Started => "release started",
            Self::Paused => "release paused",
            Self::WaitsForPerson => "release waits for a person",
            Self::Promoted => "release promoted",
            Self::Aborted => "release aborted",
            Self::Replaced => "release replaced",
            Self::Blocked => "release blocked",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decide::fixtures::{now, seen, state},
        domain::{state::Outcome, strategy::Step},
    };

    fn at(reason: &'static str, stage: Stage, steps: Vec<Step>) -> Option<Occasion> {
        let mut recorded = state(&seen(4, "web:2", true), stage);
        recorded.rollout.as_mut().unwrap().spec.strategy.steps = steps;
        Occasion::of(&Event::normal(reason, ""), &recorded)
    }

    const FIRST: Stage =
        Stage::Step { index: 0, entered_at: jiff::Timestamp::UNIX_EPOCH, inconclusive: None };

    #[test]
    fn a_pause_without_an_end_waits_for_a_person_and_is_a_pause_as_well() {
        let open = at("RolloutPaused", FIRST, vec![Step::Pause(None)]);
        assert_eq!(open, Some(Occasion::WaitsForPerson));
        assert_eq!(at("RolloutPaused", FIRST, vec![Step::Pause("1m".parse().ok())]), Some(Occasion::Paused));
        assert!(Occasion::Paused.includes(Occasion::WaitsForPerson));
        assert!(!Occasion::WaitsForPerson.includes(Occasion::Paused));
    }

    #[test]
    fn a_release_that_another_replaces_has_not_started() {
        assert_eq!(at("RolloutUpdated", Stage::Start, Vec::new()), Some(Occasion::Started));
        let outcome = Outcome::Superseded;
        let retreat = Stage::Retreat { outcome, since: now(), message: String::new() };
        assert_eq!(at("RolloutUpdated", retreat, Vec::new()), Some(Occasion::Replaced));
        assert_eq!(at("TrafficWeightUpdated", FIRST, Vec::new()), None);
    }
}
