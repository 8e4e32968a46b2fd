//! Dry starts of analyses, with sample values for what is known only later: they find a missing argument, limits
//! that contradict each other or a query for the wrong side before the release.

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

/// Sample for the `pod-template-hash` of stable. It has the usual form, so that regular expressions match it.
pub const STABLE_HASH: &str = "6f8b4d7c9x";
/// Sample for the `pod-template-hash` of the canary.
pub const CANARY_HASH: &str = "7c9d5b8f4z";

/// Minimum time between two measurements of a metric. More frequent queries return nothing new.
const MIN_INTERVAL: GoDuration = GoDuration::from_secs(1);

/// See [`too_many_rules`].
const MAX_RULES: usize = 200;

/// Sample for a field of the Deployment.
const SAMPLE: &str = UNKNOWN;

/// The text with readable names instead of samples.
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
    /// Names of its templates, as in steps.
    pub templates: Vec<String>,
    /// Its metrics, with their arguments substituted.
    pub metrics: Vec<DryMetric>,
}

/// A metric and its path.
#[derive(Debug, Clone, PartialEq)]
pub struct DryMetric {
    /// Field path of the metric.
    pub path: String,
    /// The metric.
    pub spec: MetricSpec,
    /// Its queries.
    pub queries: Vec<ReadQuery>,
    /// The type of `result` in its conditions.
    pub result: ResultType,
    /// Whether it is in dry run.
    pub dry_run: bool,
}

/// Every analysis of a plan whose templates are complete, without those that cannot start.
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

/// Why analyses of a plan cannot start.
#[must_use]
pub fn faults(strategy: &CanaryStrategy, templates: &[NamedTemplate]) -> Findings {
    analyses(strategy).filter_map(|(_, analysis)| start(analysis, templates).err()).collect()
}

/// Limits the rules of all analyses of a plan: each rule is compiled and applied for each analysis.
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
            "the analyses of a plan may apply at most {MAX_RULES} rules of dryRun and measurementRetention in total"
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
    let run = analysis::start("dry-start", &templates, &analysis.rules, &args).map_err(|problem| {
        Finding::new(path(keys::CANARY), names.join(", "), format!("this analysis cannot run: {problem}"))
    })?;
    if let Some(problem) = run.specs.iter().find_map(|spec| stored_secret(spec, &run.secrets)) {
        return Err(Finding::new(path(keys::CANARY), names.join(", "), problem));
    }
    // A run has the metrics of its templates in order.
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

/// The problem of a secret argument in a configuration that is stored in an object. The placeholder is still
/// visible: secrets are substituted last.
fn stored_secret(spec: &MetricSpec, secrets: &BTreeMap<String, SecretKeyRef>) -> Option<String> {
    let provider = providers::find(&spec.provider.key).filter(|provider| provider.stores_configuration())?;
    let config = spec.provider.config.to_string();
    let name = secrets.keys().find(|name| config.contains(&format!("{{{{args.{name}}}}}")))?;
    Some(format!(
        "metric {:?}: the secret args.{name} would be stored in the {}; use env[].valueFrom.secretKeyRef in its containers instead",
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
