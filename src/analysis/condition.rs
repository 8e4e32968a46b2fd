//! Conditions: `successCondition` and `failureCondition` of a metric.

use crate::{
    domain::value::{MetricValue, ResultType},
    expr::{self, Program, Type, Value},
};
use jiff::Timestamp;

/// Checks the syntax, the names and, as far as they are known, the types of a condition.
///
/// # Errors
/// What is wrong, with Argo's error text.
pub fn check(text: &str) -> Result<(), String> {
    compile(text, &Type::Any).map(|_| ())
}

fn compile(text: &str, result: &Type) -> Result<Program, String> {
    let program = expr::compile(text, result)?;
    match &program.returns {
        Type::Bool | Type::Any => Ok(program),
        other => Err(format!("expected bool, but got {other}")),
    }
}

/// Checks a condition for results of this type: one that does not fit fails for every measurement.
///
/// # Errors
/// What is wrong, and what to write instead.
pub fn check_for(text: &str, result: &ResultType) -> Result<(), String> {
    let known = match result {
        ResultType::Any | ResultType::Verdict => return check(text),
        ResultType::Number => Type::Float,
        ResultType::Numbers => Type::List(Box::new(Type::Float)),
        ResultType::Named(_) => Type::object(),
    };
    let problem = match (compile(text, &known), result) {
        (Err(problem), _) => problem,
        (Ok(program), ResultType::Named(names)) => {
            let Some(unknown) = program.asked.iter().find(|name| !names.contains(name)) else {
                return Ok(());
            };
            format!("no query has the name {unknown}")
        }
        (Ok(_), _) => return Ok(()),
    };
    let written = |text: String| match compile(&text, &known) {
        Ok(_) => format!("; write {text}"),
        Err(_) => String::new(),
    };
    Err(match result {
        ResultType::Number => format!("{problem}: the query returns one number{}", written(unindexed(text))),
        ResultType::Numbers => {
            format!("{problem}: the query returns a list of numbers{}", written(indexed(text)))
        }
        ResultType::Named(names) => {
            let names: Vec<String> = names.iter().map(|name| format!("result.{name}")).collect();
            format!("{problem}: the queries return {}", names.join(", "))
        }
        ResultType::Any | ResultType::Verdict => problem,
    })
}

/// The condition with `result[0]` in place of every `result` that is neither indexed nor the argument of a function.
fn indexed(text: &str) -> String {
    of_result(text, |before, after| {
        let is_argument = before.ends_with('(') && after.trim_start().starts_with([')', ',']);
        let is_accessed = after.trim_start().starts_with(['[', '.', '?']);
        (if is_argument || is_accessed { "" } else { "[0]" }, after)
    })
}

/// The condition with `result` in place of every `result[…]`.
fn unindexed(text: &str) -> String {
    of_result(text, |_, after| {
        let index = after.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        ("", index.map_or(after, |(_, rest)| rest))
    })
}

/// `text` with something else after each `result`: `then` gets the text before and after it, and returns what to
/// insert and the rest of the text.
fn of_result<'a>(text: &'a str, then: impl Fn(&str, &'a str) -> (&'static str, &'a str)) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut written = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("result") {
        written.push_str(before);
        let is_name = !written.ends_with(is_word) && !after.starts_with(is_word);
        let (more, left) = if is_name { then(written.trim_end(), after) } else { ("", after) };
        written.push_str("result");
        written.push_str(more);
        rest = left;
    }
    written + rest
}

/// A measured value as a value of the expression language.
fn result(measured: &MetricValue) -> Value {
    match measured {
        MetricValue::Nil => Value::Nil,
        MetricValue::Bool(value) => Value::Bool(*value),
        MetricValue::Int(value) => Value::Int(*value),
        MetricValue::Float(value) => Value::Float(*value),
        MetricValue::Text(text) => Value::text(text.as_str()),
        MetricValue::Vector(samples) => {
            Value::list_of(Type::Float, samples.iter().copied().map(Value::Float))
        }
        MetricValue::List(items) => Value::list(items.iter().map(result)),
        MetricValue::Map(entries) => {
            Value::object(entries.iter().map(|(key, value)| (Value::text(key.as_str()), result(value))))
        }
    }
}

