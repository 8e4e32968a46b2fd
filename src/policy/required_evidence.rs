//! Rule required-evidence: a metric must measure the canary.

use super::{Check, Rule, Subject};
use crate::{
    document::finding::{Finding, Findings},
    domain::metric::NoData,
};

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "required-evidence",
    doc: "Every metric needs data: `noData: pass` and `rehearsal: skip` are not allowed.",
    example: "{}",
    read: |node| node.object(|_| Some(Box::new(RequiredEvidence) as Box<dyn Check>)),
};

#[derive(Debug)]
struct RequiredEvidence;

impl Check for RequiredEvidence {
    fn check(&self, subject: &Subject<'_>) -> Findings {
        let metrics = subject.judged_plan().into_iter().flat_map(|plan| &plan.metrics);
        let found = metrics.flat_map(|metric| {
            let refused = |field: &str, value: &str| {
                let problem = format!("metric {:?} must have data: remove {field}", metric.spec.name);
                Finding::new(format!("{}.{field}", metric.path), value, problem)
            };
            let passes = metric.spec.no_data == NoData::Pass;
            let no_data = passes.then(|| refused("noData", "pass"));
            no_data.into_iter().chain(metric.spec.skip_rehearsal.then(|| refused("rehearsal", "skip")))
        });
        found.collect()
    }
}
