//! Orders of users, in whatever form they are given, become one recorded request.

use super::{
    deployment::DeploymentRequest,
    facts::Facts,
    hold::{TemplateChange, is_held},
    object::Object,
    rules,
};
use crate::{
    config::annotations::path,
    decide::verbs,
    document::finding::Finding,
    domain::{
        keys,
        request::{Order, Request, UnknownOrder, Verb},
        review::Verdict,
        state::RolloutState,
    },
};
use jiff::SignedDuration;

/// kubectl's field manager for `rollout pause|resume|undo|restart`.
const KUBECTL_ROLLOUT: &str = "kubectl-rollout";

/// A request of at most this age may come back within the same API request, if another webhook has changed the object
/// after Haldane's and the API server calls Haldane's again.
const REINVOCATION: SignedDuration = SignedDuration::from_secs(30);

/// The order that the user gives in this request, if any.
///
/// # Errors
/// The refusal of an unknown order, and of a forged `haldane.dev/request`.
pub(super) fn ordered(write: &DeploymentRequest<'_>) -> Result<Option<Order>, Verdict> {
    let new = write.new;
    if let Some(word) = new.annotation(keys::DO) {
        let refusal = |error: UnknownOrder| {
            Verdict::invalid(rules::ORDER, vec![Finding::new(path(keys::DO), word, error.to_string())])
        };
        return word.parse().map(Some).map_err(refusal);
    }
    let sent = new.annotation(keys::REQUEST);
    if sent == write.before(keys::REQUEST) {
        return Ok(resumed(write));
    }
    match sent.map(serde_json::from_str::<Request>) {
        None => Ok(resumed(write)),
        Some(Ok(request)) if is_reinvocation(write, &request) => {
            Ok(Some(request.order()).filter(|_| !comes_with_template(write, &request)))
        }
        Some(_) => Err(Verdict::forbid(
            rules::FORGERY,
            format!(
                "Deployment {:?}: the annotation {} records orders and is written by Haldane only; give orders with {}",
                write.review.name,
                keys::REQUEST,
                keys::DO
            ),
        )),
    }
}

/// Whether Haldane itself has just recorded this request. It is authorised again, so an imitation gains nothing.
fn is_reinvocation(write: &DeploymentRequest<'_>, request: &Request) -> bool {
    request.by == write.review.user.username && write.now.duration_since(request.at).abs() <= REINVOCATION
}

/// Whether the request is the pause of a release whose template changes in this request, see [`is_paused`].
fn comes_with_template(write: &DeploymentRequest<'_>, request: &Request) -> bool {
    request.verb == Verb::Pause && write.old.is_none_or(|old| !old.has_template_of(write.new))
}

/// The newest order that is recorded on an object.
fn last_order(object: Object<'_>) -> Option<Request> {
    object.annotation(keys::REQUEST).and_then(|last| serde_json::from_str(last).ok())
}

/// `kubectl rollout resume` on a held Deployment.
fn resumed(write: &DeploymentRequest<'_>) -> Option<Order> {
    let held = write.before(keys::HELD).is_some();
    let by_kubectl = write.review.field_manager.as_deref() == Some(KUBECTL_ROLLOUT);
    (held && !write.new.is_paused() && by_kubectl).then_some(Verb::Resume.into())
}

/// Whether what follows a changed template waits for the user's `resume`: they have paused the Deployment before or with
/// the change, and Haldane has not done that earlier in this request, or they have paused the release that it replaces.
pub(super) fn is_paused(write: &DeploymentRequest<'_>, facts: &Facts) -> bool {
    let Some(old) = write.old.filter(|old| old.annotation(keys::HELD).is_some()) else {
        let is_ours = is_held(write.new);
        let is_known = last_order(write.new)
            .is_some_and(|last| is_reinvocation(write, &last) && comes_with_template(write, &last));
        return is_known || write.old.is_some_and(Object::is_paused) || (write.new.is_paused() && !is_ours);
    };
    let is_pause = |last: &Request| last.verb == Verb::Pause && last.template == old.template_hash();
    let state = facts.state.as_ref().ok().and_then(Option::as_ref);
    // A pause that an abort has ended, for example.
    let is_over = |pause: &Request| {
        state
            .filter(|state| state.handled_request.as_ref() == Some(&pause.id))
            .is_some_and(|state| state.rollout.as_ref().is_none_or(|rollout| rollout.manual_pause.is_none()))
    };
    last_order(old).filter(is_pause).is_some_and(|pause| !is_over(&pause))
}

/// The request to record, if this user may give the order now.
///
/// # Errors
/// The refusal, with what to do instead.
pub(super) fn authorise(
    write: &DeploymentRequest<'_>,
    order: Order,
    change: TemplateChange,
    facts: &Facts,
) -> Result<Request, Verdict> {
    let (review, verb) = (write.review, order.verb);
    let (name, namespace, user) = (&review.name, &review.namespace, &review.user.username);
    if write.old.is_none() {
        return Err(Verdict::forbid(
            rules::ORDER,
            format!(
                "Deployment {name:?}: an order ({}) cannot be given to a Deployment that is being created; remove the annotation",
                keys::DO
            ),
        ));
    }
    if change != TemplateChange::Unchanged {
        return Err(Verdict::forbid(
            rules::ORDER,
            format!(
                "Deployment {name:?}: the order {order} cannot be combined with a changed pod template; give it in a request of its own"
            ),
        ));
    }
    let unknown = |why: &String| {
        Verdict::forbid(rules::ORDER, format!("Deployment {name:?}: cannot {verb} now: {why}; try again"))
    };
    if !*facts.may.as_ref().map_err(unknown)? {
        return Err(Verdict::forbid(
            rules::RIGHTS,
            format!(
                "User {user:?} cannot {verb} Deployment {name:?} in namespace {namespace:?}: grant the verb {verb:?} on resource \"deployments\" in API group \"apps\", e.g. with ClusterRole haldane-operator",
                verb = verb.to_string()
            ),
        ));
    }
    let nothing = RolloutState::default();
    let state = facts.state.as_ref().map_err(unknown)?.as_ref().unwrap_or(&nothing);
    let ends_pause = |last: Request| last.verb == Verb::Pause && last.template == write.new.template_hash();
    let is_paused = write.old.and_then(last_order).is_some_and(ends_pause);
    if is_paused && verb == Verb::Resume && verbs::is_for_next(&write.new.template_hash(), state) {
        return Ok(record(write, order));
    }
    verbs::check(order, state).map_err(|why| {
        Verdict::forbid(rules::ORDER, format!("Deployment {name:?}: cannot {order}: {why}"))
    })?;
    Ok(record(write, order))
}

/// The record of an order given in this request.
#[must_use]
pub(super) fn record(write: &DeploymentRequest<'_>, order: Order) -> Request {
    Request {
        id: write.review.uid.clone(),
        verb: order.verb,
        step: order.step,
        by: write.review.user.username.clone(),
        at: write.now,
        template: write.new.template_hash(),
    }
}
