//! Functions of lists and maps.

use super::{Env, Returned, arg, entries, items, length};
use crate::expr::{
    access::fetch,
    operate::{int as integer, text},
    types::Type,
    value::Value,
};
use std::cmp::Ordering;

pub(in crate::expr) fn len(args: &[Value], _: &Env<'_>) -> Returned {
    Ok(length(match arg(args, 0) {
        Value::Text(text) => text.len(),
        Value::List(list) => list.items.len(),
        Value::Map(map) => map.entries.len(),
        other => return Err(format!("invalid argument for len (type {})", other.type_of())),
    }))
}

pub(in crate::expr) fn first(args: &[Value], _: &Env<'_>) -> Returned {
    Ok(fetch(arg(args, 0), &Value::Int(0)).unwrap_or(Value::Nil))
}

pub(in crate::expr) fn last(args: &[Value], _: &Env<'_>) -> Returned {
    Ok(fetch(arg(args, 0), &Value::Int(-1)).unwrap_or(Value::Nil))
}

pub(in crate::expr) fn get(args: &[Value], _: &Env<'_>) -> Returned {
    Ok(fetch(arg(args, 0), arg(args, 1)).unwrap_or(Value::Nil))
}

pub(in crate::expr) fn take(args: &[Value], _: &Env<'_>) -> Returned {
    let Value::List(list) = arg(args, 0) else {
        return Err(format!("cannot take from {}", arg(args, 0).type_of()));
    };
    let count = usize::try_from(integer(arg(args, 1))?)
        .map_err(|_| "reflect.Value.Slice: slice index out of bounds")?;
    Ok(Value::list_of(list.item.clone(), list.items.iter().take(count).cloned()))
}

pub(in crate::expr) fn keys(args: &[Value], _: &Env<'_>) -> Returned {
    let entries = entries(arg(args, 0), "get keys from")?;
    Ok(Value::list(entries.iter().map(|(key, _)| key.clone())))
}

pub(in crate::expr) fn values(args: &[Value], _: &Env<'_>) -> Returned {
    let entries = entries(arg(args, 0), "get values from")?;
    Ok(Value::list(entries.iter().map(|(_, value)| value.clone())))
}

pub(in crate::expr) fn to_pairs(args: &[Value], _: &Env<'_>) -> Returned {
    let entries = entries(arg(args, 0), "transform to pairs")?;
    let pair = |(key, value): &(Value, Value)| Value::list([key.clone(), value.clone()]);
    Ok(Value::list(entries.iter().map(pair)))
}

pub(in crate::expr) fn from_pairs(args: &[Value], _: &Env<'_>) -> Returned {
    let pairs = items(arg(args, 0), "transform from pairs")?;
    let mut entries: Vec<(Value, Value)> = Vec::new();
    for pair in pairs.iter() {
        let pair = items(pair, "make a pair of")?;
        let [key, value] = &*pair else { return Err("invalid pair length".to_owned()) };
        entries.retain(|(known, _)| !known.is_identical_to(key));
        entries.push((key.clone(), value.clone()));
    }
    let of = Type::Map(Box::new(Type::Any), Box::new(Type::Any));
    Ok(Value::map_of(of, entries))
}

pub(in crate::expr) fn sort(args: &[Value], _: &Env<'_>) -> Returned {
    let items = items(arg(args, 0), "sort")?;
    sorted(items.iter().map(|item| (item.clone(), item.clone())).collect(), args.get(1))
}

pub(in crate::expr) fn sort_by(args: &[Value], _: &Env<'_>) -> Returned {
    let items = items(arg(args, 0), "sort")?;
    let field = arg(args, 1);
    let keyed = items.iter().map(|item| match item {
        Value::Map(map) => (map.get(field).cloned().unwrap_or(Value::Nil), item.clone()),
        _ => (item.clone(), item.clone()),
    });
    sorted(keyed.collect(), args.get(2))
}

/// The items sorted by their keys, which must all have the same ordered type.
fn sorted(mut keyed: Vec<(Value, Value)>, direction: Option<&Value>) -> Returned {
    let is_descending = match direction.map(text).transpose()? {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(other) => {
            return Err(format!("invalid argument for sort (expected \"asc\" or \"desc\", got {other:?})"));
        }
    };
    for ((a, _), (b, _)) in keyed.iter().zip(keyed.iter().skip(1)) {
        if a.type_of() != b.type_of() {
            return Err(format!(
                "cannot sort array of different types ({} and {})",
                b.type_of(),
                a.type_of()
            ));
        }
    }
    let has_order = |key: &Value| {
        matches!(key, Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Time(_) | Value::Duration(_))
    };
    if let [(key, _), _, ..] = keyed.as_slice()
        && !has_order(key)
    {
        return Err(format!("sort: unsupported type {}", key.type_of()));
    }
    keyed.sort_by(|(a, _), (b, _)| {
        let ordering = match (a, b) {
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Time(a), Value::Time(b)) => a.cmp(b),
            (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
            _ => Ordering::Equal,
        };
        if is_descending { ordering.reverse() } else { ordering }
    });
    Ok(Value::list(keyed.into_iter().map(|(_, item)| item)))
}
