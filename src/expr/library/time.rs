//! Functions of points and spans of time: `now()`, `date()` and `duration()`.

use super::{Env, Returned, text_at};
use crate::expr::{span::Span, value::Value};
use jiff::{
    Zoned, civil,
    fmt::strtime::BrokenDownTime,
    tz::{TimeZone, TimeZoneDatabase},
};

/// The formats that `date()` tries without a layout, in this order.
const LAYOUTS: &[&str] = &[
    "2006-01-02",
    "15:04:05",
    "2006-01-02 15:04:05",
    "2006-01-02T15:04:05Z07:00",
    "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 MST",
];

/// Parts of Go's layouts and their `strftime` equivalents; of two with the same beginning, the longer comes first.
const PARTS: &[(&str, &str)] = &[
    ("2006", "%Y"),
    ("January", "%B"),
    ("Jan", "%b"),
    ("Monday", "%A"),
    ("Mon", "%a"),
    ("01", "%m"),
    ("02", "%d"),
    ("15", "%H"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("PM", "%p"),
    ("Z07:00", "%:z"),
    ("-07:00", "%:z"),
    ("-0700", "%z"),
];

pub(in crate::expr) fn now(_: &[Value], env: &Env<'_>) -> Returned {
    Ok(Value::time(env.now.to_zoned(TimeZone::UTC)))
}

pub(in crate::expr) fn duration(args: &[Value], _: &Env<'_>) -> Returned {
    Span::parse(text_at(args, 0)?).map(Value::Duration)
}

pub(in crate::expr) fn date(args: &[Value], _: &Env<'_>) -> Returned {
    let text = text_at(args, 0)?;
    let zone = if args.len() > 2 { zone(text_at(args, 2)?)? } else { TimeZone::UTC };
    let found = if args.len() > 1 {
        parse(text_at(args, 1)?, text, &zone)
    } else {
        LAYOUTS.iter().find_map(|layout| parse(layout, text, &zone))
    };
    found.map(Value::time).ok_or_else(|| format!("invalid date {text}"))
}

/// Uses the time zones that are compiled in, so that the result does not depend on the machine.
fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZoneDatabase::bundled().get(name).map_err(|_| format!("unknown time zone {name}"))
}

/// Parses `text` with a layout of Go. Parts that the layout does not have default to the start of year 0.
fn parse(layout: &str, text: &str, zone: &TimeZone) -> Option<Zoned> {
    let format = strftime(layout, text);
    let parts = BrokenDownTime::parse(format.as_bytes(), text.as_bytes()).ok()?;
    let of = |part: Option<i8>, default| part.unwrap_or(default);
    let day = civil::Date::new(parts.year().unwrap_or(0), of(parts.month(), 1), of(parts.day(), 1)).ok()?;
    let at = day.at(
        of(parts.hour(), 0),
        of(parts.minute(), 0),
        of(parts.second(), 0),
        parts.subsec_nanosecond().unwrap_or(0),
    );
    // `strftime` accepts one digit where Go's layout requires two.
    let is_strict = text.contains('.') || parts.to_string(&format).is_ok_and(|again| again == text);
    let zone = parts.offset().map_or_else(|| zone.clone(), TimeZone::fixed);
    at.to_zoned(zone).ok().filter(|_| is_strict)
}

/// The layout as a `strftime` format. A zone abbreviation does not determine the offset, so any is accepted, as in Go.
fn strftime(layout: &str, text: &str) -> String {
    let mut format = String::new();
    let mut rest = layout;
    while let Some(next) = rest.chars().next() {
        if let Some(tail) = rest.strip_prefix("MST") {
            format.push_str(text.split_whitespace().last().unwrap_or_default());
            rest = tail;
        } else if let Some((part, meaning)) = PARTS.iter().find(|(part, _)| rest.starts_with(part)) {
            let is_zulu = *part == "Z07:00" && text.ends_with('Z');
            format.push_str(if is_zulu { "Z" } else { meaning });
            if *part == "05" {
                format.push_str("%.f");
            }
            rest = rest.strip_prefix(part).unwrap_or_default();
        } else {
            format.push(next);
            rest = rest.strip_prefix(next).unwrap_or_default();
        }
    }
    format
}
