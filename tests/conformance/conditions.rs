//! `conditions.jsonl`: one condition on one value.

use crate::{
    differences::{GO_TYPES, SURE_OF_TYPES, TYPED_MAP, WORDS},
    report::Outcome,
    values,
};
use haldane::analysis::condition;
use serde_json::Value;

pub fn check(line: &Value) -> Outcome {
    let text = line["condition"].as_str().unwrap();
    judged(line, &condition::eval(text, &values::decode(&line["value"]), values::now()))
}

fn judged(line: &Value, got: &Result<bool, String>) -> Outcome {
    let argos_error = line["error_contains"].as_str().unwrap_or_default();
    match got {
        Ok(holds) if line["outcome"] == *holds => Outcome::Passed,
        Err(said) if line["outcome"] == "error" && said.contains(argos_error) => Outcome::Passed,
        Err(said) if said.starts_with("type time.") => Outcome::Different(&GO_TYPES),
        Ok(false) if argos_error.starts_with("interface conversion: ") && is_equation(line) => {
            Outcome::Different(&SURE_OF_TYPES)
        }
        Err(said) if line["outcome"] == "error" && is_same_complaint(said, argos_error) => {
            Outcome::Different(&WORDS)
        }
        _ if line["value"]["type"] == "map[string]float64"
            && (misses_a_field(line) || argos_error.contains("(mismatched types float64 and ")) =>
        {
            Outcome::Different(&TYPED_MAP)
        }
        _ => Outcome::Failed(format!(
            "{} on {}: {got:?} instead of {} {argos_error:?}",
            line["condition"], line["value"]["v"], line["outcome"]
        )),
    }
}

/// The same complaint: the sentence with nil printed otherwise, one that begins so, or one about the arguments of the
/// same function.
fn is_same_complaint(said: &str, argos: &str) -> bool {
    /// As Go prints nil, or what holds it.
    const NILS: [&str; 4] = ["%!s(<nil>)", "interface", "invalid", "zero"];
    const ENOUGH: usize = "error parsing regexp".len();
    let others: Vec<_> =
        said.split(' ').zip(argos.split(' ')).filter(|(ours, argos)| ours != argos).collect();
    let nil = |(ours, argos): &(&str, &str)| {
        ours.contains("<nil>")
            && NILS.iter().any(|nil| argos.trim_end_matches(')').contains(nil.trim_end_matches(')')))
    };
    let begin = |text: &str| text.chars().take(ENOUGH).collect::<String>();
    let called = |text: &str| text.trim_end().split_once(" to call ").map(|(_, name)| name.to_owned());
    (said.split(' ').count() == argos.split(' ').count() && others.iter().all(nil))
        || begin(said) == begin(argos)
        || (called(said).is_some() && called(said) == called(argos))
}

/// Whether the condition asks for a field of `result` that there is not.
fn misses_a_field(line: &Value) -> bool {
    let asked = line["condition"].as_str().unwrap().split("result.").skip(1);
    let mut names = asked.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap());
    names.any(|name| line["value"]["v"].get(name).is_none())
}

fn is_equation(line: &Value) -> bool {
    line["condition"].as_str().is_some_and(|condition| condition.contains("=="))
}
