//! Conditions: `successCondition` and `failureCondition` of a metric.

use super::expression::{self, Type, Value};
use crate::domain::value::MetricValue;

/// Whether `text` can be a condition at all: its syntax, its names, and what is known of its types.
///
/// # Errors
/// What is wrong with it, in the words of Argo.
pub fn check(text: &str) -> Result<(), String> {
    match expression::compile(text, &Type::Any)?.returns {
        Type::Bool | Type::Any => Ok(()),
        other => Err(format!("expected bool, but got {other}")),
    }
}

/// What `text` says about a measured value.
///
/// # Errors
/// Why it says nothing, in the words of Argo.
pub fn eval(text: &str, value: &MetricValue) -> Result<bool, String> {
    let result = Value::from(value);
    match expression::compile(text, &result.type_of())?.run(&result)? {
        Value::Bool(holds) => Ok(holds),
        other => Err(format!("expected bool, but got {}", other.type_of())),
    }
}
