//! What the application is told to do, at start or while it runs.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::values::{self, Share};

/// The names of the settings.
pub const FIELDS: [&str; 6] = ["version", "error_rate", "latency", "work", "start_delay", "memory_growth"];

/// The most memory that is held on request.
pub const MEMORY_LIMIT: u64 = 256 << 20;

const MAX_WORK: Duration = Duration::from_secs(1);
const MAX_LATENCY: Duration = Duration::from_mins(1);
const MAX_START_DELAY: Duration = Duration::from_hours(1);

/// A version, known to be fit for a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(HeaderValue);

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let fits = (1..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b));
        if !fits {
            return None;
        }
        HeaderValue::from_str(text).ok().map(Self)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// As the value of the `X-Version` header.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// All settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The version to answer with.
    pub version: Version,
    /// The share of requests that fail.
    pub error_rate: Share,
    /// The time added to every answer.
    pub latency: Duration,
    /// The time that every answer takes to compute.
    pub work: Duration,
    /// The time from start until the application is ready.
    pub start_delay: Duration,
    /// Bytes to use more every second.
    pub memory_growth: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: Version(HeaderValue::from_static("v1")),
            error_rate: Share::default(),
            latency: Duration::ZERO,
            work: Duration::ZERO,
            start_delay: Duration::ZERO,
            memory_growth: 0,
        }
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Settings", FIELDS.len())?;
        out.serialize_field("version", self.version.as_str())?;
        out.serialize_field("error_rate", &self.error_rate.as_f64())?;
        out.serialize_field("latency", &values::show_duration(self.latency))?;
        out.serialize_field("work", &values::show_duration(self.work))?;
        out.serialize_field("start_delay", &values::show_duration(self.start_delay))?;
        out.serialize_field("memory_growth", &values::show_bytes(self.memory_growth))?;
        out.end()
    }
}

/// Checked values for some of the settings.
#[derive(Debug, Default)]
pub struct Changes {
    version: Option<Version>,
    error_rate: Option<Share>,
    latency: Option<Duration>,
    work: Option<Duration>,
    start_delay: Option<Duration>,
    memory_growth: Option<u64>,
}

impl Changes {
    /// Notes one value, the same way for the environment, a query and JSON.
    pub fn set(&mut self, field: &str, value: &str) -> Result<(), Refusal> {
        let refusal = |allowed| Refusal::new(field, value, allowed);
        match field {
            "version" => {
                let allowed = "use 1 to 63 of the characters A-Z a-z 0-9 . _ + -";
                self.version = Some(Version::parse(value).ok_or_else(|| refusal(allowed))?);
            }
            "error_rate" => {
                let allowed = "use a number from 0 to 1 or a percentage such as 50%";
                self.error_rate = Some(Share::parse(value).ok_or_else(|| refusal(allowed))?);
            }
            "latency" => {
                let allowed = "use a duration such as 150ms, at most 1m";
                let parsed = values::duration(value, MAX_LATENCY);
                self.latency = Some(parsed.ok_or_else(|| refusal(allowed))?);
            }
            "work" => {
                let allowed = "use a duration such as 500us, at most 1s";
                let parsed = values::duration(value, MAX_WORK);
                self.work = Some(parsed.ok_or_else(|| refusal(allowed))?);
            }
            "start_delay" => {
                let allowed = "use a duration such as 20s, at most 1h";
                let parsed = values::duration(value, MAX_START_DELAY);
                self.start_delay = Some(parsed.ok_or_else(|| refusal(allowed))?);
            }
            "memory_growth" => {
                let allowed = "use bytes per second such as 1Mi or 500000, at most 256Mi";
                let parsed = values::bytes(value, MEMORY_LIMIT);
                self.memory_growth = Some(parsed.ok_or_else(|| refusal(allowed))?);
            }
            _ => return Err(Refusal::new(field, value, UNKNOWN_FIELD)),
        }
        Ok(())
    }

