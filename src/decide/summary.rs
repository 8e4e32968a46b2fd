//! A release in a few words, for `kubectl get configmap -o yaml`.

use super::{
    view::{AnalysisView, MetricView, PodsView, RolloutView},
    waits::whole_seconds,
};
use crate::domain::{k8s::selector::Labels, metric::AnalysisPhase, state::Phase};

/// Longest value of a metric that is shown, in characters.
const MAX_VALUE: usize = 40;
/// Characters of a reason without a value.
const MAX_MESSAGE: usize = 80;

/// The keys of the record that are for people.
#[must_use]
pub fn summary(view: &RolloutView) -> Labels {
    let progress = view.rollout.as_ref();
    // People count from 1.
    let step = progress.and_then(|progress| {
        let number = progress.step?.saturating_add(1).min(progress.steps);
        Some(format!("{number}/{}", progress.steps))
    });
    // Pods of an aborted canary go, and nothing that is recorded changes with them.
    let ends = matches!(view.phase, Phase::Aborting | Phase::Degraded);
    let canary_pods = view.canary.as_ref().filter(|_| !ends);
    let until = view.waits.as_ref().and_then(|waits| waits.until);
    let entries = [
        ("phase", Some(view.phase.to_string())),
        ("revision", Some(view.revision.to_string())),
        ("message", view.message.clone()),
        ("until", until.map(whole_seconds)),
        ("weight", progress.map(|progress| progress.weight_at_most.to_string())),
        ("actual-weight", progress.and_then(|progress| Some(progress.actual_weight?.to_string()))),
        ("step", step),
        ("stable-image", view.stable.as_ref().and_then(images)),
        ("canary-image", view.canary.as_ref().and_then(images)),
        ("canary-pods", canary_pods.map(|pods| format!("{}/{}", pods.ready, pods.desired))),
        ("analysis", progress.and_then(|progress| analyses(&progress.analyses))),
    ];
    entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

fn images(pods: &PodsView) -> Option<String> {
    (!pods.images.is_empty()).then(|| pods.images.join(", "))
}

/// What is under way, or else what ended last.
fn analyses(all: &[AnalysisView]) -> Option<String> {
    let running = all.iter().filter(|analysis| analysis.phase == AnalysisPhase::Running);
    let running: Vec<String> = running.map(analysis).collect();
    if running.is_empty() { all.last().map(analysis) } else { Some(running.join("; ")) }
}

fn analysis(analysis: &AnalysisView) -> String {
    let metrics: Vec<String> = analysis.metrics.iter().map(metric).collect();
    format!("{}: {}", analysis.phase, metrics.join(", "))
}

fn metric(metric: &MetricView) -> String {
    // Without a value there may be a reason, such as a gate's.
    let shown = metric.measurements.last().map_or(String::new(), |taken| match &taken.value {
        Some(value) => value.chars().take(MAX_VALUE).collect(),
        None => taken.message.chars().take(MAX_MESSAGE).collect(),
    });
    let value = if shown.is_empty() { shown } else { format!(" {shown}") };
    format!("{} {}{value}", metric.name, metric.phase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decide::fixtures::{now, seen, set, state},
        domain::{
            observed::{Observed, ReplicaSetView},
            state::{RolloutState, RunRecord, Stage},
        },
    };
    use serde_json::{Value, json};

    /// The summary of the state that is `default` with these fields.
    fn summary_of(fields: &Value) -> Value {
        let mut state =
            serde_json::to_value(RolloutState { revision: 3, ..RolloutState::default() }).unwrap();
        state.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!(summary(&RolloutView::recorded(&serde_json::from_value(state).unwrap())))
    }

    #[test]
    fn the_summary_says_where_a_release_is() {
        assert_eq!(summary_of(&json!({})), json!({"phase": "Healthy", "revision": "3"}));
        let blocked = json!({"blocked": "a policy"});
        let held = json!({"phase": "Held", "revision": "3", "message": "a policy"});
        assert_eq!(summary_of(&blocked), held);
        let at = "2026-01-01T00:00:00Z";
        let rollout = |stage| {
            let strategy = json!({
                "steps": [{"setWeight": 20}, {"pause": null}], "progressDeadlineAbort": true,
                "nginx": {"annotationPrefix": "nginx"}, "settle": "6s",
            });
            json!({"rollout": {
                "revision": 3, "hash": "b", "spec": {"strategy": strategy}, "startedAt": at, "attempt": 1,
                "rewrite": {"of": "web", "keys": ["app"]}, "baselineReplicas": 4, "canaryReplicas": 1,
                "traffic": {"weight": 20, "routes": true, "askedAt": at}, "stage": stage,
            }})
        };
        let step = rollout(json!({"name": "step", "index": 1, "enteredAt": at}));
        let message = "waits for weight 20 to reach every proxy";
        let paused =
            json!({"phase": "Paused", "revision": "3", "weight": "20", "step": "2/2", "message": message});
        assert_eq!(summary_of(&step), paused);
        let aborted = rollout(json!({"name": "aborted", "since": at, "message": "RolloutAborted: bad"}));
        let degraded =
            json!({"phase": "Degraded", "revision": "3", "weight": "20", "message": "RolloutAborted: bad"});
        assert_eq!(summary_of(&aborted), degraded);
    }

    /// The summary at this stage, of a canary with one of two pods, after an analysis has measured once.
    fn at(stage: Stage) -> Labels {
        let (old, new) = (seen(4, "web:1", false), seen(4, "web:2", true));
        let template = new.template.body();
        let canary = json!({
            "kind": "Deployment", "metadata": {"name": "web-canary"},
            "spec": {"replicas": 1, "template": template}, "status": {"readyReplicas": 1},
        });
        let stable = ReplicaSetView { wanted: 4, ready: 4, ..set(&old, "web-1", "2026-01-01T00:00:00Z") };
        let seen = Observed { replica_sets: vec![stable], ours: vec![canary], ..new };
        let mut recorded = state(&seen, stage);
        let run = json!({
            "name": "web-2", "phase": "Running",
            "specs": [{"name": "errors", "provider": {"key": "prometheus", "config": {"query": "errors"}}}],
            "results": [{"name": "errors", "phase": "Running", "retention": 10, "measurements": [{
                "phase": "Successful", "value": "[0.01]",
                "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z",
            }]}],
        });
        let run = serde_json::from_value(run).unwrap();
        recorded.rollout.as_mut().unwrap().runs.push(RunRecord { step: None, run });
        summary(&RolloutView::of(&recorded, &seen))
    }

    #[test]
    fn what_runs_is_shown_next_to_what_it_waits_for() {
        let paused = at(Stage::Step { index: 1, entered_at: now(), inconclusive: None });
        let expected = json!({
            "phase": "Paused", "revision": "2", "step": "2/4", "weight": "50", "actual-weight": "50",
            "message": "waits for pause: 1m until 2026-01-01T00:01:00Z", "until": "2026-01-01T00:01:00Z",
            "stable-image": "web:1", "canary-image": "web:2", "canary-pods": "1/2",
            "analysis": "Running: errors Running [0.01]",
        });
        assert_eq!(json!(paused), expected);
        let aborted = at(Stage::Aborted { since: now(), message: "RolloutAborted: bad".into() });
        assert_eq!(
            (aborted.get("canary-image").map(String::as_str), aborted.get("canary-pods")),
            (Some("web:2"), None)
        );
    }
}
