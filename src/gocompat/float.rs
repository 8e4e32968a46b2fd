//! Floats as Go's `strconv` reads and prints them, because Prometheus and Argo do.

use std::{fmt, str::FromStr};

/// A float in Go's notation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GoFloat(pub f64);

/// The text is not a float in Go's syntax.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("strconv.ParseFloat: parsing {text:?}: {problem}")]
pub struct BadFloat {
    text: String,
    problem: &'static str,
}

impl fmt::Display for GoFloat {
    /// `strconv.FormatFloat(f, 'f', -1, 64)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            number => write!(f, "{number}"),
        }
    }
}

impl FromStr for GoFloat {
    type Err = BadFloat;

    /// `strconv.ParseFloat(text, 64)`: also hexadecimal, with underscores, and NaN and the infinities.
    fn from_str(text: &str) -> Result<Self, BadFloat> {
        let bad = |problem| BadFloat { text: text.to_owned(), problem };
        let (unsigned, is_negative) = match text.strip_prefix('-') {
            Some(unsigned) => (unsigned, true),
            None => (text.strip_prefix('+').unwrap_or(text), false),
        };
        let magnitude =
            magnitude(unsigned, text.len() > unsigned.len()).ok_or_else(|| bad("invalid syntax"))?;
        if magnitude.is_infinite() && unsigned.contains(|c: char| c.is_ascii_digit()) {
            return Err(bad("value out of range"));
        }
        Ok(Self(if is_negative { -magnitude } else { magnitude }))
    }
}

/// Go's conversion on amd64, where a value outside of the range becomes the smallest integer.
#[must_use]
pub fn to_int(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) {
        // In range by the check above; the fraction is cut off as in Go.
        #[allow(clippy::cast_possible_truncation)]
        let int = value as i64;
        int
    } else {
        i64::MIN
    }
}

/// The nearest float.
#[must_use]
pub fn to_float(value: i64) -> f64 {
    // Rounding is what Go does too.
    #[allow(clippy::cast_precision_loss)]
    let float = value as f64;
    float
}

/// Go's `%v` of a float: with an exponent below 1e-4 and from 1e6 on.
#[must_use]
pub fn print(value: f64) -> String {
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return GoFloat(value).to_string() };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

fn magnitude(text: &str, is_signed: bool) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "infinity" => return Some(f64::INFINITY),
        "nan" if !is_signed => return Some(f64::NAN),
        _ => {}
    }
    let digits = without_underscores(&lower)?;
    match digits.strip_prefix("0x") {
        Some(hex) => hexadecimal(hex),
        // Rust also accepts text such as a second sign, which Go does not.
        None if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => digits.parse().ok(),
        None => None,
    }
}

/// Underscores are allowed between two digits, and after a base prefix.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let misplaced = |(index, _): (usize, &u8)| {
        let before = index.checked_sub(1).and_then(|index| bytes.get(index));
        let prefixed = before == Some(&b'x');
        !(is_digit(before) || prefixed) || !is_digit(bytes.get(index + 1))
    };
    let mut underscores = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'_');
    (!underscores.any(misplaced)).then(|| text.replace('_', ""))
}

/// `1.8p-3` after the prefix; the exponent, of base two, is required.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut value = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let scale = exponent.saturating_sub(4 * i32::try_from(fraction.len()).ok()?);
    (whole.len() + fraction.len() > 0).then(|| value * f64::from(scale).exp2())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, value) in [
            ("1.5", 1.5),
            ("+1.50", 1.5),
            ("1_5", 15.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("0x1.8p0", 1.5),
            ("0X_1P-1", 0.5),
            ("1e3", 1000.0),
            ("-Inf", f64::NEG_INFINITY),
            ("infinity", f64::INFINITY),
        ] {
            assert_eq!(text.parse(), Ok(GoFloat(value)), "{text}");
        }
        assert!("nAn".parse::<GoFloat>().is_ok_and(|float| float.0.is_nan()));
    }

    #[test]
    fn refuses_what_go_refuses_with_its_error_text() {
        for text in
            ["", " 1", "1 ", "0x10", "1__5", "_1", "1_", "+-1", "-nan", "e5", ".", "1.5ms", "infi", "++inf"]
        {
            let error = text.parse::<GoFloat>().unwrap_err().to_string();
            assert_eq!(error, format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"));
        }
        let error = "1e400".parse::<GoFloat>().unwrap_err().to_string();
        assert_eq!(error, "strconv.ParseFloat: parsing \"1e400\": value out of range");
    }

    proptest! {
        #[test]
        fn reads_what_it_prints(value: f64) {
            let text = GoFloat(value).to_string();
            prop_assert_eq!(text.parse::<GoFloat>().unwrap().0.to_bits(), value.to_bits());
        }
    }
}
