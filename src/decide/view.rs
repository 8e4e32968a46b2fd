//! What people see of a rollout, made in one place from its record and the cluster. The summary in the record's
//! `ConfigMap` and the metrics are made of it.

mod analysis;

pub use analysis::{AnalysisView, MeasurementView, MetricView};

use super::{
    steps::describe,
    waits::{Waits, message, waits},
};
use crate::{
    domain::{
        k8s::json_pointer::part,
        names::Weight,
        observed::{Observed, container_images},
        state::{AbortReport, Phase, Rollout, RolloutState, Stage},
    },
    objects::{
        canary_deployment::canary_name,
        manifest::{Kind, find},
    },
    routers,
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// A Deployment's release as people see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutView {
    /// The present situation in one word.
    pub phase: Phase,
    /// Number of the newest revision.
    pub revision: u64,
    /// Why it is where it is, if there is more to say than the phase does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when it is there: at its step, aborted, in the queue, or healthy again. Absent where the record does
    /// not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Since when the release waits for its turn, because a policy limits how many canaries run at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued_since: Option<Timestamp>,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<Waits>,
    /// What serves. Absent if the cluster was not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<PodsView>,
    /// The canary version. Absent without a rollout, or if the cluster was not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<PodsView>,
    /// The rollout under way, or the one that was aborted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<ProgressView>,
    /// What the abort was about, if it was aborted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort: Option<AbortReport>,
}

/// One side's pods.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodsView {
    /// Images of its containers, in the order of the template.
    pub images: Vec<String>,
    /// How many pods it must have.
    pub desired: i32,
    /// How many of them are ready.
    pub ready: i32,
}

/// How far a rollout has come.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgressView {
    /// When the template was first seen.
    pub started_at: Timestamp,
    /// Attempt number, from 1; `retry` starts the next.
    pub attempt: u32,
    /// Index of the step that it is at, from 0; the number of steps once all have passed. Absent before the first
    /// step and after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// How many steps the plan has.
    pub steps: usize,
    /// Each step in Argo's words.
    pub plan: Vec<String>,
    /// The canary's desired share of the traffic.
    pub weight: Weight,
    /// The greatest share that it may have: more than the desired one until less was observed.
    pub weight_at_most: Weight,
    /// The share that the canary has: of the traffic where it is in force, of the pods where these are the split.
    /// Absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual_weight: Option<Weight>,
    /// The share that was observed to be in force. Absent while that is not the desired one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_weight: Option<Weight>,
    /// Analyses of this attempt, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub analyses: Vec<AnalysisView>,
}

impl RolloutView {
    /// What the record alone says.
    #[must_use]
    pub fn recorded(state: &RolloutState) -> Self {
        let rollout = state.rollout.as_ref();
        Self {
            phase: state.phase(),
            revision: state.revision,
            message: message(state),
            since: since(state),
            queued_since: state.queued_since,
            waits: waits(state),
            stable: None,
            canary: None,
            rollout: rollout.map(progress),
            abort: rollout
                .filter(|rollout| rollout.abort_message().is_some())
                .and_then(|rollout| state.report(rollout.revision).cloned()),
        }
    }

    /// What the record and the cluster say.
    #[must_use]
    pub fn of(state: &RolloutState, seen: &Observed) -> Self {
        let view = Self::recorded(state).with_pods(state, seen);
        // Between the request that changed the template and the first look at it.
        let phase = if state.rollout.is_none() && seen.is_held() { Phase::Held } else { view.phase };
        Self { phase, ..view }
    }

    /// With the pods that the cluster shows.
    #[must_use]
    pub fn with_pods(mut self, state: &RolloutState, seen: &Observed) -> Self {
        let stable = stable(state, seen);
        self.canary = state.rollout.as_ref().map(|rollout| canary(rollout, seen));
        let by_pods = state.rollout.as_ref().is_some_and(|rollout| routers::by_pods(rollout.strategy()));
        if let (true, Some(progress), Some(canary)) = (by_pods, &mut self.rollout, &self.canary) {
            progress.actual_weight = share(canary.ready, stable.ready);
        }
        Self { stable: Some(stable), ..self }
    }
}

/// The share of `part` pods next to `others`, in whole percent.
fn share(part: i32, others: i32) -> Option<Weight> {
    let percent = i64::from(part) * 100 / i64::from(part.saturating_add(others)).max(1);
    Weight::try_from(u8::try_from(percent).ok()?).ok()
}

fn since(state: &RolloutState) -> Option<Timestamp> {
    let Some(rollout) = &state.rollout else {
        let healthy = || state.history.last().filter(|_| state.blocked.is_none());
        return state.queued_since.or_else(|| Some(healthy()?.ended_at));
    };
    match &rollout.stage {
        Stage::Start => Some(rollout.started_at),
        Stage::Step { entered_at, .. } => Some(*entered_at),
        Stage::Retreat { since, .. } | Stage::Aborted { since, .. } => Some(*since),
        Stage::PromoteScale | Stage::PromoteShift | Stage::PromoteRoll => None,
    }
}

fn progress(rollout: &Rollout) -> ProgressView {
    let weight = rollout.traffic.weight;
    ProgressView {
        started_at: rollout.started_at,
        attempt: rollout.attempt,
        step: rollout.step_index(),
        steps: rollout.strategy().steps.len(),
        plan: rollout.strategy().steps.iter().map(describe).collect(),
        weight,
        weight_at_most: rollout.traffic.at_most(),
        actual_weight: rollout.traffic.seen_at.map(|_| weight),
        observed_weight: rollout.traffic.seen_at.map(|_| weight),
        analyses: rollout.runs.iter().map(analysis::analysis).collect(),
    }
}

