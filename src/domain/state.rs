//! What is remembered of a Deployment's rollouts: the content of its state `ConfigMap`.
//!
//! The state is the recorded intent. Objects in the cluster are a function of it, and it advances
//! only when the observed world matches; so the leader that continues after a crash repeats work and skips none.

pub mod bounded;
mod evidence;
mod history;
mod phase;
mod pods;
mod refused;
mod report;
mod runs;
mod share;
mod traffic;

pub use evidence::{Rehearsal, RunRecord, Unseen};
use history::HISTORY_LIMIT;
pub use history::{HistoryEntry, Outcome};
pub use phase::Phase;
pub use pods::{Lag, Missing};
pub use refused::Refused;
pub use report::AbortReport;
pub use share::{Astray, Share};
pub use traffic::{Traffic, Unfollowed};

use super::{
    hosts::Hosts,
    k8s::label_rewrite::LabelRewrite,
    names::TemplateHash,
    strategy::{CanaryStrategy, RolloutSpec},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Version of the stored form that this code reads and writes.
pub const STATE_VERSION: u32 = 1;

/// How long the capacity floor outlives a rollout. Until then an autoscaler's measurements still cover the
/// time when stable had no traffic: five minutes are its memory of them, Kubernetes' default
/// `--horizontal-pod-autoscaler-downscale-stabilization`.
const FLOOR_AFTERWARDS: SignedDuration = SignedDuration::from_mins(5);

/// Everything recorded for one Deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutState {
    /// [`STATE_VERSION`] of the writer.
    pub version: u32,
    /// Number of the newest revision seen. Counts every template that was released, also those that
    /// never became stable, so it may run ahead of `deployment.kubernetes.io/revision`.
    pub revision: u64,
    /// The template that serves; `None` until one has been seen available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<TemplateHash>,
    /// Templates that served before it, newest last, each once, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub served: Vec<TemplateHash>,
    /// The rollout under way, or the one that was aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// Ended rollouts, newest last, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
    /// What the last aborts were about, newest last, at most 5.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<AbortReport>,
    /// Why a held template cannot start its rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
    /// Since when a held template waits for its turn, because a policy limits how many canaries run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_since: Option<Timestamp>,
    /// The write that was refused last, while writes are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// Id of the newest request that was carried out, so that none is carried out twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_request: Option<String>,
}

/// One attempt to bring a new template to production.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Its number.
    pub revision: u64,
    /// Its template.
    pub hash: TemplateHash,
    /// The plan, frozen when the rollout started.
    pub spec: RolloutSpec,
    /// How canary pods are distinguished from stable ones.
    pub rewrite: LabelRewrite,
    /// The only hosts that its metrics may query, if the policy that it started under named some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_hosts: Option<Vec<Hosts>>,
    /// When it was first seen.
    pub started_at: Timestamp,
    /// Attempt number, from 1; `retry` starts the next.
    pub attempt: u32,
    /// Stable's size before the canary took traffic: capacity never falls below it.
    pub baseline_replicas: i32,
    /// Desired size of the canary.
    pub canary_replicas: i32,
    /// The stable side's `pod-template-hash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_pod_hash: Option<String>,
    /// The canary side's `pod-template-hash`, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_pod_hash: Option<String>,
    /// Desired traffic.
    pub traffic: Traffic,
    /// Where in its life it is.
    pub stage: Stage,
    /// Held by a person's `pause`, since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual_pause: Option<Timestamp>,
    /// When a person last let it go on: the progress deadline begins again then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_at: Option<Timestamp>,
    /// The canary has fewer available pods than desired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lagging: Option<Lag>,
    /// Why pods that it waits for are not available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// Why it cannot be tried now, until people change what is around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// What the rehearsal of its analyses has come to; `None` before the canary is ready for traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Rehearsal>,
    /// Rehearsals that were begun before this one, so that an answer to an old question is not taken for a new one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rehearsals: u32,
    /// When the canary first had a share of the traffic in this attempt: what was measured before is not evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposed_at: Option<Timestamp>,
    /// How many steps had passed when a person ordered the full promotion, which skips the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped_after: Option<usize>,
    /// What it waits for because nothing was seen of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Unseen>,
    /// What the data plane counts of its share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// Analyses of this attempt, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunRecord>,
}

