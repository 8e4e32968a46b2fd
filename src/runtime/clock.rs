//! The only place that reads a clock; everywhere else, the time is a parameter.

use jiff::{SignedDuration, Timestamp};
use std::time::{Duration, Instant};
use tokio::time;

/// Maximum interval between reads of the wall clock.
const LOOK: SignedDuration = SignedDuration::from_secs(10);

/// The wall clock, for times that are stored, shown or compared across processes. It can jump.
#[must_use]
// The only exception to the lint.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The monotonic clock, for deadlines inside this process. It never jumps, and has no meaning outside.
#[must_use]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Waits until `deadline` by the wall clock.
///
/// After the machine was suspended it waits at most 10 s too long: timers do not count that time.
pub async fn wait_until(deadline: Timestamp) {
    loop {
        let left = deadline.duration_since(now());
        if !left.is_positive() {
            return;
        }
        let pause = Duration::try_from(left.min(LOOK)).unwrap_or_default();
        // Rounded up: waking up too early would cause many tiny pauses at the end.
        time::sleep(pause.max(Duration::from_millis(1))).await;
    }
}
