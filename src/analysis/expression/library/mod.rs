//! What the functions do.

// All have the signature of the table in `functions`, also those that cannot fail.
#![allow(clippy::unnecessary_wraps)]

pub(super) mod argo;
pub(super) mod list;
pub(super) mod number;
pub(super) mod text;

use super::{operate, value::Value};
use std::rc::Rc;

type Returned = Result<Value, String>;

/// Longest text that a function may make, in bytes.
const MAX_TEXT: usize = 1_000_000;

/// Arguments beyond those given are nil.
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
