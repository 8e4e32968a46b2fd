//! The only place that reads a clock; everything else is told the time.

use jiff::{SignedDuration, Timestamp};
use std::time::{Duration, Instant};
use tokio::time;

/// Between looks at the wall clock.
const LOOK: SignedDuration = SignedDuration::from_secs(10);

/// The wall clock: for what is stored, shown or compared across processes. It may jump.
#[must_use]
// The one exception that the lint exists to make visible.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The monotonic clock: for deadlines inside this process. It never jumps, and means nothing outside.
#[must_use]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Waits until `deadline` by the wall clock.
///
/// A machine that was asleep wakes up at most 10 s late: timers count the time that it was awake.
pub async fn wait_until(deadline: Timestamp) {
    loop {
        let left = deadline.duration_since(now());
        if !left.is_positive() {
            return;
        }
        let pause = Duration::try_from(left.min(LOOK)).unwrap_or_default();
        // Not a hair too early, which would make the last pauses many and tiny.
        time::sleep(pause.max(Duration::from_millis(1))).await;
    }
}
