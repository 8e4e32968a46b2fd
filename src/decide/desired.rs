//! The world as the state wants it, and the writes that are missing for that.

use super::{DeploymentWrite, Plan, bypass, condition::conditions, decision::Decision};
use crate::{
    domain::{
        k8s::json_pointer::part,
        names::Weight,
        state::{Outcome, Rollout, RolloutState, Stage},
    },
    objects::manifest::{Kind, Manifest, find},
    routers::{self, named, traffic},
};
use serde_json::Value;

/// The decision, as what is to be written.
pub(super) fn plan(state: RolloutState, mut decision: Decision<'_>) -> Plan {
    let removal = state.rollout.as_ref().is_some_and(|rollout| decision.removal_is_due(rollout));
    let wanted = match &state.rollout {
        Some(rollout) if !removal => wanted_objects(rollout, &decision),
        _ => Vec::new(),
    };
    let retreats = |r: &Rollout| matches!(r.stage, Stage::Retreat { .. } | Stage::Aborted { .. });
    let mut delete = unwanted(&decision.seen().ours, &wanted);
    let retreats = state.rollout.as_ref().is_some_and(retreats) && !removal;
    if retreats {
        // While proxies let go of the canary, or people look at it, nothing may vanish but a route to it.
        delete.retain(|(kind, _)| kind.is_route());
    }
    let missing = |wanted: Manifest| {
        if let Some(observed) = find(&decision.seen().ours, wanted.kind, &wanted.name) {
            return (!wanted.is_satisfied_by(observed)).then_some(wanted);
        }
        let rollout = state.rollout.as_ref()?;
        Some(traffic::newborn(&decision.pair(rollout), wanted, &rollout.traffic))
    };
    let apply = wanted.into_iter().filter_map(missing).collect();
    let last_resort = state.rollout.as_ref().filter(|_| retreats);
    let last_resort = last_resort.and_then(|rollout| last_resort_of(rollout, &decision));
    let wakes = decision.wake_at.into_iter().chain(decision.analysis_wake_at);
    Plan {
        apply,
        delete,
        deployment: deployment_write(&state, &decision),
        retreats,
        last_resort,
        empty: empty(&state, &decision),
        conditions: conditions(&state, decision.seen()),
        wake_at: wakes.min(),
        measure: std::mem::take(&mut decision.measure),
        events: std::mem::take(&mut decision.events),
        held_late: decision.held_late.take(),
        state,
    }
}

impl Decision<'_> {
    /// Whether the canary may go: proxies have let go of it, and people have had their look.
    pub(super) fn removal_is_due(&mut self, rollout: &Rollout) -> bool {
        match (&rollout.stage, rollout.strategy().abort_scale_down_delay) {
            (Stage::Retreat { outcome, .. }, _) => *outcome != Outcome::Aborted && self.settled(rollout),
            (Stage::Aborted { since, .. }, Some(delay)) => self.passed(*since, delay.signed()),
            _ => false,
        }
    }
}

fn wanted_objects(rollout: &Rollout, decision: &Decision<'_>) -> Vec<Manifest> {
    let (pair, traffic) = (decision.pair(rollout), &rollout.traffic);
    let exists = |m: &Manifest| find(&decision.seen().ours, m.kind, &m.name).is_some();
    match rollout.stage {
        Stage::Start if holds_another_canary(rollout, decision) => Vec::new(),
        Stage::Start
        | Stage::Step { .. }
        | Stage::PromoteScale
        | Stage::PromoteShift
        | Stage::PromoteRoll => {
            // Traffic that goes, before pods come that must not get it.
            let goes = traffic.weight == Weight::ZERO || traffic.at_most() > traffic.weight;
            let routes = decision.routing(rollout).to_vec();
            let (mut objects, routes): (Vec<_>, Vec<_>) =
                routes.into_iter().partition(|route| goes && exists(route));
            objects.extend(pair.objects(rollout.canary_replicas, traffic));
            // Last: from here on traffic can flow.
            objects.extend(routes);
            objects
        }
        // The user's template may be another one by now, so nothing is made; what routes is turned off.
        Stage::Retreat { .. } | Stage::Aborted { .. } => {
            let mut routing = decision.routing(rollout).to_vec();
            if routers::by_pods(rollout.strategy()) {
                routing.push(pair.deployment(0, traffic));
            }
            routing.into_iter().filter(exists).collect()
        }
    }
}

