//! L2: the admission decision. A review, facts and time in; a verdict out.

mod config_map;
mod examine;
pub mod facts;
pub mod frozen;
pub mod hold;
mod kubectl_warnings;
mod membership;
mod namespace;
mod no_effect;
pub mod object;
pub mod orders;
pub mod plan_review;
mod policy;
pub mod rehearsal;
pub mod report;
pub mod rules;
pub mod scale;
pub mod stale_condition;

use crate::{
    config::{
        annotations::DeclaredPlan,
        namespace::{Namespace, Settings},
        strategy::Defaults,
    },
    document::finding::Findings,
    domain::{
        keys,
        request::{Order, Verb},
        review::{Operation, Review, Stage, Verdict},
    },
    policy::Occasion,
    providers::{self, hosts::HostPolicy},
};
use examine::{Examined, concerns_plan, examine, is_binding};
use facts::{Fact, Facts, Needs};
use hold::{Hold, change, is_held};
use jiff::Timestamp;
use membership::Standing;
use object::{Edits, Object};
use scale::ScaleDown;
use stale_condition::Observation;
use std::sync::OnceLock;

/// Settings of the installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmitConfig {
    /// What applies where the user says nothing.
    pub defaults: Defaults,
    /// What providers need not be told.
    pub providers: providers::Defaults,
    /// Where metrics may be asked.
    pub hosts: HostPolicy,
    /// Haldane's own namespace.
    pub own_namespace: String,
    /// Haldane's own user name: its writes are the decision's results and pass.
    pub own_user: String,
}

/// What every part of the decision about one request looks at.
#[derive(Debug)]
pub struct Context<'a> {
    /// The request.
    pub review: &'a Review,
    /// Settings of the installation.
    pub config: &'a AdmitConfig,
    /// The time.
    pub now: Timestamp,
    plan: OnceLock<Read>,
}

/// What holds for the Deployment of a request, and what it asks for.
#[derive(Debug)]
struct Read {
    settings: Settings,
    declared: Result<DeclaredPlan, Findings>,
}

impl<'a> Context<'a> {
    /// The context of a request that is decided `now`.
    #[must_use]
    pub const fn new(review: &'a Review, config: &'a AdmitConfig, now: Timestamp) -> Self {
        Self { review, config, now, plan: OnceLock::new() }
    }

    /// What `new`, the request's object in its Namespace, asks for. To read it is most of a decision's work,
    /// so it is done once, although [`needs`] and [`admit`] both want to know.
    fn plan(&self, namespace: &Namespace, new: Object<'_>) -> &Read {
        self.plan.get_or_init(|| {
            let settings = namespace.settings(&new.annotations());
            let declared = settings.read(&self.config.defaults);
            Read { settings, declared }
        })
    }
}

/// Whether [`needs`] and [`admit`] must know the Namespace of the object.
#[must_use]
pub fn needs_namespace(stage: Stage, context: &Context<'_>) -> bool {
    stage != Stage::Warn && objects(context).is_some_and(|(_, new)| !is_settled(stage, new))
}

