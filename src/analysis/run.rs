//! From templates and arguments to a run that can be advanced.

use super::{args::RunArgs, validate};
use crate::domain::metric::{
    AnalysisRun, AnalysisTemplate, Arg, MetricResult, MetricRule, MetricSpec, ResolvedArg,
};
use regex::Regex;

/// Measurements kept per metric unless a retention rule says otherwise.
const DEFAULT_RETENTION: u32 = 10;

/// A new run of all metrics of `templates`, with `args` over the templates' defaults.
///
/// A step's own `dryRun` and `measurementRetention` come as a first template without metrics.
///
/// # Errors
/// Why there is nothing to run, in Argo's words.
pub fn start(
    name: &str,
    templates: &[AnalysisTemplate],
    args: &[ResolvedArg],
) -> Result<AnalysisRun, String> {
    let plan = flatten(templates)?;
    let args = RunArgs::merge(args, &plan.args)?;
    let specs: Vec<MetricSpec> = plan
        .metrics
        .iter()
        .map(|metric| args.resolve(metric))
        .collect::<Result<_, _>>()
        .map_err(|why| format!("Unable to resolve metric arguments: {why}"))?;
    validate::metrics(&specs)
        .and_then(|()| results(&specs, &plan))
        .map(|results| AnalysisRun {
            name: name.to_owned(),
            specs,
            results,
            secrets: args.secrets,
            ..AnalysisRun::default()
        })
        .map_err(|why| format!("Analysis spec invalid: {why}"))
}

/// The arguments that templates take from a field of the Deployment, where `given` has none of that name:
/// name and field path.
#[must_use]
pub fn fields_wanted(templates: &[AnalysisTemplate], given: &[ResolvedArg]) -> Vec<(String, String)> {
    let declared = templates.iter().flat_map(|template| &template.args);
    let open = declared.filter(|arg| given.iter().all(|given| given.name != arg.name));
    open.filter_map(|arg| Some((arg.name.clone(), arg.field.clone()?))).collect()
}

/// Several templates as one.
///
/// # Errors
/// Argo's text for what two of them say differently.
pub fn flatten(templates: &[AnalysisTemplate]) -> Result<AnalysisTemplate, String> {
    let mut plan = AnalysisTemplate::default();
    for template in templates {
        for metric in &template.metrics {
            if plan.metrics.iter().any(|other| other.name == metric.name) {
                return Err(format!("two metrics have the same name '{}'", metric.name));
            }
            plan.metrics.push(metric.clone());
        }
        add_rules(&mut plan.dry_run, &template.dry_run, "Dry-Run")?;
        add_rules(&mut plan.measurement_retention, &template.measurement_retention, "Measurement Retention")?;
        template.args.iter().try_for_each(|arg| add_arg(&mut plan.args, arg))?;
    }
    Ok(plan)
}

fn add_rules(rules: &mut Vec<MetricRule>, more: &[MetricRule], kind: &str) -> Result<(), String> {
    for rule in more {
        if rules.iter().any(|other| other.metric_name == rule.metric_name) {
            return Err(format!("two {kind} metric rules have the same name '{}'", rule.metric_name));
        }
        rules.push(rule.clone());
    }
    Ok(())
}

/// An argument that several templates declare is one; a default beats none.
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
fn results(specs: &[MetricSpec], plan: &AnalysisTemplate) -> Result<Vec<MetricResult>, String> {
    let mut results: Vec<_> = specs
        .iter()
        .map(|spec| MetricResult {
            name: spec.name.clone(),
            retention: DEFAULT_RETENTION,
            ..MetricResult::default()
        })
        .collect();
    apply(&plan.dry_run, "dryRun", &mut results, |result, _| result.dry_run = true)?;
    apply(&plan.measurement_retention, "measurementRetention", &mut results, |result, rule| {
        if rule.limit > 0 {
            result.retention = rule.limit;
        }
    })?;
    Ok(results)
}

/// Applies each rule to the metrics it matches; a rule that matches none, or is no expression, is refused.
fn apply(
    rules: &[MetricRule],
    field: &str,
    results: &mut [MetricResult],
    effect: impl Fn(&mut MetricResult, &MetricRule),
) -> Result<(), String> {
    for (index, rule) in rules.iter().enumerate() {
        let mut matched = false;
        if let Ok(pattern) = Regex::new(&rule.metric_name) {
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
