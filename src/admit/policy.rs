//! What the profiles of the namespace say to a request, and what follows from it.

use super::{
    Context, concerns_plan,
    examine::Examined,
    facts::Facts,
    hold::{Hold, is_restart},
    kubectl_warnings, membership,
    object::Object,
    plan_review::{hosts, preview::step_time},
    rules,
};
use crate::{
    config::{
        dry_start::DryStart,
        namespace::Settings,
        profile::{Bound, read_profile},
    },
    document::finding::{Finding, Findings},
    domain::{
        keys,
        names::Weight,
        request::Verb,
        review::{Outcome, Verdict},
        strategy::{RolloutSpec, Step},
        value::ResultType,
    },
    policy::{
        FREEZE, Mode, Occasion, Plan, PlannedMetric, Subject, Wait, exemption,
        profile::{Profile, Violation},
    },
    providers::Defaults,
    routers,
};
use std::collections::BTreeMap;

/// What follows from all profiles together.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Reasons to refuse.
    pub findings: Findings,
    /// Told to the user.
    pub warnings: Vec<String>,
    /// Written into the API server's audit log.
    pub audit: BTreeMap<String, String>,
    /// Rules that were violated, in whatever mode.
    pub rules: Vec<&'static str>,
    /// The enforced profile that does not hold for the user.
    pub exempt: Option<String>,
}

/// What the request does to a Deployment that is opted in; `None` when no rule is about it.
#[must_use]
pub(super) fn occasion(
    old: Option<Object<'_>>,
    new: Object<'_>,
    change: Hold,
    verb: Option<Verb>,
    facts: &Facts,
) -> Option<Occasion> {
    let Some(old) = old else {
        return Some(if change == Hold::Hold { Occasion::Release } else { Occasion::Create });
    };
    if let Some(verb) = verb {
        return Some(Occasion::Order(verb));
    }
    match change {
        // Going back must always be possible.
        Hold::Hold if is_stable(new, facts) => None,
        Hold::Native if is_restart(old, new) => Some(Occasion::Restart),
        Hold::Hold => Some(Occasion::Release),
        Hold::Native => Some(Occasion::Native),
        Hold::Unchanged => concerns_plan(Some(old), new).then_some(Occasion::Configure),
    }
}

/// The same for one that is out; another admission phase asks, when the object is final.
#[must_use]
pub(super) fn plain_occasion(old: Option<Object<'_>>, new: Object<'_>) -> Option<Occasion> {
    let Some(old) = old else { return Some(Occasion::Create) };
    if membership::was_in(Some(old)) {
        return Some(Occasion::OptOut);
    }
    (!old.has_template_of(new) && !is_restart(old, new)).then_some(Occasion::Release)
}

/// Whether the template is the one that serves already.
pub(super) fn is_stable(new: Object<'_>, facts: &Facts) -> bool {
    let state = facts.state.as_ref().ok().and_then(Option::as_ref);
    let stable = state.and_then(|state| state.stable.as_ref());
    stable.is_some_and(|stable| *stable == new.template_hash())
}

/// Whether a rollout is under way whose version no user has met yet.
fn is_unexposed(facts: &Facts) -> bool {
    let state = facts.state.as_ref().ok().and_then(Option::as_ref);
    let rollout = state.and_then(|state| state.rollout.as_ref());
    rollout.is_some_and(|rollout| rollout.exposed_at.is_none() && rollout.traffic.weight == Weight::ZERO)
}

/// Judges a request by every profile that the namespace binds.
#[must_use]
pub(super) fn judge(
    context: &Context<'_>,
    occasion: Occasion,
    new: Object<'_>,
    opted_in: bool,
    settings: &Settings,
    examined: &Examined,
    facts: &Facts,
) -> Judged {
    let mut judged = Judged::default();
    let namespace = &context.review.namespace;
    let bound = match &facts.policy {
        Ok(bound) if bound.is_empty() => return judged,
        Ok(bound) => bound,
        Err(why) => {
            let problem = format!("its policy could not be read: {why}; try again");
            judged.findings.push(Finding::new("metadata.namespace", namespace, problem));
            return judged;
        }
    };
    let reason = fresh_reason(context, new).filter(|_| facts.may_override == Ok(true));
    let subject = Subject {
        user: &context.review.user,
        now: context.now,
        occasion,
        opted_in,
        plan: examined.spec.as_ref().map(|spec| plan(spec, &examined.dry_starts, &context.config.providers)),
        template: new.template(),
        // What is not known must not excuse: a rule that needs a route holds.
        has_route: facts
            .neighbours
            .as_ref()
            .map_or(true, |found| routers::has_route(&new.pod_labels(), &found.world)),
        is_unexposed: is_unexposed(facts),
        override_freeze: reason,
    };
    for bound in bound {
        judged.add(bound, &subject, settings, namespace);
    }
    if let Some(reason) = reason {
        judged.audit.insert("override-freeze".to_owned(), reason.to_owned());
    }
    judged
}

