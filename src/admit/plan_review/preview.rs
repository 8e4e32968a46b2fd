//! The plan in words, for the person who has just applied it.

use super::advice::distinct;
use crate::{
    admit::object::Object,
    config::dry_start::DryStart,
    decide::describe,
    domain::{
        k8s::{json_pointer::part, selector::Labels},
        metric::MetricSpec,
        names::Weight,
        strategy::{CanaryScale, CanaryStrategy, Step, StepWait},
    },
    gocompat::duration::GoDuration,
    providers::prometheus::{ARGO_HASH_LABEL, HASH_LABEL},
    routers::{
        self,
        size::{canary_size, pods_for},
    },
};
use jiff::SignedDuration;
use serde_json::Value;

/// What will happen now, in one line: steps, least time, most canary pods before promotion.
#[must_use]
pub fn plan(strategy: &CanaryStrategy, dry_starts: &[DryStart], replicas: i64) -> String {
    let steps = strategy.steps.len();
    let people = strategy.steps.iter().filter(|step| matches!(step, Step::Pause(None))).count();
    let sizes = (0..steps).map(|index| size_at(strategy, index, replicas));
    let peak = (0..steps).map(|index| strategy.weight_at(index)).max().unwrap_or(Weight::ZERO);
    let plural = if steps == 1 { "" } else { "s" };
    let waits = match people {
        0 => String::new(),
        1 => ", one of which waits for a person".to_owned(),
        n => format!(", {n} of which wait for a person"),
    };
    format!(
        "the new template is held; its canary takes {steps} step{plural}{waits}, at least {}, with up to {} and weight {peak} before promotion",
        printed(least_time(strategy, dry_starts)),
        pods(sizes.max().unwrap_or(1))
    )
}

/// The real share of each weight where pods are the split: whole pods come only so near.
#[must_use]
pub fn shares(strategy: &CanaryStrategy, replicas: i64) -> Option<String> {
    if !routers::by_pods(strategy) {
        return None;
    }
    let stable = i32::try_from(replicas).unwrap_or(i32::MAX);
    let share = |step: &Step| {
        let Step::SetWeight(weight) = step else { return None };
        let canary = i64::from(pods_for(strategy, *weight, stable));
        let all = canary + i64::from(stable);
        let percent = (canary * 100 + all / 2).checked_div(all)?;
        Some(format!("setWeight {weight} is {canary} of {all} pods, {percent} %"))
    };
    let shares: Vec<String> = strategy.steps.iter().filter_map(share).collect();
    Some(format!(
        "no {} routes to a Service of this Deployment, so the traffic is split by the number of pods, of which at most half are the canary's: {}",
        routers::routes(None),
        shares.join("; ")
    ))
}

