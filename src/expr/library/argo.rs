//! Argo's own functions.

use super::{Env, Returned, arg};
use crate::{
    expr::value::Value,
    gocompat::float::{GoFloat, to_float, to_int},
};

pub(in crate::expr) fn as_int(args: &[Value], _: &Env<'_>) -> Returned {
    match arg(args, 0) {
        Value::Int(value) => Ok(Value::Int(*value)),
        Value::Float(value) => Ok(Value::Int(to_int(*value))),
        Value::Text(text) => text.parse().map(Value::Int).map_err(|error: std::num::ParseIntError| {
            let problem = match error.kind() {
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
                    "value out of range"
                }
                _ => "invalid syntax",
            };
            format!("strconv.ParseInt: parsing {text:?}: {problem}")
        }),
        other => Err(format!("asInt() not supported on {} {other}", other.type_of())),
    }
}

pub(in crate::expr) fn as_float(args: &[Value], _: &Env<'_>) -> Returned {
    match arg(args, 0) {
        Value::Int(value) => Ok(Value::Float(to_float(*value))),
        Value::Float(value) => Ok(Value::Float(*value)),
        Value::Text(text) => {
            text.parse::<GoFloat>().map(|float| Value::Float(float.0)).map_err(|error| error.to_string())
        }
        other => Err(format!("asFloat() not supported on {} {other}", other.type_of())),
    }
}

/// Go accepts only a float here; an integer that is not a literal fails in the call.
fn float_at(args: &[Value]) -> Result<f64, String> {
    match arg(args, 0) {
        Value::Float(value) => Ok(*value),
        other => Err(other.is_not("float64")),
    }
}

pub(in crate::expr) fn is_nan(args: &[Value], _: &Env<'_>) -> Returned {
    Ok(Value::Bool(float_at(args)?.is_nan()))
}

pub(in crate::expr) fn is_inf(args: &[Value], _: &Env<'_>) -> Returned {
    Ok(Value::Bool(float_at(args)?.is_infinite()))
}

/// Checks the whole result and ignores its argument, as Argo does.
pub(in crate::expr) fn is_nil(_: &[Value], env: &Env<'_>) -> Returned {
    Ok(Value::Bool(matches!(env.result, Value::Nil)))
}

/// Returns the whole result unless it is nil, and ignores its first argument, as Argo does.
pub(in crate::expr) fn default(args: &[Value], env: &Env<'_>) -> Returned {
    Ok(if matches!(env.result, Value::Nil) { arg(args, 1).clone() } else { env.result.clone() })
}
