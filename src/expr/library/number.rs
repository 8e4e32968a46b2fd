//! Functions of numbers.

use super::{Env, Returned, arg, items};
use crate::{
    expr::{
        operate::{compare, float as number, int as integer},
        operators::Binary,
        value::Value,
    },
    gocompat::float::{GoFloat, to_float},
};

pub(in crate::expr) fn abs(args: &[Value], _: &Env<'_>) -> Returned {
    match arg(args, 0) {
        Value::Int(value) => Ok(Value::Int(value.wrapping_abs())),
        Value::Float(value) => Ok(Value::Float(value.abs())),
        other => Err(format!("invalid argument for abs (type {})", other.type_of())),
    }
}

fn rounded(args: &[Value], name: &str, round: fn(f64) -> f64) -> Returned {
    match arg(args, 0) {
        Value::Int(value) => Ok(Value::Float(to_float(*value))),
        Value::Float(value) => Ok(Value::Float(round(*value))),
        other => Err(format!("invalid argument for {name} (type {})", other.type_of())),
    }
}

pub(in crate::expr) fn ceil(args: &[Value], _: &Env<'_>) -> Returned {
    rounded(args, "ceil", f64::ceil)
}

pub(in crate::expr) fn floor(args: &[Value], _: &Env<'_>) -> Returned {
    rounded(args, "floor", f64::floor)
}

pub(in crate::expr) fn round(args: &[Value], _: &Env<'_>) -> Returned {
    rounded(args, "round", f64::round)
}

pub(in crate::expr) fn int(args: &[Value], _: &Env<'_>) -> Returned {
    match arg(args, 0) {
        Value::Text(text) => {
            text.parse().map(Value::Int).map_err(|_| format!("invalid operation: int({text})"))
        }
        other => integer(other).map(Value::Int),
    }
}

pub(in crate::expr) fn float(args: &[Value], _: &Env<'_>) -> Returned {
    match arg(args, 0) {
        Value::Text(text) => {
            let float = text.parse::<GoFloat>().map_err(|_| format!("invalid operation: float({text})"))?;
            Ok(Value::Float(float.0))
        }
        other => number(other).map(Value::Float),
    }
}

/// The largest or smallest argument.
fn extreme(args: &[Value], beaten: Binary, sign: char) -> Returned {
    let mut best = arg(args, 0);
    for next in args.iter().skip(1) {
        let is_beaten = compare(beaten, best, next);
        let types = || format!("invalid operation: {} {sign} {}", best.type_of(), next.type_of());
        if is_beaten.ok_or_else(types)? {
            best = next;
        }
    }
    Ok(best.clone())
}

pub(in crate::expr) fn max(args: &[Value], _: &Env<'_>) -> Returned {
    extreme(args, Binary::Less, '<')
}

pub(in crate::expr) fn min(args: &[Value], _: &Env<'_>) -> Returned {
    extreme(args, Binary::More, '>')
}

/// The numbers of a list as floats.
fn numbers(value: &Value, what: &str) -> Result<Vec<f64>, String> {
    items(value, what)?
        .iter()
        .map(|item| match item {
            // A duration counts as its nanoseconds.
            Value::Duration(span) => Ok(to_float(span.0)),
            item => number(item).map_err(|_| format!("cannot {what} {}", item.type_of())),
        })
        .collect()
}

pub(in crate::expr) fn sum(args: &[Value], _: &Env<'_>) -> Returned {
    let parts = items(arg(args, 0), "sum")?;
    let integers: Option<Vec<i64>> = parts
        .iter()
        .map(|item| match item {
            Value::Int(value) => Some(*value),
            Value::Duration(span) => Some(span.0),
            _ => None,
        })
        .collect();
    Ok(match integers {
        Some(integers) => Value::Int(integers.into_iter().fold(0, i64::wrapping_add)),
        None => Value::Float(numbers(arg(args, 0), "sum")?.iter().sum()),
    })
}

pub(in crate::expr) fn mean(args: &[Value], _: &Env<'_>) -> Returned {
    let numbers = numbers(arg(args, 0), "mean")?;
    let count = to_float(i64::try_from(numbers.len()).unwrap_or(i64::MAX));
    Ok(Value::Float(if numbers.is_empty() { 0.0 } else { numbers.iter().sum::<f64>() / count }))
}

pub(in crate::expr) fn median(args: &[Value], _: &Env<'_>) -> Returned {
    let mut numbers = numbers(arg(args, 0), "median")?;
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let at = |index: usize| numbers.get(index).copied().unwrap_or_default();
    let is_odd = numbers.len() % 2 == 1;
    Ok(Value::Float(if is_odd || numbers.is_empty() {
        at(middle)
    } else {
        f64::midpoint(at(middle - 1), at(middle))
    }))
}
