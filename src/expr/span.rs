//! Spans of time as Go's `time.Duration` reads, counts and prints them.

use crate::gocompat::float::{to_float, to_int};
use jiff::{SignedDuration, Zoned};
use std::fmt;

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

impl Span {
    /// Go's `time.ParseDuration`.
    pub fn parse(text: &str) -> Result<Self, String> {
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
            let part = to_float(*nanos) * number;
            total = (part < to_float(i64::MAX))
                .then(|| total.checked_add(to_int(part.round())))
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
    pub fn after(self, at: &Zoned) -> Option<Zoned> {
        at.checked_add(SignedDuration::from_nanos(self.0)).ok()
    }

    /// The same span backwards.
    pub fn negated(self) -> Self {
        Self(self.0.wrapping_neg())
    }

    /// How many of a unit of `nanos`, with their fraction.
    pub fn in_units(self, nanos: i64) -> f64 {
        to_float(self.0 / nanos) + to_float(self.0 % nanos) / to_float(nanos)
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
