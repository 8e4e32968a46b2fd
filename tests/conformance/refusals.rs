//! By which rule Haldane refuses an input that Argo accepts, or refuses in other words.
//!
//! A rule counts only for a finding that names the very field it is about, with a value that it is about:
//! a refusal for any other reason fails the line.

use crate::differences::{
    DYNAMIC_STABLE_SCALE, OBJECTS_OF_ARGO, OTHER_PROVIDERS, OTHER_ROUTERS, PLAN_CHECKED, REFUSED_BY_NAME,
    ROLLING_UPDATE, Rule, WEIGHT_TOTAL,
};
use haldane::{
    document::finding::{Finding, Findings},
    gocompat::duration::GoDuration,
};

/// The rule of the first finding, if there is one for each of them.
pub fn rule(findings: &Findings) -> Option<&'static Rule> {
    let rules: Option<Vec<_>> = findings.iter().map(of_one).collect();
    rules?.first().copied()
}

fn of_one(finding: &Finding) -> Option<&'static Rule> {
    let Finding { path, value, problem } = finding;
    let field = path.rsplit('.').next().unwrap_or_default();
    let (field, _) = field.split_once('[').unwrap_or((field, ""));
    let by_name = problem.starts_with("is not supported: ");
    match field {
        "dynamicStableScale" if value == "true" => Some(&DYNAMIC_STABLE_SCALE),
        "maxTrafficWeight" => value.parse().is_ok_and(|total: i64| total < 100).then_some(&WEIGHT_TOTAL),
        "maxSurge" | "maxUnavailable" if by_name => Some(&ROLLING_UPDATE),
        "experiment" | "plugin" if by_name => Some(&OBJECTS_OF_ARGO),
        "pingPong" if by_name => Some(&OTHER_ROUTERS),
        "match" if by_name && path.contains(".setMirrorRoute.") => Some(&OTHER_ROUTERS),
        "canary" if problem.contains("cannot mirror requests") => Some(&OTHER_ROUTERS),
        _ if by_name && path.contains("trafficRouting.") => Some(&OTHER_ROUTERS),
        _ if by_name => Some(&REFUSED_BY_NAME),
        "provider" if problem.contains(" is not supported; supported are ") => Some(&OTHER_PROVIDERS),
        _ => is_beyond_meaning(field, value, problem).then_some(&PLAN_CHECKED),
    }
}

/// A number, duration or argument that cannot be meant.
fn is_beyond_meaning(field: &str, value: &str, problem: &str) -> bool {
    match field {
        "setWeight" | "weight" | "replicas" | "minPodsPerReplicaSet" | "startingStep" | "value" => {
            is_out_of(problem, value)
        }
        "limit" => is_out_of(problem, value) || problem == "is required",
        "count"
        | "failureLimit"
        | "inconclusiveLimit"
        | "consecutiveErrorLimit"
        | "consecutiveSuccessLimit" => problem == "must be a whole number" && value.parse::<i32>().is_err(),
        "interval" | "initialDelay" => {
            problem.starts_with("must be a duration ") && value.parse::<GoDuration>().is_err()
        }
        "name" => problem == "is required",
        "args" | "valueFrom" => problem.starts_with("must have "),
        "podTemplateHashValue" => problem.starts_with("must be Stable, or Latest"),
        // What Kubernetes says of a downward API field; Argo asks the same when it validates a Rollout.
        "fieldPath" => ["unsupported fieldPath", "invalid key subscript", "does not support subscript"]
            .iter()
            .any(|said| problem.contains(said)),
        "steps" => problem.starts_with("must have one kind of step"),
        "canary" => {
            problem.starts_with("analysis.startingStep is ") || problem.contains("stableService is required")
        }
        _ => false,
    }
}

/// Whether the value is a whole number outside of the range that the problem names.
fn is_out_of(problem: &str, value: &str) -> bool {
    let range =
        problem.strip_prefix("must be a whole number from ").and_then(|range| range.split_once(" to "));
    let number = |text: &str| text.parse::<i64>().ok();
    range.is_some_and(|(least, most)| match (number(least), number(most), number(value)) {
        (Some(least), Some(most), Some(value)) => !(least..=most).contains(&value),
        _ => false,
    })
}

/// Whether one of the findings is about the field that Argo's validation names: the same path, as far as both
/// go, or a contradiction of several fields that names it.
pub fn is_about(findings: &Findings, argos_field: &str) -> bool {
    fn below<'a>(path: &'a str, root: &str) -> Vec<&'a str> {
        path.strip_prefix(root).unwrap_or(path).split('.').filter(|name| !name.is_empty()).collect()
    }
    // Argo calls an analysis of a step «analyses».
    let is_same = |ours: &str, argos: &str| ours == argos || (ours == "analysis" && argos == "analyses");
    let argos = below(argos_field, "spec.strategy.canary");
    findings.iter().any(|finding| {
        let ours = below(&finding.path, "canary");
        let named = || argos.last().is_some_and(|field| finding.problem.contains(field));
        if ours.is_empty() {
            named()
        } else {
            ours.iter().zip(&argos).all(|(ours, argos)| is_same(ours, argos))
        }
    })
}

/// Whether a template is refused, when it is read, for what Argo says of the run.
pub fn is_argos(finding: &Finding, argos: &str) -> bool {
    let Finding { path, value, problem } = finding;
    let rule =
        path.split('.').find(|part| part.starts_with("dryRun[") || part.starts_with("measurementRetention["));
    let words = match path.rsplit('.').next() {
        Some("interval") => Some("invalid interval string"),
        Some("initialDelay") => Some("invalid startDelay string"),
        _ => None,
    };
    argos.contains(problem.as_str())
        || rule.is_some_and(|rule| argos.contains(rule))
        || words.is_some_and(|words| argos.contains(words) && argos.contains(&format!("{value:?}")))
        || problem
            .strip_prefix("two metrics have the same name ")
            .is_some_and(|name| argos.contains(&format!("duplicate name {name}")))
        || (path.ends_with(".metrics") && argos.ends_with("no metrics specified"))
}
