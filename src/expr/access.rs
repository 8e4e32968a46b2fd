//! Parts of values: members, items and slices.

use super::{operate::int, types::Type, value::Value};

/// Go's message for an index beyond the end of a list.
pub(super) const OUT_OF_RANGE: &str = "reflect: slice index out of range";

/// `of[key]` or `of.key`.
pub(super) fn fetch(of: &Value, key: &Value) -> Result<Value, String> {
    match of {
        Value::Map(map) => match (map.of(), key) {
            (Type::Map(keys, _), Value::Int(_) | Value::Float(_) | Value::Bool(_)) if keys.is_text() => {
                Err(format!(
                    "reflect.Value.MapIndex: value of type {} is not assignable to type string",
                    key.type_of()
                ))
            }
            _ => Ok(map.get(key).cloned().unwrap_or(Value::Nil)),
        },
        Value::List(list) => {
            let item = position(int(key)?, list.items.len()).and_then(|index| list.items.get(index));
            item.cloned().ok_or_else(|| OUT_OF_RANGE.to_owned())
        }
        Value::Text(text) => {
            let byte = position(int(key)?, text.len()).and_then(|index| text.as_bytes().get(index));
            byte.map(|byte| Value::Int((*byte).into()))
                .ok_or_else(|| "reflect: string index out of range".to_owned())
        }
        other => Err(format!("cannot fetch {key} from {}", other.type_of())),
    }
}

/// An index; a negative one counts from the end.
fn position(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { length.checked_add(index)? } else { index }).ok()
}

/// `of[from:to]`; a bound beyond the end is the end.
pub(super) fn slice(of: &Value, from: Option<&Value>, to: Option<&Value>) -> Result<Value, String> {
    let length = match of {
        Value::List(list) => list.items.len(),
        Value::Text(text) => text.len(),
        other => return Err(format!("cannot slice {}", other.type_of())),
    };
    let bound = |given: Option<&Value>, default: usize| -> Result<usize, String> {
        let Some(given) = given else { return Ok(default) };
        Ok(position(int(given)?, length).unwrap_or(0).min(length))
    };
    let to = bound(to, length)?;
    let from = bound(from, 0)?.min(to);
    Ok(match of {
        Value::List(list) => {
            let items = list.items.get(from..to).unwrap_or_default();
            Value::list_of(list.item.clone(), items.iter().cloned())
        }
        Value::Text(text) => {
            Value::text(String::from_utf8_lossy(text.as_bytes().get(from..to).unwrap_or_default()))
        }
        _ => Value::Nil,
    })
}
