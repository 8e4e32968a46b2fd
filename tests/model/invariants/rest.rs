//! What a schedule must have come to.

use super::{Invariants, Violation};
use crate::sim::cluster::Cluster;
use haldane::{
    decide::{RELEASE, RolloutView},
    domain::{
        state::{HistoryEntry, Outcome, Phase, RolloutState, Stage},
        strategy::Step,
    },
};
use serde_json::Value;

/// What a schedule must have come to once nothing disturbs it any more.
pub fn at_rest(cluster: &Cluster, invariants: &Invariants) -> Result<&'static str, Violation> {
    let state = cluster.state();
    let name = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
    let told = cluster.condition("Progressing")["message"].take();
    let told = told.as_str().unwrap_or("");
    invariants.all_published(&state.history)?;
    is_stated(cluster, &state)?;
    let Some(rollout) = &state.rollout else {
        match &state.blocked {
            // A plan that needs an Ingress waits for a person who brings one.
            Some(why) if why.contains("needs an Ingress") && !cluster.routes.lead() => return Ok("Blocked"),
            // One that names the canary's Service waits for the Service that it belongs to.
            Some(why) if why.starts_with("canaryService: no Service") && !cluster.routes.is_served => {
                return Ok("Blocked");
            }
            Some(why) => return Err(format!("blocked: {why}")),
            None => {}
        }
        if let Some(leaked) = cluster.ours.first() {
            return Err(format!("{} is left over", name(leaked)));
        }
        // The condition of a Deployment that has opted out is Kubernetes' alone, which leaves it while it is paused.
        let is_stale = told.starts_with("RolloutAborted") && (cluster.is_opted_in() || !cluster.is_paused());
        if cluster.is_held() || is_stale {
            return Err(format!("Healthy, but held {}, condition {told:?}", cluster.is_held()));
        }
        let wanted = cluster.wanted_hash();
        let sets = cluster.stable_sets().filter(|set| set.hash == wanted);
        let ready: usize = sets.map(|set| set.ready(cluster.now)).sum();
        let excused = cluster.is_paused() || invariants.native;
        if !excused && i32::try_from(ready).unwrap() < cluster.replicas() {
            return Err(format!("Healthy with {ready} of {} pods", cluster.replicas()));
        }
        return Ok(if cluster.is_opted_in() { "Healthy" } else { "OptedOut" });
    };
    let paused = rollout.manual_pause.is_some()
        || rollout.needs_person().is_some()
        || matches!(&rollout.stage, Stage::Step { inconclusive: Some(_), .. })
        || rollout.step_index().is_some_and(|i| rollout.strategy().steps.get(i) == Some(&Step::Pause(None)));
    match &rollout.stage {
        Stage::Aborted { message, .. } => {
            let keeps = rollout.strategy().abort_scale_down_delay.is_none();
            if !cluster.ours.is_empty() && !keeps {
                return Err(format!("Degraded, but {} is left over", name(&cluster.ours[0])));
            }
            if cluster.weight().unwrap_or(0) > 0 || cluster.has_routes() || told != *message {
                return Err(format!("Degraded with traffic or with the condition {told:?}"));
            }
            Ok("Degraded")
        }
        Stage::Start | Stage::Step { .. } | Stage::PromoteScale | Stage::PromoteShift
            if cluster.replicas() == 0 =>
        {
            Ok("Stopped")
        }
        Stage::Start | Stage::Step { .. } if rollout.waiting.is_some() => {
            let wanted = rollout.strategy().stable_service.as_ref();
            if cluster.routes.lead() && wanted.is_none_or(|wanted| *wanted == cluster.routes.service) {
                return Err(format!("waits for nothing: {:?}", rollout.waiting));
            }
            Ok("Unrouted")
        }
        Stage::Start | Stage::Step { .. } if paused => Ok("Paused"),
        Stage::Retreat { outcome: Outcome::Promoted, .. } | Stage::PromoteRoll
            if cluster.is_paused() && !cluster.is_held() =>
        {
            Ok("Paused")
        }
        // Kubernetes' own rollout is stuck, as it would be without Haldane.
        Stage::PromoteRoll if invariants.native => Ok("Stuck"),
        other => Err(format!("stuck at {other:?}, lagging {:?}", rollout.lagging)),
    }
}

/// Nothing waits in silence: the record has a message, and the condition agrees with the record.
fn is_stated(cluster: &Cluster, state: &RolloutState) -> Result<(), Violation> {
    let view = RolloutView::recorded(state);
    let is_idle = state.rollout.is_none() && state.blocked.is_none();
    if !is_idle && view.message.as_deref().unwrap_or_default().is_empty() {
        return Err(format!("{} without a message", view.phase));
    }
    let condition = cluster.condition(RELEASE);
    let expected: &[&str] = match view.phase {
        // One that has had no release, or is not managed any more, has none.
        Phase::Healthy if !cluster.is_opted_in() => &[""],
        Phase::Healthy => &["", "True"],
        Phase::Degraded => &["False"],
        _ => &["Unknown"],
    };
    let status = condition["status"].as_str().unwrap_or("");
    if expected.contains(&status) {
        Ok(())
    } else {
        Err(format!("{}, and the condition is {condition}", view.phase))
    }
}

impl Invariants {
    /// Every end of a rollout is announced, unless a process died before it could.
    fn all_published(&self, history: &[HistoryEntry]) -> Result<(), Violation> {
        for (outcome, reason) in
            [(Outcome::Promoted, "RolloutCompleted"), (Outcome::Aborted, "RolloutAborted")]
        {
            let ended = history.iter().filter(|entry| entry.outcome == outcome).count();
            let published = self.published.iter().filter(|published| **published == reason).count();
            if published < ended && !self.events_lost && !self.tampered {
                return Err(format!(
                    "{ended} rollouts ended as {outcome:?}, and {published} Events {reason}"
                ));
            }
        }
        Ok(())
    }
}
