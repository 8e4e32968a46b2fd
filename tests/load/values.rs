//! Small conversions.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::fmt::friendly::{Designator, Spacing, SpanParser, SpanPrinter};

/// Parses `150ms`, `1.5s` or `1m30s`, from `min` to `max`.
pub fn duration(text: &str, min: Duration, max: Duration) -> Result<Duration, String> {
    SpanParser::new()
        .parse_duration(text)
        .ok()
        .and_then(|signed: SignedDuration| Duration::try_from(signed).ok())
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| {
            let (min, max) = (show_duration(min), show_duration(max));
            format!("use a duration such as 1m30s, from {min} to {max}")
        })
}

/// The shortest way to write a duration.
pub fn show_duration(value: Duration) -> String {
    SpanPrinter::new()
        .designator(Designator::Compact)
        .spacing(Spacing::None)
        .unsigned_duration_to_string(&value)
}

/// `part` of `whole`, 0 to 1; 0 of nothing.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    number(part) / number(whole)
}

/// A count as a number to calculate with.
pub fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_bounds() {
        let parse = |text| duration(text, Duration::from_secs(1), Duration::from_hours(1));
        assert_eq!(parse("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("1h"), Ok(Duration::from_hours(1)));
        for text in ["61m", "10ms", "-1s", "60", ""] {
            let message = parse(text).unwrap_err();
            assert!(message.ends_with("from 1s to 1h"), "{message}");
        }
    }
}
