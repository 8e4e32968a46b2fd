//! Binary operators on values.

use super::{
    operators::{Binary, BinaryOperator},
    span::Span,
    types::Type,
    value::Value,
};
use crate::gocompat::float::{to_float, to_int};
use std::cmp::Ordering;

/// Largest list that a range may make.
const MAX_RANGE: i64 = 1_000_000;

/// The value of an operation whose sides are both evaluated.
pub(super) fn operate(operator: &BinaryOperator, left: &Value, right: &Value) -> Result<Value, String> {
    let refuse =
        || Err(format!("invalid operation: {} {} {}", left.type_of(), operator.text, right.type_of()));
    Ok(match operator.kind {
        Binary::Equal => Value::Bool(equal(left, right)),
        Binary::NotEqual => Value::Bool(!equal(left, right)),
        Binary::In => Value::Bool(contains(right, left)?),
        Binary::Less | Binary::More | Binary::LessOrEqual | Binary::MoreOrEqual => {
            let Some(holds) = compare(operator.kind, left, right) else { return refuse() };
            Value::Bool(holds)
        }
        Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Modulo => {
            if operator.kind == Binary::Modulo && matches!((left, right), (Value::Int(_), Value::Int(0))) {
                return Err("runtime error: integer divide by zero".to_owned());
            }
            let Some(value) = calculate(operator.kind, left, right) else { return refuse() };
            value
        }
        Binary::Power => Value::Float(float(left)?.powf(float(right)?)),
        Binary::Range => range(int(left)?, int(right)?)?,
        Binary::Contains => Value::Bool(text(left)?.contains(text(right)?)),
        Binary::StartsWith => Value::Bool(text(left)?.starts_with(text(right)?)),
        Binary::EndsWith => Value::Bool(text(left)?.ends_with(text(right)?)),
        // Evaluated elsewhere: three evaluate the right side only if the left one requires it, and one needs a cache.
        Binary::Or | Binary::And | Binary::Coalesce | Binary::Matches => return refuse(),
    })
}

/// Compares numbers across types, and everything else by identity.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    ordering(left, right)
        .map_or_else(|Unordered| left.is_identical_to(right), |ordering| ordering == Some(Ordering::Equal))
}

/// The types have no order.
struct Unordered;

/// The order of two numbers or two texts; none with NaN.
fn ordering(left: &Value, right: &Value) -> Result<Option<Ordering>, Unordered> {
    Ok(match (left, right) {
        (Value::Int(a), Value::Int(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Float(b)) => to_float(*a).partial_cmp(b),
        (Value::Float(a), Value::Int(b)) => a.partial_cmp(&to_float(*b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Text(a), Value::Text(b)) => a.partial_cmp(b),
        (Value::Time(a), Value::Time(b)) => a.partial_cmp(b),
        (Value::Duration(a), Value::Duration(b)) => a.partial_cmp(b),
        _ => return Err(Unordered),
    })
}

/// Whether the left side is less, greater, … than the right; `None` if the two have no order.
pub(super) fn compare(kind: Binary, left: &Value, right: &Value) -> Option<bool> {
    let ordering = ordering(left, right).ok()?;
    Some(match kind {
        Binary::Less => ordering == Some(Ordering::Less),
        Binary::More => ordering == Some(Ordering::Greater),
        Binary::LessOrEqual => ordering.is_some_and(Ordering::is_le),
        _ => ordering.is_some_and(Ordering::is_ge),
    })
}

fn calculate(kind: Binary, left: &Value, right: &Value) -> Option<Value> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => integers(kind, *a, *b),
        (Value::Int(a), Value::Float(b)) => floats(kind, to_float(*a), *b),
        (Value::Float(a), Value::Int(b)) => floats(kind, *a, to_float(*b)),
        (Value::Float(a), Value::Float(b)) => floats(kind, *a, *b),
        (Value::Text(a), Value::Text(b)) if kind == Binary::Add => Some(Value::text(format!("{a}{b}"))),
        _ => times(kind, left, right),
    }
}

