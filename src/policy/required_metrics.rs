//! Rule required-metrics: a release must be measured.

use super::{Check, PlannedMetric, Rule, Subject};
use crate::{
    document::{
        fields::Node,
        finding::{Finding, Findings},
    },
    domain::{keys, metric::NoData},
};

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "required-metrics",
    doc: "The plan must have a metric; with `names`, a metric for each of these names. A `*` at the end of a name matches anything. Only metrics that can fail count: not in `dryRun`, without `noData: pass`, with a condition on `result` unless the provider gives a verdict itself, and with a `failureLimit` that can be exceeded: below `count`, and at most 100 without a count. Whether a condition is strict enough is for people to review.",
    example: "{names: [success-rate, latency-*]}",
    read: |node| {
        node.object(|fields| {
            let names = fields.list("names", Node::string);
            Some(Box::new(RequiredMetrics { names }) as Box<dyn Check>)
        })
    },
};

#[derive(Debug)]
struct RequiredMetrics {
    names: Vec<String>,
}

impl Check for RequiredMetrics {
    fn check(&self, subject: &Subject<'_>) -> Findings {
        let Some(plan) = subject.judged_plan() else { return Findings::new() };
        let path = format!("metadata.annotations[{}]", keys::CANARY);
        if plan.metrics.is_empty() {
            let problem = format!("the plan must have an analysis{}", listed(&self.names));
            return vec![Finding::new(path, "", problem)];
        }
        let any = ["*".to_owned()];
        let names = if self.names.is_empty() { any.as_slice() } else { self.names.as_slice() };
        let mut findings = Findings::new();
        let mut missing: Vec<&str> = Vec::new();
        for name in names {
            let of_name: Vec<&PlannedMetric<'_>> =
                plan.metrics.iter().filter(|metric| matches(name, &metric.spec.name)).collect();
            if of_name.is_empty() {
                missing.push(name);
            } else if of_name.iter().all(|metric| harmless(metric).is_some()) {
                findings.extend(of_name.into_iter().filter_map(harmless_finding));
            }
        }
        if !missing.is_empty() {
            let measured: Vec<&str> = plan.metrics.iter().map(|metric| metric.spec.name.as_str()).collect();
            let problem = format!("an analysis must measure {} as well", missing.join(", "));
            findings.push(Finding::new(path, measured.join(", "), problem));
        }
        findings
    }
}

/// Maximum failureLimit of a metric without a count: a higher one would never be exceeded.
const MAX_FAILURE_LIMIT: i32 = 100;

/// Why a metric cannot fail, as what to do about it.
fn harmless(metric: &PlannedMetric<'_>) -> Option<(&'static str, String)> {
    let spec = metric.spec;
    let conditions = [&spec.success_condition, &spec.failure_condition];
    let judges = conditions.into_iter().flatten().any(|condition| condition.contains("result"));
    let most = spec.effective_count().map_or(MAX_FAILURE_LIMIT, |count| count.saturating_sub(1));
    let limit = spec.failure_limit.unwrap_or(0);
    match () {
        () if metric.is_dry_run => Some(("", "remove it from dryRun".to_owned())),
        () if spec.no_data == NoData::Pass => Some((".noData", "remove noData: pass".to_owned())),
        () if !judges && !metric.has_verdict => {
            Some((".successCondition", "give it a condition on result".to_owned()))
        }
        () if limit < 0 || limit > most => {
            Some((".failureLimit", format!("its failureLimit must be from 0 to {most}")))
        }
        () => None,
    }
}

fn harmless_finding(metric: &PlannedMetric<'_>) -> Option<Finding> {
    let (field, advice) = harmless(metric)?;
    let problem = format!("a required metric must be able to fail: {advice}");
    Some(Finding::new(format!("{}{field}", metric.path), &metric.spec.name, problem))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" that measures {}", names.join(", ")) }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}
