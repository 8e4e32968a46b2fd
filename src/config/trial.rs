//! Analyses started for trial, with samples for what is only known later: a missing argument, limits that
//! contradict each other or a query that sees the wrong side are found before anything is released.

use super::{
    annotations::path,
    queries::{ReadQuery, queries},
};
use crate::{
    analysis::{self, ResolvedArg},
    domain::{
        finding::{Finding, Findings},
        keys,
        metric::{AnalysisTemplate, MetricSpec, SecretKeyRef},
        strategy::{
            AnalysisRef, ArgSource, CanaryStrategy, NamedTemplate, RolloutSpec, Side, Step, TemplateRef,
        },
    },
    providers,
};
use std::collections::BTreeMap;

/// Stands for the `pod-template-hash` of stable.
pub const STABLE_HASH: &str = "HASH-OF-STABLE";
/// Stands for the `pod-template-hash` of the canary.
pub const CANARY_HASH: &str = "HASH-OF-CANARY";

/// Stands for a field of the Deployment.
const SAMPLE: &str = "sample";

/// An analysis of a plan, as it would run.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The step it belongs to; `None` for the background analysis.
    pub step: Option<usize>,
    /// Names of its templates, as steps write them.
    pub templates: Vec<String>,
    /// Its metrics, arguments filled in.
    pub metrics: Vec<TrialMetric>,
}

/// A metric and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialMetric {
    /// Field path of the metric.
    pub path: String,
    /// The metric.
    pub spec: MetricSpec,
    /// Its queries.
    pub queries: Vec<ReadQuery>,
}

/// Every analysis of a plan whose templates are complete; those that cannot start are left out.
#[must_use]
pub fn trials(spec: &RolloutSpec) -> Vec<Trial> {
    let trial = |(step, analysis)| {
        let (templates, metrics) = start(analysis, &spec.templates).ok()?;
        let metric = |(path, spec)| TrialMetric { queries: queries(&spec), path, spec };
        Some(Trial { step, templates, metrics: metrics.into_iter().map(metric).collect() })
    };
    analyses(&spec.strategy).filter_map(trial).collect()
}

/// Why analyses of a plan could not start.
#[must_use]
pub fn faults(strategy: &CanaryStrategy, templates: &[NamedTemplate]) -> Findings {
    analyses(strategy).filter_map(|(_, analysis)| start(analysis, templates).err()).collect()
}

fn analyses(strategy: &CanaryStrategy) -> impl Iterator<Item = (Option<usize>, &AnalysisRef)> {
    let in_steps = strategy.steps.iter().enumerate().filter_map(|(index, step)| match step {
        Step::Analysis(step) => Some((Some(index), &step.analysis)),
        _ => None,
    });
    in_steps.chain(strategy.background.iter().map(|background| (None, &background.analysis)))
}

/// Names of the templates, and the metrics with their paths.
type Started = (Vec<String>, Vec<(String, MetricSpec)>);

fn start(analysis: &AnalysisRef, known: &[NamedTemplate]) -> Result<Started, Finding> {
    let found: Vec<&NamedTemplate> = analysis
        .templates
        .iter()
        .filter_map(|wanted| known.iter().find(|t| t.reference == *wanted))
        .collect();
    let names: Vec<String> = found.iter().map(|found| found.template.name.clone()).collect();
    let templates: Vec<AnalysisTemplate> = found.iter().map(|found| found.template.clone()).collect();
    let mut args: Vec<ResolvedArg> = analysis
        .args
        .iter()
        .map(|arg| ResolvedArg { name: arg.name.clone(), value: sample(&arg.source) })
        .collect();
    let from_fields = analysis::fields_wanted(&templates, &args).into_iter();
    args.extend(from_fields.map(|(name, _)| ResolvedArg { name, value: SAMPLE.to_owned() }));
    let run = analysis::start("trial", &templates, &analysis.rules, &args).map_err(|problem| {
        Finding::new(path(keys::CANARY), names.join(", "), format!("this analysis cannot run: {problem}"))
    })?;
    if let Some(problem) = run.specs.iter().find_map(|spec| stored_secret(spec, &run.secrets)) {
        return Err(Finding::new(path(keys::CANARY), names.join(", "), problem));
    }
    // A run has the metrics of its templates, one after the other.
    let paths = found.iter().flat_map(|found| {
        (0..found.template.metrics.len()).map(|index| format!("{}.metrics[{index}]", place(&found.reference)))
    });
    let metrics = paths.zip(run.specs).collect();
    Ok((names, metrics))
}

/// A secret argument in what would be stored with an object. Its placeholder is still there: secrets are
/// filled in last.
fn stored_secret(spec: &MetricSpec, secrets: &BTreeMap<String, SecretKeyRef>) -> Option<String> {
    let provider = providers::find(&spec.provider.key).filter(|provider| provider.stores_configuration())?;
    let config = spec.provider.config.to_string();
    let name = secrets.keys().find(|name| config.contains(&format!("{{{{args.{name}}}}}")))?;
    Some(format!(
        "metric {:?}: the secret args.{name} would be stored with the {}; let its containers take it from the \
         Secret by env[].valueFrom.secretKeyRef",
        spec.name,
        provider.key()
    ))
}

fn sample(source: &ArgSource) -> String {
    match source {
        ArgSource::Value(value) => value.clone(),
        ArgSource::PodTemplateHash(Side::Stable) => STABLE_HASH.to_owned(),
        ArgSource::PodTemplateHash(Side::Canary) => CANARY_HASH.to_owned(),
        ArgSource::FieldRef(_) => SAMPLE.to_owned(),
    }
}

fn place(reference: &TemplateRef) -> String {
    if reference.is_inline() { path(keys::ANALYSIS) } else { format!("ConfigMap[{}].data", reference.name) }
}
