//! What happens at once to a Deployment is looked at once, and soon also where it never ends.

use crate::runtime::clock;
use futures::{Stream, StreamExt, stream};
use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    hash::Hash,
    time::{Duration, Instant},
};
use tokio::time::sleep_until;

/// A key comes out when nothing more has happened to it for this time.
const QUIET: Duration = Duration::from_millis(50);

/// It comes out after this time, whatever happens to it.
const LONGEST: Duration = Duration::from_millis(250);

/// The keys, each once for all the times that it comes within a moment.
pub(super) fn merged<K>(
    keys: impl Stream<Item = K> + Send + 'static,
) -> impl Stream<Item = K> + Send + 'static
where
    K: Eq + Hash + Clone + Send + 'static,
{
    let begin = (keys.boxed(), Waiting::default(), VecDeque::new());
    stream::unfold(begin, |(mut keys, mut waiting, mut due)| async move {
        loop {
            if let Some(key) = due.pop_front() {
                return Some((key, (keys, waiting, due)));
            }
            let next = waiting.next();
            tokio::select! {
                key = keys.next() => waiting.comes(key?, clock::monotonic()),
                () = until(next) => due = waiting.due(clock::monotonic()),
            }
        }
    })
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => pending().await,
    }
}

/// When each key came first, and when it comes out.
struct Waiting<K>(HashMap<K, (Instant, Instant)>);

impl<K> Default for Waiting<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash + Clone> Waiting<K> {
    fn comes(&mut self, key: K, now: Instant) {
        let (first, due) = self.0.entry(key).or_insert((now, now));
        *due = (now + QUIET).min(*first + LONGEST);
    }

    /// When the next one comes out.
    fn next(&self) -> Option<Instant> {
        self.0.values().map(|(_, due)| *due).min()
    }

    fn due(&mut self, now: Instant) -> VecDeque<K> {
        self.0.extract_if(|_, (_, due)| *due <= now).map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_comes_out_once_when_it_has_ended() {
        let (mut waiting, begin) = (Waiting::default(), clock::monotonic());
        for millisecond in [0, 10, 40] {
            waiting.comes("web", begin + Duration::from_millis(millisecond));
        }
        waiting.comes("other", begin);
        let due = |waiting: &mut Waiting<_>, millisecond| {
            waiting.due(begin + Duration::from_millis(millisecond)).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(due(&mut waiting, 49), [] as [&str; 0]);
        assert_eq!(due(&mut waiting, 50), ["other"]);
        assert_eq!(waiting.next(), Some(begin + Duration::from_millis(90)));
        assert_eq!(due(&mut waiting, 90), ["web"]);
        assert_eq!(waiting.next(), None);
    }

    #[test]
    fn what_changes_all_the_time_comes_out_all_the_same() {
        let (mut waiting, begin) = (Waiting::default(), clock::monotonic());
        let mut times = Vec::new();
        for millisecond in (0..1000).step_by(20) {
            let now = begin + Duration::from_millis(millisecond);
            times.extend(waiting.due(now).iter().map(|()| millisecond));
            waiting.comes((), now);
        }
        assert_eq!(times, [260, 520, 780]);
    }

    #[tokio::test]
    async fn every_key_that_comes_is_handed_on() {
        let keys = stream::iter([1, 2, 1, 1]).chain(stream::pending());
        let mut found: Vec<u8> = merged(keys).take(2).collect().await;
        found.sort_unstable();
        assert_eq!(found, [1, 2]);
    }
}
