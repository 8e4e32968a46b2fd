//! A canary that has lost its last ready pod while it has traffic. Where its router has no other way for its requests,
//! they would fail, so the traffic goes back to stable until the canary is ready again.

use super::{Event, decision::Decision};
use crate::{
    domain::{
        k8s::json_pointer::part,
        names::Weight,
        state::{Rollout, Stage},
    },
    objects::{
        canary_deployment::canary_name,
        manifest::{Kind, find},
    },
    routers,
};
use serde_json::Value;

/// Takes back the traffic of a canary without a ready pod.
pub(super) fn take_back(rollout: &mut Rollout, decision: &mut Decision<'_>) {
    let carries = matches!(
        rollout.stage,
        Stage::Step { .. } | Stage::PromoteScale | Stage::PromoteShift | Stage::PromoteRoll
    );
    let has_traffic = rollout.traffic.weight > Weight::ZERO || !rollout.traffic.headers.is_empty();
    if carries && has_traffic && decision.would_fail(rollout) {
        let message = format!(
            "No pod of the canary is ready: its share of {} goes to stable until there are enough",
            rollout.traffic.weight
        );
        decision.events.push(Event::warning("PodsUnavailable", message));
        rollout.traffic.ask(Weight::ZERO, false, decision.now());
        if rollout.stage == Stage::PromoteShift {
            // One pod cannot carry all of it: the canary has to be whole again first.
            rollout.stage = Stage::PromoteScale;
        }
    }
}

impl Decision<'_> {
    /// Whether requests for the canary would fail, because none of its pods is ready and nobody else gets them.
    pub(super) fn would_fail(&self, rollout: &Rollout) -> bool {
        let strategy = rollout.strategy();
        if routers::of(strategy).falls_back() || routers::by_pods(strategy) {
            return false;
        }
        let canary = find(&self.seen().ours, Kind::DEPLOYMENT, &canary_name(&self.input.owner.name));
        let ready = canary.and_then(|canary| part(canary, "/status/readyReplicas")).and_then(Value::as_i64);
        ready.unwrap_or(0) == 0
    }
}

#[cfg(test)]
mod tests {
    use crate::decide::{
        Plan,
        fixtures::{decided, now, seen, state},
    };
    use crate::domain::{
        names::Weight,
        observed::Observed,
        state::{Lag, RolloutState, Stage},
    };
    use jiff::SignedDuration;
    use serde_json::json;

    /// A release that has had half of the traffic.
    fn recorded(router: &str, stage: Stage) -> RolloutState {
        let mut recorded = state(&seen(4, "b", true), stage);
        let rollout = recorded.rollout.as_mut().unwrap();
        rollout.spec.strategy.router = Some(router.to_owned());
        rollout.exposed_at = Some(now());
        recorded
    }

    /// Its canary of four pods, of which so many are ready.
    fn with_ready(ready: i32) -> Observed {
        let mut seen = seen(4, "b", true);
        let template = json!({"haldane.dev/template": seen.template_hash()});
        let status = json!({"observedGeneration": 1, "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": 4});
        seen.ours = vec![json!({
            "kind": "Deployment",
            "metadata": {"name": "web-canary", "generation": 1, "annotations": template},
            "spec": {"replicas": 4},
            "status": status,
        })];
        let backend = json!({"name": "web", "port": 80});
        let path = json!({"path": "/", "backend": {"service": {"name": "web"}}});
        for object in [
            json!({"kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}}),
            json!({"kind": "HTTPRoute", "metadata": {"name": "web"}, "spec": {"rules": [{"backendRefs": [backend]}]}}),
            json!({"kind": "Ingress", "metadata": {"name": "web"}, "spec": {"rules": [{"http": {"paths": [path]}}]}}),
        ] {
            std::sync::Arc::make_mut(&mut seen.world).add(object).unwrap();
        }
        seen
    }

    fn decided_about(router: &str, stage: Stage, ready: i32) -> Plan {
        decided(recorded(router, stage), &with_ready(ready))
    }

    fn weight(plan: &Plan) -> Weight {
        plan.state.rollout.as_ref().unwrap().traffic.weight
    }

    const STEP: Stage = Stage::Step { index: 1, entered_at: jiff::Timestamp::UNIX_EPOCH, inconclusive: None };

    #[test]
    fn a_canary_without_a_ready_pod_has_no_traffic_where_its_requests_would_fail() {
        for stage in [STEP, Stage::PromoteScale, Stage::PromoteShift] {
            let lost = decided_about("gateway", stage.clone(), 0);
            assert_eq!(weight(&lost), Weight::ZERO, "{stage:?}");
            assert_eq!(lost.events[0].reason, "PodsUnavailable");
            assert_eq!(
                lost.state.rollout.unwrap().traffic.asked_at,
                now(),
                "a late write of before is refused"
            );
            assert!(weight(&decided_about("gateway", stage.clone(), 1)) > Weight::ZERO, "{stage:?}");
        }
        let by_nginx = weight(&decided_about("nginx", STEP, 0));
        assert!(by_nginx > Weight::ZERO, "NGINX sends its requests to stable");
    }

    fn stage(plan: &Plan) -> &Stage {
        &plan.state.rollout.as_ref().unwrap().stage
    }

    #[test]
    fn a_canary_that_had_all_traffic_gets_it_again_when_it_is_whole_and_its_last_step_s_before() {
        let mut promoting = recorded("gateway", Stage::PromoteShift);
        promoting.rollout.as_mut().unwrap().traffic.weight = Weight::FULL;
        let lost = decided(promoting, &with_ready(0));
        assert_eq!((stage(&lost), weight(&lost)), (&Stage::PromoteScale, Weight::ZERO));
        for (ready, expected) in [(0, 0), (1, 0), (2, 50), (3, 50), (4, 100)] {
            let plan = decided(lost.state.clone(), &with_ready(ready));
            assert_eq!(weight(&plan).percent(), expected, "{ready} of 4 are ready");
        }
    }

    #[test]
    fn a_promotion_that_lost_its_canary_ends_if_too_few_pods_come_back() {
        let lost = decided_about("gateway", Stage::PromoteScale, 0).state;
        let mut without_weights = lost.clone();
        without_weights.rollout.as_mut().unwrap().spec.strategy.steps.clear();
        let cases = [(&lost, 0, true), (&lost, 1, true), (&lost, 2, false), (&without_weights, 3, true)];
        for (lost, ready, aborts) in cases {
            let mut late = lost.clone();
            let since = now() - SignedDuration::from_secs(600);
            late.rollout.as_mut().unwrap().lagging = Some(Lag { available: ready, since });
            let plan = decided(late, &with_ready(ready));
            let message = plan.state.rollout.as_ref().unwrap().abort_message();
            assert_eq!(message.is_some(), aborts, "{ready} of 4 are ready: {message:?}");
            if !aborts {
                assert_eq!((stage(&plan), weight(&plan).percent()), (&Stage::PromoteRoll, 50));
            }
        }
    }

    #[test]
    fn a_person_who_skips_the_rest_asks_for_no_more_than_the_step_had() {
        let mut skipped = recorded("gateway", Stage::PromoteScale);
        skipped.rollout.as_mut().unwrap().skipped_after = Some(1);
        let lost = decided(skipped, &with_ready(0));
        assert_eq!(weight(&decided(lost.state, &with_ready(1))).percent(), 10);
    }
}
