//! L2: the admission decision. A review, facts and time in; a verdict out.

mod advice;
pub mod checks;
mod examine;
pub mod facts;
pub mod floor;
pub mod hold;
mod missed;
pub mod object;
pub mod orders;
mod policy;
mod preview;
mod routes;
pub mod rules;
mod words;

use crate::{
    config::{
        annotations::{is_opted_in, plan_key, read_annotations},
        strategy::Defaults,
    },
    domain::{
        finding::Findings,
        keys,
        request::{Order, Verb},
        review::{Operation, Outcome, Review, Stage, Verdict},
    },
    providers,
};
use examine::{Examined, concerns_plan, examine};
use facts::{Facts, Needs};
use floor::ScaleDown;
use hold::{Hold, hold};
use jiff::Timestamp;
use object::{Edits, Object};

/// Settings of the installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmitConfig {
    /// What applies where the user says nothing.
    pub defaults: Defaults,
    /// What providers need not be told.
    pub providers: providers::Defaults,
    /// Haldane's own user name: its writes are the decision's results and pass.
    pub own_user: String,
}

/// What every part of the decision looks at.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The request.
    pub review: &'a Review,
    /// Settings of the installation.
    pub config: &'a AdmitConfig,
    /// The time.
    pub now: Timestamp,
}

/// What must be looked up before [`admit`] can decide.
#[must_use]
pub fn needs(stage: Stage, context: &Context<'_>) -> Needs {
    if ScaleDown::of(context.review).is_some() {
        return Needs { state: true, ..Needs::default() };
    }
    let Some((old, new)) = objects(context) else { return Needs::default() };
    let (was_in, is_in) =
        (old.is_some_and(|old| is_opted_in(&old.annotations())), is_opted_in(&new.annotations()));
    match stage {
        Stage::Validate if is_in => return Needs::default(),
        Stage::Validate => {
            let policy = policy::plain_occasion(old, new).is_some();
            return Needs { policy, pair: policy, ..Needs::default() };
        }
        Stage::Mutate if !is_in => return Needs { state: was_in, ..Needs::default() },
        Stage::Mutate => {}
    }
    let order = orders::ordered(context, old, new).ok().flatten();
    let wish = read_annotations(&new.annotations(), &context.config.defaults).ok();
    let templates = wish.map(|wish| wish.references()).unwrap_or_default();
    let judged = order.is_some() || concerns_plan(old, new);
    let override_freeze = policy::fresh_reason(context, new).is_some();
    let verb = order.map(|order| order.verb);
    Needs { state: judged, pair: true, templates, verb, override_freeze, policy: judged }
}

/// Decides one review.
#[must_use]
pub fn admit(stage: Stage, context: &Context<'_>, facts: &Facts) -> Verdict {
    if let Some(scale_down) = ScaleDown::of(context.review) {
        return scale_down.admit(context, facts);
    }
    if let Some(verdict) = policy::of_profile(context.review) {
        return verdict;
    }
    let Some((old, new)) = objects(context) else { return Verdict::allow() };
    let verdict = match stage {
        Stage::Mutate => mutate(context, old, new, facts),
        Stage::Validate if is_opted_in(&new.annotations()) => validate(context, old, new),
        Stage::Validate => plain(context, old, new, facts),
    };
    verdict.unwrap_or_else(|refusal| refusal)
}

/// The objects, unless the request is none of our business.
fn objects<'a>(context: &Context<'a>) -> Option<(Option<Object<'a>>, Object<'a>)> {
    let review = context.review;
    let is_deployment =
        review.group == "apps" && review.kind == "Deployment" && review.sub_resource.is_none();
    let writes = matches!(review.operation, Operation::Create | Operation::Update);
    if !is_deployment || !writes || review.user.username == context.config.own_user {
        return None;
    }
    Some((review.old_object.as_ref().map(Object), Object(review.object.as_ref()?)))
}

fn mutate(
    context: &Context<'_>,
    old: Option<Object<'_>>,
    new: Object<'_>,
    facts: &Facts,
) -> Result<Verdict, Verdict> {
    if !is_opted_in(&new.annotations()) {
        return opt_out(context, old, new, facts);
    }
    let order = orders::ordered(context, old, new)?;
    let change = old.map_or(Hold::Unchanged, |old| hold(old, new));
    let mut examined = examine(context, new, change == Hold::Hold, facts);
    let occasion = policy::occasion(old, new, change, order.map(|order| order.verb), facts);
    let judged =
        occasion.map(|occasion| policy::judge(context, occasion, new, &examined, facts)).unwrap_or_default();
    if !examined.findings.is_empty() || !judged.findings.is_empty() {
        return Err(judged.refuse(&context.review.name, examined.findings));
    }
    let mut warnings = judged.warnings;
    if change != Hold::Native && concerns_plan(old, new) {
        warnings.append(&mut examined.warnings);
    }
    let edits = hold_and_orders(context, old, new, change, order, facts, &mut warnings)?;
    if change == Hold::Hold {
        warnings.extend(examined.plan(context, new));
    }
    let mut verdict = Verdict::from(Outcome::Allow { patch: edits.patch(new) });
    verdict.warnings = warnings.iter().flat_map(|warning| words::lines(warning)).collect();
    verdict.audit = judged.audit;
    verdict.rules.extend(judged.rules);
    verdict.rules.extend((change == Hold::Hold).then_some(rules::HOLD));
    verdict.rules.extend(order.map(|_| rules::ORDER));
    Ok(verdict)
}

