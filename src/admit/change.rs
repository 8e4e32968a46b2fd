//! A Deployment in the mutating phase: a release is held for its canary, an order becomes a recorded request, and a
//! plan is checked before it runs.

use super::{
    announcement,
    deployment::{DeploymentRequest, Standing},
    examine::examine,
    facts::{Fact, Facts, NOT_LOOKED_UP, Questions},
    hold::{self, TemplateChange},
    membership, no_effect,
    object::Edits,
    orders,
    plan_review::trial::Trial,
    policy,
    rehearsal::rehearsals,
    report::Report,
    rules,
    ruling::Ruling,
};
use crate::{
    config::{
        declared_plan::DeclaredPlan,
        namespace::{Namespace, Settings},
    },
    document::finding::Findings,
    domain::{
        keys,
        request::{Order, Verb},
        review::Verdict,
    },
};

/// See the module.
#[derive(Debug)]
pub struct Change<'a> {
    write: DeploymentRequest<'a>,
    order: Result<Option<Order>, Verdict>,
    namespace: Fact<Namespace>,
    declaration: Fact<Declaration>,
}

/// What applies to the Deployment in its Namespace, and the plan that is read from it.
#[derive(Debug)]
struct Declaration {
    settings: Settings,
    plan: Result<DeclaredPlan, Findings>,
}

impl<'a> Change<'a> {
    pub(super) fn read(write: DeploymentRequest<'a>) -> Self {
        let not_looked_up = || NOT_LOOKED_UP.to_owned();
        let order = orders::ordered(&write);
        Self { write, order, namespace: Err(not_looked_up()), declaration: Err(not_looked_up()) }
    }

    pub(super) fn in_namespace(self, namespace: Fact<Namespace>) -> Self {
        let declaration = namespace.as_ref().map_err(Clone::clone).map(|namespace| {
            let settings = namespace.settings(&self.write.new.annotations());
            let plan = settings.read(&self.write.config.defaults);
            Declaration { settings, plan }
        });
        Self { namespace, declaration, ..self }
    }

    pub(super) fn questions(&self) -> Questions {
        let write = &self.write;
        let was_managed = membership::was_managed(write.old);
        if !membership::may_be_managed(write, &self.namespace) {
            return Questions { state: was_managed, ..Questions::default() };
        }
        let order = self.order.as_ref().ok().copied().flatten();
        let plan = self.declaration.as_ref().ok().and_then(|declaration| declaration.plan.as_ref().ok());
        let is_judged = order.is_some() || write.concerns_plan();
        let may_go_on = was_managed && write.standing == Standing::Open;
        Questions {
            state: is_judged || may_go_on,
            pair: true,
            templates: plan.map(DeclaredPlan::references).unwrap_or_default(),
            verb: order.map(|order| order.verb),
            override_freeze: policy::fresh_reason(write).is_some(),
            policy: self.namespace.as_ref().ok().filter(|_| is_judged).map(|found| found.labels().clone()),
            adoptable: write.old.is_none(),
        }
    }

    pub(super) fn decide(self, facts: &Facts) -> Result<Ruling, Verdict> {
        let Self { write, order, namespace, declaration } = self;
        if !membership::is_managed(&write, &namespace, facts)? {
            return membership::leave(&write, &namespace, facts).map(Ruling::from);
        }
        let Declaration { settings, plan } = write.known(declaration)?;
        let order = order?;
        let change = hold::change(&write, &settings, facts)?;
        let mut examined = examine(&write, &settings, plan, change == TemplateChange::Held, facts);
        let occasion = policy::occasion(&write, change, order.map(|order| order.verb), facts);
        let judge = |occasion| policy::judge(&write, occasion, true, &settings, &examined, facts);
        let mut report = occasion.map(judge).unwrap_or_default();
        // A problem stops only the rollout that it would affect. Orders and the way back stay possible: a template that
        // was deleted during a rollout must not prevent an abort.
        let goes_back = change == TemplateChange::Held && policy::is_stable(&write, facts);
        if goes_back || !write.is_binding() {
            examined.postpone();
        }
        if !examined.report.findings.is_empty() || !report.findings.is_empty() {
            return Err(refusal(&write, examined.report, report));
        }
        let is_advised = matches!(change, TemplateChange::Unchanged | TemplateChange::Held);
        if is_advised && write.concerns_plan() {
            report.warnings.append(&mut examined.report.warnings);
            report.warnings.extend(no_effect::misplaced(write.new));
        }
        let mut edits = edits(&write, change, order, facts, &mut report.warnings)?;
        if change == TemplateChange::Held || order.is_some_and(|order| order.verb == Verb::Retry) {
            edits.exempt = report.exempt.take();
        }
        report.rules.extend(order.map(|_| rules::ORDER));
        let mut tried = Vec::new();
        report.warnings.extend(announcement::of(&write, change, &settings, &examined, facts));
        if change == TemplateChange::Held {
            report.rules.insert(rules::HOLD);
            if write.review.dry_run && write.old.is_some() {
                let warnings;
                (tried, warnings) = rehearsals(&examined, write.config);
                report.warnings.extend(warnings);
            }
        }
        // What is held already has its objects, or another's.
        let starts = change == TemplateChange::Held && write.before(keys::HELD).is_none() && !goes_back;
        let trial = examined.spec.as_ref().zip(examined.rewrite.as_ref()).filter(|_| starts);
        let trial = trial.and_then(|(spec, rewrite)| Trial::of(&write, &spec.strategy, rewrite, facts));
        Ok(Ruling { verdict: report.allow(edits.patch(write.new)), rehearsals: tried, trial })
    }
}

/// The refusal for the problems of the plan and the violations of policy.
fn refusal(write: &DeploymentRequest<'_>, mut plan: Report, policy: Report) -> Verdict {
    plan.rules.extend((!plan.findings.is_empty()).then_some(rules::PLAN));
    plan.warnings.clear();
    plan.extend(policy);
    plan.warnings.extend(membership::opted_in_by_namespace(write));
    plan.refuse(&write.review.name)
}

/// Whether the Deployment is held after this request, and which order is recorded.
fn edits(
    write: &DeploymentRequest<'_>,
    change: TemplateChange,
    order: Option<Order>,
    facts: &Facts,
    warnings: &mut Vec<String>,
) -> Result<Edits, Verdict> {
    let held_before = write.before(keys::HELD);
    let held = match change {
        TemplateChange::Held => Some(write.new.template_hash().to_string()),
        TemplateChange::Unchanged => held_before.map(str::to_owned),
        TemplateChange::Native | TemplateChange::Restart => None,
    };
    let mut edits = Edits {
        managed: true,
        paused: held.is_some().then_some(true),
        request: write.before(keys::REQUEST).map(str::to_owned),
        exempt: write.before(keys::EXEMPT).filter(|_| held.is_some()).map(str::to_owned),
        held,
    };
    let mut request = None;
    if let Some(order) = order {
        request = Some(orders::authorise(write, order, change, facts)?);
    } else if held_before.is_some() && !write.new.is_paused() {
        warnings.push(format!(
            "spec.paused stays true while the template is held for its canary; give orders with {}=promote|abort|…",
            keys::DO
        ));
    } else if change == TemplateChange::Held && orders::is_paused(write, facts) {
        warnings.push(format!(
            "the Deployment is paused, so its canary waits for `kubectl rollout resume` or {}=resume",
            keys::DO
        ));
        request = Some(orders::record(write, Verb::Pause.into()));
    }
    if let Some(request) = request {
        // A typed record can always be serialised.
        edits.request = serde_json::to_string(&request).ok();
    }
    Ok(edits)
}
