//! Whether a change of the pod template must be held.

use super::object::Object;
use crate::{
    config::namespace::Settings,
    domain::{keys, names::TemplateHash},
};

/// What becomes of the template in this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The template is the same: nothing to hold.
    Unchanged,
    /// It changed and starts natively, because there is nothing to protect.
    Native,
    /// It changed and waits for its canary.
    Hold,
}

/// Compares the templates.
///
/// Native are: a Deployment without available pods (a first rollout that never became healthy, or one
/// scaled to 0), and `kubectl rollout restart`, which runs the same code, unless the user wants that too.
#[must_use]
pub fn hold(old: Object<'_>, new: Object<'_>, settings: &Settings) -> Hold {
    if old.has_template_of(new) {
        return Hold::Unchanged;
    }
    if old.annotation(keys::HELD).is_some() {
        return Hold::Hold;
    }
    let nothing_serves = new.replicas() == 0 || old.available() == 0;
    let restart = is_restart(old, new) && !settings.restart_is_canary();
    if nothing_serves || restart { Hold::Native } else { Hold::Hold }
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

    fn decided(old: &Value, new: &Value) -> Hold {
        hold(Object(old), Object(new), &Settings::own(Object(new).annotations()))
    }

    fn deployment(image: &str, available: i64) -> Value {
        json!({
            "metadata": {"annotations": {}},
            "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"image": image}}},
            "status": {"availableReplicas": available},
        })
    }

    #[test]
    fn a_changed_template_of_a_serving_deployment_is_held() {
        let (old, new) = (deployment("a", 2), deployment("b", 2));
        assert_eq!(decided(&old, &new), Hold::Hold);
        assert_eq!(decided(&old, &old), Hold::Unchanged);
    }

    #[test]
    fn nothing_is_held_where_nothing_serves() {
        let (old, mut new) = (deployment("a", 0), deployment("b", 0));
        assert_eq!(decided(&old, &new), Hold::Native);
        new["spec"]["replicas"] = json!(0);
        assert_eq!(decided(&deployment("a", 2), &new), Hold::Native);
    }

    #[test]
    fn a_held_deployment_stays_held_whatever_happens_to_it() {
        let mut old = deployment("a", 0);
        old["metadata"]["annotations"][keys::HELD] = json!("x");
        assert_eq!(decided(&old, &deployment("b", 0)), Hold::Hold);
    }

    #[test]
    fn a_restart_is_native_unless_the_user_wants_a_canary() {
        let old = deployment("a", 2);
        let mut new = deployment("a", 2);
        new["spec"]["template"]["metadata"]["annotations"] = json!({keys::RESTARTED_AT: "2026"});
        assert_eq!(decided(&old, &new), Hold::Native);
        new["metadata"]["annotations"][keys::RESTART] = json!("canary");
        assert_eq!(decided(&old, &new), Hold::Hold);
    }
}
