//! The cost of an input: memory and CPU time, measured from outside.

use std::{
    fs,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Maximum memory for one input.
const MEMORY: usize = 64 << 20;
/// Maximum CPU time for one input.
const WORK: Duration = Duration::from_secs(1);

/// The peak belongs to the process, so inputs are measured one after the other.
static ONE: Mutex<()> = Mutex::new(());

/// Runs it; exceeding a limit is an error.
pub fn within_limits(run: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Resets the peak to the current use.
    fs::write("/proc/self/clear_refs", "5").expect("Linux");
    let (before, start) = (memory("VmRSS"), work());
    let result = run();
    let (taken, worked) = (memory("VmHWM").saturating_sub(before), work().saturating_sub(start));
    if taken > MEMORY {
        return Err(format!("it takes {} MiB of memory", taken >> 20));
    }
    if worked > WORK {
        return Err(format!("it takes {worked:?} of CPU time"));
    }
    result
}

/// A figure of `/proc/self/status`, in bytes.
fn memory(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a figure");
    let kib: usize = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kib << 10
}

/// The CPU time of this thread, which does not depend on how busy the machine is.
fn work() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = text.split_whitespace().next().and_then(|first| first.parse().ok()).expect("a number");
    Duration::from_nanos(nanoseconds)
}
