//! Analyses started for trial, with samples for what is only known later: a missing argument, limits that
//! contradict each other or a query that sees the wrong side are found before anything is released.

use super::{
    annotations::path,
    queries::{ReadQuery, queries},
};
use crate::{
    analysis::{self, ResolvedArg},
    document::finding::{Finding, Findings},
    domain::{
        keys,
        metric::{AnalysisTemplate, MetricRules, MetricSpec, SecretKeyRef},
        strategy::{
            AnalysisRef, ArgSource, CanaryStrategy, NamedTemplate, RolloutSpec, Side, Step, TemplateRef,
        },
        value::ResultType,
    },
    gocompat::duration::GoDuration,
    promql::sight::UNKNOWN,
    providers,
};
use std::collections::BTreeMap;

/// Stands for the `pod-template-hash` of stable. It has the form of one, so that expressions match it.
pub const STABLE_HASH: &str = "6f8b4d7c9x";
/// Stands for the `pod-template-hash` of the canary.
pub const CANARY_HASH: &str = "7c9d5b8f4z";

/// Least time between two measurements of a metric. What a server is asked more often says nothing new.
const MIN_INTERVAL: GoDuration = GoDuration::from_secs(1);

/// See [`too_many_rules`].
const MAX_RULES: usize = 200;

/// Stands for a field of the Deployment.
const SAMPLE: &str = UNKNOWN;

/// A text with what stands for something as people should read it.
#[must_use]
pub fn shown(text: &str) -> String {
    let known = [(STABLE_HASH, "HASH-OF-STABLE"), (CANARY_HASH, "HASH-OF-CANARY"), (UNKNOWN, "…")];
    known.iter().fold(text.to_owned(), |text, (sample, name)| text.replace(sample, name))
}

/// An analysis of a plan, as it would run.
#[derive(Debug, Clone, PartialEq)]
pub struct DryStart {
    /// The step it belongs to; `None` for the background analysis.
    pub step: Option<usize>,
    /// Names of its templates, as steps write them.
    pub templates: Vec<String>,
    /// Its metrics, arguments filled in.
    pub metrics: Vec<DryMetric>,
}

/// A metric and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct DryMetric {
    /// Field path of the metric.
    pub path: String,
    /// The metric.
    pub spec: MetricSpec,
    /// Its queries.
    pub queries: Vec<ReadQuery>,
    /// What its conditions see.
    pub result: ResultType,
    /// Whether it has no say in the verdict.
    pub dry_run: bool,
}

/// Every analysis of a plan whose templates are complete; those that cannot start are left out.
#[must_use]
pub fn dry_starts(spec: &RolloutSpec) -> Vec<DryStart> {
    let dry_start = |(step, analysis)| {
        let (templates, metrics) = start(analysis, &spec.templates).ok()?;
        let metric = |(path, spec, dry_run): (String, MetricSpec, bool)| {
            let provider = providers::find(&spec.provider.key);
            let result =
                provider.map_or(ResultType::Any, |provider| provider.result_type(&spec.provider.config));
            DryMetric { queries: queries(&spec), result, path, spec, dry_run }
        };
        Some(DryStart { step, templates, metrics: metrics.into_iter().map(metric).collect() })
    };
    analyses(&spec.strategy).filter_map(dry_start).collect()
}

/// Why analyses of a plan could not start.
#[must_use]
pub fn faults(strategy: &CanaryStrategy, templates: &[NamedTemplate]) -> Findings {
    analyses(strategy).filter_map(|(_, analysis)| start(analysis, templates).err()).collect()
}

/// Rules of all analyses of a plan: each is read and applied anew for each analysis.
#[must_use]
pub fn too_many_rules(spec: &RolloutSpec) -> Option<Finding> {
    let of_templates = |reference: &TemplateRef| {
        let known = spec.templates.iter().find(|known| known.reference == *reference);
        known.map_or(0, |known| rules(&known.template.rules))
    };
    let of_analysis = |(_, analysis): (_, &AnalysisRef)| {
        rules(&analysis.rules).saturating_add(analysis.templates.iter().map(of_templates).sum())
    };
    let count: usize = analyses(&spec.strategy).map(of_analysis).sum();
    (count > MAX_RULES).then(|| {
        let problem = format!(
            "the analyses of a plan may apply at most {MAX_RULES} rules of dryRun and measurementRetention in all"
        );
        Finding::new(path(keys::CANARY), format!("{count} rules"), problem)
    })
}

fn rules(rules: &MetricRules) -> usize {
    rules.dry_run.len().saturating_add(rules.measurement_retention.len())
}

fn analyses(strategy: &CanaryStrategy) -> impl Iterator<Item = (Option<usize>, &AnalysisRef)> {
    let in_steps = strategy.steps.iter().enumerate().filter_map(|(index, step)| match step {
        Step::Analysis(step) => Some((Some(index), &step.analysis)),
        _ => None,
    });
    in_steps.chain(strategy.background.iter().map(|background| (None, &background.analysis)))
}

/// Names of the templates, and the metrics with their paths and whether they are in dry run.
type Started = (Vec<String>, Vec<(String, MetricSpec, bool)>);

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
    let dry = run.results.into_iter().map(|result| result.dry_run);
    let metrics: Vec<_> =
        paths.zip(run.specs.into_iter().zip(dry)).map(|(path, (spec, dry))| (path, spec, dry)).collect();
    let too_often = |(path, spec, _): &(String, MetricSpec, bool)| {
        let interval = spec.interval.filter(|interval| *interval < MIN_INTERVAL)?;
        Some(Finding::new(format!("{path}.interval"), interval.to_string(), "must be at least 1s"))
    };
    match metrics.iter().find_map(too_often) {
        Some(finding) => Err(finding),
        None => Ok((names, metrics)),
    }
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
