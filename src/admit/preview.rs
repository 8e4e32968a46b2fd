//! The plan in one line, for the person who has just applied it.

use crate::domain::{
    duration::GoDuration,
    names::Weight,
    strategy::{CanaryStrategy, Step},
};
use jiff::SignedDuration;

/// What will happen now: steps, least time, most canary pods before promotion.
#[must_use]
pub fn plan(strategy: &CanaryStrategy, replicas: i64) -> String {
    let steps = strategy.steps.len();
    let people = strategy.steps.iter().filter(|step| matches!(step, Step::Pause(None))).count();
    let peak = (0..steps).map(|index| strategy.weight_at(index)).max().unwrap_or(Weight::ZERO);
    let pods = peak.share_of(i32::try_from(replicas).unwrap_or(i32::MAX)).max(1);
    let waits = match people {
        0 => String::new(),
        1 => ", one of which waits for a person".to_owned(),
        n => format!(", {n} of which wait for a person"),
    };
    format!(
        "the new template is held; its canary takes {steps} steps{waits}, at least {}, with up to {pods} pods at weight {peak} before promotion",
        least_time(strategy)
    )
}

fn least_time(strategy: &CanaryStrategy) -> GoDuration {
    let step = |step: &Step| match step {
        Step::SetWeight(_) => strategy.settle,
        Step::Pause(duration) => duration.unwrap_or(GoDuration::ZERO),
        Step::Analysis(_) => GoDuration::ZERO,
    };
    let total: SignedDuration = strategy
        .steps
        .iter()
        .map(|s| step(s).signed())
        .fold(SignedDuration::ZERO, SignedDuration::saturating_add);
    GoDuration::from_secs(u32::try_from(total.as_secs()).unwrap_or(u32::MAX))
}
