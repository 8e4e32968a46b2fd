//! What is known about an Event when it is sent.

use super::occasion::Occasion;
use crate::{
    decide::{
        Event, EventType, RolloutView,
        report::{facts as facts_of, next},
    },
    domain::{
        names::Weight,
        observed::Observed,
        state::{AbortReport, Phase, RolloutState},
    },
    objects::manifest::Owner,
};
use jiff::Timestamp;
use serde::Serialize;

/// Longest message in bytes, as of an Event, so that receivers with a limit accept it.
const MAX_MESSAGE: usize = 1024;

/// An Event and the release that it is about: the body of a `webhook`, and the data of a `CloudEvent`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// The same for each attempt to send it, and different from every other one.
    pub id: String,
    /// When it happened.
    pub time: Timestamp,
    /// Reason of the Event.
    pub event: &'static str,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub type_: &'static str,
    /// The group that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occasion: Option<Occasion>,
    /// Namespace of the Deployment.
    pub namespace: String,
    /// Name of the Deployment.
    pub deployment: String,
    /// Number of the newest revision, unless the record cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The situation in one word, unless the record cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The step that it is at, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// How many steps the plan has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// The canary's desired share of the traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
    /// Images of stable's containers.
    pub stable_images: Vec<String>,
    /// Images of the canary's containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub canary_images: Vec<String>,
    /// Message of the Event.
    pub message: String,
    /// What a person can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What an abort was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<AbortReport>,
}

impl Notice {
    /// The notice of an Event that is published now, once `state` is recorded.
    #[must_use]
    pub fn of(owner: &Owner, state: &RolloutState, seen: &Observed, event: &Event, now: Timestamp) -> Self {
        let RolloutView { phase, revision, waits, stable, canary, rollout, abort, .. } =
            RolloutView::of(state, seen);
        let occasion = Occasion::of(event, state);
        let report = abort.filter(|_| occasion == Some(Occasion::Aborted));
        let next = match occasion {
            Some(Occasion::WaitsForPerson) => waits.map(|waits| waits.message),
            Some(Occasion::Aborted) => report.as_ref().map(next),
            _ => None,
        };
        Self {
            occasion,
            revision: Some(revision),
            phase: Some(phase),
            step: rollout.as_ref().and_then(|rollout| rollout.step).map(|step| step.saturating_add(1)),
            steps: rollout.as_ref().map(|rollout| rollout.steps),
            weight: rollout.map(|rollout| rollout.weight),
            stable_images: stable.map(|pods| pods.images).unwrap_or_default(),
            canary_images: canary.map(|pods| pods.images).unwrap_or_default(),
            // The message of a pause may end with the same advice.
            next: next.filter(|next| !event.message.contains(next.as_str())),
            report,
            ..Self::without_record(owner, event, now)
        }
    }

    /// The notice of an Event that is published now, about a Deployment whose record cannot be read or written.
    #[must_use]
    pub fn without_record(owner: &Owner, event: &Event, now: Timestamp) -> Self {
        Self {
            id: format!("{}.{:x}", owner.uid, now.as_nanosecond()),
            time: now,
            event: event.reason,
            type_: match event.type_ {
                EventType::Normal => "Normal",
                EventType::Warning => "Warning",
            },
            occasion: Occasion::of(event, &RolloutState::default()),
            namespace: owner.namespace.clone(),
            deployment: owner.name.clone(),
            revision: None,
            phase: None,
            step: None,
            steps: None,
            weight: None,
            stable_images: Vec::new(),
            canary_images: Vec::new(),
            message: shortened(&event.message),
            next: None,
            report: None,
        }
    }

    /// In one line: which release, and what happened.
    #[must_use]
    pub fn headline(&self) -> String {
        let what = self.occasion.map_or(self.event, Occasion::words);
        let revision = self.revision.map(|revision| format!(" (revision {revision})")).unwrap_or_default();
        format!("{}/{}: {what}{revision}", self.namespace, self.deployment)
    }

