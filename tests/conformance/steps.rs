//! `steps.jsonl`: pauses, durations, what is in force at a step, and which strategies are valid.

use crate::{
    differences::{
        AT_ITS_END, BLUE_GREEN, FRACTIONS, HEADER_ROUTES, KEPT, MILLISECONDS, NO_SUCH_STATE, PAUSE_FIELDS,
        PAUSED_ANALYSIS, PLAN_CHECKED, ROUTED_ANYWAY, Rule, SERVICES_FOUND,
    },
    refusals,
    report::{Outcome, passed_if},
    strategy::{self, Rollout},
};
use haldane::{
    decide::{Input, Measurements, decide},
    domain::{
        k8s::label_rewrite::LabelRewrite,
        names::Weight,
        observed::Observed,
        state::{self, RolloutState, Stage, Traffic},
        strategy::{CanaryScale, CanaryStrategy, RolloutSpec, Step},
    },
    gocompat::duration::GoDuration,
    objects::manifest::Owner,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Nobody means a century.
const MAX_NANOSECONDS: i64 = 100 * 366 * 86_400 * 1_000_000_000;

/// By the line's kind.
pub fn check(line: &Value) -> Outcome {
    match line["kind"].as_str().unwrap() {
        "pause" => pause(line),
        "duration" => duration(line),
        "pauseDone" => pause_done(line),
        "validateCanary" => validate(line),
        "rollout" if line["expect"].get("panic").is_some() => Outcome::Different(&NO_SUCH_STATE),
        "rollout" if line["input"]["spec"]["strategy"].get("blueGreen").is_some() => {
            Outcome::Different(&BLUE_GREEN)
        }
        "rollout" => match strategy::rollout(&line["input"]) {
            Ok(rollout) => in_force(line, &rollout),
            Err(Ok(rule)) => Outcome::Different(rule),
            Err(Err(why)) => Outcome::Failed(why),
        },
        kind => Outcome::Failed(format!("unknown kind {kind}")),
    }
}

/// The pause, or `None` when it is refused.
fn read_pause(pause: &Value) -> Option<(CanaryStrategy, Option<GoDuration>)> {
    let strategy = strategy::read(&json!({"steps": [{"pause": pause}, {"pause": {}}]})).ok()?;
    match strategy.steps[0] {
        Step::Pause(duration) => Some((strategy, duration)),
        _ => None,
    }
}

/// What Argo reads as negative, or cannot read, its validation refuses.
fn pause(line: &Value) -> Outcome {
    let argos = line["expect"]["seconds"].as_i64();
    let read = read_pause(&line["input"]);
    match (read.map(|(_, duration)| duration), argos) {
        (None, Some(seconds)) => passed_if(seconds < 0, "refused"),
        (Some(None), argos) => passed_if(line["input"]["duration"].is_null(), argos),
        (Some(Some(ours)), Some(argos)) if ours.signed().as_secs() != argos => {
            Outcome::Failed(ours.to_string())
        }
        (Some(Some(ours)), Some(_)) if ours.signed().subsec_millis() > 0 => Outcome::Different(&FRACTIONS),
        (None, None) | (Some(Some(_)), Some(_)) => Outcome::Passed,
        (Some(ours), None) => Outcome::Failed(format!("not refused: {ours:?}")),
    }
}

fn duration(line: &Value) -> Outcome {
    let ours = line["input"].as_str().unwrap().parse::<GoDuration>();
    match (ours, line["expect"]["nanoseconds"].as_i64()) {
        (Err(_), None) => Outcome::Passed,
        (Err(_), Some(argos)) if !(0..MAX_NANOSECONDS).contains(&argos) => Outcome::Different(&PLAN_CHECKED),
        (Ok(ours), Some(argos)) if ours.signed().as_nanos() == i128::from(argos) => Outcome::Passed,
        (Ok(ours), Some(argos)) if (ours.signed().as_nanos() - i128::from(argos)).abs() < 1_000_000 => {
            Outcome::Different(&MILLISECONDS)
        }
        (ours, argos) => Outcome::Failed(format!("{ours:?} instead of {argos:?}")),
    }
}

/// What is in force at the step at which the Rollout is.
fn in_force(line: &Value, rollout: &Rollout) -> Outcome {
    let (expect, strategy) = (&line["expect"], &rollout.strategy);
    let index = rollout.index;
    let is_full = line["input"]["status"]["promoteFull"] == true;
    let background = strategy.background.as_ref();
    let is_before = background.is_some_and(|background| index < background.starting_step);
    // A full promotion is a stage of its own here, not a step.
    if !is_full {
        let weight = rollout.weight();
        let parts = weight.parts_of(strategy.weight_total);
        if expect["setWeight"] != parts || expect["desiredCanaryWeight"] != parts {
            return Outcome::Failed(format!("weight {weight}"));
        }
        if expect["currentStep"].is_null() != (index >= strategy.steps.len()) {
            return Outcome::Failed(format!("step {:?}", strategy.steps.get(index)));
        }
    }
    if expect["beforeStartingStep"] != is_before && !is_full {
        return Outcome::Failed(format!("before its starting step: {is_before}"));
    }
    let is_routed = !line["input"]["spec"]["strategy"]["canary"]["trafficRouting"].is_null();
    let is_kept = !rollout.aborted || strategy.abort_scale_down_delay.is_none();
    if !is_kept {
        return passed_if(expect["setCanaryScale"].is_null() && rollout.canary() == 0, rollout.canary());
    }
    let scale =
        if index < strategy.steps.len() { strategy.scale_at(index) } else { CanaryScale::MatchTrafficWeight };
    let of_total = |number: &Value| {
        Weight::of(u32::try_from(number.as_u64().unwrap()).unwrap(), strategy.weight_total).unwrap()
    };
    let argos = match &expect["setCanaryScale"] {
        _ if is_full => CanaryScale::MatchTrafficWeight,
        Value::Null => CanaryScale::MatchTrafficWeight,
        given => match (given["replicas"].as_i64(), given["weight"].is_null()) {
            (Some(replicas), _) => CanaryScale::Replicas(i32::try_from(replicas).unwrap()),
            (None, false) => CanaryScale::Weight(of_total(&given["weight"])),
            (None, true) => CanaryScale::MatchTrafficWeight,
        },
    };
    if scale != argos && !is_routed && expect["setCanaryScale"].is_null() {
        return Outcome::Different(&ROUTED_ANYWAY);
    }
    if scale != argos {
        return Outcome::Failed(format!("{scale:?}"));
    }
    let by_weight = || {
        let weight = of_total(&expect["canaryWeight"]);
        let least = match scale {
            CanaryScale::Weight(weight) if weight == Weight::ZERO => 0,
            _ if weight == Weight::ZERO => 1,
            _ => strategy.min_pods,
        };
        weight.share_of(rollout.replicas).max(least)
    };
    let replicas = expect["canaryReplicas"].as_i64();
    let wanted = replicas.map_or_else(by_weight, |replicas| i32::try_from(replicas).unwrap());
    if rollout.canary() != wanted && rollout.aborted && scale == CanaryScale::MatchTrafficWeight {
        return Outcome::Different(&KEPT);
    }
    passed_if(rollout.canary() == wanted, rollout.canary())
}

/// The real decision about a rollout that has been at a pause for so long.
fn pause_done(line: &Value) -> Outcome {
    let input = &line["input"];
    if input["pauseConditionReason"] != "CanaryPauseStep" {
        return Outcome::Different(&PAUSE_FIELDS);
    }
    let Some((strategy, duration)) = read_pause(&input["pause"]) else {
        // Argo's validation refuses the same: it is not a duration, or is negative.
        let text = input["pause"]["duration"].as_str().unwrap_or_default();
        let is_bad = text.parse::<GoDuration>().is_err() && text.parse::<u32>().is_err();
        return if is_bad {
            Outcome::Different(&PLAN_CHECKED)
        } else {
            Outcome::Failed("refused".to_owned())
        };
    };
    let passed = SignedDuration::from_millis(input["ms_since_pause_started"].as_i64().unwrap());
    let is_over = decided(strategy, passed);
    match line["expect"]["completed"].as_bool().unwrap() {
        argos if argos == is_over => Outcome::Passed,
        false if duration.map(GoDuration::signed) == Some(passed) => Outcome::Different(&AT_ITS_END),
        _ => Outcome::Failed(format!("over: {is_over}")),
    }
}

/// Whether a rollout leaves its first step after this time at it.
fn decided(strategy: CanaryStrategy, passed: SignedDuration) -> bool {
    let entered_at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let seen = Observed::default();
    let spec = RolloutSpec { strategy, templates: Vec::new() };
    let rewrite = LabelRewrite { of: "web".into(), keys: BTreeSet::new() };
    let at = Timestamp::UNIX_EPOCH;
    let rollout = state::Rollout {
        canary_replicas: 1,
        traffic: Traffic { routes: true, seen_at: Some(at), ..Traffic::none(at) },
        stage: Stage::Step { index: 0, entered_at, inconclusive: None },
        ..state::Rollout::new(2, seen.template_hash(), spec, rewrite, 1, entered_at)
    };
    let state = RolloutState { rollout: Some(rollout), ..RolloutState::default() };
    let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
    let input = Input {
        seen: &seen,
        owner: &owner,
        next: &Err("its plan is frozen".to_owned()),
        wait: None,
        measurements: &Measurements::default(),
        now: entered_at + passed,
    };
    decide(state, &input).state.rollout.unwrap().step_index() == Some(1)
}

fn validate(line: &Value) -> Outcome {
    let errors = line["expect"]["errors"].as_array().unwrap();
    let field = |error: &Value| error["field"].as_str().unwrap_or_default().to_owned();
    match strategy::read(&line["input"]) {
        Ok(_) if errors.is_empty() => Outcome::Passed,
        Err(findings) if errors.iter().any(|error| refusals::is_about(&findings, &field(error))) => {
            Outcome::Passed
        }
        Err(findings) => match refusals::rule(&findings) {
            Some(rule) => Outcome::Different(rule),
            None => Outcome::Failed(format!("refused: {findings:?} instead of {errors:?}")),
        },
        Ok(_) => {
            let rules: Option<Vec<_>> = errors.iter().map(|error| accepted(error, &line["input"])).collect();
            match rules.as_deref() {
                Some([rule, ..]) => Outcome::Different(rule),
                _ => Outcome::Failed(format!("not refused: {errors:?}")),
            }
        }
    }
}

/// The rule by which something is accepted that Argo refuses so.
fn accepted(error: &Value, canary: &Value) -> Option<&'static Rule> {
    let (detail, field) = (error["detail"].as_str()?, error["field"].as_str()?);
    let says = |words: &str| detail.contains(words);
    if says("Canary service and Stable service must to be set") {
        Some(&SERVICES_FOUND)
    } else if says("SetHeaderRoute requires TrafficRouting") || says("trafficRouting.managedRoutes'") {
        Some(&HEADER_ROUTES)
    } else if says("requires TrafficRouting")
        || says("only be used with traffic routing")
        || says("only supported in Nginx")
    {
        Some(&ROUTED_ANYWAY)
    } else if says("Step must have one of") {
        let index: usize = field.split_once("steps[")?.1.trim_end_matches(']').parse().ok()?;
        let step = &canary["steps"][index];
        (step.get("pause").is_some() && step.get("analysis").is_some()).then_some(&PAUSED_ANALYSIS)
    } else {
        None
    }
}
