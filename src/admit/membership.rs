//! Whether a Deployment is managed: by its own annotations, by its Namespace, or because a rollout is under way.

use super::{
    deployment::{DeploymentRequest, Standing, is_marked},
    facts::{Fact, Facts, Neighbours},
    kubectl_warnings, no_effect,
    object::{Edits, Object},
    plan_review::pair::is_served,
    rules,
};
use crate::{
    config::{
        annotations::{Choice, choice, plan_key},
        namespace::Namespace,
    },
    domain::{keys, review::Verdict},
    routers::{self, has_route},
};

/// Whether the Deployment was managed before the request.
pub(super) fn was_managed(old: Option<Object<'_>>) -> bool {
    old.is_some_and(|old| choice(&old.annotations()) == Choice::In || is_marked(old) || has_hold(old))
}

/// Whether the Deployment may turn out to be managed.
pub(super) fn may_be_managed(write: &DeploymentRequest<'_>, namespace: &Fact<Namespace>) -> bool {
    match write.standing {
        Standing::Managed => true,
        Standing::Unmanaged => false,
        Standing::Open => was_managed(write.old) || namespace.as_ref().is_ok_and(Namespace::opts_in),
    }
}

/// Whether the Deployment is managed after the request.
///
/// It stays managed while a rollout is under way: the plan is frozen, and removing the label from the Namespace must
/// not leave half a canary.
///
/// # Errors
/// The refusal, if its Namespace decides and could not be read.
pub(super) fn is_managed(
    write: &DeploymentRequest<'_>,
    namespace: &Fact<Namespace>,
    facts: &Facts,
) -> Result<bool, Verdict> {
    match write.standing {
        Standing::Managed => return Ok(true),
        Standing::Unmanaged => return Ok(false),
        Standing::Open => {}
    }
    let goes_on = |old: Object<'_>| choice(&old.annotations()) == Choice::Silent && is_busy(old, facts);
    if write.old.is_some_and(goes_on) {
        return Ok(true);
    }
    let routed = |found: &Neighbours| has_route(&write.new.pod_labels(), &found.world);
    // A template must not pass because its routes are not known.
    Ok(write.known(namespace.as_ref())?.opts_in() && facts.neighbours.as_ref().map_or(true, routed))
}

fn is_busy(old: Object<'_>, facts: &Facts) -> bool {
    // If the state is not known, a rollout may be under way.
    let is_recorded = || {
        let state = facts.state.as_ref();
        state.map_or(true, |state| state.as_ref().is_some_and(|state| state.rollout.is_some()))
    };
    has_hold(old) || (is_marked(old) && is_recorded())
}

fn has_hold(object: Object<'_>) -> bool {
    object.annotation(keys::HELD).is_some()
}

/// Why a Deployment without annotations is managed, for a user who does not expect a canary.
pub(super) fn opted_in_by_namespace(write: &DeploymentRequest<'_>) -> Option<String> {
    (choice(&write.new.annotations()) == Choice::Silent).then(|| {
        format!(
            "Namespace {} opts its Deployments in to canary releases (label {}); to opt this one out, annotate it with {}: disabled",
            write.review.namespace,
            keys::CANARY,
            keys::CANARY
        )
    })
}

/// Opting out leaves a plain Deployment. During a rollout it would leave half a canary.
///
/// # Errors
/// The refusal, with the ways to end the rollout first.
pub(super) fn leave(
    write: &DeploymentRequest<'_>,
    namespace: &Fact<Namespace>,
    facts: &Facts,
) -> Result<Verdict, Verdict> {
    let (old, new, name) = (write.old, write.new, &write.review.name);
    if was_managed(old) {
        let state = facts.state.as_ref().map_err(|why| {
            Verdict::forbid(
                rules::OPT_OUT,
                format!(
                    "Deployment {name:?}: cannot opt out now: its state could not be read: {why}; try again"
                ),
            )
        })?;
        let busy = state.as_ref().and_then(|state| state.rollout.as_ref());
        if busy.is_some() || old.is_some_and(has_hold) {
            let phase = state.as_ref().map_or_else(|| "Held".to_owned(), |state| state.phase().to_string());
            // An aborted revision cannot be promoted, so that advice would cause the next refusal.
            let aborted = busy.is_some_and(|rollout| rollout.abort_message().is_some());
            let finish = if aborted {
                String::new()
            } else {
                format!("finish it with {}=promote-full, or ", keys::DO)
            };
            let how = match choice(&new.annotations()) {
                Choice::Out => format!("{}: disabled", keys::CANARY),
                _ => format!("{} removed", old.map_or(keys::CANARY, |old| plan_key(&old.annotations()))),
            };
            return Err(Verdict::forbid(
                rules::OPT_OUT,
                format!(
                    "Deployment {name:?}: cannot opt out (annotation {how}) while a rollout is {phase}: {finish}apply the stable pod template again, then opt out"
                ),
            ));
        }
    }
    let mut verdict = Verdict::allow_with(Edits::default().patch(new));
    let by_namespace = namespace.as_ref().is_ok_and(Namespace::opts_in);
    let without_route = by_namespace.then(|| without_route(write, facts)).flatten();
    let warnings = no_effect::warnings(new, by_namespace).into_iter().chain(without_route);
    verdict.warnings = kubectl_warnings::lines(warnings);
    Ok(verdict)
}

/// A user of a Namespace that opts in may expect a canary.
fn without_route(write: &DeploymentRequest<'_>, facts: &Facts) -> Option<String> {
    let asked = write.standing == Standing::Open && write.changes_template();
    let is_served = facts
        .neighbours
        .as_ref()
        .is_ok_and(|found| is_served(&write.new.pod_labels(), &found.world.services));
    (asked && is_served).then(|| {
        format!(
            "no {} routes to a Service of this Deployment, so it is released without the canary that its Namespace asks for",
            routers::routes(None)
        )
    })
}