/// What must be looked up before [`admit`] can decide, beside the Namespace.
#[must_use]
pub fn needs(stage: Stage, context: &Context<'_>, namespace: &Fact<Namespace>) -> Needs {
    if ScaleDown::of(context.review).is_some() || Observation::of(context.review).is_some() {
        return Needs { state: true, ..Needs::default() };
    }
    let Some((old, new)) = objects(context) else {
        return Needs { templates: namespace::references(context), ..Needs::default() };
    };
    let (standing, was_in) = (membership::standing(stage, new), membership::was_in(old));
    let opts_in = namespace.as_ref().is_ok_and(Namespace::opts_in);
    let may_be_in = match standing {
        Standing::In => true,
        Standing::Out => false,
        Standing::Open => was_in || opts_in,
    };
    match stage {
        Stage::Warn => return Needs::default(),
        Stage::Validate if standing == Standing::In => {
            return Needs { adoptable: old.is_none(), ..Needs::default() };
        }
        Stage::Validate => {
            let policy = policy::plain_occasion(old, new).is_some();
            let slips = may_be_in && old.is_some_and(|old| !old.has_template_of(new));
            let adoptable = may_be_in && old.is_none();
            return Needs { policy, pair: policy || slips, adoptable, ..Needs::default() };
        }
        Stage::Mutate if !may_be_in => return Needs { state: was_in, ..Needs::default() },
        Stage::Mutate => {}
    }
    let order = orders::ordered(context, old, new).ok().flatten();
    let declared =
        namespace.as_ref().ok().and_then(|namespace| context.plan(namespace, new).declared.as_ref().ok());
    let templates = declared.map(DeclaredPlan::references).unwrap_or_default();
    let judged = order.is_some() || concerns_plan(old, new);
    let may_go_on = was_in && standing == Standing::Open;
    let override_freeze = policy::fresh_reason(context, new).is_some();
    let verb = order.map(|order| order.verb);
    Needs {
        state: judged || may_go_on,
        pair: true,
        templates,
        verb,
        override_freeze,
        policy: judged,
        adoptable: old.is_none(),
    }
}

/// Decides one review.
#[must_use]
pub fn admit(stage: Stage, context: &Context<'_>, facts: &Facts) -> Verdict {
    if let Some(scale_down) = ScaleDown::of(context.review) {
        return scale_down.admit(context, facts);
    }
    if let Some(observation) = Observation::of(context.review) {
        return observation.admit(context, facts);
    }
    if let Some(verdict) = config_map::verdict(context.review) {
        return verdict;
    }
    if let Some(verdict) = namespace::verdict(context, facts) {
        return verdict;
    }
    let Some((old, new)) = objects(context) else { return Verdict::allow() };
    if is_settled(stage, new) {
        return Verdict::allow();
    }
    let is_in = || membership::is_in(stage, context, old, new, facts);
    let verdict = match stage {
        Stage::Mutate => is_in().and_then(|is_in| {
            if is_in { mutate(context, old, new, facts) } else { membership::leave(context, old, new, facts) }
        }),
        Stage::Validate => is_in().and_then(|is_in| {
            // The mutating phase is not asked about one that is made without a word, and so cannot have held it.
            let is_unseen = old.is_none() && membership::standing(stage, new) == Standing::Open;
            if is_in && !is_unseen {
                validate(context, old, new, facts)
            } else {
                plain(context, old, new, facts)
            }
        }),
        Stage::Warn => Ok(no_effect::verdict(new)),
    };
    verdict.unwrap_or_else(|refusal| refusal)
}

/// What is said of [`hold::change`].
const TAKEN_OVER: &str = "pods of another template run already and become the stable side of this Deployment, so its own template is held for a canary";

