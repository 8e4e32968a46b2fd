//! The methods of Go's `time.Time` and `time.Duration` that return a number, a string, a time or a duration.
//!
//! Methods that return a type of their own (`Month`, `Weekday`, `Location`) are not supported: in Go such a value
//! never equals a number, so `date(x).Month() == 2` is never true. Here it is an error that names the method.

use super::{
    span::Span,
    types::Type,
    value::{Value, print_time},
};
use jiff::Zoned;

/// A method of the values of one type.
struct Method {
    of: Type,
    name: &'static str,
    /// Its parameter, at most one.
    takes: Option<Type>,
    returns: Type,
    /// `None` when the argument has the wrong type.
    call: fn(&Value, &Value) -> Option<Value>,
}

/// A method of times.
const fn of_time(
    name: &'static str,
    takes: Option<Type>,
    returns: Type,
    call: fn(&Value, &Value) -> Option<Value>,
) -> Method {
    Method { of: Type::Time, name, takes, returns, call }
}

/// A method of durations.
const fn of_span(name: &'static str, returns: Type, call: fn(&Value, &Value) -> Option<Value>) -> Method {
    Method { of: Type::Duration, name, takes: None, returns, call }
}

static METHODS: &[Method] = &[
    of_time("Year", None, Type::Int, |of, _| number(of, |at| at.year().into())),
    of_time("Day", None, Type::Int, |of, _| number(of, |at| at.day().into())),
    of_time("YearDay", None, Type::Int, |of, _| number(of, |at| at.day_of_year().into())),
    of_time("Hour", None, Type::Int, |of, _| number(of, |at| at.hour().into())),
    of_time("Minute", None, Type::Int, |of, _| number(of, |at| at.minute().into())),
    of_time("Second", None, Type::Int, |of, _| number(of, |at| at.second().into())),
    of_time("Nanosecond", None, Type::Int, |of, _| number(of, |at| at.subsec_nanosecond().into())),
    of_time("Unix", None, Type::Int, |of, _| number(of, |at| at.timestamp().as_second())),
    of_time("UnixMilli", None, Type::Int, |of, _| number(of, |at| at.timestamp().as_millisecond())),
    of_time("UTC", None, Type::Time, |of, _| {
        Some(Value::time(time(of)?.with_time_zone(jiff::tz::TimeZone::UTC)))
    }),
    of_time("String", None, Type::Text, |of, _| Some(Value::text(print_time(time(of)?)))),
    of_time("Before", Some(Type::Time), Type::Bool, |of, other| Some(Value::Bool(time(of)? < time(other)?))),
    of_time("After", Some(Type::Time), Type::Bool, |of, other| Some(Value::Bool(time(of)? > time(other)?))),
    of_time("Equal", Some(Type::Time), Type::Bool, |of, other| Some(Value::Bool(time(of)? == time(other)?))),
    of_time("Sub", Some(Type::Time), Type::Duration, |of, other| {
        Some(Value::Duration(Span::between(time(other)?, time(of)?)))
    }),
    of_time("Add", Some(Type::Duration), Type::Time, |of, other| {
        span(other)?.after(time(of)?).map(Value::time)
    }),
    of_span("Hours", Type::Float, |of, _| Some(Value::Float(span(of)?.in_units(3_600_000_000_000)))),
    of_span("Minutes", Type::Float, |of, _| Some(Value::Float(span(of)?.in_units(60_000_000_000)))),
    of_span("Seconds", Type::Float, |of, _| Some(Value::Float(span(of)?.in_units(1_000_000_000)))),
    of_span("Milliseconds", Type::Int, |of, _| Some(Value::Int(span(of)?.0 / 1_000_000))),
    of_span("Microseconds", Type::Int, |of, _| Some(Value::Int(span(of)?.0 / 1_000))),
    of_span("Nanoseconds", Type::Int, |of, _| Some(Value::Int(span(of)?.0))),
    of_span("Abs", Type::Duration, |of, _| Some(Value::Duration(Span(span(of)?.0.saturating_abs())))),
    of_span("String", Type::Text, |of, _| Some(Value::text(span(of)?.to_string()))),
];

fn time(value: &Value) -> Option<&Zoned> {
    match value {
        Value::Time(at) => Some(at),
        _ => None,
    }
}

fn span(value: &Value) -> Option<Span> {
    match value {
        Value::Duration(span) => Some(*span),
        _ => None,
    }
}

fn number(of: &Value, part: fn(&Zoned) -> i64) -> Option<Value> {
    time(of).map(part).map(Value::Int)
}

/// Whether values of the type have methods.
pub(super) fn has_methods(of: &Type) -> bool {
    matches!(of, Type::Time | Type::Duration)
}

fn find(of: &Type, name: &str) -> Result<&'static Method, String> {
    let found = METHODS.iter().find(|method| method.of == *of && method.name == name);
    found.ok_or_else(|| match of {
        Type::Duration => format!("type {of}[string] is undefined"),
        _ => format!("type {of} has no method {name}"),
    })
}

/// Checks a call. Returns the type of its value.
pub(super) fn check(of: &Type, name: &str, args: &[Type]) -> Result<Type, String> {
    let method = find(of, name)?;
    match (&method.takes, args) {
        (None, []) => {}
        (Some(_), []) => return Err(format!("not enough arguments to call {name}")),
        (Some(takes), [arg]) if *arg == Type::Any || arg == takes => {}
        (Some(takes), [arg]) => {
            return Err(format!("cannot use {arg} as argument (type {takes}) to call {name} "));
        }
        _ => return Err(format!("too many arguments to call {name}")),
    }
    Ok(method.returns.clone())
}

/// Calls the method of a value that has methods.
pub(super) fn call(of: &Value, name: &str, args: &[Value]) -> Result<Value, String> {
    let method = find(&of.type_of(), name)?;
    let arg = args.first().unwrap_or(&Value::Nil);
    (method.call)(of, arg).ok_or_else(|| match &method.takes {
        Some(takes) => arg.is_not(&takes.to_string()),
        None => format!("{name}() is out of range"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_returns_its_declared_type() {
        let at: Zoned = "2024-02-29T13:14:15.016+00:00[UTC]".parse().unwrap();
        for method in METHODS {
            let of = match method.of {
                Type::Time => Value::time(at.clone()),
                _ => Value::Duration(Span(1_500_000_000)),
            };
            let arg = match method.takes {
                Some(Type::Time) => vec![Value::time(at.clone())],
                Some(_) => vec![Value::Duration(Span(1))],
                None => Vec::new(),
            };
            let answer = call(&of, method.name, &arg).unwrap();
            assert_eq!(answer.type_of(), method.returns, "{}", method.name);
        }
    }
}
