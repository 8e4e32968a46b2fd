//! Waiting for conditions, never for a time.

use std::{
    thread,
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_millis(200);

/// Calls `check` until it succeeds. When it has not within `limit`, the test fails with what was waited for and
/// the state that `check` saw last.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match check() {
            Ok(found) => return found,
            Err(seen) if start.elapsed() >= limit => {
                panic!("waited {limit:?} for {what}; now: {seen}")
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}
