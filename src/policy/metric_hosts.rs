//! Metrics may be asked of known hosts only: a URL in an annotation makes Haldane send requests.

use super::{Check, Rule, Subject};
use crate::domain::{
    fields::Node,
    finding::{Finding, Findings},
};

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "metric-hosts",
    doc: "Metric providers may be asked at these hosts only. `*.example.com` allows every host below that domain.",
    example: "{allow: [prometheus.monitoring, \"*.example.com\"]}",
    read: |node| {
        node.object(|fields| {
            let allow = fields.required("allow", |node| node.list(Node::string))?;
            Some(Box::new(MetricHosts { allow }) as Box<dyn Check>)
        })
    },
};

#[derive(Debug)]
struct MetricHosts {
    allow: Vec<String>,
}

impl Check for MetricHosts {
    fn check(&self, subject: &Subject<'_>) -> Findings {
        let metrics = subject.judged_plan().into_iter().flat_map(|plan| &plan.metrics);
        let asked = metrics.flat_map(|metric| metric.hosts.iter().map(move |host| (metric, host)));
        let foreign = asked.filter(|(_, host)| !self.allow.iter().any(|allowed| is_allowed(allowed, host)));
        let foreign = foreign.map(|(metric, host)| {
            let path = format!("{}.provider.{}", metric.path, metric.spec.provider.key);
            let problem =
                format!("metrics may not be asked of this host, allowed are {}", self.allow.join(", "));
            Finding::new(path, host, problem)
        });
        foreign.collect()
    }
}

fn is_allowed(allowed: &str, host: &str) -> bool {
    let (allowed, host) = (allowed.to_lowercase(), host.to_lowercase());
    match allowed.strip_prefix('*') {
        Some(domain) if domain.starts_with('.') => host.ends_with(domain) && host.len() > domain.len(),
        _ => host == allowed,
    }
}