/// Whether the condition is true for a value measured at `now`.
///
/// # Errors
/// Why it cannot be evaluated, with Argo's error text.
pub fn eval(text: &str, value: &MetricValue, now: Timestamp) -> Result<bool, String> {
    let result = result(value);
    match expr::compile(text, &result.type_of())?.run(&result, now)? {
        Value::Bool(holds) => Ok(holds),
        other => Err(format!("expected bool, but got {}", other.type_of())),
    }
}

/// The value of a time expression such as `now() - duration("5m")` at `now`.
///
/// # Errors
/// Why it is not a time, with Argo's error text.
pub fn time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    match expr::compile(text, &Type::Nil)?.run(&Value::Nil, now)? {
        Value::Time(at) => Ok(at.timestamp()),
        other => Err(format!("expected time.Time, but got {}", other.type_of())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_fits_what_the_query_answers() {
        let names = ResultType::Named(vec!["canary".into(), "stable".into()]);
        for (text, result, problem) in [
            (
                "result >= 0.95",
                &ResultType::Numbers,
                "invalid operation: >= (mismatched types []float64 and float64): the query returns a list of numbers; write result[0] >= 0.95",
            ),
            (
                "len(result) == 0 || result >= 0.95 and result < 2",
                &ResultType::Numbers,
                "invalid operation: >= (mismatched types []float64 and float64): the query returns a list of numbers; write len(result) == 0 || result[0] >= 0.95 and result[0] < 2",
            ),
            (
                "result.canary > 1",
                &ResultType::Numbers,
                "array elements can only be selected using an integer (got string): the query returns a list of numbers",
            ),
            (
                "result[0] >= 1",
                &ResultType::Number,
                "type float64[int] is undefined: the query returns one number; write result >= 1",
            ),
            (
                "len(result) == 0 || result[0] >= 1",
                &ResultType::Number,
                "invalid argument for len (type float64): the query returns one number",
            ),
            (
                "result.canry <= result.stable",
                &names,
                "no query has the name canry: the queries return result.canary, result.stable",
            ),
            (
                "result > 1",
                &names,
                "invalid operation: > (mismatched types map[string]interface {} and int): the queries return result.canary, result.stable",
            ),
            ("result >", &ResultType::Any, "unexpected token EOF"),
        ] {
            assert_eq!(check_for(text, result).unwrap_err(), problem, "{text}");
        }
        for (text, result) in [
            ("result[0] >= 0.95", &ResultType::Numbers),
            ("len(result) == 0 or isNaN(result[0]) or all(result, # < 1)", &ResultType::Numbers),
            ("result >= 0.95 && !isNaN(result)", &ResultType::Number),
            ("result.canary == nil or asFloat(result[\"canary\"]) <= result.stable * 1.2", &names),
            ("result.anything[3] == \"x\"", &ResultType::Any),
        ] {
            assert_eq!(check_for(text, result), Ok(()), "{text}");
        }
    }

    #[test]
    fn let_names_a_part_of_a_condition() {
        let now = Timestamp::UNIX_EPOCH;
        let low_traffic = "let requests = sum(result) in len(result) == 0 or requests * 120 > 100";
        check(low_traffic).unwrap();
        for (samples, holds) in [(vec![], true), (vec![0.5, 0.5], true), (vec![0.1], false)] {
            let said = eval(low_traffic, &MetricValue::Vector(samples.clone()), now);
            assert_eq!(said, Ok(holds), "{samples:?}");
        }
        let nested = "let a = result[0] in let b = a * 2 in b > 1 and a < 1";
        assert_eq!(eval(nested, &MetricValue::Vector(vec![0.6]), now), Ok(true));
        // With a semicolon as in expr, and `in` as an operator.
        assert_eq!(eval("let a = 2; a in [1, 2]", &MetricValue::Nil, now), Ok(true));
        assert_eq!(eval("let a = (2 in [1, 2]) in a", &MetricValue::Nil, now), Ok(true));
    }
}
