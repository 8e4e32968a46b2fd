//! `conditions.jsonl`: one condition on one value.

use crate::{
    differences::{NO_TIME, TYPED_MAP, WORDS},
    report::Outcome,
    values,
};
use haldane::analysis::condition;
use serde_json::Value;

pub fn check(line: &Value) -> Outcome {
    let text = line["condition"].as_str().unwrap();
    judged(line, &condition::eval(text, &values::decode(&line["value"])))
}

fn judged(line: &Value, got: &Result<bool, String>) -> Outcome {
    let argos_error = line["error_contains"].as_str().unwrap_or_default();
    match got {
        Ok(holds) if line["outcome"] == *holds => Outcome::Passed,
        Err(said) if line["outcome"] == "error" && said.contains(argos_error) => Outcome::Passed,
        Err(said) if said.contains("not the time") => Outcome::Different(&NO_TIME),
        Err(_) if line["outcome"] == "error" => Outcome::Different(&WORDS),
        _ if line["value"]["type"] == "map[string]float64" => Outcome::Different(&TYPED_MAP),
        _ => Outcome::Failed(format!(
            "{} on {}: {got:?} instead of {} {argos_error:?}",
            line["condition"], line["value"]["v"], line["outcome"]
        )),
    }
}
