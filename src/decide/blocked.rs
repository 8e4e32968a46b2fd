//! A rollout that cannot be tried where it is: its application is scaled to 0, or nothing routes to it; and a promotion
//! that would empty a Service.
//!
//! It waits, and its step begins again afterwards: what does not run or has no traffic is not judged.

use super::{Event, decision::Decision};
use crate::{
    domain::{
        k8s::rolling,
        observed::Observed,
        state::{Rollout, Stage},
    },
    routers,
};

/// A person has stopped the application, or KEDA found nothing to do. That applies to the whole application, so
/// its canary has no pods either.
const STOPPED: &str = "its canary has no pods, because the Deployment is scaled to 0";

/// The user's routes of this kind are gone.
fn unrouted(route: &str) -> String {
    format!(
        "no {route} routes to a Service of the Deployment any more, so its canary can have no traffic; create one, or end the rollout with haldane.dev/do=abort or haldane.dev/do=promote-full"
    )
}

/// Whether the rollout waits for something that only people can change. An Event reports it once.
pub(super) fn waits(rollout: &mut Rollout, decision: &mut Decision<'_>) -> bool {
    let why = reason(rollout, decision);
    match &why {
        Some(why) => {
            if rollout.waiting.as_ref() != Some(why) {
                decision.events.push(Event::normal("RolloutPaused", format!("Rollout waits: {why}")));
            }
            wait(rollout, why == STOPPED, decision);
        }
        None if rollout.waiting.is_some() => {
            if let Stage::Step { entered_at, .. } = &mut rollout.stage {
                *entered_at = decision.now();
            }
        }
        None => {}
    }
    rollout.waiting = why;
    rollout.waiting.is_some()
}

fn reason(rollout: &Rollout, decision: &Decision<'_>) -> Option<String> {
    let (at_steps, promoting) = match rollout.stage {
        Stage::Start | Stage::Step { .. } => (true, false),
        Stage::PromoteScale | Stage::PromoteShift => (false, true),
        _ => (false, false),
    };
    if (at_steps || promoting) && decision.seen().replicas() == 0 {
        return Some(STOPPED.to_owned());
    }
    if promoting && let Some(why) = emptied(rollout, decision.seen()) {
        return Some(why);
    }
    // Nothing is tried any more by a promotion, and it needs no traffic.
    let route = || unrouted(routers::of(rollout.strategy()).route());
    (at_steps && !decision.is_routed(rollout)).then(route)
}

/// A person may have scaled the Deployment down since its release was admitted, to a size at which its strategy lets
/// every pod of stable go at once. Where pods are the split, the canary pods stay behind the Service.
fn emptied(rollout: &Rollout, seen: &Observed) -> Option<String> {
    let rolling =
        seen.deployment.spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
    let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref());
    let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
    let replicas = i64::from(seen.replicas());
    let is_emptied = rolling::empties(surge, unavailable, replicas) && !routers::by_pods(rollout.strategy());
    is_emptied.then(|| {
        format!(
            "its promotion would leave the Service without pods, because spec.strategy with maxUnavailable {} lets Kubernetes remove {} of stable before a new one is ready; scale the Deployment up, or set maxUnavailable: 0 and maxSurge: 1; haldane.dev/do=abort ends the rollout",
            rolling::shown(unavailable),
            rolling::all_of(replicas)
        )
    })
}

fn wait(rollout: &mut Rollout, stopped: bool, decision: &Decision<'_>) {
    if stopped && rollout.stage == Stage::PromoteShift {
        // The canary has to grow again before it gets all traffic.
        let weight = rollout.strategy().weight_at(rollout.strategy().steps.len());
        rollout.traffic.ask(weight, true, decision.now());
        rollout.stage = Stage::PromoteScale;
    }
    if stopped {
        rollout.canary_replicas = 0;
    }
    rollout.traffic.seen_at = None;
    rollout.lagging = None;
}

#[cfg(test)]
mod tests {
    use crate::decide::{
        Plan,
        fixtures::{decided, now, seen, set, state},
    };
    use crate::domain::{
        names::Weight,
        observed::Observed,
        state::{Outcome, Phase, RolloutState, Stage},
    };
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn canary_size(plan: &Plan) -> Option<&Value> {
        plan.apply.iter().find(|m| m.name == "web-canary")?.body.pointer("/spec/replicas")
    }

    #[test]
    fn the_canary_stops_with_its_application_and_comes_back_with_it() {
        let long_ago = now() - jiff::SignedDuration::from_hours(9);
        let stage = Stage::Step { index: 2, entered_at: long_ago, inconclusive: None };
        let stopped = decided(state(&seen(4, "b", true), stage.clone()), &seen(0, "b", true));
        assert_eq!(canary_size(&stopped), Some(&json!(0)));
        let rollout = stopped.state.rollout.as_ref().unwrap();
        assert_eq!(rollout.stage, stage, "it stays where it is");
        assert_eq!((rollout.phase(), rollout.message()), (Phase::Paused, Some(super::STOPPED)));
        assert_eq!(stopped.events.len(), 1, "{:?}", stopped.events);
        let again = decided(stopped.state.clone(), &seen(0, "b", true));
        assert_eq!((again.events.len(), &again.state), (0, &stopped.state), "reported once");
        let back = decided(again.state, &seen(4, "b", true));
        assert_eq!(canary_size(&back), Some(&json!(2)), "half of four");
        let rollout = back.state.rollout.unwrap();
        let begun = Stage::Step { index: 2, entered_at: now(), inconclusive: None };
        assert_eq!((rollout.stage, rollout.waiting), (begun, None), "its step begins again");
    }

