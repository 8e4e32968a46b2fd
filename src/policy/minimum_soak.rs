//! Rule minimum-soak: a new version must run for a while before all users get it.

use super::{Check, Plan, Rule, Subject, Wait};
use crate::{
    document::{
        fields::Node,
        finding::{Finding, Findings},
    },
    domain::{keys, names::Weight, strategy::Step},
    gocompat::duration::GoDuration,
};
use jiff::SignedDuration;

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "minimum-soak",
    doc: "The canary must get traffic for at least `total` before promotion, and must stay at each weight for at least `perStep`. Pauses and analyses count. A pause without a duration, which waits for a person, counts as long enough.",
    example: "{total: 10m, perStep: 1m}",
    read: |node| {
        node.object(|fields| {
            let total = fields.optional("total", Node::duration).unwrap_or(GoDuration::ZERO);
            let per_step = fields.optional("perStep", Node::duration).unwrap_or(GoDuration::ZERO);
            Some(Box::new(MinimumSoak { total, per_step }) as Box<dyn Check>)
        })
    },
};

#[derive(Debug)]
struct MinimumSoak {
    total: GoDuration,
    per_step: GoDuration,
}

/// The time between one `setWeight` and the next.
struct Level {
    step: usize,
    weight: Weight,
    wait: Wait,
}

impl Check for MinimumSoak {
    fn check(&self, subject: &Subject<'_>) -> Findings {
        let Some(plan) = subject.judged_plan() else { return Findings::new() };
        let levels = levels(plan);
        let path = format!("metadata.annotations[{}].steps", keys::CANARY);
        let mut findings = Findings::new();
        for level in &levels {
            if let Wait::Time(time) = level.wait
                && time < self.per_step.signed()
            {
                findings.push(Finding::new(
                    format!("{path}[{}].setWeight", level.step),
                    level.weight,
                    format!("the canary stays at this weight for {} only; at least {} are required: add a pause after this step", printed(time), self.per_step),
                ));
            }
        }
        let total = levels.iter().fold(Wait::Time(SignedDuration::ZERO), |sum, level| add(sum, level.wait));
        if let Wait::Time(time) = total
            && time < self.total.signed()
        {
            findings.push(Finding::new(
                path,
                "",
                format!("the canary gets traffic for {} before promotion; at least {} are required: add a longer pause", printed(time), self.total),
            ));
        }
        findings
    }
}

fn levels(plan: &Plan<'_>) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    for (index, (step, wait)) in plan.strategy.steps.iter().zip(&plan.waits).enumerate() {
        match step {
            Step::SetWeight(weight) => {
                levels.push(Level { step: index, weight: *weight, wait: Wait::Time(SignedDuration::ZERO) });
            }
            _ => {
                if let Some(level) = levels.last_mut() {
                    level.wait = add(level.wait, *wait);
                }
            }
        }
    }
    levels.retain(|level| level.weight > Weight::ZERO);
    levels
}

fn add(a: Wait, b: Wait) -> Wait {
    match (a, b) {
        (Wait::Time(a), Wait::Time(b)) => Wait::Time(a.saturating_add(b)),
        _ => Wait::Person,
    }
}

fn printed(span: SignedDuration) -> GoDuration {
    GoDuration::from_secs(u32::try_from(span.as_secs()).unwrap_or(u32::MAX))
}
