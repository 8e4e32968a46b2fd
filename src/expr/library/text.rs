//! Functions of strings, and conversions to and from strings.

use super::{Env, MAX_TEXT, Returned, arg, items, length, text_at};
use crate::{
    expr::{
        operate::{int as integer, text},
        types::Type,
        value::Value,
    },
    gocompat::float::{GoFloat, to_float, to_int},
};
use base64::{Engine, prelude::BASE64_STANDARD};

pub(in crate::expr) fn type_name(args: &[Value], _: &Env<'_>) -> Returned {
    Ok(Value::text(match arg(args, 0) {
        Value::Nil => "nil",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::Text(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "map",
        Value::Time(_) => "time.Time",
        Value::Duration(_) => "time.Duration",
    }))
}

pub(in crate::expr) fn string(args: &[Value], _: &Env<'_>) -> Returned {
    Ok(Value::text(arg(args, 0).to_string()))
}

pub(in crate::expr) fn trim(args: &[Value], _: &Env<'_>) -> Returned {
    let whole = text_at(args, 0)?;
    if args.len() < 2 {
        return Ok(Value::text(whole.trim()));
    }
    let cut = text_at(args, 1)?;
    Ok(Value::text(whole.trim_matches(|c| cut.contains(c))))
}

/// The prefix or suffix to remove; a space by default.
fn affix(args: &[Value]) -> Result<&str, String> {
    if args.len() < 2 { Ok(" ") } else { text_at(args, 1) }
}

pub(in crate::expr) fn trim_prefix(args: &[Value], _: &Env<'_>) -> Returned {
    let whole = text_at(args, 0)?;
    Ok(Value::text(whole.strip_prefix(affix(args)?).unwrap_or(whole)))
}

pub(in crate::expr) fn trim_suffix(args: &[Value], _: &Env<'_>) -> Returned {
    let whole = text_at(args, 0)?;
    Ok(Value::text(whole.strip_suffix(affix(args)?).unwrap_or(whole)))
}

pub(in crate::expr) fn upper(args: &[Value], _: &Env<'_>) -> Returned {
    Ok(Value::text(text_at(args, 0)?.to_uppercase()))
}

pub(in crate::expr) fn lower(args: &[Value], _: &Env<'_>) -> Returned {
    Ok(Value::text(text_at(args, 0)?.to_lowercase()))
}

/// The maximum number of parts, if one is given and not negative.
fn most(args: &[Value], index: usize) -> Result<Option<usize>, String> {
    match args.get(index) {
        None => Ok(None),
        Some(given) => Ok(usize::try_from(integer(given)?).ok()),
    }
}

fn texts<'a>(parts: impl Iterator<Item = &'a str>) -> Value {
    Value::list_of(Type::Text, parts.map(Value::text))
}

pub(in crate::expr) fn split(args: &[Value], _: &Env<'_>) -> Returned {
    let (whole, separator) = (text_at(args, 0)?, text_at(args, 1)?);
    Ok(match most(args, 2)? {
        None if separator.is_empty() => texts(whole.split_terminator("").skip(1)),
        None => texts(whole.split(separator)),
        Some(most) => texts(whole.splitn(most, separator)),
    })
}

pub(in crate::expr) fn split_after(args: &[Value], _: &Env<'_>) -> Returned {
    let (whole, separator) = (text_at(args, 0)?, text_at(args, 1)?);
    let most = most(args, 2)?.unwrap_or(usize::MAX);
    let mut ends: Vec<_> = whole.match_indices(separator).map(|(at, found)| at + found.len()).collect();
    ends.truncate(most.saturating_sub(1));
    ends.push(whole.len());
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let parts = starts.zip(&ends).filter_map(|(from, to)| whole.get(from..*to));
    Ok(texts(parts.take(most)))
}

