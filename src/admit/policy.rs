//! Judges a request by the policy profiles that its namespace binds.

use super::{
    deployment::DeploymentRequest,
    examine::Examined,
    facts::Facts,
    hold::TemplateChange,
    membership,
    plan_review::{hosts, preview::step_time},
    report::Report,
    rules,
};
use crate::{
    config::{
        dry_start::DryStart,
        namespace::Settings,
        profile::{Bound, read_profile},
    },
    document::finding::Finding,
    domain::{
        keys,
        names::Weight,
        request::Verb,
        restarts::Restarts,
        strategy::{RolloutSpec, Step, StepWait},
        value::ResultType,
    },
    policy::{
        FREEZE, Mode, Occasion, Plan, PlannedMetric, Subject, Wait, exemption,
        profile::{Profile, Violation},
    },
    providers::Defaults,
    routers,
};

/// What the request does to a managed Deployment; `None` if no rule applies to that.
#[must_use]
pub(super) fn occasion(
    write: &DeploymentRequest<'_>,
    change: TemplateChange,
    verb: Option<Verb>,
    facts: &Facts,
) -> Option<Occasion> {
    if write.old.is_none() {
        return Some(if change == TemplateChange::Held { Occasion::Release } else { Occasion::Create });
    }
    if let Some(verb) = verb {
        return Some(Occasion::Order(verb));
    }
    match change {
        // Going back must always be possible.
        TemplateChange::Held if is_stable(write, facts) => None,
        TemplateChange::Restart => Some(Occasion::Restart),
        TemplateChange::Held => Some(Occasion::Release),
        TemplateChange::Native => Some(Occasion::Native),
        TemplateChange::Unchanged => write.concerns_plan().then_some(Occasion::Configure),
    }
}

/// The same for a Deployment that is not managed. The validating phase asks, because the object is final then.
#[must_use]
pub(super) fn unmanaged_occasion(write: &DeploymentRequest<'_>) -> Option<Occasion> {
    let Some(old) = write.old else { return Some(Occasion::Create) };
    if membership::was_managed(Some(old)) {
        return Some(Occasion::OptOut);
    }
    let restarts = Restarts::default().are_between_templates(old.template(), write.new.template());
    (write.changes_template() && !restarts).then_some(Occasion::Release)
}

/// Whether the new template is the stable one.
pub(super) fn is_stable(write: &DeploymentRequest<'_>, facts: &Facts) -> bool {
    let state = facts.state.as_ref().ok().and_then(Option::as_ref);
    let stable = state.and_then(|state| state.stable.as_ref());
    stable.is_some_and(|stable| *stable == write.new.template_hash())
}

/// Whether a rollout is under way whose version has not served users yet.
fn is_unexposed(facts: &Facts) -> bool {
    let state = facts.state.as_ref().ok().and_then(Option::as_ref);
    let rollout = state.and_then(|state| state.rollout.as_ref());
    rollout.is_some_and(|rollout| rollout.exposed_at.is_none() && rollout.traffic.weight == Weight::ZERO)
}

/// Judges a request by every profile that the namespace binds.
#[must_use]
pub(super) fn judge(
    write: &DeploymentRequest<'_>,
    occasion: Occasion,
    opted_in: bool,
    settings: &Settings,
    examined: &Examined,
    facts: &Facts,
) -> Report {
    let mut report = Report::default();
    let namespace = &write.review.namespace;
    let bound = match &facts.policy {
        Ok(bound) if bound.is_empty() => return report,
        Ok(bound) => bound,
        Err(why) => {
            let problem =
                format!("the policy profiles of this namespace could not be read: {why}; try again");
            report.findings.push(Finding::new("metadata.namespace", namespace, problem));
            report.rules.insert(rules::PROFILE);
            return report;
        }
    };
    let reason = fresh_reason(write).filter(|_| facts.may_override == Ok(true));
    let subject = Subject {
        user: &write.review.user,
        now: write.now,
        occasion,
        opted_in,
        plan: examined.spec.as_ref().map(|spec| plan(spec, &examined.dry_starts, &write.config.providers)),
        template: write.new.template(),
        // If the routes are not known, a rule that needs a route applies.
        has_route: facts
            .neighbours
            .as_ref()
            .map_or(true, |found| routers::has_route(&write.new.pod_labels(), &found.world)),
        is_unexposed: is_unexposed(facts),
        override_freeze: reason,
    };
    for bound in bound {
        report.extend(judge_by(bound, &subject, settings, namespace));
    }
    if let Some(reason) = reason {
        report.audit.insert("override-freeze".to_owned(), reason.to_owned());
    }
    report
}

