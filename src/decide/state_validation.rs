//! Whether a recorded state is one that this program can have written.
//!
//! A record can be edited by hand or restored from half a backup. What cannot be is reported by its field, and
//! nothing is done: an index beyond the plan would read as its end, and its end is a promotion.

use crate::{
    analysis::validate,
    config::strategy::MAX_STEPS,
    document::finding::Finding,
    domain::{
        metric::{AnalysisRun, MetricResult},
        names::Weight,
        state::{Rollout, RolloutState, RunRecord, Stage},
        strategy::Step,
    },
    routers,
};

/// More pods, measurements or attempts than these nobody has.
const MAX_COUNT: i32 = 1_000_000_000;

/// Checks the state as admission checks what users write.
///
/// # Errors
/// The first field that cannot be, with its path from the record's `state`.
pub fn check(state: &RolloutState) -> Result<(), Finding> {
    let Some(rollout) = &state.rollout else { return Ok(()) };
    rollout_can_be(rollout).map_err(|finding| finding.under("rollout"))
}

fn rollout_can_be(rollout: &Rollout) -> Result<(), Finding> {
    within("baselineReplicas", rollout.baseline_replicas)?;
    within("canaryReplicas", rollout.canary_replicas)?;
    let strategy = rollout.strategy();
    within("spec.strategy.minPods", strategy.min_pods)?;
    let count = strategy.steps.len();
    must(count <= MAX_STEPS, "spec.strategy.steps", count, || format!("there are at most {MAX_STEPS}"))?;
    if let Stage::Step { index, .. } = rollout.stage {
        // One beyond the last is where a plan is done.
        must(index <= count, "stage.index", index, || format!("the plan has {count} steps"))?;
    }
    if let Some(unseen) = &rollout.unseen {
        must(unseen.index <= count, "unseen.index", unseen.index, || format!("the plan has {count} steps"))?;
    }
    if let Some(router) = &strategy.router {
        must(routers::is_known(router), "spec.strategy.router", router, || {
            "there is no such router".to_owned()
        })?;
    }
    traffic(rollout)?;
    for (index, record) in rollout.runs.iter().enumerate() {
        run(record, rollout).map_err(|finding| finding.under(&format!("runs[{index}]")))?;
    }
    Ok(())
}

/// The canary has no more traffic than its stage allows.
fn traffic(rollout: &Rollout) -> Result<(), Finding> {
    let (strategy, traffic) = (rollout.strategy(), &rollout.traffic);
    let most = match rollout.stage {
        Stage::Start | Stage::Retreat { .. } | Stage::Aborted { .. } => Weight::ZERO,
        Stage::Step { index, .. } => most_until(rollout, index),
        Stage::PromoteScale => most_until(rollout, strategy.steps.len()),
        Stage::PromoteShift | Stage::PromoteRoll => Weight::FULL,
    };
    let name = <&str>::from(&rollout.stage);
    must(traffic.weight <= most, "traffic.weight", traffic.weight, || {
        format!("in stage {name} it is at most {most}")
    })?;
    let ended = matches!(rollout.stage, Stage::Retreat { .. } | Stage::Aborted { .. });
    must(!(ended && traffic.routes), "traffic.routes", traffic.routes, || {
        format!("in stage {name} there are none")
    })?;
    for header in &traffic.headers {
        must(strategy.header_route(*header).is_some(), "traffic.header", header, || {
            "it must be the index of a setHeaderRoute step with a match".to_owned()
        })?;
    }
    let Some(mirror) = traffic.mirror else { return Ok(()) };
    must(strategy.mirror_route(mirror).is_some(), "traffic.mirror", mirror, || {
        "it must be the index of a setMirrorRoute step with a percentage".to_owned()
    })
}

/// The greatest weight of the plan up to the step at `index`.
fn most_until(rollout: &Rollout, index: usize) -> Weight {
    let reached = rollout.strategy().steps.iter().take(index.saturating_add(1));
    let weights = reached.filter_map(|step| match step {
        Step::SetWeight(weight) => Some(*weight),
        _ => None,
    });
    weights.max().unwrap_or(Weight::ZERO)
}

