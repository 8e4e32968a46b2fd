//! What is said to a user about a changed pod template: what happens with it, and how to get what they may have meant.

use super::{
    deployment::DeploymentRequest, examine::Examined, facts::Facts, hold::TemplateChange, orders, policy,
};
use crate::{
    config::namespace::Settings,
    decide::whole_seconds,
    domain::{keys, restarts::only_annotations},
};

/// Shown when a new Deployment is held, see [`change`](super::hold::change).
const TAKEN_OVER: &str = "pods of another template already run and become the stable side of this Deployment, so its own template is held for a canary";

/// Shown when nothing serves.
const NATIVE: &str = "no pod of this Deployment is ready, so there is nothing to protect: the new template is rolled out without a canary";

/// Shown when the canary ends.
const STABLE_AGAIN: &str = "this is the stable template: the canary ends, and stable keeps its pods";

/// What happens with the template.
pub(super) fn of(
    write: &DeploymentRequest<'_>,
    change: TemplateChange,
    settings: &Settings,
    examined: &Examined,
    facts: &Facts,
) -> Vec<String> {
    match change {
        TemplateChange::Unchanged => Vec::new(),
        TemplateChange::Native => vec![NATIVE.to_owned()],
        TemplateChange::Restart => restart(write).into_iter().collect(),
        TemplateChange::Held if policy::is_stable(write, facts) => vec![STABLE_AGAIN.to_owned()],
        TemplateChange::Held => {
            let mut said: Vec<String> =
                write.old.is_none().then(|| TAKEN_OVER.to_owned()).into_iter().collect();
            let window = examined.spec.as_ref().map_or(0, |spec| spec.strategy.rollback_window);
            let (is_skipped, way_back) = way_back(write, window, facts);
            said.extend(if is_skipped { Vec::new() } else { examined.plan(write) });
            said.extend(way_back);
            said.extend(perhaps_restart(write, settings));
            said
        }
    }
}

/// The annotations that alone have changed, except kubectl's own.
fn changed_alone(write: &DeploymentRequest<'_>) -> Option<String> {
    let old = write.old.filter(|old| old.annotation(keys::HELD).is_none())?;
    let changed = only_annotations(old.template(), write.new.template());
    let named: Vec<String> = changed.into_iter().filter(|key| key != keys::RESTARTED_AT).collect();
    (!named.is_empty()).then(|| named.join(", "))
}

fn restart(write: &DeploymentRequest<'_>) -> Option<String> {
    let changed = changed_alone(write)?;
    Some(format!(
        "only {changed} of the pod template changed, named in {}: the pods are restarted without a canary",
        keys::RESTART_ANNOTATIONS
    ))
}

/// A change of configuration that may not have been meant as a release.
fn perhaps_restart(write: &DeploymentRequest<'_>, settings: &Settings) -> Option<String> {
    let changed = changed_alone(write).filter(|_| !settings.restarts().are_canaries)?;
    Some(format!(
        "only {changed} of the pod template changed; if pods that already serve must get this at once, name the annotation in {}, and its change is a restart without a canary",
        keys::RESTART_ANNOTATIONS
    ))
}

/// How to go back at once to a template that was stable, and whether the steps are skipped for it.
fn way_back(write: &DeploymentRequest<'_>, window: u32, facts: &Facts) -> (bool, Option<String>) {
    let template = write.new.template_hash();
    let Some(state) = facts.state.as_ref().ok().and_then(Option::as_ref) else { return (false, None) };
    if !state.served.contains(&template) {
        return (false, None);
    }
    let until = state.stable_until(&template).map(|until| format!(" until {}", whole_seconds(until)));
    let was = format!("this template was stable{}", until.unwrap_or_default());
    if state.served_lately(&template, window) && !orders::is_paused(write, facts) {
        let skipped = format!(
            "{was}, so by rollbackWindow its steps and analyses are skipped: its promotion begins at once"
        );
        return (true, Some(skipped));
    }
    let advice = format!(
        "{was}; to go back to it at once, without its steps, order {}=promote-full; with rollbackWindow: {{revisions: 3}} in the plan such a template needs no order",
        keys::DO
    );
    (false, Some(advice))
}
