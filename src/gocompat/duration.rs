//! Durations as Go writes them, because Argo's YAML does.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A non-negative span of time, read from and printed as a Go duration (`90s`, `1h30m`, `1.5h`).
///
/// Stored in whole milliseconds: nothing here depends on smaller differences.
/// Source of the grammar: Go's `time.ParseDuration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(try_from = "String", into = "String")]
pub struct GoDuration(SignedDuration);

/// The text is not a Go duration, is negative, or is over a century.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a duration such as \"30s\", \"5m\" or \"1h30m\", not negative and under 100 years")]
pub struct BadDuration;

const MAX_SECONDS: f64 = 100.0 * 366.0 * 86_400.0;

impl GoDuration {
    /// Zero.
    pub const ZERO: Self = Self(SignedDuration::ZERO);

    /// `seconds` as a duration.
    #[must_use]
    pub const fn from_secs(seconds: u32) -> Self {
        Self(SignedDuration::from_secs(seconds as i64))
    }

    /// The span, for adding to a [`jiff::Timestamp`].
    #[must_use]
    pub const fn signed(self) -> SignedDuration {
        self.0
    }
}

impl FromStr for GoDuration {
    type Err = BadDuration;

    fn from_str(text: &str) -> Result<Self, BadDuration> {
        if let Some(negative) = text.strip_prefix('-') {
            let nothing = |span: &Self| !negative.starts_with(['+', '-']) && *span == Self::ZERO;
            return negative.parse().ok().filter(nothing).ok_or(BadDuration);
        }
        let text = text.strip_prefix('+').unwrap_or(text);
        if text == "0" {
            return Ok(Self::ZERO);
        }
        if text.is_empty() {
            return Err(BadDuration);
        }
        let mut rest = text;
        let mut seconds = 0.0_f64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(BadDuration)?;
            let (number, tail) = rest.split_at(digits);
            let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            if !number.contains(|c: char| c.is_ascii_digit()) {
                return Err(BadDuration);
            }
            let number: f64 = number.parse().map_err(|_| BadDuration)?;
            seconds += number * unit_seconds(unit).ok_or(BadDuration)?;
            rest = tail;
        }
        if !(0.0..MAX_SECONDS).contains(&seconds) {
            return Err(BadDuration);
        }
        // In range by the check above, and a whole number by `floor`; `round` corrects the inaccuracy of floats.
        #[allow(clippy::cast_possible_truncation)]
        let millis = ((seconds * 1e9).round() / 1e6).floor() as i64;
        Ok(Self(SignedDuration::from_millis(millis)))
    }
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}

impl fmt::Display for GoDuration {
    /// Whole hours, minutes and seconds without the zero units Go prints (`5m`, not `5m0s`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.as_secs();
        let millis = self.0.subsec_millis();
        let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        match (seconds, millis) {
            (0, 0) if total > 0 => Ok(()),
            (_, 0) => write!(f, "{seconds}s"),
            (0, _) => write!(f, "{millis}ms"),
            _ => write!(f, "{seconds}.{millis:03}s"),
        }
    }
}

impl TryFrom<String> for GoDuration {
    type Error = BadDuration;
    fn try_from(text: String) -> Result<Self, BadDuration> {
        text.parse()
    }
}

impl From<GoDuration> for String {
    fn from(duration: GoDuration) -> Self {
        duration.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, millis) in [
            ("0", 0),
            ("30s", 30_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("100ms", 100),
            (".5s", 500),
            ("+1m", 60_000),
        ] {
            assert_eq!(text.parse::<GoDuration>().unwrap().signed().as_millis(), millis, "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses_and_negative_spans() {
        for text in ["", "s", "5", "5x", "-5s", ".s", "1d", "5 s", "1h-2m", "99999999999h"] {
            assert_eq!(text.parse::<GoDuration>(), Err(BadDuration), "{text}");
        }
    }

    #[test]
    fn prints_back_what_it_reads() {
        for text in ["0s", "5m", "1h30m", "1h", "1m1s", "100ms", "1.500s"] {
            assert_eq!(text.parse::<GoDuration>().unwrap().to_string(), text);
        }
    }
}
