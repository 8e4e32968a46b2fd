//! The one place that reads the time of day.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Counts from the start of the run, and knows what time of day that was.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Timestamp,
    origin: Instant,
}

impl Clock {
    /// Starts now.
    #[expect(
        clippy::disallowed_methods,
        reason = "a load generator runs in real time; everything else counts from this start"
    )]
    pub fn start() -> Self {
        Self { started: Timestamp::now(), origin: Instant::now() }
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    /// The time of day at an offset from the start, as RFC 3339 with milliseconds.
    pub fn time_of_day(&self, offset: Duration) -> String {
        let time = self.started.checked_add(offset).unwrap_or(self.started);
        format!("{time:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        let clock = Clock { started: "2026-01-02T03:04:05.678912Z".parse().unwrap(), origin: Instant::now() };
        assert_eq!(clock.time_of_day(Duration::from_mins(1)), "2026-01-02T03:05:05.678Z");
    }
}
