//! A template that changed past the webhook, because its configuration was not there.

use super::{Event, decision::Decision};
use crate::domain::{
    names::TemplateHash,
    observed::{Observed, ReplicaSetView},
    restarts::Code,
    state::{Rollout, RolloutState, Stage},
};

/// Whether the template may have changed past the webhook: then what is needed to find out is looked up.
#[must_use]
pub fn is_suspected(state: &RolloutState, seen: &Observed) -> bool {
    let is_new = state.stable.as_ref().is_some_and(|stable| *stable != seen.template_hash());
    state.rollout.is_none() && is_new && !seen.is_held() && !seen.has_rolled()
}

/// Holds a template that slipped past the webhook, while none of its pods is ready; after that it is
/// recorded as released natively, because its pods serve already.
///
/// What admission lets start natively is let go here too: a restart, and a change where nothing served.
pub(super) fn hold(state: &mut RolloutState, decision: &mut Decision<'_>) {
    let seen = decision.seen();
    let set_of = |hash: &TemplateHash| seen.replica_sets.iter().find(|set| set.template == *hash);
    let Some(stable) = state.stable.as_ref().and_then(set_of) else { return };
    let code = Code::of(seen.template.body());
    let is_restart = seen.restarts.are_between(&stable.code, &code) && !seen.restarts.are_canaries;
    if !is_suspected(state, seen) || is_restart || stable.ready == 0 {
        return;
    }
    let wanted = seen.template_hash();
    if set_of(&wanted).is_some_and(|set| set.ready > 0) {
        decision.events.push(Event::warning(
            "ReleasedNatively",
            "The pod template changed without being held at admission, and its pods serve already: it is released without a canary; is the webhook configuration missing?",
        ));
        state.becomes_stable(wanted);
    } else {
        decision.held_late = Some(Event::warning(
            "HeldLate",
            "The pod template changed without being held at admission: it is held now, and its canary starts; is the webhook configuration missing?",
        ));
    }
}

/// The `ReplicaSet` that the user's Deployment has for the canary's template, if none of its pods is
/// ready yet: they would serve outside of the canary.
pub(super) fn premature_set<'a>(rollout: &Rollout, seen: &'a Observed) -> Option<&'a ReplicaSetView> {
    let may_roll = matches!(rollout.stage, Stage::PromoteRoll | Stage::Retreat { .. });
    let is_held = seen.is_held() && seen.is_paused() && seen.template_hash() == rollout.hash;
    if may_roll || !is_held {
        return None;
    }
    let mut own = seen.replica_sets.iter().filter(|set| set.template == rollout.hash);
    own.find(|set| set.wanted > 0 && set.ready == 0)
}

#[cfg(test)]
mod tests {
    use crate::decide::{
        DeploymentWrite, Plan,
        fixtures::{decided, seen, set, state},
    };
    use crate::domain::{
        keys,
        observed::{Observed, ReplicaSetView},
        state::{RolloutState, Stage},
    };
    use serde_json::json;

    /// `a` served with four pods when `now` came past the webhook; so many pods of either are ready.
    fn slipped(now: &Observed, stable: i32, new: i32) -> Plan {
        let a = seen(4, "a", false);
        let mut now = now.clone();
        now.replica_sets = [(set(&a, "web-a", "1"), stable), (set(&now, "web-b", "2"), new)]
            .map(|(set, ready)| ReplicaSetView { wanted: 1, ready, ..set })
            .to_vec();
        decided(RolloutState { stable: Some(a.template_hash()), ..RolloutState::default() }, &now)
    }

    fn reasons(plan: &Plan) -> Vec<&str> {
        plan.events.iter().map(|event| event.reason).collect()
    }

    #[test]
    fn a_template_is_held_late_while_none_of_its_pods_is_ready() {
        let plan = slipped(&seen(4, "b", false), 4, 0);
        assert_eq!(plan.deployment, Some(DeploymentWrite::Hold));
        assert_eq!(plan.held_late.as_ref().map(|event| event.reason), Some("HeldLate"));
        assert_eq!(reasons(&plan), Vec::<&str>::new(), "it is reported when it is held, not before");
    }

    #[test]
    fn one_that_serves_already_is_reported_once() {
        let b = seen(4, "b", false);
        let plan = slipped(&b, 3, 1);
        assert_eq!((plan.deployment, reasons(&plan)), (None, vec!["ReleasedNatively"]));
        assert_eq!(plan.state.stable, Some(b.template_hash()));
        assert_eq!(reasons(&decided(plan.state, &b)), Vec::<&str>::new());
    }

    #[test]
    fn what_admission_lets_start_natively_is_let_go() {
        assert_eq!(slipped(&seen(4, "b", false), 0, 0).deployment, None, "nothing served");
        let mut restarted = seen(4, "a", false);
        let mut template = restarted.template.body().clone();
        template["metadata"]["annotations"] = json!({keys::RESTARTED_AT: "2026"});
        restarted.template = template.into();
        assert_eq!(slipped(&restarted, 4, 0).deployment, None, "a restart runs the same code");
        restarted.restarts.are_canaries = true;
        assert_eq!(
            slipped(&restarted, 4, 0).deployment,
            Some(DeploymentWrite::Hold),
            "unless that is wanted"
        );
    }

    #[test]
    fn pods_that_were_made_before_the_hold_are_removed_unless_they_serve() {
        let (a, b) = (seen(4, "a", true), seen(4, "b", true));
        let emptied = |ready: i32, stage: Stage| {
            let mut seen = b.clone();
            let serving = ReplicaSetView { wanted: 4, ready: 4, ..set(&a, "web-a", "1") };
            seen.replica_sets = vec![serving, ReplicaSetView { wanted: 2, ready, ..set(&b, "web-b", "2") }];
            decided(state(&b, stage), &seen).empty
        };
        assert_eq!(emptied(0, Stage::Start).as_deref(), Some("web-b"));
        assert_eq!(emptied(1, Stage::Start), None);
        assert_eq!(emptied(0, Stage::PromoteRoll), None, "it is to roll");
    }
}
