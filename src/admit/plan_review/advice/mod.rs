//! Plans that are legal and still unwise, told to the person who has just applied one.

mod queries;

pub use queries::faults;

use crate::admit::object::Object;
use crate::{
    config::dry_start::{DryMetric, DryStart},
    domain::{
        k8s::json_pointer::part,
        names::Weight,
        strategy::{CanaryStrategy, StepWait},
    },
    gocompat::duration::GoDuration,
    promql::sight::Mark,
};
use jiff::SignedDuration;
use serde_json::Value;

/// From this first weight on, a bad release meets half of the users at once.
const BOLD_WEIGHT: u8 = 50;

/// Each once, in their order.
pub(in crate::admit) fn distinct<T: PartialEq>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut known = Vec::new();
    for item in items {
        if !known.contains(&item) {
            known.push(item);
        }
    }
    known
}

/// What is worth a second thought.
#[must_use]
pub fn advice(
    object: Object<'_>,
    strategy: &CanaryStrategy,
    dry_starts: &[DryStart],
    marks: &[Mark],
) -> Vec<String> {
    let mut warnings: Vec<String> =
        [without_analysis(strategy, dry_starts), bold_start(strategy), without_probe(object)]
            .into_iter()
            .flatten()
            .collect();
    let namespace = part(object.0, "/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    for dry_start in dry_starts {
        for metric in &dry_start.metrics {
            warnings.extend(queries::advice(metric, marks, namespace));
            warnings.extend(too_early(metric, dry_start.step, strategy));
        }
    }
    distinct(warnings)
}

fn without_analysis(strategy: &CanaryStrategy, dry_starts: &[DryStart]) -> Option<String> {
    let mut metrics = dry_starts.iter().flat_map(|dry_start| &dry_start.metrics).peekable();
    let can_fail = |metric: &DryMetric| !metric.dry_run && metric.spec.failure_limit.unwrap_or(0) >= 0;
    let problem = if strategy.analyses().next().is_none() {
        "the plan has no analysis"
    } else if metrics.peek().is_some() && !metrics.any(can_fail) {
        "no metric of the plan can fail"
    } else {
        return None;
    };
    Some(format!(
        "{problem}: only a person or a failing probe would stop a bad release; describe metrics in the annotation haldane.dev/analysis"
    ))
}

fn bold_start(strategy: &CanaryStrategy) -> Option<String> {
    let first = first_weight(strategy)?;
    (first.percent() >= BOLD_WEIGHT).then(|| {
        format!("the first weight is {first}: a bad release would meet {first}% of the requests at once; start with 5 or 10")
    })
}

/// The first weight above 0.
#[must_use]
pub fn first_weight(strategy: &CanaryStrategy) -> Option<Weight> {
    (0..strategy.steps.len()).map(|index| strategy.weight_at(index)).find(|weight| *weight > Weight::ZERO)
}

fn without_probe(object: Object<'_>) -> Option<String> {
    let containers = object.template().pointer("/spec/containers").and_then(Value::as_array);
    let probed = containers.into_iter().flatten().any(|container| container.get("readinessProbe").is_some());
    (!probed).then(|| {
        "no container of the pod template has a readinessProbe: canary pods get requests before they can serve them".to_owned()
    })
}

/// The first measurement comes before the query's range holds canary traffic only.
fn too_early(metric: &DryMetric, step: Option<usize>, strategy: &CanaryStrategy) -> Option<String> {
    let windows = metric.queries.iter().filter_map(|(_, query)| Some(query.as_ref().ok()?.window));
    let window = windows.max().and_then(|window| SignedDuration::try_from(window).ok())?;
    let start = step.or_else(|| strategy.background.as_ref().map(|background| background.starting_step))?;
    let delay = metric.spec.initial_delay.unwrap_or(GoDuration::ZERO);
    let known = traffic_before(strategy, start)?.saturating_add(delay.signed());
    let seconds =
        |span: SignedDuration| GoDuration::from_secs(u32::try_from(span.as_secs()).unwrap_or(u32::MAX));
    (known < window).then(|| {
        format!(
            "metric {:?} looks back {}, but is first measured {} after the canary gets traffic: pause longer, or set initialDelay",
            metric.spec.name,
            seconds(window),
            seconds(known)
        )
    })
}

/// How long the canary has had traffic when the step at `start` begins; `None` when a person decides.
fn traffic_before(strategy: &CanaryStrategy, start: usize) -> Option<SignedDuration> {
    let mut total = SignedDuration::ZERO;
    for (index, step) in strategy.steps.iter().enumerate().take(start) {
        if strategy.weight_at(index) == Weight::ZERO {
            continue;
        }
        total = total.saturating_add(match step.wait() {
            StepWait::Settle => strategy.settle.signed(),
            StepWait::Time(span) => span.signed(),
            StepWait::Person => return None,
            StepWait::Verdict(step) => step.at_least.unwrap_or(GoDuration::ZERO).signed(),
            StepWait::Size => SignedDuration::ZERO,
        });
    }
    Some(total)
}