/// Whether nothing is left to look at: the final object takes part and is held, as strict as can be.
fn is_settled(stage: Stage, new: Object<'_>) -> bool {
    stage == Stage::Validate && is_held(new) && membership::standing(stage, new) == Standing::In
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
    let plan = context.plan(membership::namespace(context, facts)?, new);
    let order = orders::ordered(context, old, new)?;
    let change = change(old, new, &plan.settings, facts)?;
    let mut examined = examine(context, new, plan, change == Hold::Hold, facts);
    let occasion = policy::occasion(old, new, change, order.map(|order| order.verb), facts);
    let judge = |occasion| policy::judge(context, occasion, new, true, &plan.settings, &examined, facts);
    let mut report = occasion.map(judge).unwrap_or_default();
    // What is wrong stops what would start by it. Orders and the way back stay open: a template that was
    // deleted in the middle of a rollout must not keep people from aborting it.
    let goes_back = change == Hold::Hold && policy::is_stable(new, facts);
    let found = &mut examined.report;
    if goes_back || !is_binding(old, new) {
        let later = std::mem::take(&mut found.findings);
        found.warnings.extend(later.iter().map(|finding| format!("refused at the next release: {finding}")));
    }
    if !found.findings.is_empty() || !report.findings.is_empty() {
        found.rules.extend((!found.findings.is_empty()).then_some(rules::PLAN));
        found.warnings.clear();
        found.extend(report);
        found.warnings.extend(membership::how_it_came(context, new));
        return Err(examined.report.refuse(&context.review.name));
    }
    if change != Hold::Native && concerns_plan(old, new) {
        report.warnings.append(&mut found.warnings);
        report.warnings.extend(no_effect::misplaced(new));
    }
    let mut edits = hold_and_orders(context, old, new, change, order, facts, &mut report.warnings)?;
    if change == Hold::Hold || order.is_some_and(|order| order.verb == Verb::Retry) {
        edits.exempt = report.exempt.take();
    }
    if change == Hold::Hold {
        report.warnings.extend(old.is_none().then(|| TAKEN_OVER.to_owned()));
        report.warnings.extend(examined.plan(context, new));
        report.rules.insert(rules::HOLD);
    }
    report.rules.extend(order.map(|_| rules::ORDER));
    Ok(report.allow(edits.patch(new)))
}

/// A Deployment that is out: only the namespace's policy has a say.
fn plain(
    context: &Context<'_>,
    old: Option<Object<'_>>,
    new: Object<'_>,
    facts: &Facts,
) -> Result<Verdict, Verdict> {
    let Some(mut occasion) = policy::plain_occasion(old, new) else { return Ok(Verdict::allow()) };
    // One that has just been made takes part from its next release on.
    let will_be_in = membership::standing(Stage::Validate, new) == Standing::Open
        && facts.namespace.as_ref().is_ok_and(Namespace::opts_in);
    if old.is_none() && will_be_in && change(old, new, &Settings::default(), facts)? == Hold::Hold {
        occasion = Occasion::Takeover;
    }
    let report =
        policy::judge(context, occasion, new, will_be_in, &Settings::default(), &Examined::default(), facts);
    if report.findings.is_empty() {
        Ok(report.allow(Vec::new()))
    } else {
        Err(report.refuse(&context.review.name))
    }
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
    if old.is_none() && order.is_some() {
        return Err(Verdict::forbid(
            rules::ORDER,
            format!(
                "Deployment {:?}: an order ({}) cannot be given to a Deployment that is being created",
                context.review.name,
                keys::DO
            ),
        ));
    }
    let before = |key| old.and_then(|old| old.annotation(key));
    let held_before = before(keys::HELD);
    let held = match change {
        Hold::Hold => Some(new.template_hash().to_string()),
        Hold::Unchanged => held_before.map(str::to_owned),
        Hold::Native => None,
    };
    let mut edits = Edits {
        managed: true,
        paused: held.is_some().then_some(true),
        request: before(keys::REQUEST).map(str::to_owned),
        exempt: before(keys::EXEMPT).filter(|_| held.is_some()).map(str::to_owned),
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
fn is_paused_by_user(old: Option<Object<'_>>, new: Object<'_>, edits: &Edits) -> bool {
    let ours = new.annotation(keys::HELD) == edits.held.as_deref();
    old.is_some_and(Object::is_paused) || (new.is_paused() && !ours)
}

/// The last look at the final object: what must be held is held, whatever other webhooks did after us.
fn validate(
    context: &Context<'_>,
    old: Option<Object<'_>>,
    new: Object<'_>,
    facts: &Facts,
) -> Result<Verdict, Verdict> {
    let settings = membership::namespace(context, facts)?.settings(&new.annotations());
    let must_be_held = match change(old, new, &settings, facts)? {
        Hold::Hold => true,
        Hold::Unchanged => old.is_some_and(|old| old.annotation(keys::HELD).is_some()),
        Hold::Native => false,
    };
    if must_be_held && !is_held(new) {
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
