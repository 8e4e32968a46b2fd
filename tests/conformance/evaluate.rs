//! `evaluate.jsonl`: both conditions of a metric on one value.

use crate::{differences::NO_DATA, report::Outcome, values};
use haldane::{
    analysis::judge,
    domain::{
        metric::{MetricSpec, ProviderRef},
        value::MetricValue,
    },
};
use serde_json::Value;

pub fn check(line: &Value) -> Outcome {
    judged(line, &values::decode(&line["value"]))
}

/// Judges `value` by the line's conditions and compares phase and error text with the recorded ones.
pub fn judged(line: &Value, value: &MetricValue) -> Outcome {
    let condition = |key: &str| Some(line[key].as_str()?.to_owned()).filter(|text| !text.is_empty());
    let provider = ProviderRef { key: "prometheus".to_owned(), config: Value::Null };
    let spec = MetricSpec {
        success_condition: condition("successCondition"),
        failure_condition: condition("failureCondition"),
        ..MetricSpec::new("m", provider)
    };
    let argos_error = line["error_contains"].as_str();
    match (judge::verdict(&spec, value, values::now()), argos_error) {
        (Ok(phase), None) if line["phase"] == phase.to_string() => Outcome::Passed,
        (Err(said), Some(argos)) if said.contains(argos) => Outcome::Passed,
        (Err(said), Some(_)) if value.is_empty() && said.contains("no data") => Outcome::Different(&NO_DATA),
        (got, _) => Outcome::Failed(format!("{got:?} instead of {} {argos_error:?}", line["phase"])),
    }
}