/// Sums and differences of times and durations, and multiples of durations.
fn times(kind: Binary, left: &Value, right: &Value) -> Option<Value> {
    use Binary::{Add, Multiply, Subtract};
    match (kind, left, right) {
        (Add, Value::Time(at), Value::Duration(span)) | (Add, Value::Duration(span), Value::Time(at)) => {
            span.after(at).map(Value::time)
        }
        (Subtract, Value::Time(at), Value::Duration(span)) => span.negated().after(at).map(Value::time),
        (Subtract, Value::Time(a), Value::Time(b)) => Some(Value::Duration(Span::between(b, a))),
        (Add, Value::Duration(a), Value::Duration(b)) => Some(Value::Duration(Span(a.0.wrapping_add(b.0)))),
        (Subtract, Value::Duration(a), Value::Duration(b)) => {
            Some(Value::Duration(Span(a.0.wrapping_sub(b.0))))
        }
        (Multiply, Value::Duration(a), Value::Duration(b)) => {
            Some(Value::Duration(Span(a.0.wrapping_mul(b.0))))
        }
        (Multiply, Value::Duration(span), Value::Int(factor))
        | (Multiply, Value::Int(factor), Value::Duration(span)) => {
            Some(Value::Duration(Span(span.0.wrapping_mul(*factor))))
        }
        // Go multiplies the nanoseconds by a float and returns a float.
        (Multiply, Value::Duration(span), Value::Float(factor))
        | (Multiply, Value::Float(factor), Value::Duration(span)) => {
            Some(Value::Float(to_float(span.0) * factor))
        }
        _ => None,
    }
}

/// Integers wrap around; their quotient is a float.
fn integers(kind: Binary, a: i64, b: i64) -> Option<Value> {
    Some(match kind {
        Binary::Add => Value::Int(a.wrapping_add(b)),
        Binary::Subtract => Value::Int(a.wrapping_sub(b)),
        Binary::Multiply => Value::Int(a.wrapping_mul(b)),
        Binary::Modulo if b != 0 => Value::Int(a.wrapping_rem(b)),
        Binary::Divide => Value::Float(to_float(a) / to_float(b)),
        _ => return None,
    })
}

fn floats(kind: Binary, a: f64, b: f64) -> Option<Value> {
    Some(Value::Float(match kind {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        _ => return None,
    }))
}

fn range(from: i64, to: i64) -> Result<Value, String> {
    if to.saturating_sub(from) >= MAX_RANGE {
        return Err("memory budget exceeded".to_owned());
    }
    Ok(Value::list_of(Type::Int, (from..=to).map(Value::Int)))
}

fn contains(haystack: &Value, needle: &Value) -> Result<bool, String> {
    match haystack {
        Value::Nil => Ok(false),
        Value::List(list) => Ok(list.items.iter().any(|item| equal(item, needle))),
        Value::Map(map) => Ok(map.get(needle).is_some()),
        other => Err(format!("operator \"in\" not defined on {}", other.type_of())),
    }
}

pub(super) fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(other.is_not("string")),
    }
}

pub(super) fn bool(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(value) => Ok(*value),
        other => Err(other.is_not("bool")),
    }
}

/// A number as an integer.
pub(super) fn int(value: &Value) -> Result<i64, String> {
    match value {
        Value::Int(value) => Ok(*value),
        Value::Float(value) => Ok(to_int(*value)),
        other => Err(format!("invalid operation: int({})", other.type_of())),
    }
}

/// A number as a float.
pub(super) fn float(value: &Value) -> Result<f64, String> {
    match value {
        Value::Int(value) => Ok(to_float(*value)),
        Value::Float(value) => Ok(*value),
        other => Err(format!("invalid operation: float({})", other.type_of())),
    }
}
