//! Whether a changed pod template must be held.

use super::{deployment::DeploymentRequest, facts::Facts, object::Object, rules};
use crate::{
    config::namespace::Settings,
    document::finding::Finding,
    domain::{keys, observed::ReplicaSetView, restarts::Code, review::Verdict},
};

/// What a request does to the pod template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateChange {
    /// It does not change the template.
    Unchanged,
    /// The template changes and is rolled out natively, because there is nothing to protect.
    Native,
    /// The template changes and is rolled out natively, because its pods run the same code.
    Restart,
    /// The template changes and waits for its canary.
    Held,
}

/// What the request does to the pod template.
///
/// # Errors
/// The refusal, when the `ReplicaSets` that would be adopted are not known: a template must not pass because of that.
pub(super) fn change(
    write: &DeploymentRequest<'_>,
    settings: &Settings,
    facts: &Facts,
) -> Result<TemplateChange, Verdict> {
    match (write.old, &facts.adoptable) {
        (Some(old), _) => Ok(hold(old, write.new, settings)),
        (None, Ok(sets)) => Ok(hold_new(write.new, sets, settings)),
        (None, Err(why)) => {
            let problem = format!(
                "the ReplicaSets that this Deployment would adopt could not be read: {why}; try again"
            );
            Err(Verdict::invalid(rules::HOLD, vec![Finding::new("spec.selector", "", problem)]))
        }
    }
}

/// Compares the templates.
///
/// A Deployment without ready pods is rolled out natively: its first rollout never became healthy, or it is scaled to
/// 0. So is a restart, which runs the same code, unless the user asks for a canary. A Deployment that the same request
/// scales to 0 still has its pods, and may be scaled up by the next request.
#[must_use]
pub fn hold(old: Object<'_>, new: Object<'_>, settings: &Settings) -> TemplateChange {
    if old.has_template_of(new) {
        return TemplateChange::Unchanged;
    }
    if old.annotation(keys::HELD).is_some() {
        return TemplateChange::Held;
    }
    let restarts = settings.restarts();
    if restarts.are_between_templates(old.template(), new.template()) && !restarts.are_canaries {
        return TemplateChange::Restart;
    }
    if old.ready() == 0 { TemplateChange::Native } else { TemplateChange::Held }
}

/// The same for a new Deployment that adopts running `ReplicaSets`, which another Deployment left behind. They are the
/// stable side, so a template with other code is a change.
#[must_use]
pub(super) fn hold_new(new: Object<'_>, adoptable: &[ReplicaSetView], settings: &Settings) -> TemplateChange {
    let (code, restarts) = (Code::of(new.template()), settings.restarts());
    let differs = |set: &ReplicaSetView| {
        if restarts.are_canaries {
            set.template != new.template_hash()
        } else {
            !restarts.are_between(&set.code, &code)
        }
    };
    if adoptable.iter().any(|set| set.ready > 0 && differs(set)) {
        TemplateChange::Held
    } else {
        TemplateChange::Unchanged
    }
}

/// Whether an object is held for its present template.
#[must_use]
pub fn is_held(object: Object<'_>) -> bool {
    object.is_paused() && object.annotation(keys::HELD) == Some(object.template_hash().as_str())
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
    fn a_deployment_without_ready_pods_is_not_held() {
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
    fn a_held_deployment_stays_held() {
        let mut old = deployment("a", 0);
        old["metadata"]["annotations"][keys::HELD] = json!("x");
        assert_eq!(decided(&old, &deployment("b", 0)), TemplateChange::Held);
    }

    #[test]
    fn a_restart_is_native_unless_the_user_asks_for_a_canary() {
        let old = deployment("a", 2);
        let mut new = deployment("a", 2);
        new["spec"]["template"]["metadata"]["annotations"] = json!({keys::RESTARTED_AT: "2026"});
        assert_eq!(decided(&old, &new), TemplateChange::Restart);
        new["metadata"]["annotations"][keys::RESTART] = json!("canary");
        assert_eq!(decided(&old, &new), TemplateChange::Held);
    }

    #[test]
    fn what_the_user_names_is_a_restart_as_well() {
        let old = deployment("a", 2);
        let mut new = deployment("a", 2);
        new["spec"]["template"]["metadata"]["annotations"] = json!({"checksum/config": "2"});
        assert_eq!(decided(&old, &new), TemplateChange::Held);
        new["metadata"]["annotations"][keys::RESTART_ANNOTATIONS] = json!("checksum/secret, checksum/config");
        assert_eq!(decided(&old, &new), TemplateChange::Restart);
        new["spec"]["template"]["spec"]["image"] = json!("b");
        assert_eq!(decided(&old, &new), TemplateChange::Held, "with other code it is a release");
    }
}
