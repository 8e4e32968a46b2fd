//! JSON as Go's `encoding/json` writes it, because Argo shows measured values in this form.

use super::float;
use serde_json::Value;
use std::fmt::Write;

/// `json.Marshal` of a value that was read from JSON: every number is a float, keys are sorted, and characters with
/// a meaning in HTML are escaped.
#[must_use]
pub fn marshal(value: &Value) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, value);
    text
}

/// Go's `%v` of a value that was read from JSON: `map[a:1 b:[x <nil>]]`.
#[must_use]
pub fn print(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => float::print(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(print).collect::<Vec<_>>().join(" ")),
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries: Vec<_> =
                entries.into_iter().map(|(key, value)| format!("{key}:{}", print(value))).collect();
            format!("map[{}]", entries.join(" "))
        }
    }
}

fn write(out: &mut String, value: &Value) -> std::fmt::Result {
    match value {
        Value::Null => out.write_str("null"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Number(number) => write_number(out, number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => write_text(out, text),
        Value::Array(items) => write_all(out, ['[', ']'], items.iter(), write),
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            write_all(out, ['{', '}'], entries.into_iter(), |out, (key, value)| {
                write_text(out, key)?;
                out.write_char(':')?;
                write(out, value)
            })
        }
    }
}

fn write_all<T>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl Iterator<Item = T>,
    one: impl Fn(&mut String, T) -> std::fmt::Result,
) -> std::fmt::Result {
    out.write_char(open)?;
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.write_char(',')?;
        }
        one(out, item)?;
    }
    out.write_char(close)
}

/// Plain digits from 1e-6 up to 1e21; otherwise an exponent with its sign.
fn write_number(out: &mut String, number: f64) -> std::fmt::Result {
    let magnitude = number.abs();
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        return write!(out, "{number}");
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.strip_prefix('-') {
        Some(exponent) => write!(out, "{digits}e-{exponent}"),
        None => write!(out, "{digits}e+{exponent}"),
    }
}

fn write_text(out: &mut String, text: &str) -> std::fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(out, "\\{c}")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\u{8}' => out.write_str("\\b")?,
            '\u{c}' => out.write_str("\\f")?,
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => write!(out, "\\u{:04x}", u32::from(c))?,
            c if u32::from(c) < 0x20 => write!(out, "\\u{:04x}", u32::from(c))?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn writes_as_go_does() {
        for (value, text) in [
            (json!({"b": 1, "a": [true, null, -0.5]}), r#"{"a":[true,null,-0.5],"b":1}"#),
            (json!("<b>&\"\n\u{1}"), "\"\\u003cb\\u003e\\u0026\\\"\\n\\u0001\""),
            (json!(12_345_678_901_234_567_890_u64), "12345678901234567000"),
            (json!([1e21, 1e-7, 1e20, 0.000_001]), "[1e+21,1e-7,100000000000000000000,0.000001]"),
        ] {
            assert_eq!(marshal(&value), text);
        }
    }

    #[test]
    fn prints_as_go_does() {
        let value = json!({"b": [1, "x", null, 1e6], "a": {}, "a-": false});
        assert_eq!(print(&value), "map[a:map[] a-:false b:[1 x <nil> 1e+06]]");
    }
}
