//! Values that people write: durations, shares, amounts of memory.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::fmt::friendly::{Designator, Spacing, SpanParser, SpanPrinter};

/// Units of memory, the larger ones first so that printing picks the largest.
const UNITS: [(&str, u64); 6] =
    [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10), ("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000)];

/// Parses `150ms`, `1.5s`, `1m30s` or `0`, up to `max`.
pub fn duration(text: &str, max: Duration) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let signed: SignedDuration = SpanParser::new().parse_duration(text).ok()?;
    Duration::try_from(signed).ok().filter(|value| *value <= max)
}

/// The shortest text that [`duration`] reads back as the same value.
pub fn show_duration(value: Duration) -> String {
    SpanPrinter::new()
        .designator(Designator::Compact)
        .spacing(Spacing::None)
        .unsigned_duration_to_string(&value)
}

/// Parses `1048576`, `512Ki`, `1Mi` or `1M`, up to `max`.
pub fn bytes(text: &str, max: u64) -> Option<u64> {
    let (digits, unit) = UNITS
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))
        .unwrap_or((text, 1));
    digits.parse::<u64>().ok()?.checked_mul(unit).filter(|value| *value <= max)
}

/// The shortest text that [`bytes`] reads back as the same value.
pub fn show_bytes(value: u64) -> String {
    UNITS
        .iter()
        .find(|(_, unit)| value != 0 && value.is_multiple_of(*unit))
        .map_or_else(|| value.to_string(), |(suffix, unit)| format!("{}{suffix}", value / unit))
}

/// A share of requests, exact to one in a million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    millionths: u32,
}

impl Share {
    /// Parses `0.5` or `50%`.
    pub fn parse(text: &str) -> Option<Self> {
        let value = match text.strip_suffix('%') {
            Some(percent) => percent.trim_end().parse::<f64>().ok()? / 100.0,
            None => text.parse::<f64>().ok()?,
        };
        if !(0.0..=1.0).contains(&value) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 1 was checked above, so this is at most a million"
        )]
        let millionths = (value * 1_000_000.0).round() as u32;
        Some(Self { millionths })
    }

    /// As millionths, 0 to 1 000 000.
    pub fn millionths(self) -> u32 {
        self.millionths
    }

    /// As a number from 0 to 1.
    pub fn as_f64(self) -> f64 {
        f64::from(self.millionths) / 1_000_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, millis) in
            [("0", 0), ("0s", 0), ("150ms", 150), ("1.5s", 1500), ("1m30s", 90_000), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text, HOUR), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "150", "-1s", "1 parsec", "1h1s", "1mo", "NaN"] {
            assert_eq!(duration(text, HOUR), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_can_be_set_again() {
        for millis in [0, 1, 150, 1500, 90_000, 3_600_000] {
            let value = Duration::from_millis(millis);
            assert_eq!(duration(&show_duration(value), HOUR), Some(value));
        }
        for value in [0, 1, 1000, 1024, 1_000_000, 1 << 20, 3 << 19, 1_234_567] {
            assert_eq!(bytes(&show_bytes(value), u64::MAX), Some(value));
        }
    }

    #[test]
    fn bytes_know_both_kinds_of_units() {
        let max = 256 << 20;
        for (text, value) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("1Mi", 1 << 20),
            ("512Ki", 1 << 19),
            ("1M", 1_000_000),
            ("256Mi", max),
        ] {
            assert_eq!(bytes(text, max), Some(value), "{text}");
        }
        for text in ["", "Mi", "-1", "1.5Mi", "1 Mi", "257Mi", "99999999999Gi"] {
            assert_eq!(bytes(text, max), None, "{text}");
        }
    }

    #[test]
    fn shares_are_numbers_or_percentages() {
        for (text, millionths) in [
            ("0", 0),
            ("0.5", 500_000),
            ("50%", 500_000),
            ("33.3 %", 333_000),
            ("1", 1_000_000),
            ("100%", 1_000_000),
        ] {
            assert_eq!(Share::parse(text).map(Share::millionths), Some(millionths), "{text}");
        }
        for text in ["", "%", "50", "101%", "-0.1", "NaN", "inf", "half"] {
            assert_eq!(Share::parse(text), None, "{text}");
        }
    }
}
