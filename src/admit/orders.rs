//! Orders of people, from whichever words they used to the one recorded request.

use super::{Context, facts::Facts, object::Object, rules};
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
pub const KUBECTL_ROLLOUT: &str = "kubectl-rollout";

/// A request that was made this long ago at most may come back to us within one API request, when
/// another webhook changed the object after us.
const REINVOCATION: SignedDuration = SignedDuration::from_secs(30);

/// What the user orders in this request, if anything.
///
/// # Errors
/// The verdict for an unknown word, and for a forged `haldane.dev/request`.
pub fn ordered(
    context: &Context<'_>,
    old: Option<Object<'_>>,
    new: Object<'_>,
) -> Result<Option<Order>, Verdict> {
    if let Some(word) = new.annotation(keys::DO) {
        let refusal = |error: UnknownOrder| {
            Verdict::invalid(rules::ORDER, vec![Finding::new(path(keys::DO), word, error.to_string())])
        };
        return word.parse().map(Some).map_err(refusal);
    }
    let sent = new.annotation(keys::REQUEST);
    if sent == old.and_then(|old| old.annotation(keys::REQUEST)) {
        return Ok(resumed(context, old, new));
    }
    match sent.map(serde_json::from_str::<Request>) {
        None => Ok(resumed(context, old, new)),
        Some(Ok(request)) if is_own_echo(context, &request) => Ok(Some(request.order())),
        Some(_) => Err(Verdict::forbid(
            rules::FORGERY,
            format!(
                "Deployment {:?}: the annotation {} records orders and is written by Haldane only; give orders with {}",
                context.review.name,
                keys::REQUEST,
                keys::DO
            ),
        )),
    }
}

/// Our own answer to this user a moment ago. It is authorised anew, so an imitation gains nothing.
fn is_own_echo(context: &Context<'_>, request: &Request) -> bool {
    request.by == context.review.user.username && context.now.duration_since(request.at).abs() <= REINVOCATION
}

/// `kubectl rollout resume` on a held Deployment.
fn resumed(context: &Context<'_>, old: Option<Object<'_>>, new: Object<'_>) -> Option<Order> {
    let held = old.is_some_and(|old| old.annotation(keys::HELD).is_some());
    let by_kubectl = context.review.field_manager.as_deref() == Some(KUBECTL_ROLLOUT);
    (held && !new.is_paused() && by_kubectl).then_some(Verb::Resume.into())
}

/// The request to record for an order that may be given now, by this user.
///
/// # Errors
/// The refusal, with the way out.
pub fn authorise(
    context: &Context<'_>,
    order: Order,
    new: Object<'_>,
    facts: &Facts,
) -> Result<Request, Verdict> {
    let (name, namespace, user) =
        (&context.review.name, &context.review.namespace, &context.review.user.username);
    let verb = order.verb;
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
    verbs::check(order, state).map_err(|why| {
        Verdict::forbid(rules::ORDER, format!("Deployment {name:?}: cannot {order}: {why}"))
    })?;
    Ok(record(context, order, new))
}

/// The record of an order given in this request.
#[must_use]
pub fn record(context: &Context<'_>, order: Order, new: Object<'_>) -> Request {
    Request {
        id: context.review.uid.clone(),
        verb: order.verb,
        step: order.step,
        by: context.review.user.username.clone(),
        at: context.now,
        template: new.template_hash(),
    }
}
