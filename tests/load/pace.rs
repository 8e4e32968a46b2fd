//! When requests are sent.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;

use crate::client::{Client, Reply};
use crate::clock::Clock;
use crate::stats::Outcome;

/// The most requests without an answer at a time, at a constant rate.
const MAX_IN_FLIGHT: usize = 1000;

/// How long a user waits after a failed request before the next one.
const BACK_OFF: Duration = Duration::from_millis(100);

/// The longest sleep before looking whether to stop.
const NAP: Duration = Duration::from_millis(50);

/// How far the run has come, and whether it has to stop.
pub struct Progress {
    stop: AtomicBool,
    sent: AtomicU64,
    limit: u64,
}

impl Progress {
    fn new(limit: Option<u64>) -> Self {
        Self { stop: AtomicBool::new(false), sent: AtomicU64::new(0), limit: limit.unwrap_or(u64::MAX) }
    }

    /// No more requests from now on.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Requests so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Counts one more request, unless there were enough.
    fn take(&self) -> bool {
        self.sent
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sent| {
                (sent < self.limit).then_some(sent + 1)
            })
            .is_ok()
    }
}

/// What all senders share.
#[derive(Clone)]
pub struct Run {
    client: Arc<Client>,
    clock: Clock,
    duration: Duration,
    progress: Arc<Progress>,
    outcomes: UnboundedSender<Outcome>,
}

impl Run {
    /// A run that reports to the channel, which closes when everything is done.
    pub fn new(
        client: Arc<Client>,
        clock: Clock,
        duration: Duration,
        max_requests: Option<u64>,
        outcomes: UnboundedSender<Outcome>,
    ) -> Self {
        Self { client, clock, duration, progress: Arc::new(Progress::new(max_requests)), outcomes }
    }

    /// To watch and to stop the run.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    async fn send(&self, due: Duration) -> Reply {
        let reply = self.client.send().await;
        self.report(due, reply.clone());
        reply
    }

    fn report(&self, due: Duration, reply: Reply) {
        // Nobody listens any more once the run was ended twice.
        let _ = self.outcomes.send(Outcome { due, done: self.clock.elapsed(), reply });
    }

    /// Waits until the time has come; false if the run was stopped before.
    fn wait_until(&self, due: Duration) -> bool {
        loop {
            if self.progress.stopped() {
                return false;
            }
            let left = due.saturating_sub(self.clock.elapsed());
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(NAP));
        }
    }
}

/// When request `i` is due.
fn due(i: u64, rate: u32) -> Duration {
    let nanos = u128::from(i) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Sends request i at i / rate after the start, whether or not earlier ones were answered:
/// an application that hangs does not get fewer requests, and its delay shows in full.
///
/// A thread of its own keeps the time: timers of the runtime are a millisecond late.
pub fn open_loop(run: Run, rate: u32) -> io::Result<()> {
    let runtime = Handle::current();
    let slots = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
    let keep_time = move || {
        for i in 0.. {
            let due = due(i, rate);
            if due >= run.duration || !run.wait_until(due) || !run.progress.take() {
                break;
            }
            match Arc::clone(&slots).try_acquire_owned() {
                Ok(slot) => {
                    let run = run.clone();
                    runtime.spawn(async move {
                        run.send(due).await;
                        drop(slot);
                    });
                }
                Err(_) => run.report(due, Reply::Overload),
            }
        }
    };
    thread::Builder::new().name("pace".to_owned()).spawn(keep_time)?;
    Ok(())
}

/// Lets users send requests, each one after the answer to the one before.
pub fn closed_loop(run: &Run, users: u32) {
    for _ in 0..users {
        let run = run.clone();
        tokio::spawn(async move {
            loop {
                let due = run.clock.elapsed();
                if due >= run.duration || run.progress.stopped() || !run.progress.take() {
                    break;
                }
                if matches!(run.send(due).await, Reply::Broken { .. }) {
                    // Refused connections fail at once; without a pause that is a busy loop.
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_even_distances_without_drift() {
        assert_eq!(due(0, 50), Duration::ZERO);
        assert_eq!(due(1, 50), Duration::from_millis(20));
        assert_eq!(due(1, 3), Duration::from_nanos(333_333_333));
        assert_eq!(due(3 * 3600, 3), Duration::from_hours(1));
        let in_ten_seconds = (0..).take_while(|i| due(*i, 200) < Duration::from_secs(10));
        assert_eq!(in_ten_seconds.count(), 2000);
    }

    #[test]
    fn the_number_of_requests_is_never_exceeded() {
        let progress = Progress::new(Some(2));
        assert!(progress.take());
        assert!(progress.take());
        assert!(!progress.take());
        assert_eq!(progress.sent(), 2);
        assert!(Progress::new(None).take());
    }
}
