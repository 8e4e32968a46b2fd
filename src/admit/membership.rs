//! Whether a Deployment takes part: by what it says itself, by its Namespace, or because it is held.

use super::{
    Context,
    facts::{Facts, Neighbours},
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
    document::finding::Finding,
    domain::{
        keys,
        review::{Stage, Verdict},
    },
    objects::marks::is_canary,
    routers::has_route,
};

/// What can be told without the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It takes part.
    In,
    /// It does not.
    Out,
    /// It says nothing: its Namespace, its routes and its record decide.
    Open,
}

/// What the objects of a request tell. After the mutating phase the mark tells what that has decided.
pub(super) fn standing(stage: Stage, new: Object<'_>) -> Standing {
    match choice(&new.annotations()) {
        Choice::In => Standing::In,
        Choice::Out => Standing::Out,
        // A canary of ours is released by its own Deployment.
        Choice::Silent if is_canary(new.0) => Standing::Out,
        Choice::Silent if stage == Stage::Validate && is_marked(new) => Standing::In,
        Choice::Silent => Standing::Open,
    }
}

/// Whether the Deployment took part before the request.
pub(super) fn was_in(old: Option<Object<'_>>) -> bool {
    old.is_some_and(|old| choice(&old.annotations()) == Choice::In || is_marked(old) || has_hold(old))
}

/// Whether the Deployment takes part after the request.
///
/// One whose rollout is under way does until that has ended: its plan is frozen, and a label that is taken
/// off its Namespace must not leave half a canary.
///
/// # Errors
/// The refusal, when its Namespace decides and could not be read.
pub(super) fn is_in(
    stage: Stage,
    context: &Context<'_>,
    old: Option<Object<'_>>,
    new: Object<'_>,
    facts: &Facts,
) -> Result<bool, Verdict> {
    match standing(stage, new) {
        Standing::In => return Ok(true),
        Standing::Out => return Ok(false),
        Standing::Open => {}
    }
    let goes_on = |old: Object<'_>| choice(&old.annotations()) == Choice::Silent && is_busy(old, facts);
    if old.is_some_and(goes_on) {
        return Ok(true);
    }
    let routed = |found: &Neighbours| has_route(&new.pod_labels(), &found.world);
    // What is not known must not let a template pass.
    Ok(namespace(context, facts)?.opts_in() && facts.neighbours.as_ref().map_or(true, routed))
}

fn is_busy(old: Object<'_>, facts: &Facts) -> bool {
    // What is not known may be under way.
    let is_recorded = || {
        let state = facts.state.as_ref();
        state.map_or(true, |state| state.as_ref().is_some_and(|state| state.rollout.is_some()))
    };
    has_hold(old) || (is_marked(old) && is_recorded())
}

fn has_hold(object: Object<'_>) -> bool {
    object.annotation(keys::HELD).is_some()
}

fn is_marked(object: Object<'_>) -> bool {
    object.labels().contains_key(keys::MANAGED)
}

/// The Namespace of the Deployment.
///
/// # Errors
/// The refusal, when it could not be read.
pub(super) fn namespace<'a>(context: &Context<'_>, facts: &'a Facts) -> Result<&'a Namespace, Verdict> {
    facts.namespace.as_ref().map_err(|why| {
        let problem = format!("the Namespace could not be read: {why}; try again");
        let finding = Finding::new("metadata.namespace", &context.review.namespace, problem);
        Verdict::invalid(rules::PLAN, vec![finding])
    })
}

/// How a Deployment that says nothing itself came to be examined; for who has never heard of canaries.
pub(super) fn how_it_came(context: &Context<'_>, new: Object<'_>) -> Option<String> {
    (choice(&new.annotations()) == Choice::Silent).then(|| {
        format!(
            "Namespace {} releases its Deployments by canary (label {}); the annotation {}: disabled keeps one out",
            context.review.namespace,
            keys::CANARY,
            keys::CANARY
        )
    })
}

/// Leaving makes a plain Deployment; in the middle of a rollout it would leave half a one.
///
/// # Errors
/// The refusal, with the ways to end the rollout.
pub(super) fn leave(
    context: &Context<'_>,
    old: Option<Object<'_>>,
    new: Object<'_>,
    facts: &Facts,
) -> Result<Verdict, Verdict> {
    if was_in(old) {
        let name = &context.review.name;
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
            // An aborted revision cannot be promoted, so that advice would lead to the next refusal.
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
    let by_namespace = facts.namespace.as_ref().is_ok_and(Namespace::opts_in);
    let warnings = no_effect::warnings(new, by_namespace).into_iter().chain(without_route(old, new, facts));
    verdict.warnings = warnings.flat_map(|warning| kubectl_warnings::lines(&warning)).collect();
    Ok(verdict)
}

/// Where a Namespace asks for canaries and people may expect one.
fn without_route(old: Option<Object<'_>>, new: Object<'_>, facts: &Facts) -> Option<String> {
    let asked = standing(Stage::Mutate, new) == Standing::Open
        && facts.namespace.as_ref().is_ok_and(Namespace::opts_in)
        && old.is_some_and(|old| !old.has_template_of(new));
    let is_served =
        facts.neighbours.as_ref().is_ok_and(|found| is_served(&new.pod_labels(), &found.world.services));
    (asked && is_served).then(|| {
        "no Ingress leads to a Service of this Deployment, so it is released without the canary that its Namespace asks for".to_owned()
    })
}
