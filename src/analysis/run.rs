//! Makes a run from templates and arguments.

use super::{args::RunArgs, validate};
use crate::{
    domain::metric::{
        AnalysisRun, AnalysisTemplate, Arg, MetricResult, MetricRule, MetricRules, MetricSpec, RawMetric,
        ResolvedArg,
    },
    gocompat::re2,
};

/// Default number of measurements that are kept per metric.
const DEFAULT_RETENTION: u32 = 10;

/// The metrics, rules and arguments of a run, from its templates and from the step that names them.
#[derive(Debug, Default)]
pub struct RunPlan {
    /// Metrics whose texts still contain `{{args.x}}`.
    pub metrics: Vec<RawMetric>,
    /// The rules of the step, then the rules of the templates.
    pub rules: MetricRules,
    /// Arguments, each with its value or its Secret.
    pub args: RunArgs,
}

impl RunPlan {
    /// Overrides the templates' defaults with `args`, and puts the `rules` of the step before theirs.
    ///
    /// # Errors
    /// Argo's error text for contradictions and missing values.
    ///
    /// Source: argo-rollouts `utils/analysis/helpers.go`, `NewAnalysisRunFromTemplates`, the order of errors too.
    pub fn new(
        templates: &[AnalysisTemplate],
        rules: &MetricRules,
        args: &[ResolvedArg],
    ) -> Result<Self, String> {
        let whole = flatten(templates)?;
        let args = RunArgs::merge(args, &whole.args)?;
        let rules = merge_rules([rules, &whole.rules])?;
        Ok(Self { metrics: whole.metrics, rules, args })
    }

    /// A run with its arguments substituted.
    ///
    /// # Errors
    /// Why there is nothing to run, with Argo's error text.
    pub fn start(self, name: &str) -> Result<AnalysisRun, String> {
        let specs: Vec<MetricSpec> = self
            .metrics
            .iter()
            .map(|metric| self.args.resolve(metric))
            .collect::<Result<_, _>>()
            .map_err(|why| format!("Unable to resolve metric arguments: {why}"))?;
        validate::metrics(&specs)
            .and_then(|()| results(&specs, &self.rules))
            .map(|results| AnalysisRun {
                name: name.to_owned(),
                specs,
                results,
                secrets: self.args.secrets,
                ..AnalysisRun::default()
            })
            .map_err(|why| format!("Analysis spec invalid: {why}"))
    }
}

/// A new run: [`RunPlan::new`] and [`RunPlan::start`].
///
/// # Errors
/// As for those.
pub fn start(
    name: &str,
    templates: &[AnalysisTemplate],
    rules: &MetricRules,
    args: &[ResolvedArg],
) -> Result<AnalysisRun, String> {
    RunPlan::new(templates, rules, args)?.start(name)
}

/// The arguments that take their value from a field of the Deployment and are not in `given`: name and field path.
#[must_use]
pub fn fields_wanted(templates: &[AnalysisTemplate], given: &[ResolvedArg]) -> Vec<(String, String)> {
    let declared = templates.iter().flat_map(|template| &template.args);
    let open = declared.filter(|arg| given.iter().all(|given| given.name != arg.name));
    open.filter_map(|arg| Some((arg.name.clone(), arg.field.clone()?))).collect()
}

/// Combines several templates.
///
/// # Errors
/// Argo's error text for what two of them contradict each other in.
pub fn flatten(templates: &[AnalysisTemplate]) -> Result<AnalysisTemplate, String> {
    let mut plan = AnalysisTemplate::default();
    for metric in templates.iter().flat_map(|template| &template.metrics) {
        if plan.metrics.iter().any(|other| other.name == metric.name) {
            return Err(format!("two metrics have the same name '{}'", metric.name));
        }
        plan.metrics.push(metric.clone());
    }
    plan.rules = merge_rules(templates.iter().map(|template| &template.rules))?;
    let mut args = templates.iter().flat_map(|template| &template.args);
    args.try_for_each(|arg| add_arg(&mut plan.args, arg))?;
    Ok(plan)
}

fn merge_rules<'a>(all: impl IntoIterator<Item = &'a MetricRules> + Clone) -> Result<MetricRules, String> {
    let dry_run = all.clone().into_iter().flat_map(|rules| &rules.dry_run);
    let retention = all.into_iter().flat_map(|rules| &rules.measurement_retention);
    Ok(MetricRules {
        dry_run: distinct(dry_run, "Dry-Run")?,
        measurement_retention: distinct(retention, "Measurement Retention")?,
    })
}

fn distinct<'a>(rules: impl Iterator<Item = &'a MetricRule>, kind: &str) -> Result<Vec<MetricRule>, String> {
    let mut known: Vec<MetricRule> = Vec::new();
    for rule in rules {
        if known.iter().any(|other| other.metric_name == rule.metric_name) {
            return Err(format!("two {kind} metric rules have the same name '{}'", rule.metric_name));
        }
        known.push(rule.clone());
    }
    Ok(known)
}

/// An argument that several templates declare is one argument, with the default of any of them.
fn add_arg(args: &mut Vec<Arg>, arg: &Arg) -> Result<(), String> {
    let Some(known) = args.iter_mut().find(|known| known.name == arg.name) else {
        args.push(arg.clone());
        return Ok(());
    };
    match (&known.value, &arg.value) {
        (Some(old), Some(new)) if old != new => {
            let name = &arg.name;
            Err(format!("Argument `{name}` specified multiple times with different values: '{old}', '{new}'"))
        }
        (Some(_), _) => Ok(()),
        (None, _) => {
            arg.clone_into(known);
            Ok(())
        }
    }
}

/// One empty result per metric, marked by the rules that match its name.
fn results(specs: &[MetricSpec], rules: &MetricRules) -> Result<Vec<MetricResult>, String> {
    let mut results: Vec<_> = specs
        .iter()
        .map(|spec| MetricResult {
            name: spec.name.clone(),
            retention: DEFAULT_RETENTION,
            ..MetricResult::default()
        })
        .collect();
    apply(&rules.dry_run, "dryRun", &mut results, |result, _| result.dry_run = true)?;
    apply(&rules.measurement_retention, "measurementRetention", &mut results, |result, rule| {
        if rule.limit > 0 {
            result.retention = rule.limit;
        }
    })?;
    Ok(results)
}

/// Applies each rule to the metrics that it matches. A rule that matches none, or is not a valid expression, is an
/// error.
fn apply(
    rules: &[MetricRule],
    field: &str,
    results: &mut [MetricResult],
    effect: impl Fn(&mut MetricResult, &MetricRule),
) -> Result<(), String> {
    for (index, rule) in rules.iter().enumerate() {
        let mut matched = false;
        if let Ok(pattern) = re2::compile(&rule.metric_name) {
            for result in results.iter_mut().filter(|result| pattern.is_match(&result.name)) {
                effect(result, rule);
                matched = true;
            }
        }
        if !matched {
            return Err(format!("{field}[{index}]: Rule didn't match any metric name(s)"));
        }
    }
    Ok(())
}