fn run(record: &RunRecord, rollout: &Rollout) -> Result<(), Finding> {
    if let Some(step) = record.step {
        let is_analysis = matches!(rollout.strategy().steps.get(step), Some(Step::Analysis(_)));
        must(is_analysis, "step", step, || "it must be the index of an analysis step".to_owned())?;
    }
    let AnalysisRun { specs, results, .. } = &record.run;
    validate::metrics(specs).map_err(|why| Finding::new("run.specs", "", why))?;
    let same = specs.len() == results.len() && specs.iter().zip(results).all(|(s, r)| s.name == r.name);
    must(same, "run.results", results.len(), || {
        format!("there must be one for each of the {} metrics, in their order", specs.len())
    })?;
    for (index, result) in results.iter().enumerate() {
        counters(result).map_err(|finding| finding.under(&format!("run.results[{index}]")))?;
    }
    Ok(())
}

fn counters(result: &MetricResult) -> Result<(), Finding> {
    let MetricResult { count, successful, failed, inconclusive, error, .. } = *result;
    within("count", count)?;
    within("successful", successful)?;
    within("failed", failed)?;
    within("inconclusive", inconclusive)?;
    within("error", error)?;
    within("consecutiveError", result.consecutive_error)?;
    within("consecutiveSuccess", result.consecutive_success)?;
    let sum = i64::from(successful) + i64::from(failed) + i64::from(inconclusive);
    must(i64::from(count) == sum, "count", count, || {
        format!("successful, failed and inconclusive are {sum} together")
    })
}

fn within(path: &str, number: i32) -> Result<(), Finding> {
    must((0..=MAX_COUNT).contains(&number), path, number, || format!("must be from 0 to {MAX_COUNT}"))
}

fn must(
    holds: bool,
    path: &str,
    value: impl std::fmt::Display,
    problem: impl FnOnce() -> String,
) -> Result<(), Finding> {
    if holds { Ok(()) } else { Err(Finding::new(path, value, problem())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::fixtures::{self, now};
    use crate::domain::state::Traffic;
    use serde_json::{Value, json};

    fn state(stage: Stage) -> RolloutState {
        let mut recorded = fixtures::state(&fixtures::seen(4, "b", true), stage);
        recorded.rollout.as_mut().unwrap().traffic = Traffic::none(now());
        recorded
    }

    fn step(index: usize) -> Stage {
        Stage::Step { index, entered_at: now(), inconclusive: None }
    }

    /// What is said of a state at its first step with this field changed.
    fn problem(pointer: &str, value: Value) -> String {
        let mut text = serde_json::to_value(state(step(0))).unwrap();
        *text.pointer_mut(pointer).unwrap() = value;
        check(&serde_json::from_value(text).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_have_been_written_is_reported_by_its_field() {
        let count = state(step(0)).rollout.unwrap().strategy().steps.len();
        assert_eq!(
            problem("/rollout/stage/index", json!(count + 1)),
            format!("rollout.stage.index: \"{}\": the plan has {count} steps", count + 1)
        );
        assert_eq!(
            problem("/rollout/traffic/weight", json!(100)),
            "rollout.traffic.weight: \"100\": in stage step it is at most 10"
        );
        assert_eq!(
            problem("/rollout/canaryReplicas", json!(-1)),
            "rollout.canaryReplicas: \"-1\": must be from 0 to 1000000000"
        );
    }

    #[test]
    fn an_ended_rollout_has_no_traffic() {
        let mut state = state(Stage::Aborted { since: now(), message: "bad".into() });
        assert_eq!(check(&state), Ok(()));
        state.rollout.as_mut().unwrap().traffic.weight = Weight::FULL;
        let problem = check(&state).unwrap_err();
        assert_eq!(problem.path, "rollout.traffic.weight");
    }

    #[test]
    fn counters_agree_with_each_other() {
        let result = MetricResult { count: 2, successful: 1, ..MetricResult::default() };
        assert!(counters(&result).is_err());
        assert_eq!(counters(&MetricResult { failed: 1, ..result.clone() }), Ok(()));
        let huge = MetricResult { error: i32::MAX, ..MetricResult::default() };
        assert!(counters(&huge).is_err(), "the next one would be one too many to count");
    }
}
