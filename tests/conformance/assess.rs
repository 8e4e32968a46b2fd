//! `assess.jsonl`: runs, reconcile by reconcile.

use crate::{
    differences::{ADMISSION, MERGED_ARGS, NO_EMPTY_PHASE, OBJECTS_OF_ARGO, PLAN_CHECKED, Rule},
    refusals,
    replay::Replay,
    report::{Outcome, passed_if},
};
use haldane::{
    analysis,
    config::template,
    document::{fields, finding::Findings},
    domain::metric::{AnalysisPhase, MetricRules},
};
use serde_json::Value;

pub fn check(line: &Value) -> Outcome {
    match line["kind"].as_str().unwrap() {
        "run" => run(line),
        "worst" => worst(line),
        _ => Outcome::Different(&OBJECTS_OF_ARGO),
    }
}

fn worst(line: &Value) -> Outcome {
    let phase = |key: &str| line[key].as_str().unwrap().parse::<AnalysisPhase>();
    let (Ok(left), Ok(right)) = (phase("left"), phase("right")) else {
        return Outcome::Different(&NO_EMPTY_PHASE);
    };
    let answers = (Ok(left.worst(right)), right.badness() > left.badness());
    passed_if(answers == (phase("worst"), line["right_is_worse"].as_bool().unwrap()), answers)
}

fn run(line: &Value) -> Outcome {
    let first = &line["steps"][0];
    let refusal = first["message"].as_str().filter(|_| first["started_at_s"].is_null());
    let mut spec = line["spec"].clone();
    // Part of a run, not of a template; each step says whether it was set.
    spec.as_object_mut().unwrap().remove("terminate");
    let template = match fields::read(&spec, "spec", template::template) {
        Ok(template) => template,
        Err(findings) => return refused(&findings, refusal),
    };
    match (analysis::start("run", &[template], &MetricRules::default(), &[]), refusal) {
        (Err(said), Some(argos)) if said == argos => Outcome::Passed,
        (Err(said), argos) => not_started(&said, argos)
            .map_or_else(|| Outcome::Failed(format!("{said} instead of {argos:?}")), Outcome::Different),
        (Ok(_), Some(argos)) => Outcome::Failed(format!("not refused: {argos}")),
        (Ok(run), None) => Replay::new(run, line).play(),
    }
}

/// A template that could not be read, where Argo fails the run, or makes something of it.
fn refused(findings: &Findings, argos: Option<&str>) -> Outcome {
    match argos {
        Some(argos) if findings.iter().any(|finding| argos.contains(&finding.problem)) => Outcome::Passed,
        Some(argos) if findings.iter().any(|finding| refusals::is_argos(finding, argos)) => {
            Outcome::Different(&ADMISSION)
        }
        _ => match refusals::rule(findings) {
            Some(rule) => Outcome::Different(rule),
            None => Outcome::Failed(format!("refused: {findings:?} instead of {argos:?}")),
        },
    }
}

/// The rule by which a run is not even made.
fn not_started(said: &str, argos: Option<&str>) -> Option<&'static Rule> {
    let both = |words: &str| said.contains(words) && argos.is_some_and(|argos| argos.contains(words));
    let missing = said.strip_prefix("args.").and_then(|rest| rest.strip_suffix(" was not resolved"));
    if let (Some(missing), Some(argos)) = (missing, argos) {
        return argos.contains(&format!("{missing:?} was not supplied")).then_some(&MERGED_ARGS);
    }
    // Argo makes no such run of templates either: it says this when it merges them.
    let is_twice = said.starts_with("two Dry-Run metric rules have the same name")
        || said.starts_with("two Measurement Retention metric rules have the same name")
        || (said.starts_with("Argument `") && said.contains("specified multiple times"));
    if is_twice && argos.is_none() {
        return Some(&MERGED_ARGS);
    }
    if both("invalid interval string") || both("invalid startDelay string") {
        return Some(&ADMISSION);
    }
    (said.ends_with(" is not a whole number") && argos.is_none()).then_some(&PLAN_CHECKED)
}