/// The reason that this request gives for a release in a freeze. One that was there before has been used.
#[must_use]
pub(super) fn fresh_reason<'a>(write: &DeploymentRequest<'a>) -> Option<&'a str> {
    let used = write.before(keys::OVERRIDE_FREEZE);
    let reason = write.new.annotation(keys::OVERRIDE_FREEZE);
    reason.filter(|reason| !reason.trim().is_empty() && Some(*reason) != used)
}

/// Judges a request by one profile.
fn judge_by(bound: &Bound, subject: &Subject<'_>, settings: &Settings, namespace: &str) -> Report {
    let Bound { mode, name, .. } = bound;
    let is_enforced = *mode == Mode::Enforce;
    let mut report = Report::default();
    let violations = match profile_of(bound, namespace) {
        Ok(profile) if profile.exempts(subject.user) => {
            report.audit.insert(format!("{mode}-exempt"), name.clone());
            report.exempt = is_enforced.then(|| exemption(name, None));
            return report;
        }
        Ok(profile) => {
            if is_enforced && subject.override_freeze.is_some() && profile.has(FREEZE) {
                report.exempt = Some(exemption(name, Some(FREEZE)));
            }
            let notes = profile.notes(subject).into_iter().filter(|_| *mode != Mode::Audit);
            report.warnings.extend(notes.map(|note| format!("{note} (policy {name})")));
            profile.check(subject)
        }
        Err(finding) => vec![Violation { rule: rules::PROFILE, finding }],
    };
    let mut texts = Vec::new();
    for Violation { rule, finding } in violations {
        let mut finding = settings.locate(finding);
        finding.problem = format!("{} (policy {name}, rule {rule})", finding.problem);
        texts.push(finding.to_string());
        report.rules.insert(rule);
        report.findings.extend(is_enforced.then_some(finding));
    }
    let summary = if texts.is_empty() { "ok".to_owned() } else { texts.join("; ") };
    report.audit.insert(format!("{mode}-policy"), format!("{name}: {summary}"));
    if *mode == Mode::Warn {
        report.warnings.extend(texts.iter().map(|text| format!("would be refused: {text}")));
    }
    report
}

/// Reads a profile. One that is bound and cannot be read is a violation itself: a typing error must not switch off what
/// the profile enforces.
fn profile_of(bound: &Bound, namespace: &str) -> Result<Profile, Finding> {
    let label = bound.mode.label();
    let fail = |problem: String| {
        Finding::new(format!("Namespace[{namespace}].metadata.labels[{label}]"), &bound.name, problem)
    };
    let Some(data) = &bound.data else {
        return Err(fail(format!(
            "no such profile: Haldane's namespace has no ConfigMap of this name with label {}: \"true\"; create it, or change the label",
            keys::POLICY
        )));
    };
    read_profile(data).map_err(|findings| {
        let problems: Vec<_> = findings.iter().map(ToString::to_string).collect();
        fail(format!("this profile cannot be read: {}", problems.join("; ")))
    })
}

/// The plan as rules see it.
pub(super) fn plan<'a>(spec: &'a RolloutSpec, dry_starts: &'a [DryStart], providers: &Defaults) -> Plan<'a> {
    let strategy = &spec.strategy;
    let wait = |(index, step): (usize, &Step)| match step.wait() {
        StepWait::Person => Wait::Person,
        // Settling is not soaking: the proxies do not all have the weight yet.
        StepWait::Settle => Wait::Time(jiff::SignedDuration::ZERO),
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
