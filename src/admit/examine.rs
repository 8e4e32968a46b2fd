//! Checks a plan before it runs, and reports all findings at once, with warnings.

use super::{
    deployment::DeploymentRequest,
    facts::Facts,
    plan_review::{advice, hosts, pair, preview, replacement},
    report::Report,
};
use crate::{
    config::{
        annotations::path,
        declared_plan::DeclaredPlan,
        dry_start::{DryStart, dry_starts},
        namespace::Settings,
    },
    decide::Draft,
    document::finding::{Finding, Findings},
    domain::{
        k8s::label_rewrite::LabelRewrite,
        keys,
        strategy::RolloutSpec,
        world::{Pods, Workload},
    },
};

/// The result of the examination.
#[derive(Debug, Default)]
pub(super) struct Examined {
    /// The plan, if it could be read.
    pub spec: Option<RolloutSpec>,
    /// How its canary will be distinguished, if that is known.
    pub rewrite: Option<LabelRewrite>,
    /// Its analyses, as a dry start resolves them.
    pub dry_starts: Vec<DryStart>,
    /// What was found.
    pub report: Report,
}

/// Examines the Deployment, its plan and the objects around it. `releases`: a changed template is held now.
pub(super) fn examine(
    write: &DeploymentRequest<'_>,
    settings: &Settings,
    plan: Result<DeclaredPlan, Findings>,
    releases: bool,
    facts: &Facts,
) -> Examined {
    let new = write.new;
    let mut examined = Examined::default();
    examined.report.findings = replacement::unsafe_settings(new);
    let mut spec = match plan.and_then(|declared| complete(declared, facts)) {
        Ok(spec) => spec,
        Err(found) => {
            examined.report.findings.extend(found);
            return examined.located(settings);
        }
    };
    match &facts.neighbours {
        Ok(neighbours) => {
            let draft = Draft::of(spec, &workload(write, releases), &neighbours.world);
            let report = pair::among(new, &draft, neighbours, releases);
            (spec, examined.rewrite) = (draft.spec, draft.rewrite);
            examined.report.extend(report);
        }
        Err(why) => {
            examined.report.warnings.push(format!("names, selectors and routes were not checked: {why}"));
        }
    }
    examined.dry_starts = dry_starts(&spec);
    examined.report.findings.extend(advice::faults(&examined.dry_starts, &examined.report.marks));
    examined.report.findings.extend(hosts::refused(&examined.dry_starts, write.config));
    examined.report.warnings.extend(advice::advice(
        new,
        &spec.strategy,
        &examined.dry_starts,
        &examined.report.marks,
    ));
    examined.spec = Some(spec);
    examined.located(settings)
}

/// The Deployment, and the pods that a release replaces. Those of a held Deployment are of a template before the last.
fn workload(write: &DeploymentRequest<'_>, releases: bool) -> Workload {
    let replaced = write.old.filter(|old| releases && old.annotation(keys::HELD).is_none());
    Workload { running: replaced.map(|old| Pods::of(old.template())), ..write.new.workload() }
}

/// The plan with its templates. Templates that could not be read in time lead to a refusal, because a plan that was
/// not read completely must not start.
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
    fn located(mut self, settings: &Settings) -> Self {
        self.report.findings = settings.located(self.report.findings);
        self
    }

    /// Turns the findings into warnings.
    pub fn postpone(&mut self) {
        let later = std::mem::take(&mut self.report.findings);
        let warnings = later.iter().map(|finding| format!("would be refused at the next release: {finding}"));
        self.report.warnings.extend(warnings);
    }

    /// The plan in words: one line, or every step in a dry run.
    pub fn plan(&self, write: &DeploymentRequest<'_>) -> Vec<String> {
        let Some(spec) = &self.spec else { return Vec::new() };
        let new = write.new;
        let mut lines = vec![preview::plan(&spec.strategy, &self.dry_starts, new.replicas())];
        lines.extend(preview::shares(&spec.strategy, new.replicas()));
        lines.extend(preview::too_small(&spec.strategy, new.replicas()));
        if write.review.dry_run {
            lines.extend(preview::whole_plan(&spec.strategy, &self.dry_starts, new.replicas()));
            lines.extend(preview::min_ready(new));
            lines.extend(preview::rewritten(&self.report.relabelled, &self.dry_starts));
        }
        lines
    }
}
