//! Rule minimum-samples: one measurement proves little.

use super::{Check, Rule, Subject};
use crate::document::finding::{Finding, Findings};

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "minimum-samples",
    doc: "Every metric must be measured at least `count` times. A metric with an interval and without a count meets this: it is measured until the analysis ends.",
    example: "{count: 3}",
    read: |node| {
        node.object(|fields| {
            let count = fields.required("count", |node| node.integer(1..=1000_i32))?;
            Some(Box::new(MinimumSamples { count }) as Box<dyn Check>)
        })
    },
};

#[derive(Debug)]
struct MinimumSamples {
    count: i32,
}

impl Check for MinimumSamples {
    fn check(&self, subject: &Subject<'_>) -> Findings {
        let metrics = subject.judged_plan().into_iter().flat_map(|plan| &plan.metrics);
        let too_few = metrics.filter_map(|metric| {
            let count = metric.spec.effective_count().filter(|count| *count < self.count)?;
            let problem = format!(
                "metric {:?} must be measured at least {} times: set count and interval",
                metric.spec.name, self.count
            );
            Some(Finding::new(format!("{}.count", metric.path), count, problem))
        });
        too_few.collect()
    }
}
