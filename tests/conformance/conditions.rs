//! `conditions.jsonl`: one condition on one value.

use crate::{
    differences::{GO_TYPES, SURE_OF_TYPES, TYPED_MAP, WORDS},
    report::Outcome,
    values,
};
use haldane::analysis::condition;
use serde_json::Value;

/// Errors with other words than Argo's: ours, and Argo's.
const REWORDED: [(&str, &str); 5] = [
    ("invalid argument for len (type <nil>)", "invalid argument for len (type %!s(<nil>))"),
    (
        "reflect: call of reflect.Value.Call on <nil> Value",
        "reflect: call of reflect.Value.Call on zero Value",
    ),
    ("cannot use int as argument (type string) to call date ", "not enough arguments to call date"),
    ("error parsing regexp: missing closing ]", "error parsing regexp: missing closing ]: `[`"),
    ("error parsing regexp: unclosed group", "error parsing regexp: missing closing ): `(`"),
];

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
        Err(said) if line["outcome"] == "error" && REWORDED.contains(&(said, argos_error)) => {
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

/// Whether the condition asks for a field of `result` that there is not.
fn misses_a_field(line: &Value) -> bool {
    let asked = line["condition"].as_str().unwrap().split("result.").skip(1);
    let mut names = asked.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap());
    names.any(|name| line["value"]["v"].get(name).is_none())
}

fn is_equation(line: &Value) -> bool {
    line["condition"].as_str().is_some_and(|condition| condition.contains("=="))
}
