//! The plan in one line, for the person who has just applied it.

use crate::{
    build::size::{canary_size, pods_for},
    domain::{
        duration::GoDuration,
        names::Weight,
        strategy::{CanaryScale, CanaryStrategy, Step},
    },
};
use jiff::SignedDuration;

/// What will happen now: steps, least time, most canary pods before promotion.
#[must_use]
pub fn plan(strategy: &CanaryStrategy, replicas: i64) -> String {
    let steps = strategy.steps.len();
    let people = strategy.steps.iter().filter(|step| matches!(step, Step::Pause(None))).count();
    let peak = (0..steps).map(|index| strategy.weight_at(index)).max().unwrap_or(Weight::ZERO);
    let stable = i32::try_from(replicas).unwrap_or(i32::MAX);
    let pods = (0..steps).map(|index| canary_size(strategy, index, Weight::ZERO, stable)).max().unwrap_or(1);
    let waits = match people {
        0 => String::new(),
        1 => ", one of which waits for a person".to_owned(),
        n => format!(", {n} of which wait for a person"),
    };
    format!(
        "the new template is held; its canary takes {steps} steps{waits}, at least {}, with up to {pods} pods and weight {peak} before promotion",
        least_time(strategy)
    )
}

/// Steps at which the user's own `setCanaryScale` is too small for the traffic.
#[must_use]
pub fn too_small(strategy: &CanaryStrategy, replicas: i64) -> Vec<String> {
    let stable = i32::try_from(replicas).unwrap_or(i32::MAX);
    let warning = |index: usize| {
        let weight = strategy.weight_at(index);
        let (size, needed) =
            (canary_size(strategy, index, Weight::ZERO, stable), pods_for(strategy, weight, stable));
        let changed = match strategy.steps.get(index)? {
            Step::SetWeight(_) => strategy.scale_at(index) != CanaryScale::MatchTrafficWeight,
            step => matches!(step, Step::SetCanaryScale(_)),
        };
        (changed && weight > Weight::ZERO && size < needed).then(|| {
            format!("steps[{index}]: setCanaryScale gives {size} pods at weight {weight}, which needs {needed} at the present size of stable")
        })
    };
    (0..strategy.steps.len()).filter_map(warning).collect()
}

fn least_time(strategy: &CanaryStrategy) -> GoDuration {
    let step = |step: &Step| match step {
        Step::SetWeight(_) | Step::SetHeaderRoute(_) => strategy.settle,
        Step::Pause(duration) => duration.unwrap_or(GoDuration::ZERO),
        Step::SetCanaryScale(_) => GoDuration::ZERO,
        Step::Analysis(step) => step.at_least.unwrap_or(GoDuration::ZERO),
    };
    let total: SignedDuration = strategy
        .steps
        .iter()
        .map(|s| step(s).signed())
        .fold(SignedDuration::ZERO, SignedDuration::saturating_add);
    GoDuration::from_secs(u32::try_from(total.as_secs()).unwrap_or(u32::MAX))
}
