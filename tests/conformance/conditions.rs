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
        Err(_) if line["outcome"] == "error" => Outcome::Different(&WORDS),
        _ if line["value"]["type"] == "map[string]float64" => Outcome::Different(&TYPED_MAP),
        _ => Outcome::Failed(format!(
            "{} on {}: {got:?} instead of {} {argos_error:?}",
            line["condition"], line["value"]["v"], line["outcome"]
        )),
    }
}

fn is_equation(line: &Value) -> bool {
    line["condition"].as_str().is_some_and(|condition| condition.contains("=="))
}
