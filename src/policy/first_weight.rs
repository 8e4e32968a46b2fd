//! Rule first-weight: only few users get a new version at first.

use super::{Check, Rule, Subject};
use crate::{
    document::finding::{Finding, Findings},
    domain::{keys, names::Weight},
};

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "first-weight",
    doc: "The first weight above 0 must be at most `max` percent.",
    example: "{max: 10}",
    read: |node| {
        node.object(|fields| {
            let max = fields.required("max", |node| node.integer(1..=100_u8))?;
            Some(Box::new(FirstWeight { max }) as Box<dyn Check>)
        })
    },
};

#[derive(Debug)]
struct FirstWeight {
    max: u8,
}

impl Check for FirstWeight {
    fn check(&self, subject: &Subject<'_>) -> Findings {
        let Some(plan) = subject.judged_plan() else { return Findings::new() };
        let strategy = plan.strategy;
        let weights = (0..strategy.steps.len()).map(|index| (index, strategy.weight_at(index)));
        // Without a step above 0, promotion is the first weight.
        let first = weights.into_iter().find(|(_, weight)| *weight > Weight::ZERO);
        let (index, weight) = first.unwrap_or((strategy.steps.len(), Weight::FULL));
        if weight.percent() <= self.max {
            return Findings::new();
        }
        let path = format!("metadata.annotations[{}].steps[{index}].setWeight", keys::CANARY);
        vec![Finding::new(path, weight, format!("the first weight must be at most {}", self.max))]
    }
}
