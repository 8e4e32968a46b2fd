//! Reads the environment.

use std::ffi::OsString;
use std::time::Duration;

use crate::settings::{Changes, FIELDS, Refusal, Settings};
use crate::values;

/// What is fixed at start.
#[derive(Debug)]
pub struct Config {
    /// Port to listen on, on all addresses.
    pub port: u16,
    /// Time to keep serving after SIGTERM.
    pub drain: Duration,
    /// What can be changed later, too.
    pub settings: Settings,
}

impl Config {
    /// Reads the variables; an empty one counts as not set.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Refusal> {
        let text = |name: &str| match variable(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(value)) if value.is_empty() => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(raw)) => Err(Refusal::new(name, &raw.to_string_lossy(), "it has to be UTF-8 text")),
        };

        let port = match text("PORT")? {
            None => 8080,
            Some(value) => value
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| Refusal::new("PORT", &value, "use a port from 1 to 65535"))?,
        };
        let drain = match text("DRAIN")? {
            None => Duration::from_secs(5),
            Some(value) => values::duration(&value, Duration::from_mins(5))
                .ok_or_else(|| Refusal::new("DRAIN", &value, "use a duration such as 5s, at most 5m"))?,
        };

        let mut changes = Changes::default();
        for field in FIELDS {
            let name = field.to_ascii_uppercase();
            if let Some(value) = text(&name)? {
                changes.set(field, &value).map_err(|r| r.about(&name))?;
            }
        }
        Ok(Self { port, drain, settings: changes.applied_to(&Settings::default()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, Refusal> {
        Config::read(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn nothing_set_gives_the_documented_defaults() {
        let config = read(&[]).unwrap();
        assert_eq!(config.port, 8080);
        assert_eq!(config.drain, Duration::from_secs(5));
        assert_eq!(config.settings, Settings::default());
        assert_eq!(config.settings.version.as_str(), "v1");
    }

    #[test]
    fn every_variable_is_read() {
        let config = read(&[
            ("PORT", "9000"),
            ("DRAIN", "0"),
            ("VERSION", "v2"),
            ("ERROR_RATE", "50%"),
            ("LATENCY", "150ms"),
            ("WORK", "500us"),
            ("START_DELAY", "1m30s"),
            ("MEMORY_GROWTH", "1Mi"),
        ])
        .unwrap();
        assert_eq!(config.port, 9000);
        assert_eq!(config.drain, Duration::ZERO);
        let shown = serde_json::to_value(&config.settings).unwrap();
        assert_eq!(
            shown,
            serde_json::json!({
                "version": "v2",
                "error_rate": 0.5,
                "latency": "150ms",
                "work": "500µs",
                "start_delay": "1m30s",
                "memory_growth": "1Mi",
            })
        );
    }

    #[test]
    fn a_refusal_names_the_variable_and_its_value() {
        let message = read(&[("ERROR_RATE", "2")]).unwrap_err().to_string();
        assert!(message.starts_with("ERROR_RATE=\"2\" is not allowed: "), "{message}");
        for port in ["0", "65536", "http"] {
            assert!(read(&[("PORT", port)]).is_err(), "{port}");
        }
    }
}