    /// Reads a JSON object; values may be text or numbers.
    pub fn set_from_json(&mut self, body: &[u8]) -> Result<(), Refusal> {
        let allowed = "use a JSON object such as {\"error_rate\": 0.5}";
        let refusal = || Refusal::new("body", &String::from_utf8_lossy(body), allowed);
        let parsed: Value = serde_json::from_slice(body).map_err(|_| refusal())?;
        for (field, value) in parsed.as_object().ok_or_else(refusal)? {
            match value {
                Value::String(text) => self.set(field, text)?,
                Value::Number(number) => self.set(field, &number.to_string())?,
                other => {
                    let allowed = "use text or a number";
                    return Err(Refusal::new(field, &other.to_string(), allowed));
                }
            }
        }
        Ok(())
    }

    /// The settings after these changes.
    pub fn applied_to(&self, current: &Settings) -> Settings {
        Settings {
            version: self.version.clone().unwrap_or_else(|| current.version.clone()),
            error_rate: self.error_rate.unwrap_or(current.error_rate),
            latency: self.latency.unwrap_or(current.latency),
            work: self.work.unwrap_or(current.work),
            start_delay: self.start_delay.unwrap_or(current.start_delay),
            memory_growth: self.memory_growth.unwrap_or(current.memory_growth),
        }
    }
}

const UNKNOWN_FIELD: &str =
    "the settings are version, error_rate, latency, work, start_delay and memory_growth";

/// Why a value was not taken over.
#[derive(Debug, Serialize)]
pub struct Refusal {
    field: String,
    value: String,
    allowed: &'static str,
}

impl Refusal {
    /// Says what is allowed in place of the value.
    pub fn new(field: &str, value: &str, allowed: &'static str) -> Self {
        Self { field: field.to_owned(), value: value.chars().take(200).collect(), allowed }
    }

    /// The same about the name under which the value was given.
    pub fn about(self, name: &str) -> Self {
        Self { field: name.to_owned(), ..self }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, allowed } = self;
        write!(f, "{field}={value:?} is not allowed: {allowed}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_takes_text_and_numbers_and_leaves_the_rest_alone() {
        let mut changes = Changes::default();
        changes
            .set_from_json(br#"{"error_rate": 0.5, "memory_growth": 1048576, "latency": "150ms"}"#)
            .unwrap();
        let settings = changes.applied_to(&Settings::default());
        assert_eq!(settings.error_rate.millionths(), 500_000);
        assert_eq!(settings.memory_growth, 1 << 20);
        assert_eq!(settings.latency, Duration::from_millis(150));
        assert_eq!(settings.version, Settings::default().version);
    }

    #[test]
    fn shown_settings_can_be_sent_back() {
        let mut changes = Changes::default();
        let body = serde_json::to_vec(&Settings::default()).unwrap();
        changes.set_from_json(&body).unwrap();
    }

    #[test]
    fn refusals_name_field_value_and_what_is_allowed() {
        for (body, start) in [
            (r#"{"latency": 150}"#, r#"latency="150" is not allowed: use a duration"#),
            (r#"{"latency": "2m"}"#, r#"latency="2m" is not allowed"#),
            (r#"{"version": "a b"}"#, r#"version="a b" is not allowed"#),
            (r#"{"version": ""}"#, r#"version="" is not allowed"#),
            (r#"{"error_rate": null}"#, r#"error_rate="null" is not allowed"#),
            (r#"{"colour": "red"}"#, r#"colour="red" is not allowed: the settings are"#),
            ("[]", r#"body="[]" is not allowed: use a JSON object"#),
            ("nonsense", r#"body="nonsense" is not allowed"#),
        ] {
            let refusal = Changes::default().set_from_json(body.as_bytes());
            let message = refusal.unwrap_err().to_string();
            assert!(message.starts_with(start), "{body}: {message}");
        }
    }
}
