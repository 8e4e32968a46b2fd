//! Rule weight-increase: traffic must not jump.

use super::{Check, Rule, Subject};
use crate::{
    document::finding::{Finding, Findings},
    domain::{keys, names::Weight, strategy::Step},
};

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "weight-increase",
    doc: "No step, and not the promotion either, may increase the weight by more than `max` percentage points.",
    example: "{max: 50}",
    read: |node| {
        node.object(|fields| {
            let max = fields.required("max", |node| node.integer(1..=100_u8))?;
            Some(Box::new(WeightIncrease { max }) as Box<dyn Check>)
        })
    },
};

#[derive(Debug)]
struct WeightIncrease {
    max: u8,
}

impl Check for WeightIncrease {
    fn check(&self, subject: &Subject<'_>) -> Findings {
        let Some(plan) = subject.judged_plan() else { return Findings::new() };
        let steps = &plan.strategy.steps;
        let weights = steps.iter().enumerate().filter_map(|(index, step)| match step {
            Step::SetWeight(weight) => Some((format!("steps[{index}].setWeight"), *weight)),
            _ => None,
        });
        let promotion = std::iter::once(("steps".to_owned(), Weight::FULL));
        let mut before = Weight::ZERO;
        let mut findings = Findings::new();
        for (field, weight) in weights.chain(promotion) {
            if weight.points_above(before) > self.max {
                findings.push(Finding::new(
                    format!("metadata.annotations[{}].{field}", keys::CANARY),
                    weight,
                    format!("the weight increases from {before} to {weight}; at most {} percentage points per step are allowed: add a step between", self.max),
                ));
            }
            before = weight;
        }
        findings
    }
}
