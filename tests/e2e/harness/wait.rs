//! Waiting for conditions, never for a time.

use std::{
    thread,
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_millis(200);

/// Calls `check` until it succeeds. When it has not within `limit`, the test fails with what was waited for and
/// the state that `check` saw last.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, check: impl FnMut() -> Result<T, String>) -> T {
    within(limit, check).unwrap_or_else(|seen| panic!("waited {limit:?} for {what}; now: {seen}"))
}

/// Calls `check` until it succeeds.
///
/// # Errors
/// What it saw last, when it has not succeeded within `limit`.
pub fn within<T>(limit: Duration, mut check: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let start = Instant::now();
    loop {
        match check() {
            Err(_) if start.elapsed() < limit => thread::sleep(PAUSE),
            ended => return ended,
        }
    }
}
