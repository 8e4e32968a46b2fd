//! Conditions: `successCondition` and `failureCondition` of a metric.

use super::expression::{self, Type, Value};
use crate::domain::value::MetricValue;
use jiff::Timestamp;

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

/// What `text` says about a value measured at `now`.
///
/// # Errors
/// Why it says nothing, in the words of Argo.
pub fn eval(text: &str, value: &MetricValue, now: Timestamp) -> Result<bool, String> {
    let result = Value::from(value);
    match expression::compile(text, &result.type_of())?.run(&result, now)? {
        Value::Bool(holds) => Ok(holds),
        other => Err(format!("expected bool, but got {}", other.type_of())),
    }
}

/// The time that an expression such as `now() - duration("5m")` means at `now`.
///
/// # Errors
/// Why it means none, in the words of Argo.
pub fn time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    match expression::compile(text, &Type::Nil)?.run(&Value::Nil, now)? {
        Value::Time(at) => Ok(at.timestamp()),
        other => Err(format!("expected time.Time, but got {}", other.type_of())),
    }
}
