//! What an input costs: memory and work, measured from outside.

use std::{
    fs,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// More memory than before is used for no input.
const MEMORY: usize = 64 << 20;
/// No input takes more of a processor.
const WORK: Duration = Duration::from_secs(1);

/// The peak is that of the process: inputs are measured one after the other.
static ONE: Mutex<()> = Mutex::new(());

/// Does it; an error says that it was too much.
pub fn within_limits(run: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Sets the peak back to what is used now.
    fs::write("/proc/self/clear_refs", "5").expect("Linux");
    let (before, start) = (memory("VmRSS"), work());
    let result = run();
    let (taken, worked) = (memory("VmHWM").saturating_sub(before), work().saturating_sub(start));
    if taken > MEMORY {
        return Err(format!("it takes {} MiB of memory", taken >> 20));
    }
    if worked > WORK {
        return Err(format!("it takes {worked:?} of a processor"));
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

/// What this thread has had of a processor, however busy the machine is.
fn work() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = text.split_whitespace().next().and_then(|first| first.parse().ok()).expect("a number");
    Duration::from_nanos(nanoseconds)
}