pub(in crate::expr) fn replace(args: &[Value], _: &Env<'_>) -> Returned {
    let (whole, from, to) = (text_at(args, 0)?, text_at(args, 1)?, text_at(args, 2)?);
    if whole.len().saturating_add(1).saturating_mul(to.len()) > MAX_TEXT {
        return Err("memory budget exceeded".to_owned());
    }
    Ok(Value::text(match most(args, 3)? {
        None => whole.replace(from, to),
        Some(most) => whole.replacen(from, to, most),
    }))
}

pub(in crate::expr) fn repeat(args: &[Value], _: &Env<'_>) -> Returned {
    let part = text_at(args, 0)?;
    let times = usize::try_from(integer(arg(args, 1))?).map_err(|_| "strings: negative Repeat count")?;
    if part.len().saturating_mul(times) > MAX_TEXT {
        return Err("memory budget exceeded".to_owned());
    }
    Ok(Value::text(part.repeat(times)))
}

pub(in crate::expr) fn join(args: &[Value], _: &Env<'_>) -> Returned {
    let glue = if args.len() < 2 { "" } else { text_at(args, 1)? };
    let parts = items(arg(args, 0), "join")?;
    let parts: Vec<_> = parts.iter().map(text).collect::<Result<_, _>>()?;
    Ok(Value::text(parts.join(glue)))
}

fn position(found: Option<usize>) -> Value {
    found.map_or(Value::Int(-1), length)
}

pub(in crate::expr) fn index_of(args: &[Value], _: &Env<'_>) -> Returned {
    Ok(position(text_at(args, 0)?.find(text_at(args, 1)?)))
}

pub(in crate::expr) fn last_index_of(args: &[Value], _: &Env<'_>) -> Returned {
    Ok(position(text_at(args, 0)?.rfind(text_at(args, 1)?)))
}

pub(in crate::expr) fn has_prefix(args: &[Value], _: &Env<'_>) -> Returned {
    Ok(Value::Bool(text_at(args, 0)?.starts_with(text_at(args, 1)?)))
}

pub(in crate::expr) fn has_suffix(args: &[Value], _: &Env<'_>) -> Returned {
    Ok(Value::Bool(text_at(args, 0)?.ends_with(text_at(args, 1)?)))
}

pub(in crate::expr) fn to_json(args: &[Value], _: &Env<'_>) -> Returned {
    let json = json(arg(args, 0))?;
    serde_json::to_string_pretty(&json).map(Value::text).map_err(|error| error.to_string())
}

fn json(value: &Value) -> Result<serde_json::Value, String> {
    Ok(match value {
        Value::Nil => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Float(value) if !value.is_finite() => {
            return Err(format!("json: unsupported value: {}", GoFloat(*value)));
        }
        // Go writes whole floats without a decimal point.
        #[allow(clippy::float_cmp)]
        Value::Float(value) if to_float(to_int(*value)) == *value => to_int(*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Text(text) => (**text).into(),
        Value::Time(at) => at.strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string().replace("+00:00", "Z").into(),
        Value::Duration(span) => span.0.into(),
        Value::List(list) => list.items.iter().map(json).collect::<Result<_, _>>()?,
        Value::Map(map) => {
            let entry = |(key, value): &(Value, Value)| Ok::<_, String>((key.to_string(), json(value)?));
            map.entries.iter().map(entry).collect::<Result<_, _>>()?
        }
    })
}

pub(in crate::expr) fn from_json(args: &[Value], _: &Env<'_>) -> Returned {
    let json: serde_json::Value =
        serde_json::from_str(text_at(args, 0)?).map_err(|error| error.to_string())?;
    Ok(Value::from_json(&json))
}

pub(in crate::expr) fn to_base64(args: &[Value], _: &Env<'_>) -> Returned {
    Ok(Value::text(BASE64_STANDARD.encode(text_at(args, 0)?)))
}

pub(in crate::expr) fn from_base64(args: &[Value], _: &Env<'_>) -> Returned {
    let bytes = BASE64_STANDARD.decode(text_at(args, 0)?).map_err(|error| error.to_string())?;
    Ok(Value::text(String::from_utf8_lossy(&bytes)))
}
