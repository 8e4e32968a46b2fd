//! A release must be measured.

use super::{Check, Rule, Subject};
use crate::domain::{
    fields::Node,
    finding::{Finding, Findings},
    keys,
};

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "required-metrics",
    doc: "The plan must measure something; with `names`, metrics of all these names. A `*` at the end of a name stands for anything.",
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
        let measured: Vec<&str> = plan.metrics.iter().map(|metric| metric.spec.name.as_str()).collect();
        let path = format!("metadata.annotations[{}]", keys::CANARY);
        if measured.is_empty() {
            let problem = format!("the plan must have an analysis{}", listed(&self.names));
            return vec![Finding::new(path, "", problem)];
        }
        let is_missing = |name: &&String| !measured.iter().any(|metric| matches(name, metric));
        let missing: Vec<String> = self.names.iter().filter(is_missing).cloned().collect();
        if missing.is_empty() {
            return Findings::new();
        }
        let problem = format!("an analysis must measure {} as well", missing.join(", "));
        vec![Finding::new(path, measured.join(", "), problem)]
    }
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