/// A reason that comes with this request: one that stands there already has had its release.
#[must_use]
pub(super) fn fresh_reason<'a>(context: &Context<'a>, new: Object<'a>) -> Option<&'a str> {
    let old =
        context.review.old_object.as_ref().and_then(|old| Object(old).annotation(keys::OVERRIDE_FREEZE));
    new.annotation(keys::OVERRIDE_FREEZE).filter(|reason| !reason.trim().is_empty() && Some(*reason) != old)
}

impl Judged {
    /// The refusal for `others` and what policy found, naming the object as Kubernetes' own validation does.
    pub fn refuse(self, name: &str, others: Findings) -> Verdict {
        let by_plan = (!others.is_empty()).then_some(rules::PLAN);
        let findings = others.into_iter().chain(self.findings).collect();
        let mut verdict = Verdict::invalid(rules::PLAN, findings);
        if let Outcome::Deny { message, .. } = &mut verdict.outcome {
            *message = format!("Deployment.apps {name:?} is invalid: {message}");
        }
        verdict.rules = self.rules.into_iter().chain(by_plan).collect();
        verdict.warnings =
            self.warnings.iter().flat_map(|warning| kubectl_warnings::lines(warning)).collect();
        verdict.audit = self.audit;
        verdict
    }

    fn add(&mut self, bound: &Bound, subject: &Subject<'_>, settings: &Settings, namespace: &str) {
        let Bound { mode, name, .. } = bound;
        let violations = match profile_of(bound, namespace) {
            Ok(profile) if profile.exempts(subject.user) => {
                self.audit.insert(format!("{mode}-exempt"), name.clone());
                self.exempt =
                    self.exempt.take().or_else(|| (*mode == Mode::Enforce).then(|| exemption(name, None)));
                return;
            }
            Ok(profile) => {
                if *mode == Mode::Enforce && subject.override_freeze.is_some() && profile.has(FREEZE) {
                    self.exempt = self.exempt.take().or_else(|| Some(exemption(name, Some(FREEZE))));
                }
                let notes = profile.notes(subject).into_iter().filter(|_| *mode != Mode::Audit);
                self.warnings.extend(notes.map(|note| format!("{note} (policy {name})")));
                profile.check(subject)
            }
            Err(finding) => vec![Violation { rule: rules::PROFILE, finding }],
        };
        let violations: Vec<_> = violations
            .into_iter()
            .map(|violation| Violation { finding: settings.locate(violation.finding), ..violation })
            .collect();
        let told =
            |violation: &Violation| format!("{} (policy {name}, rule {})", violation.finding, violation.rule);
        let texts: Vec<String> = violations.iter().map(told).collect();
        let summary = if texts.is_empty() { "ok".to_owned() } else { texts.join("; ") };
        self.audit.insert(format!("{mode}-policy"), format!("{name}: {summary}"));
        self.rules.extend(violations.iter().map(|violation| violation.rule));
        match mode {
            Mode::Enforce => self.findings.extend(violations.into_iter().map(|violation| {
                let Violation { rule, mut finding } = violation;
                finding.problem = format!("{} (policy {name}, rule {rule})", finding.problem);
                finding
            })),
            Mode::Warn => {
                self.warnings.extend(texts.into_iter().map(|text| format!("would be refused: {text}")));
            }
            Mode::Audit => {}
        }
    }
}

/// A profile that is bound and cannot be read is a violation of its own: a typing error must not switch
/// off what it was to enforce.
fn profile_of(bound: &Bound, namespace: &str) -> Result<Profile, Finding> {
    let label = bound.mode.label();
    let fail = |problem: String| {
        Finding::new(format!("Namespace[{namespace}].metadata.labels[{label}]"), &bound.name, problem)
    };
    let Some(data) = &bound.data else {
        return Err(fail(format!(
            "no such profile: Haldane's namespace has no ConfigMap of this name with label {}: \"true\"; make it, or change the label",
            keys::POLICY
        )));
    };
    read_profile(data).map_err(|findings| {
        let told: Vec<_> = findings.iter().map(ToString::to_string).collect();
        fail(format!("this profile cannot be read: {}", told.join("; ")))
    })
}

/// The plan as rules see it.
pub(super) fn plan<'a>(spec: &'a RolloutSpec, dry_starts: &'a [DryStart], providers: &Defaults) -> Plan<'a> {
    let strategy = &spec.strategy;
    let wait = |(index, step): (usize, &Step)| match step {
        Step::Pause(None) => Wait::Person,
        // Settling is not soaking: the proxies are still learning the weight.
        Step::SetWeight(_) | Step::SetHeaderRoute(_) => Wait::Time(jiff::SignedDuration::ZERO),
        _ => Wait::Time(step_time(strategy, dry_starts, index, step)),
    };
    let metrics = dry_starts.iter().flat_map(|dry_start| &dry_start.metrics).map(|metric| PlannedMetric {
        path: &metric.path,
        spec: &metric.spec,
        is_dry_run: metric.dry_run,
        has_verdict: metric.result == ResultType::Verdict,
        hosts: hosts::addresses(&metric.spec.provider, providers)
            .into_iter()
            .map(|address| {
                address.and_then(|url| url.host().map(|host| host.to_owned()).ok_or(String::new()))
            })
            .collect(),
    });
    Plan {
        strategy,
        waits: strategy.steps.iter().enumerate().map(wait).collect(),
        metrics: metrics.collect(),
    }
}
