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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_stand_for_a_part_of_a_condition() {
        let now = Timestamp::UNIX_EPOCH;
        let low_traffic = "let requests = sum(result) in len(result) == 0 or requests * 120 > 100";
        check(low_traffic).unwrap();
        for (samples, holds) in [(vec![], true), (vec![0.5, 0.5], true), (vec![0.1], false)] {
            let said = eval(low_traffic, &MetricValue::Vector(samples.clone()), now);
            assert_eq!(said, Ok(holds), "{samples:?}");
        }
        let nested = "let a = result[0] in let b = a * 2 in b > 1 and a < 1";
        assert_eq!(eval(nested, &MetricValue::Vector(vec![0.6]), now), Ok(true));
        // As expr writes it, and `in` in its own meaning.
        assert_eq!(eval("let a = 2; a in [1, 2]", &MetricValue::Nil, now), Ok(true));
        assert_eq!(eval("let a = (2 in [1, 2]) in a", &MetricValue::Nil, now), Ok(true));
    }
}