    /// The Deployment with its canary of two pods, and the Ingresses of the user.
    fn routed(ingresses: &[&str]) -> Observed {
        let mut seen = seen(4, "b", true);
        let ingress = |name: &&str| {
            let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
            let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
            let spec = json!({"rules": [{"host": name, "http": {"paths": [path]}}]});
            json!({"kind": "Ingress", "metadata": {"name": name}, "spec": spec})
        };
        let service =
            json!({"kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}});
        for object in ingresses.iter().map(ingress).chain([service]) {
            Arc::make_mut(&mut seen.world).add(object).unwrap();
        }
        seen
    }

    fn by_nginx(stage: Stage) -> RolloutState {
        let mut in_release = state(&routed(&[]), stage);
        in_release.rollout.as_mut().unwrap().spec.strategy.router = Some("nginx".to_owned());
        in_release
    }

    #[test]
    fn a_step_without_an_ingress_waits_until_there_is_one_again() {
        let long_ago = now() - jiff::SignedDuration::from_hours(9);
        let stage = Stage::Step { index: 1, entered_at: long_ago, inconclusive: None };
        let lost = decided(by_nginx(stage.clone()), &routed(&[]));
        let rollout = lost.state.rollout.as_ref().unwrap();
        assert_eq!((&rollout.stage, rollout.traffic.seen_at), (&stage, None));
        assert_eq!(
            (rollout.phase(), rollout.message()),
            (Phase::Paused, Some(super::unrouted("Ingress").as_str()))
        );
        assert_eq!(lost.events.len(), 1, "{:?}", lost.events);
        let again = decided(lost.state, &routed(&[]));
        assert_eq!(again.events.len(), 0, "reported once");
        let back = decided(again.state, &routed(&["shop"])).state.rollout.unwrap();
        let begun = Stage::Step { index: 1, entered_at: now(), inconclusive: None };
        assert_eq!((back.stage, back.waiting), (begun, None), "its step begins again");
    }

    #[test]
    fn a_promotion_needs_no_ingress() {
        let rollout = decided(by_nginx(Stage::PromoteScale), &routed(&[])).state.rollout.unwrap();
        assert_eq!(rollout.waiting, None);
    }

    #[test]
    fn a_promotion_waits_while_it_would_empty_the_service() {
        let sized = |replicas: i32| {
            let mut seen = seen(replicas, "b", true);
            let rolling = json!({"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}});
            seen.deployment.spec.strategy = serde_json::from_value(rolling).unwrap();
            seen
        };
        for stage in [Stage::PromoteScale, Stage::PromoteShift] {
            let waiting = decided(state(&sized(1), stage.clone()), &sized(1));
            let rollout = waiting.state.rollout.as_ref().unwrap();
            assert_eq!((&rollout.stage, rollout.phase()), (&stage, Phase::Promoting));
            let why = rollout.message().unwrap();
            assert!(why.contains("maxUnavailable 1 lets Kubernetes remove its one pod of stable"), "{why}");
            assert_eq!(waiting.events.len(), 1, "{:?}", waiting.events);
            let again = decided(waiting.state, &sized(1));
            assert_eq!(again.events.len(), 0, "reported once");
            let back = decided(again.state, &sized(2)).state.rollout.unwrap();
            assert_eq!(back.waiting, None);
        }
        let mut by_pods = state(&sized(1), Stage::PromoteScale);
        by_pods.rollout.as_mut().unwrap().spec.strategy.router = Some("replicas".to_owned());
        let going = decided(by_pods, &sized(1)).state.rollout.unwrap();
        assert_eq!(going.waiting, None, "its canary stays behind the Service");
    }

    #[test]
    fn a_canary_that_was_stopped_grows_again_before_it_gets_all_traffic() {
        let stopped = decided(state(&seen(4, "b", true), Stage::PromoteShift), &seen(0, "b", true));
        let back = decided(stopped.state, &seen(4, "b", true)).state.rollout.unwrap();
        assert_eq!((back.stage, back.canary_replicas), (Stage::PromoteScale, 4));
        assert!(back.traffic.weight < Weight::FULL, "{:?}", back.traffic);
    }

    #[test]
    fn a_promotion_ends_at_size_0_too() {
        let mut seen = seen(0, "b", false);
        seen.replica_sets = vec![set(&seen, "web-b", "2026-01-01T00:00:00Z")];
        let plan = decided(state(&seen, Stage::PromoteRoll), &seen);
        let stage = plan.state.rollout.unwrap().stage;
        assert!(matches!(stage, Stage::Retreat { outcome: Outcome::Promoted, .. }), "{stage:?}");
    }

    #[test]
    fn stable_is_known_at_size_0() {
        let (a, b) = (seen(0, "a", true), seen(0, "b", true));
        let mut seen = a.clone();
        seen.replica_sets =
            vec![set(&a, "web-a", "2026-01-02T00:00:00Z"), set(&b, "web-z", "2026-01-01T00:00:00Z")];
        let stage = Stage::Step { index: 0, entered_at: now(), inconclusive: None };
        let plan = decided(state(&b, stage), &seen);
        let stage = plan.state.rollout.unwrap().stage;
        assert!(matches!(stage, Stage::Retreat { outcome: Outcome::RolledBack, .. }), "{stage:?}");
    }
}