/// The `ReplicaSet` of the recorded stable template; the Deployment itself while nothing around it was looked at.
fn stable(state: &RolloutState, seen: &Observed) -> PodsView {
    let known = seen.replica_sets.iter().find(|set| state.stable.as_ref() == Some(&set.template));
    match known.or_else(|| seen.stable_replica_set()) {
        Some(set) => PodsView { images: set.images.clone(), desired: set.wanted, ready: set.ready },
        None => PodsView {
            images: container_images(seen.template.body()),
            desired: seen.replicas(),
            ready: seen.deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0),
        },
    }
}

/// The canary Deployment; before there is one, the held template.
fn canary(rollout: &Rollout, seen: &Observed) -> PodsView {
    let name = canary_name(seen.deployment.metadata.name.as_deref().unwrap_or_default());
    let Some(object) = find(&seen.ours, Kind::DEPLOYMENT, &name) else {
        let is_held = seen.template_hash() == rollout.hash;
        let images = if is_held { container_images(seen.template.body()) } else { Vec::new() };
        return PodsView { images, desired: rollout.canary_replicas, ready: 0 };
    };
    let number = |pointer: &str| {
        let number = part(object, pointer).and_then(Value::as_i64);
        number.and_then(|number| i32::try_from(number).ok()).unwrap_or(0)
    };
    PodsView {
        images: part(object, "/spec/template").map(container_images).unwrap_or_default(),
        desired: number("/spec/replicas").max(rollout.canary_replicas),
        ready: number("/status/readyReplicas"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decide::fixtures::{now, seen, set, state},
        domain::{
            metric::AnalysisRun,
            observed::ReplicaSetView,
            state::{HistoryEntry, Outcome, RunRecord},
        },
    };
    use insta::assert_yaml_snapshot;
    use jiff::SignedDuration;
    use serde_json::json;

    fn at_step(index: usize) -> Stage {
        Stage::Step { index, entered_at: now(), inconclusive: None }
    }

    /// Stable runs `web:1`, and `web:2` is the canary, with one of two pods ready.
    fn in_release() -> Observed {
        let (old, new) = (seen(4, "web:1", false), seen(4, "web:2", true));
        let stable = ReplicaSetView { wanted: 4, ready: 3, ..set(&old, "web-1", "2026-01-01T00:00:00Z") };
        let canary = json!({
            "kind": "Deployment", "metadata": {"name": "web-canary"},
            "spec": {"replicas": 2, "template": new.template.body()},
            "status": {"readyReplicas": 1},
        });
        Observed { replica_sets: vec![stable], ours: vec![canary], ..new }
    }

    /// A background analysis that has measured once.
    fn measured() -> RunRecord {
        let run = json!({
            "name": "web-b-2", "phase": "Running",
            "specs": [{"name": "errors", "provider": {"key": "prometheus", "config": {"query": "errors"}}}],
            "results": [{
                "name": "errors", "phase": "Running", "retention": 10, "count": 1, "successful": 1,
                "measurements": [{
                    "phase": "Successful", "value": "[0.01]",
                    "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z",
                }],
            }],
        });
        RunRecord { step: None, run: serde_json::from_value::<AnalysisRun>(run).unwrap() }
    }

    #[test]
    fn a_step_shows_both_sides_and_what_was_measured() {
        let seen = in_release();
        let mut state = state(&seen, at_step(1));
        state.rollout.as_mut().unwrap().runs.push(measured());
        assert_yaml_snapshot!("at_a_step", RolloutView::of(&state, &seen));
    }

    #[test]
    fn before_there_is_a_canary_its_images_are_the_images_of_the_held_template() {
        let seen = Observed { ours: Vec::new(), ..in_release() };
        let view = RolloutView::of(&state(&seen, Stage::Start), &seen);
        assert_eq!(view.canary.unwrap(), PodsView { images: vec!["web:2".into()], desired: 2, ready: 0 });
    }

    #[test]
    fn a_weight_is_observed_once_it_is_in_force() {
        let seen = in_release();
        let mut state = state(&seen, at_step(0));
        let observed = |state: &RolloutState| RolloutView::of(state, &seen).rollout.unwrap().observed_weight;
        assert_eq!(observed(&state), Weight::try_from(50).ok());
        state.rollout.as_mut().unwrap().traffic.seen_at = None;
        assert_eq!(observed(&state), None);
    }

    #[test]
    fn without_a_rollout_the_deployment_itself_is_shown() {
        let (hash, started_at) = (seen(2, "web:1", false).template_hash(), now());
        let ended_at = now() + SignedDuration::from_mins(5);
        let ended = HistoryEntry {
            revision: 2,
            hash,
            outcome: Outcome::Promoted,
            started_at,
            ended_at,
            baseline_replicas: 2,
            message: String::new(),
        };
        let state = RolloutState { revision: 2, history: vec![ended], ..RolloutState::default() };
        assert_yaml_snapshot!("healthy", RolloutView::of(&state, &seen(2, "web:1", false)));
        let held = RolloutView::of(&state, &seen(2, "web:2", true));
        assert_eq!(held.phase, Phase::Held, "no pass has looked at it yet");
    }
}