    /// Titles and values that a person looks for next.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let stable = self.stable_images.join(", ");
        let version = if self.canary_images.is_empty() || self.canary_images == self.stable_images {
            stable
        } else {
            format!("{stable} → {}", self.canary_images.join(", "))
        };
        let step = self.step.zip(self.steps).map(|(step, steps)| format!("{step} of {steps}"));
        let weight = self.weight.map(|weight| format!("{} %", weight.percentage()));
        let facts = [
            ("Version", Some(version).filter(|version| !version.is_empty())),
            ("Step", step),
            ("Weight", weight),
        ];
        let facts = facts.into_iter().filter_map(|(title, value)| Some((title, value?)));
        let report = self.report.as_ref().map(facts_of).unwrap_or_default();
        facts.chain(report).chain(self.next.clone().map(|next| ("Next", next))).collect()
    }
}

fn shortened(message: &str) -> String {
    message.get(..message.floor_char_boundary(MAX_MESSAGE)).unwrap_or_default().to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        decide::fixtures::{now, seen, set, state},
        domain::{
            observed::ReplicaSetView,
            state::{Outcome, Stage},
        },
    };

    /// A release of `web:2` over `web:1` at this stage, as `event` reports it.
    pub fn about(event: &Event, stage: Stage) -> Notice {
        let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u-1".into() };
        let (old, mut seen) = (seen(4, "web:1", false), seen(4, "web:2", true));
        let stable = ReplicaSetView { wanted: 4, ready: 4, ..set(&old, "web-1", "2026-01-01T00:00:00Z") };
        seen.replica_sets = vec![stable];
        let mut recorded = state(&seen, stage);
        recorded.add_report(AbortReport {
            revision: 2,
            attempt: 1,
            metrics: vec!["errors: [0.01], [0.5] (good if result[0] < 0.05)".to_owned()],
            pods: None,
            changes: vec![
                "container web: image web:1 → web:2".to_owned(),
                "container web: env added: A".to_owned(),
            ],
            back_after_seconds: None,
        });
        Notice::of(&owner, &recorded, &seen, event, now())
    }

    /// An abort.
    pub fn notice() -> Notice {
        let why = "Rollout aborted update to revision 2: Background analysis phase error/failed: Metric \"errors\" assessed Failed due to failed (1) > failureLimit (0)";
        let retreat = Stage::Retreat { outcome: Outcome::Aborted, since: now(), message: why.to_owned() };
        about(&Event::warning("RolloutAborted", why), retreat)
    }

    #[test]
    fn a_pause_says_how_to_go_on_once() {
        let undecided =
            Stage::Step { index: 0, entered_at: now(), inconclusive: Some("too few samples".into()) };
        let paused = Event::warning("RolloutPaused", "Rollout is paused: too few samples");
        assert_eq!(about(&paused, undecided).next, None, "the message has it");
        let by_person = Stage::Step { index: 1, entered_at: now(), inconclusive: Some("bad".into()) };
        let paused = Event::normal("RolloutPaused", "Rollout is paused");
        assert_eq!(about(&paused, by_person).next.as_deref(), Some("bad"));
    }

    #[test]
    fn a_record_that_cannot_be_read_is_a_notice_as_well() {
        let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u-1".into() };
        let unreadable = Event::warning("InvalidSpec", "ConfigMap \"haldane-web\" cannot be read");
        let notice = Notice::without_record(&owner, &unreadable, now());
        assert_eq!(
            (notice.occasion, notice.headline().as_str()),
            (Some(Occasion::Blocked), "shop/web: release blocked")
        );
        assert_eq!(
            serde_json::json!(notice),
            serde_json::json!({
                "id": notice.id, "time": now(), "event": "InvalidSpec", "type": "Warning", "occasion": "blocked",
                "namespace": "shop", "deployment": "web", "stableImages": [], "message": unreadable.message,
            })
        );
    }

    #[test]
    fn a_message_is_never_longer_than_an_events() {
        let long = Event::normal("RolloutPaused", "é".repeat(600));
        assert_eq!(about(&long, Stage::Start).message.len(), 1024);
    }
}