/// Where in its life a rollout is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "camelCase", tag = "name")]
#[strum(serialize_all = "camelCase")]
pub enum Stage {
    /// Canary objects are made at weight 0; waiting for available pods.
    Start,
    /// At a step of the plan.
    #[serde(rename_all = "camelCase")]
    Step {
        /// Index of the step.
        index: usize,
        /// When it was reached.
        entered_at: Timestamp,
        /// Waiting for a person because of the analysis' verdict.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inconclusive: Option<String>,
    },
    /// All steps passed: the canary grows to full size.
    PromoteScale,
    /// All traffic goes to the canary.
    PromoteShift,
    /// The user's Deployment is unpaused and rolls natively behind the canary.
    PromoteRoll,
    /// Weight 0, then settle; then an abort is [`Stage::Aborted`], and otherwise the canary's objects go.
    Retreat {
        /// Why.
        outcome: Outcome,
        /// Since when.
        since: Timestamp,
        /// The reason in words.
        message: String,
    },
    /// Aborted, and stable has all traffic; stays so until a retry or another template. The canary is
    /// removed after [`CanaryStrategy::abort_scale_down_delay`].
    Aborted {
        /// When the abort was decided.
        since: Timestamp,
        /// The reason in words.
        message: String,
    },
}

impl Default for RolloutState {
    fn default() -> Self {
        Self {
            version: STATE_VERSION,
            revision: 0,
            stable: None,
            served: Vec::new(),
            rollout: None,
            history: Vec::new(),
            reports: Vec::new(),
            blocked: None,
            queued_since: None,
            refused: None,
            handled_request: None,
        }
    }
}

impl RolloutState {
    /// Whether a canary is under way; an aborted one is not.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.rollout.as_ref().is_some_and(|rollout| !matches!(rollout.stage, Stage::Aborted { .. }))
    }

    /// What users call the present situation.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match &self.rollout {
            Some(rollout) => rollout.phase(),
            None if self.blocked.is_some() => Phase::Held,
            None => Phase::Healthy,
        }
    }

    /// Size below which no autoscaler may shrink stable at this time; 0 when it may do what it wants.
    ///
    /// The size before the canary, until stable has had its traffic back for five minutes.
    #[must_use]
    pub fn floor(&self, now: Timestamp) -> i32 {
        let active = self.rollout.as_ref().filter(|rollout| !matches!(rollout.stage, Stage::Aborted { .. }));
        let recent =
            self.history.last().filter(|ended| now.duration_since(ended.ended_at) < FLOOR_AFTERWARDS);
        let active = active.map_or(0, |rollout| rollout.baseline_replicas);
        active.max(recent.map_or(0, |ended| ended.baseline_replicas))
    }

    /// Another template serves from now on; the one before is remembered.
    pub fn becomes_stable(&mut self, template: TemplateHash) {
        if self.stable.as_ref() == Some(&template) {
            return;
        }
        self.served.extend(self.stable.take());
        self.served.retain(|served| *served != template);
        let excess = self.served.len().saturating_sub(HISTORY_LIMIT);
        self.served.drain(..excess);
        self.stable = Some(template);
    }

    /// Whether `template` is one of the last `window` that served before the present one.
    #[must_use]
    pub fn served_lately(&self, template: &TemplateHash, window: u32) -> bool {
        let window = usize::try_from(window).unwrap_or(usize::MAX);
        self.served.iter().rev().take(window).any(|served| served == template)
    }
}

