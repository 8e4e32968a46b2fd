//! The only place that reads a clock; everything else is told the time.

use jiff::Timestamp;
use std::time::Instant;

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