/// Steps at which the user's own `setCanaryScale` is too small for the traffic.
#[must_use]
pub fn too_small(strategy: &CanaryStrategy, replicas: i64) -> Vec<String> {
    let stable = i32::try_from(replicas).unwrap_or(i32::MAX);
    let warning = |index: usize| {
        let weight = strategy.weight_at(index);
        let (size, needed) = (size_at(strategy, index, replicas), pods_for(strategy, weight, stable));
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

/// The whole plan, a line a step: for `--dry-run=server`.
#[must_use]
pub fn whole_plan(strategy: &CanaryStrategy, dry_starts: &[DryStart], replicas: i64) -> Vec<String> {
    let count = strategy.steps.len();
    let mut lines = vec![format!(
        "plan: the new template starts as a canary of {} at weight 0",
        pods(size_at(strategy, 0, replicas))
    )];
    for (index, step) in strategy.steps.iter().enumerate() {
        if let Some(background) = strategy.background.as_ref().filter(|b| b.starting_step == index) {
            let names: Vec<&str> = background.analysis.templates.iter().map(|t| t.name.as_str()).collect();
            lines.push(format!(
                "plan: background analysis {} begins{}",
                names.join(", "),
                metrics(dry_starts, None)
            ));
        }
        let number = index.saturating_add(1);
        let (said, size) = (describe(step), pods(size_at(strategy, index, replicas)));
        let detail = match step.wait() {
            StepWait::Settle if matches!(step, Step::SetWeight(_)) => {
                format!(", {size}, {} to settle", strategy.settle)
            }
            StepWait::Settle => format!(", {} to settle", strategy.settle),
            StepWait::Size => format!(", {size}"),
            StepWait::Person => ", until a person orders promote or resume".to_owned(),
            StepWait::Time(_) => String::new(),
            StepWait::Verdict(_) => metrics(dry_starts, Some(index)),
        };
        lines.push(format!("plan {number}/{count}: {said}{detail}"));
    }
    if routers::by_pods(strategy) {
        lines.push(format!(
            "plan: promotion: the Deployment rolls natively beside the canary, the canary goes; all of it takes at least {}",
            printed(least_time(strategy, dry_starts))
        ));
        lines.extend(rollback(strategy, dry_starts));
        return lines;
    }
    lines.push(format!(
        "plan: promotion: the canary grows to {}, weight 100, the Deployment rolls natively, the canary goes; all of it takes at least {}",
        pods(i32::try_from(replicas).unwrap_or(i32::MAX).max(1)),
        printed(least_time(strategy, dry_starts))
    ));
    lines.extend(rollback(strategy, dry_starts));
    lines
}

/// How soon each metric finds a fault, and what then becomes of the canary; nothing without metrics.
fn rollback(strategy: &CanaryStrategy, dry_starts: &[DryStart]) -> Option<String> {
    let found =
        dry_starts.iter().flat_map(|dry_start| &dry_start.metrics).filter_map(|metric| found(&metric.spec));
    let found = distinct(found).join(", ");
    let pods = match strategy.abort_scale_down_delay {
        Some(delay) => format!("its pods {delay} later"),
        None => "its pods stay to be looked at".to_owned(),
    };
    (!found.is_empty()).then(|| {
        format!("plan: rollback: a fault is found by {found}; then the canary's traffic ends at once, {pods}")
    })
}

/// One bad measurement more than are allowed fails a metric.
fn found(metric: &MetricSpec) -> Option<String> {
    let bad = u32::try_from(metric.failure_limit.unwrap_or(0)).ok()?.saturating_add(1);
    let name = &metric.name;
    let Some(interval) = metric.interval else { return Some(format!("{name} when it is measured")) };
    let span = interval.signed().checked_mul(i32::try_from(bad).ok()?)?;
    Some(format!("{name} within {}", printed(span)))
}

/// What `minReadySeconds` adds to the time of a release.
#[must_use]
pub fn min_ready(object: Object<'_>) -> Option<String> {
    let seconds =
        part(object.0, "/spec/minReadySeconds").and_then(Value::as_u64).filter(|seconds| *seconds > 0)?;
    Some(format!(
        "plan: pods count as available {seconds}s after they are ready (minReadySeconds): so much later the canary gets its first traffic, each larger weight, and the promotion ends"
    ))
}

/// What is not as it is written: labels of canary pods, and Argo's label of a version in queries.
#[must_use]
pub fn rewritten(relabelled: &Labels, dry_starts: &[DryStart]) -> Vec<String> {
    let labels: Vec<String> = relabelled.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let labels = (!labels.is_empty()).then(|| {
        format!(
            "plan: canary pods have {}, so that selectors of stable pods do not match them",
            labels.join(", ")
        )
    });
    let mut metrics = dry_starts.iter().flat_map(|dry_start| &dry_start.metrics);
    let asks = metrics.any(|metric| metric.spec.provider.config.to_string().contains(ARGO_HASH_LABEL));
    let queries = asks.then(|| format!("plan: {ARGO_HASH_LABEL} in queries is read as {HASH_LABEL}"));
    labels.into_iter().chain(queries).collect()
}

/// The canary's size at a step, at the present size of stable.
fn size_at(strategy: &CanaryStrategy, index: usize, replicas: i64) -> i32 {
    canary_size(strategy, index, Weight::ZERO, i32::try_from(replicas).unwrap_or(i32::MAX))
}

fn pods(count: i32) -> String {
    if count == 1 { "1 pod".to_owned() } else { format!("{count} pods") }
}

fn metrics(dry_starts: &[DryStart], step: Option<usize>) -> String {
    let of_step =
        dry_starts.iter().filter(|dry_start| dry_start.step == step).flat_map(|dry_start| &dry_start.metrics);
    let told: Vec<String> = of_step.map(|metric| measured(&metric.spec)).collect();
    if told.is_empty() { String::new() } else { format!(": {}", told.join("; ")) }
}

fn measured(metric: &MetricSpec) -> String {
    let interval = metric.interval.map(|interval| format!(" every {interval}")).unwrap_or_default();
    match metric.effective_count() {
        Some(1) => format!("{} once", metric.name),
        Some(count) => format!("{}{interval}, {count} times", metric.name),
        None => format!("{}{interval} until the end", metric.name),
    }
}

/// The least time that the steps take, if nobody lets a pause wait and every analysis succeeds.
#[must_use]
pub fn least_time(strategy: &CanaryStrategy, dry_starts: &[DryStart]) -> SignedDuration {
    let steps = strategy.steps.iter().enumerate();
    let spans = steps.map(|(index, step)| step_time(strategy, dry_starts, index, step));
    spans.fold(SignedDuration::ZERO, SignedDuration::saturating_add)
}

/// The least time that one step takes; an indefinite pause takes none.
#[must_use]
pub fn step_time(
    strategy: &CanaryStrategy,
    dry_starts: &[DryStart],
    index: usize,
    step: &Step,
) -> SignedDuration {
    match step.wait() {
        StepWait::Settle => strategy.settle.signed(),
        StepWait::Time(span) => span.signed(),
        StepWait::Person | StepWait::Size => SignedDuration::ZERO,
        StepWait::Verdict(step) => {
            step.at_least.unwrap_or(GoDuration::ZERO).signed().max(analysis_time(dry_starts, index))
        }
    }
}

/// An analysis lasts as long as its slowest metric.
fn analysis_time(dry_starts: &[DryStart], index: usize) -> SignedDuration {
    let metrics = dry_starts
        .iter()
        .filter(|dry_start| dry_start.step == Some(index))
        .flat_map(|dry_start| &dry_start.metrics);
    let span = |spec: &MetricSpec| {
        let delay = spec.initial_delay.unwrap_or(GoDuration::ZERO).signed();
        let interval = spec.interval.unwrap_or(GoDuration::ZERO).signed();
        let pauses = spec.effective_count().unwrap_or(1).saturating_sub(1);
        delay.saturating_add(interval.checked_mul(pauses).unwrap_or(SignedDuration::MAX))
    };
    metrics.map(|metric| span(&metric.spec)).max().unwrap_or(SignedDuration::ZERO)
}

fn printed(span: SignedDuration) -> GoDuration {
    GoDuration::from_secs(u32::try_from(span.as_secs()).unwrap_or(u32::MAX))
}
