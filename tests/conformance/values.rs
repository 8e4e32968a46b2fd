//! Recorded Go values as measured values.

use haldane::domain::value::MetricValue;
use jiff::Timestamp;
use serde_json::Value;

/// When the answers were recorded, as far as a condition depends on it.
pub fn now() -> Timestamp {
    "2026-11-23T10:00:00Z".parse().unwrap()
}

/// `{"type": …, "v": …}`, where `type` is the Go type and `NaN`, `+Inf`, `-Inf` are words.
pub fn decode(recorded: &Value) -> MetricValue {
    let value = &recorded["v"];
    match recorded["type"].as_str().unwrap() {
        "json" => value.clone().into(),
        "[]float64" if value.is_null() => MetricValue::Nil,
        "[]float64" => MetricValue::Vector(value.as_array().unwrap().iter().map(float).collect()),
        _ if value.is_null() => MetricValue::Nil,
        "float64" | "*float64" | "float32" => MetricValue::Float(float(value)),
        "string" => MetricValue::Text(value.as_str().unwrap().to_owned()),
        "bool" => MetricValue::Bool(value.as_bool().unwrap()),
        "[]string" | "[]interface {}" | "[]int" => {
            MetricValue::List(value.as_array().unwrap().iter().map(item).collect())
        }
        "map[string]float64" => value.clone().into(),
        _ => MetricValue::Int(value.as_i64().unwrap()),
    }
}

fn item(value: &Value) -> MetricValue {
    value.as_i64().map_or_else(|| value.clone().into(), MetricValue::Int)
}

fn float(value: &Value) -> f64 {
    match value.as_str() {
        Some("NaN") => f64::NAN,
        Some("+Inf") => f64::INFINITY,
        Some("-Inf") => f64::NEG_INFINITY,
        Some(other) => panic!("{other} is not a float"),
        None => value.as_f64().unwrap(),
    }
}
