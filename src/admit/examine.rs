//! Everything that can be said about a plan before it runs: all findings at once, and warnings.

use super::{
    Context, Read,
    facts::Facts,
    object::Object,
    plan_review::{advice, hosts, pair, preview},
};
use crate::{
    config::{
        annotations::{DeclaredPlan, INTERNAL_KEYS, path},
        dry_start::{DryStart, dry_starts},
        namespace::Settings,
    },
    decide::Draft,
    document::finding::{Finding, Findings},
    domain::{
        k8s::{json_pointer::part, selector::Labels},
        keys,
        strategy::RolloutSpec,
    },
    promql::sight::Mark,
};

/// Annotations that say nothing about the plan.
const NO_PLAN: [&str; 2] = [keys::DO, keys::OVERRIDE_FREEZE];

/// What came of the examination.
#[derive(Debug, Default)]
pub(super) struct Examined {
    /// The plan, if it could be read.
    pub spec: Option<RolloutSpec>,
    /// Its analyses, started for trial.
    pub dry_starts: Vec<DryStart>,
    /// What tells the sides of the pair apart in Prometheus.
    pub marks: Vec<Mark>,
    /// Labels with another value on canary pods.
    pub relabelled: Labels,
    /// Reasons to refuse.
    pub findings: Findings,
    /// Worth knowing.
    pub warnings: Vec<String>,
}

/// Examines the Deployment, its plan and what is around it. `releases`: a changed template is held now.
pub(super) fn examine(
    context: &Context<'_>,
    new: Object<'_>,
    plan: &Read,
    releases: bool,
    facts: &Facts,
) -> Examined {
    let mut examined = Examined { findings: pair::alone(new), ..Examined::default() };
    let mut spec = match plan.declared.clone().and_then(|declared| complete(declared, facts)) {
        Ok(spec) => spec,
        Err(found) => {
            examined.findings.extend(found);
            return examined.located(&plan.settings);
        }
    };
    match &facts.neighbours {
        Ok(neighbours) => {
            let draft = Draft::of(spec, &new.workload(), &neighbours.world);
            let report = pair::among(new, &draft, neighbours, releases);
            spec = draft.spec;
            examined.findings.extend(report.findings);
            examined.warnings.extend(report.warnings);
            examined.marks = report.marks;
            examined.relabelled = report.relabelled;
        }
        Err(why) => {
            examined.warnings.push(format!("names, selectors and routes were not checked: {why}"));
        }
    }
    examined.dry_starts = dry_starts(&spec);
    examined.findings.extend(advice::faults(&examined.dry_starts, &examined.marks));
    examined.findings.extend(hosts::refused(&examined.dry_starts, context.config));
    examined.warnings.extend(advice::advice(new, &spec.strategy, &examined.dry_starts, &examined.marks));
    examined.spec = Some(spec);
    examined.located(&plan.settings)
}

/// The plan with its templates; templates that could not be looked up in time are a refusal, because
/// a plan that was never read whole must not start.
fn complete(declared: DeclaredPlan, facts: &Facts) -> Result<RolloutSpec, Findings> {
    match &facts.templates {
        Ok(templates) => declared.complete(templates),
        Err(why) => Err(vec![Finding::new(
            path(keys::CANARY),
            "",
            format!("analysis templates could not be read: {why}; try again"),
        )]),
    }
}

impl Examined {
    fn located(self, settings: &Settings) -> Self {
        Self { findings: settings.located(self.findings), ..self }
    }

    /// The plan as people shall read it: one line, or all of it where nothing but that is wanted.
    pub fn plan(&self, context: &Context<'_>, new: Object<'_>) -> Vec<String> {
        let Some(spec) = &self.spec else { return Vec::new() };
        let mut lines = vec![preview::plan(&spec.strategy, &self.dry_starts, new.replicas())];
        lines.extend(preview::shares(&spec.strategy, new.replicas()));
        lines.extend(preview::too_small(&spec.strategy, new.replicas()));
        if context.review.dry_run {
            lines.extend(preview::whole_plan(&spec.strategy, &self.dry_starts, new.replicas()));
            lines.extend(preview::rewritten(&self.relabelled, &self.dry_starts));
        }
        lines
    }
}

/// Whether a request is about the plan or the pods, and not only an order or a pause: then people want to
/// read what would be better.
pub(super) fn concerns_plan(old: Option<Object<'_>>, new: Object<'_>) -> bool {
    let Some(old) = old else { return true };
    let (before, after) = (old.annotations(), new.annotations());
    let mut ours = before.keys().chain(after.keys()).filter(|key| key.starts_with(keys::PREFIX));
    let is_plan = |key: &str| !NO_PLAN.contains(&key) && !INTERNAL_KEYS.contains(&key);
    !old.has_template_of(new) || ours.any(|key| is_plan(key) && before.get(key) != after.get(key))
}

/// Whether a request may be refused for what is wrong with the plan and around it: because it brings some of
/// it, or starts a rollout.
pub(super) fn is_binding(old: Option<Object<'_>>, new: Object<'_>) -> bool {
    let differs = |pointer| old.is_none_or(|old| part(old.0, pointer) != part(new.0, pointer));
    concerns_plan(old, new) || differs("/spec/strategy") || differs("/spec/selector")
}
