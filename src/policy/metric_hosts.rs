//! Rule metric-hosts: metrics may query known hosts only, because a URL in an annotation makes Haldane send requests.

use super::{Check, Rule, Subject};
use crate::{
    document::{
        fields::Node,
        finding::{Finding, Findings},
    },
    domain::hosts::Hosts,
};
use url::Host;

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "metric-hosts",
    doc: "Metrics may query these hosts only: names, `*.example.com` for every host below that domain, and for metrics that use an IP address, addresses and networks such as `10.0.0.0/8`. Checked at admission, and again for each connection, when the values of arguments and secrets are known.",
    example: "{allow: [prometheus.monitoring, \"*.example.com\"]}",
    read: |node| {
        node.object(|fields| {
            let allow = fields.required("allow", |node| node.list(Node::parsed))?;
            Some(Box::new(MetricHosts { allow }) as Box<dyn Check>)
        })
    },
};

#[derive(Debug)]
struct MetricHosts {
    allow: Vec<Hosts>,
}

impl Check for MetricHosts {
    fn check(&self, subject: &Subject<'_>) -> Findings {
        let metrics = subject.judged_plan().into_iter().flat_map(|plan| &plan.metrics);
        let asked = metrics.flat_map(|metric| metric.hosts.iter().map(move |host| (metric, host)));
        let is_allowed = |host: &Host| self.allow.iter().any(|hosts| hosts.include(host));
        let foreign = asked.filter(|(_, host)| !host.as_ref().is_ok_and(is_allowed));
        let allowed = self.allow.iter().map(Hosts::to_string).collect::<Vec<_>>().join(", ");
        let foreign = foreign.map(|(metric, host)| {
            let path = format!("{}.provider.{}", metric.path, metric.spec.provider.key);
            let problem =
                format!("the policy does not allow metrics to query this host, allowed are {allowed}");
            Finding::new(path, host.as_ref().map_or_else(Clone::clone, Host::to_string), problem)
        });
        foreign.collect()
    }

    fn metric_hosts(&self) -> Option<&[Hosts]> {
        Some(&self.allow)
    }
}
