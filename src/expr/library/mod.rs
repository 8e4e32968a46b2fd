//! The implementations of the functions.

// All have the signature that the table in `functions` requires, even those that cannot fail.
#![allow(clippy::unnecessary_wraps)]

pub(super) mod argo;
pub(super) mod list;
pub(super) mod number;
pub(super) mod text;
pub(super) mod time;

use super::{operate, value::Value};
use jiff::Timestamp;
use std::rc::Rc;

type Returned = Result<Value, String>;

/// What functions can use in addition to their arguments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Env<'a> {
    /// The value that is judged.
    pub result: &'a Value,
    /// The time of the evaluation.
    pub now: Timestamp,
}

/// Longest text that a function may make, in bytes.
const MAX_TEXT: usize = 1_000_000;

/// Missing arguments are nil.
fn arg(args: &[Value], index: usize) -> &Value {
    args.get(index).unwrap_or(&Value::Nil)
}

fn text_at(args: &[Value], index: usize) -> Result<&str, String> {
    operate::text(arg(args, index))
}

fn items(value: &Value, what: &str) -> Result<Rc<[Value]>, String> {
    match value {
        Value::List(list) => Ok(list.items.clone()),
        other => Err(format!("cannot {what} {}", other.type_of())),
    }
}

fn entries(value: &Value, what: &str) -> Result<Rc<[(Value, Value)]>, String> {
    match value {
        Value::Map(map) => Ok(map.entries.clone()),
        other => Err(format!("cannot {what} {}", other.type_of())),
    }
}

fn length(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}