/// A Deployment without a canary: only the namespace's policy has a say.
fn plain(
    context: &Context<'_>,
    old: Option<Object<'_>>,
    new: Object<'_>,
    facts: &Facts,
) -> Result<Verdict, Verdict> {
    let Some(occasion) = policy::plain_occasion(old, new) else { return Ok(Verdict::allow()) };
    let judged = policy::judge(context, occasion, new, &Examined::default(), facts);
    if !judged.findings.is_empty() {
        return Err(judged.refuse(&context.review.name, Findings::new()));
    }
    let mut verdict = Verdict::allow();
    verdict.warnings = judged.warnings.iter().flat_map(|warning| words::lines(warning)).collect();
    verdict.audit = judged.audit;
    verdict.rules.extend(judged.rules);
    Ok(verdict)
}

/// Whether the Deployment is held after this request, and which order is recorded.
fn hold_and_orders(
    context: &Context<'_>,
    old: Option<Object<'_>>,
    new: Object<'_>,
    change: Hold,
    order: Option<Order>,
    facts: &Facts,
    warnings: &mut Vec<String>,
) -> Result<Edits, Verdict> {
    let Some(old) = old else {
        return match order {
            Some(_) => Err(Verdict::forbid(
                rules::ORDER,
                format!(
                    "Deployment {:?}: an order ({}) cannot be given to a Deployment that is being created",
                    context.review.name,
                    keys::DO
                ),
            )),
            None => Ok(Edits { managed: true, ..Edits::default() }),
        };
    };
    let held_before = old.annotation(keys::HELD);
    let held = match change {
        Hold::Hold => Some(new.template_hash().to_string()),
        Hold::Unchanged => held_before.map(str::to_owned),
        Hold::Native => None,
    };
    let mut edits = Edits {
        managed: true,
        paused: held.is_some().then_some(true),
        request: old.annotation(keys::REQUEST).map(str::to_owned),
        held,
    };
    let mut request = None;
    if let Some(order) = order {
        if change != Hold::Unchanged {
            return Err(Verdict::forbid(
                rules::ORDER,
                format!(
                    "Deployment {:?}: the order {order} came together with a changed pod template; give it in a request of its own",
                    context.review.name
                ),
            ));
        }
        request = Some(orders::authorise(context, order, new, facts)?);
    } else if held_before.is_some() && !new.is_paused() {
        warnings.push(format!(
            "spec.paused stays true: the canary of this template decides when it starts; orders are given with {}=promote|abort|…", keys::DO
        ));
    } else if change == Hold::Hold && held_before.is_none() && is_paused_by_user(old, new, &edits) {
        warnings.push(format!(
            "the Deployment is paused, so its canary waits for `kubectl rollout resume` or {}=resume",
            keys::DO
        ));
        request = Some(orders::record(context, Verb::Pause.into(), new));
    }
    if let Some(request) = request {
        // A typed record always serialises.
        edits.request = serde_json::to_string(&request).ok();
    }
    Ok(edits)
}

/// Paused by the user before or with the change, and not by us a moment ago in this same request.
fn is_paused_by_user(old: Object<'_>, new: Object<'_>, edits: &Edits) -> bool {
    let ours = new.annotation(keys::HELD) == edits.held.as_deref();
    old.is_paused() || (new.is_paused() && !ours)
}

/// Opting out leaves a plain Deployment; in the middle of a rollout it would leave half a one.
fn opt_out(
    context: &Context<'_>,
    old: Option<Object<'_>>,
    new: Object<'_>,
    facts: &Facts,
) -> Result<Verdict, Verdict> {
    if old.is_some_and(|old| is_opted_in(&old.annotations())) {
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
        if busy.is_some() || old.is_some_and(|old| old.annotation(keys::HELD).is_some()) {
            let phase = state.as_ref().map_or_else(|| "Held".to_owned(), |state| state.phase().to_string());
            // An aborted revision cannot be promoted, so that advice would lead to the next refusal.
            let aborted = busy.is_some_and(|rollout| rollout.abort_message().is_some());
            let finish = if aborted {
                String::new()
            } else {
                format!("finish it with {}=promote-full, or ", keys::DO)
            };
            return Err(Verdict::forbid(
                rules::OPT_OUT,
                format!(
                    "Deployment {name:?}: cannot opt out (annotation {} removed) while a rollout is {phase}: {finish}apply the stable pod template again, then opt out",
                    old.map_or(keys::CANARY, |old| plan_key(&old.annotations()))
                ),
            ));
        }
    }
    Ok(Verdict::allow_with(Edits::default().patch(new)))
}

/// The last look at the final object: what must be held is held, whatever other webhooks did after us.
fn validate(context: &Context<'_>, old: Option<Object<'_>>, new: Object<'_>) -> Result<Verdict, Verdict> {
    let Some(old) = old else { return Ok(Verdict::allow()) };
    let must_be_held = match hold(old, new) {
        Hold::Hold => true,
        Hold::Unchanged => old.annotation(keys::HELD).is_some(),
        Hold::Native => false,
    };
    let is_held = new.is_paused() && new.annotation(keys::HELD) == Some(new.template_hash().as_str());
    if must_be_held && !is_held {
        return Err(Verdict::forbid(
            rules::HOLD,
            format!(
                "Deployment {:?}: the changed pod template is not held (spec.paused {}, {} {:?}): another admission webhook changed the object after Haldane's; exclude Deployments annotated {} from it",
                context.review.name,
                new.is_paused(),
                keys::HELD,
                new.annotation(keys::HELD).unwrap_or_default(),
                keys::CANARY
            ),
        ));
    }
    Ok(Verdict::allow())
}