/// See [`Plan::last_resort`]. A promoted canary is as good as stable, so it may keep its pods until its routes can go.
fn last_resort_of(rollout: &Rollout, decision: &Decision<'_>) -> Option<Manifest> {
    let is_good = matches!(rollout.stage, Stage::Retreat { outcome: Outcome::Promoted, .. });
    let needs_pods = !routers::of(rollout.strategy()).has_last_resort() || is_good;
    let canary = decision.pair(rollout).deployment(0, &rollout.traffic);
    let found = find(&decision.seen().ours, canary.kind, &canary.name)?;
    let has_pods = part(found, "/spec/replicas").and_then(Value::as_i64) != Some(0);
    (has_pods && !needs_pods).then_some(canary)
}

/// A canary Deployment of another selector cannot be changed into this one: it goes first.
fn holds_another_canary(rollout: &Rollout, decision: &Decision<'_>) -> bool {
    let name = crate::objects::canary_deployment::canary_name(&decision.input.owner.name);
    let selector = serde_json::to_value(rollout.rewrite.canary_only()).unwrap_or_default();
    find(&decision.seen().ours, Kind::DEPLOYMENT, &name)
        .is_some_and(|object| part(object, "/spec/selector") != Some(&selector))
}

/// Objects of ours that are not wanted, the routing ones first.
fn unwanted(ours: &[Value], wanted: &[Manifest]) -> Vec<(Kind, String)> {
    let is_wanted = |(kind, name)| wanted.iter().any(|m| m.kind == kind && m.name == name);
    let unwanted = ours.iter().filter_map(named).filter(|object| !is_wanted(*object));
    let mut unwanted: Vec<_> = unwanted.map(|(kind, name)| (kind, name.to_owned())).collect();
    unwanted.sort_by_key(|(kind, _)| std::cmp::Reverse(*kind));
    unwanted
}

/// The hold is removed only for a template that may serve: the promoted one, or the stable one.
fn deployment_write(state: &RolloutState, decision: &Decision<'_>) -> Option<DeploymentWrite> {
    if decision.held_late.is_some() {
        return Some(DeploymentWrite::Hold);
    }
    let seen = decision.seen();
    let hash = seen.template_hash();
    let is_stable = decision.stable_hash().as_ref() == Some(&hash);
    let promoted = state
        .rollout
        .as_ref()
        .is_some_and(|rollout| rollout.stage == Stage::PromoteRoll && rollout.hash == hash);
    if seen.is_held() && (is_stable || promoted) {
        return Some(DeploymentWrite::Release);
    }
    let in_release = state.rollout.as_ref().is_some_and(|rollout| {
        let trusted = match rollout.stage {
            Stage::PromoteRoll => true,
            Stage::Retreat { outcome, .. } => outcome != Outcome::Aborted,
            _ => false,
        };
        rollout.hash == hash && !trusted
    });
    (in_release && !is_stable && !(seen.is_paused() && seen.is_held())).then_some(DeploymentWrite::Hold)
}

fn empty(state: &RolloutState, decision: &Decision<'_>) -> Option<String> {
    let premature = bypass::premature_set(state.rollout.as_ref()?, decision.seen());
    premature.map(|set| set.name.clone())
}

#[cfg(test)]
mod tests {
    use crate::{
        decide::fixtures::{decided, now, seen, state},
        domain::state::{Outcome, Stage},
    };
    use serde_json::json;

    /// Whether the canary may lose its pods where its routes cannot be changed.
    fn has_last_resort(router: &str, outcome: Outcome) -> bool {
        let mut seen = seen(4, "b", true);
        seen.ours =
            vec![json!({"kind": "Deployment", "metadata": {"name": "web-canary"}, "spec": {"replicas": 2}})];
        let stage = Stage::Retreat { outcome, since: now(), message: "bad".into() };
        let mut recorded = state(&seen, stage);
        recorded.rollout.as_mut().unwrap().spec.strategy.router = Some(router.to_owned());
        let plan = decided(recorded, &seen);
        plan.last_resort.is_some_and(|canary| canary.body["spec"]["replicas"] == 0)
    }

    #[test]
    fn a_bad_canary_loses_its_pods_where_its_share_then_goes_to_stable() {
        for (router, expected) in [("nginx", true), ("traefik", true), ("gateway", false)] {
            assert_eq!(has_last_resort(router, Outcome::Aborted), expected, "{router}");
            assert!(!has_last_resort(router, Outcome::Promoted), "{router}: it is as good as stable");
        }
    }
}
