//! Watches that recover by themselves.

use futures::{Stream, StreamExt, future::ready};
use kube::runtime::{
    WatchStreamExt,
    utils::{Backoff, ResetTimerBackoff},
    watcher,
};
use std::time::Duration;
use tracing::warn;

/// After the first failure of a watch.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// An API server that is back is noticed within this time.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// So long without a failure, and the next one is a first one again.
const STABLE_AFTER: Duration = Duration::from_mins(1);

/// The watch without its failures: they are logged, and it tries again after a pause of its own.
///
/// A failure that reached kube's `Controller` would pause all its watches together, and a restarted API server
/// fails each of them: the controller was deaf for a minute and a half.
pub fn steady<T>(watch: impl Stream<Item = Result<T, watcher::Error>> + Send) -> impl Stream<Item = T> + Send
where
    T: Send,
{
    patient(watch).filter_map(|event| {
        ready(match event {
            Ok(object) => Some(object),
            Err(error) => {
                warn!(%error, "watch failed, trying again");
                None
            }
        })
    })
}

/// The watch with its failures, each followed by a pause.
pub fn patient<T>(
    watch: impl Stream<Item = Result<T, watcher::Error>> + Send,
) -> impl Stream<Item = Result<T, watcher::Error>> + Send
where
    T: Send,
{
    watch.backoff(ResetTimerBackoff::new(Pauses::default(), STABLE_AFTER))
}

/// Each pause is twice the one before.
#[derive(Debug)]
struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = (pause * 2).min(MAX_PAUSE);
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, stream};

    #[test]
    fn pauses_grow_to_a_limit_and_never_end() {
        let mut pauses = Pauses::default();
        let first: Vec<_> = pauses.by_ref().take(10).map(|pause| pause.as_millis()).collect();
        assert_eq!(first, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000]);
        pauses.reset();
        assert_eq!(pauses.next(), Some(FIRST_PAUSE));
    }

    #[tokio::test]
    async fn a_watch_that_fails_keeps_no_other_waiting() {
        let failing = stream::repeat_with(|| Err::<u8, _>(watcher::Error::NoResourceVersion));
        let working = stream::iter((1..=3).map(Ok::<u8, watcher::Error>));
        let mut both = Box::pin(stream::select(steady(failing), steady(working)));
        for wanted in 1..=3 {
            let event = both.next().now_or_never().flatten();
            assert!(event == Some(wanted), "{wanted}: {event:?}");
        }
    }
}