impl Rollout {
    /// A rollout of which nothing has been done yet, before a stable side of `baseline` pods.
    #[must_use]
    pub const fn new(
        revision: u64,
        hash: TemplateHash,
        spec: RolloutSpec,
        rewrite: LabelRewrite,
        baseline: i32,
        now: Timestamp,
    ) -> Self {
        Self {
            revision,
            hash,
            spec,
            rewrite,
            metric_hosts: None,
            started_at: now,
            attempt: 1,
            baseline_replicas: baseline,
            canary_replicas: 0,
            stable_pod_hash: None,
            canary_pod_hash: None,
            traffic: Traffic::none(now),
            stage: Stage::Start,
            manual_pause: None,
            resumed_at: None,
            lagging: None,
            missing: None,
            waiting: None,
            rehearsal: None,
            rehearsals: 0,
            exposed_at: None,
            skipped_after: None,
            unseen: None,
            share: None,
            runs: Vec::new(),
        }
    }

    /// The plan's strategy.
    #[must_use]
    pub fn strategy(&self) -> &CanaryStrategy {
        &self.spec.strategy
    }

    /// What users call the present situation.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match &self.stage {
            Stage::Start | Stage::Step { .. } if self.waiting.is_some() => Phase::Paused,
            Stage::Start if self.manual_pause.is_some() || self.needs_person().is_some() => Phase::Paused,
            Stage::Step { .. } if self.is_paused() || self.needs_person().is_some() => Phase::Paused,
            Stage::Step { .. } => Phase::Progressing,
            Stage::PromoteScale
            | Stage::PromoteShift
            | Stage::PromoteRoll
            | Stage::Retreat { outcome: Outcome::Promoted, .. } => Phase::Promoting,
            Stage::Start | Stage::Retreat { outcome: Outcome::Superseded, .. } => Phase::Held,
            Stage::Retreat { .. } => Phase::Aborting,
            Stage::Aborted { .. } => Phase::Degraded,
        }
    }

    /// From when the progress deadline of what has lasted since then counts: again from where a person let it go on.
    #[must_use]
    pub fn counted_from(&self, since: Timestamp) -> Timestamp {
        self.resumed_at.map_or(since, |resumed_at| resumed_at.max(since))
    }

    /// Index of the step it is at, if it is at one.
    #[must_use]
    pub fn step_index(&self) -> Option<usize> {
        match self.stage {
            Stage::Step { index, .. } => Some(index),
            _ => None,
        }
    }

    /// Waiting for time or for a person, not for the cluster.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        let Stage::Step { index, inconclusive, .. } = &self.stage else { return false };
        let at_pause = matches!(self.strategy().steps.get(*index), Some(super::strategy::Step::Pause(_)));
        self.manual_pause.is_some() || inconclusive.is_some() || at_pause
    }

    /// Why it is where it is, if there is more to say than the phase does.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match &self.stage {
            Stage::Retreat { message, .. }
            | Stage::Aborted { message, .. }
            | Stage::Step { inconclusive: Some(message), .. } => Some(message),
            _ => {
                let unseen = self.unseen.as_ref().filter(|unseen| !unseen.accepted);
                let unseen = unseen.map(|unseen| unseen.message.as_str());
                self.waiting.as_deref().or_else(|| self.needs_person()).or(unseen)
            }
        }
    }

    /// Why pods that it waits for are not available, if that is known.
    #[must_use]
    pub fn why_missing(&self) -> Option<&str> {
        self.missing.as_ref()?.message.as_deref()
    }

    /// Why a person is asked whether it must go on without having been seen.
    #[must_use]
    pub fn needs_person(&self) -> Option<&str> {
        let unseen = self.unseen.as_ref().filter(|unseen| unseen.asked && !unseen.accepted);
        let failed =
            self.rehearsal.as_ref().filter(|_| self.stage == Stage::Start).and_then(Rehearsal::failure);
        failed.or_else(|| Some(unseen?.message.as_str()))
    }

    /// The abort's reason, from the moment it was decided.
    #[must_use]
    pub fn abort_message(&self) -> Option<&str> {
        match &self.stage {
            Stage::Retreat { outcome: Outcome::Aborted, message, .. } | Stage::Aborted { message, .. } => {
                Some(message)
            }
            _ => None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}
