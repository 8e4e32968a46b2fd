//! Points and spans of time: `now()`, `date()`, `duration()` and how Go writes them.

use super::{Env, Returned, text_at};
use crate::expr::{operate, value::Value};
use jiff::{
    SignedDuration, Zoned, civil,
    fmt::strtime::BrokenDownTime,
    tz::{TimeZone, TimeZoneDatabase},
};
use std::{fmt, rc::Rc};

/// A span of time as Go counts it: nanoseconds in 64 bits, of either sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub i64);

/// Go's units of a duration from the largest, in nanoseconds.
const UNITS: &[(&str, i64)] = &[
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ns", 1),
];

/// The forms of a date that need no layout, in the order in which they are tried.
const LAYOUTS: &[&str] = &[
    "2006-01-02",
    "15:04:05",
    "2006-01-02 15:04:05",
    "2006-01-02T15:04:05Z07:00",
    "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 MST",
];

/// Go's parts of a layout and what `strftime` calls them; of two with the same beginning the longer first.
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
    Ok(Value::Time(Rc::new(env.now.to_zoned(TimeZone::UTC))))
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
    found.map(|at| Value::Time(Rc::new(at))).ok_or_else(|| format!("invalid date {text}"))
}

/// From the time zones that are compiled in, so that the answer does not depend on the machine.
fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZoneDatabase::bundled().get(name).map_err(|_| format!("unknown time zone {name}"))
}

/// `text` read by a layout of Go's; what the layout does not have is that of the year 0.
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
    // `strftime` takes one digit where Go's layout has two.
    let is_strict = text.contains('.') || parts.to_string(&format).is_ok_and(|again| again == text);
    let zone = parts.offset().map_or_else(|| zone.clone(), TimeZone::fixed);
    at.to_zoned(zone).ok().filter(|_| is_strict)
}

/// The layout in the words of `strftime`. A zone's abbreviation says nothing about its offset, so, as in
/// Go, any will do.
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

/// Go's `%v` of a time.
pub(in crate::expr) fn written(at: &Zoned) -> String {
    let name = match at.offset().seconds() {
        0 => "UTC".to_owned(),
        _ if at.time_zone().iana_name().is_some() => at.strftime("%Z").to_string(),
        _ => at.strftime("%z").to_string(),
    };
    at.strftime("%Y-%m-%d %H:%M:%S%.f %z ").to_string() + &name
}

impl Span {
    /// Go's `time.ParseDuration`.
    fn parse(text: &str) -> Result<Self, String> {
        let invalid = || format!("time: invalid duration {text:?}");
        let (is_negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if unsigned == "0" {
            return Ok(Self(0));
        }
        let mut rest = unsigned;
        let mut total = 0_i64;
        while !rest.is_empty() || unsigned.is_empty() {
            let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (number, tail) = rest.split_at(number_end);
            let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            let number: f64 = number.parse().map_err(|_| invalid())?;
            if unit.is_empty() {
                return Err(format!("time: missing unit in duration {text:?}"));
            }
            let known = UNITS.iter().find(|(name, _)| *name == unit);
            let (_, nanos) =
                known.ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"))?;
            let part = operate::to_float(*nanos) * number;
            total = (part < operate::to_float(i64::MAX))
                .then(|| total.checked_add(operate::to_int(part.round())))
                .flatten()
                .ok_or_else(invalid)?;
            rest = tail;
        }
        Ok(Self(if is_negative { -total } else { total }))
    }

    /// From one time to another.
    pub fn between(from: &Zoned, to: &Zoned) -> Self {
        let nanos = to.timestamp().duration_since(from.timestamp()).as_nanos();
        Self(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
    }

    /// The time that is this much after another, in the same zone; `None` beyond the calendar.
    pub fn after(self, at: &Zoned) -> Option<Value> {
        at.checked_add(SignedDuration::from_nanos(self.0)).ok().map(|at| Value::Time(Rc::new(at)))
    }

    /// The same span backwards.
    pub fn negated(self) -> Self {
        Self(self.0.wrapping_neg())
    }

    /// How many of a unit of `nanos`, with their fraction.
    pub fn in_units(self, nanos: i64) -> f64 {
        operate::to_float(self.0 / nanos) + operate::to_float(self.0 % nanos) / operate::to_float(nanos)
    }
}

impl fmt::Display for Span {
    /// Go's `Duration.String`: `1h0m0s`, `1.5s`, `1ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let fraction = |value: u64, unit: u64| {
            let rest = format!("{:0width$}", value % unit, width = unit.to_string().len() - 1);
            let digits = rest.trim_end_matches('0');
            let point = if unit == 1 || digits.is_empty() { "" } else { "." };
            format!("{}{point}{}", value / unit, if unit == 1 { "" } else { digits })
        };
        match total {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{total}ns"),
            1_000..1_000_000 => write!(f, "{}µs", fraction(total, 1_000)),
            1_000_000..1_000_000_000 => write!(f, "{}ms", fraction(total, 1_000_000)),
            _ => {
                let (hours, minutes) = (total / 3_600_000_000_000, total / 60_000_000_000);
                if hours > 0 {
                    write!(f, "{hours}h")?;
                }
                if minutes > 0 {
                    write!(f, "{}m", minutes % 60)?;
                }
                write!(f, "{}s", fraction(total % 60_000_000_000, 1_000_000_000))
            }
        }
    }
}
