//! Whether a change of the pod template must be held.

use super::{deployment::DeploymentWrite, facts::Facts, object::Object, rules};
use crate::{
    config::namespace::Settings,
    document::finding::Finding,
    domain::{keys, names::TemplateHash, observed::ReplicaSetView, review::Verdict},
};

/// What becomes of the template in this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateChange {
    /// The template is the same: nothing to hold.
    Unchanged,
    /// It changed and starts natively, because there is nothing to protect.
    Native,
    /// It changed and waits for its canary.
    Held,
}

/// What becomes of the template in this request.
///
/// # Errors
/// The refusal, when what would be taken over is not known: that must not let a template pass.
pub(super) fn change(
    write: &DeploymentWrite<'_>,
    settings: &Settings,
    facts: &Facts,
) -> Result<TemplateChange, Verdict> {
    match (write.old, &facts.adoptable) {
        (Some(old), _) => Ok(hold(old, write.new, settings)),
        (None, Ok(sets)) => Ok(hold_new(write.new, sets, settings)),
        (None, Err(why)) => {
            let problem =
                format!("the ReplicaSets that it would take over could not be read: {why}; try again");
            Err(Verdict::invalid(rules::HOLD, vec![Finding::new("spec.selector", "", problem)]))
        }
    }
}

/// Compares the templates.
///
/// Native are: a Deployment without ready pods (a first rollout that never became healthy, or one
/// scaled to 0), and `kubectl rollout restart`, which runs the same code, unless the user wants that too.
/// One that is scaled to 0 by the same request still has its pods, and may be scaled up by the next.
#[must_use]
pub fn hold(old: Object<'_>, new: Object<'_>, settings: &Settings) -> TemplateChange {
    if old.has_template_of(new) {
        return TemplateChange::Unchanged;
    }
    if old.annotation(keys::HELD).is_some() {
        return TemplateChange::Held;
    }
    let restart = is_restart(old, new) && !settings.restart_is_canary();
    if old.ready() == 0 || restart { TemplateChange::Native } else { TemplateChange::Held }
}

/// What becomes of the template of a Deployment that is made where `ReplicaSets` run that it would take over: those
/// that another left behind. Theirs is the stable side, so a template that runs other code is a change.
#[must_use]
pub(super) fn hold_new(new: Object<'_>, adoptable: &[ReplicaSetView], settings: &Settings) -> TemplateChange {
    let code = TemplateHash::of_code(new.template());
    let differs = |set: &ReplicaSetView| {
        if settings.restart_is_canary() { set.template != new.template_hash() } else { set.code != code }
    };
    if adoptable.iter().any(|set| set.ready > 0 && differs(set)) {
        TemplateChange::Held
    } else {
        TemplateChange::Unchanged
    }
}

/// Whether an object is held for the template that it has.
#[must_use]
pub fn is_held(object: Object<'_>) -> bool {
    object.is_paused() && object.annotation(keys::HELD) == Some(object.template_hash().as_str())
}

/// Only `kubectl rollout restart`'s time stamp differs.
pub(super) fn is_restart(old: Object<'_>, new: Object<'_>) -> bool {
    TemplateHash::same_code(old.template(), new.template())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn decided(old: &Value, new: &Value) -> TemplateChange {
        hold(Object(old), Object(new), &Settings::own(Object(new).annotations()))
    }

    fn deployment(image: &str, ready: i64) -> Value {
        json!({
            "metadata": {"annotations": {}},
            "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"image": image}}},
            "status": {"availableReplicas": 0, "readyReplicas": ready},
        })
    }

    #[test]
    fn a_changed_template_of_a_serving_deployment_is_held() {
        let (old, new) = (deployment("a", 2), deployment("b", 2));
        assert_eq!(decided(&old, &new), TemplateChange::Held);
        assert_eq!(decided(&old, &old), TemplateChange::Unchanged);
    }

    #[test]
    fn nothing_is_held_where_nothing_serves() {
        let (old, mut new) = (deployment("a", 0), deployment("b", 0));
        assert_eq!(decided(&old, &new), TemplateChange::Native);
        new["spec"]["replicas"] = json!(0);
        assert_eq!(decided(&old, &new), TemplateChange::Native);
    }

    #[test]
    fn a_profile_cannot_be_got_around_by_pods_that_do_not_count_as_available() {
        // `minReadySeconds` keeps `availableReplicas` at 0, and all the pods serve.
        let (old, mut new) = (deployment("a", 2), deployment("b", 2));
        assert_eq!(decided(&old, &new), TemplateChange::Held);
        new["spec"]["replicas"] = json!(0);
        assert_eq!(decided(&old, &new), TemplateChange::Held, "scaled up again before they have gone");
    }

    #[test]
    fn a_profile_cannot_be_got_around_by_a_new_deployment_over_running_pods() {
        let new = deployment("b", 0);
        let set = |image: &str, ready: i64| {
            let set = json!({"spec": deployment(image, 0)["spec"], "status": {"readyReplicas": ready}});
            ReplicaSetView::of(&set)
        };
        let made = |new: &Value, sets: &[ReplicaSetView]| {
            hold_new(Object(new), sets, &Settings::own(Object(new).annotations()))
        };
        assert_eq!(made(&new, &[]), TemplateChange::Unchanged);
        assert_eq!(made(&new, &[set("a", 0)]), TemplateChange::Unchanged, "nothing serves");
        assert_eq!(made(&new, &[set("b", 2)]), TemplateChange::Unchanged, "it goes on with what runs");
        assert_eq!(made(&new, &[set("b", 2), set("a", 1)]), TemplateChange::Held);
        let mut restarted = deployment("a", 0);
        restarted["spec"]["template"]["metadata"]["annotations"] = json!({keys::RESTARTED_AT: "2026"});
        assert_eq!(made(&restarted, &[set("a", 2)]), TemplateChange::Unchanged, "the same code");
        restarted["metadata"]["annotations"][keys::RESTART] = json!("canary");
        assert_eq!(made(&restarted, &[set("a", 2)]), TemplateChange::Held);
    }

    #[test]
    fn a_held_deployment_stays_held_whatever_happens_to_it() {
        let mut old = deployment("a", 0);
        old["metadata"]["annotations"][keys::HELD] = json!("x");
        assert_eq!(decided(&old, &deployment("b", 0)), TemplateChange::Held);
    }

    #[test]
    fn a_restart_is_native_unless_the_user_wants_a_canary() {
        let old = deployment("a", 2);
        let mut new = deployment("a", 2);
        new["spec"]["template"]["metadata"]["annotations"] = json!({keys::RESTARTED_AT: "2026"});
        assert_eq!(decided(&old, &new), TemplateChange::Native);
        new["metadata"]["annotations"][keys::RESTART] = json!("canary");
        assert_eq!(decided(&old, &new), TemplateChange::Held);
    }
}
