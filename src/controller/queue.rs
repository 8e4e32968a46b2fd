//! Releases that wait for their turn: in which order, and how they hear that there is room.

use crate::runtime::locked::lock;
use futures::{Stream, stream::poll_fn};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::reflector::ObjectRef;
use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard},
};
use tokio::sync::mpsc;

type Key = ObjectRef<Deployment>;

/// The limit that leaves no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// So many canaries at once in the namespace.
    Namespace(u32),
    /// So many in the cluster.
    Cluster(u32),
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Namespace(limit) | Self::Cluster(limit)) = self;
        let place = if matches!(self, Self::Namespace(_)) { "in this namespace" } else { "in the cluster" };
        let canaries = if *limit == 1 { "canary" } else { "canaries" };
        write!(f, "{limit} {canaries} at once {place}")
    }
}

/// The Deployments that wait, as far as this leader has looked at them: the records keep since when.
pub struct Queue {
    waiting: Mutex<HashMap<Key, Waiting>>,
    woken: mpsc::UnboundedSender<Key>,
    /// Held while a pass counts canaries and records a new one.
    pub(super) counting: tokio::sync::Mutex<()>,
}

/// Since when a Deployment waits, and for what.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    since: Timestamp,
    full: Full,
}

impl Queue {
    /// A queue, and the stream of objects that may have their turn now.
    #[must_use = "the stream must be polled, or nobody hears that there is room"]
    pub fn new() -> (Self, impl Stream<Item = Key> + Send) {
        let (woken, mut heard) = mpsc::unbounded_channel();
        let queue = Self { waiting: Mutex::default(), woken, counting: tokio::sync::Mutex::default() };
        (queue, poll_fn(move |context| heard.poll_recv(context)))
    }

    /// It waits, for this room.
    pub(super) fn waits(&self, key: Key, since: Timestamp, full: Full) {
        self.lock().insert(key, Waiting { since, full });
    }

    /// It does not wait, or no longer.
    pub fn leaves(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// A canary has ended: all that wait look for room.
    pub fn wake(&self) {
        self.lock().keys().cloned().for_each(|key| self.look_at(key));
    }

    /// Somebody looks at this Deployment again, whether it waits or not.
    pub(super) fn look_at(&self, key: Key) {
        // Without a listener, the controller ends.
        let _ = self.woken.send(key);
    }

    /// How many others wait for room in the cluster for longer, and would have it whenever a limit of `limit`
    /// leaves some: one with a stricter limit of its own, or whose namespace is full, holds up nobody.
    pub(super) fn ahead(&self, key: &Key, since: Timestamp, limit: u32) -> usize {
        let rank = |key: &Key, since: Timestamp| (since, key.namespace.clone(), key.name.clone());
        let mine = rank(key, since);
        let waiting = self.lock();
        let can_start = |full: Full| matches!(full, Full::Cluster(theirs) if theirs >= limit);
        let ahead = waiting.iter().filter(|(_, waiting)| can_start(waiting.full));
        ahead.filter(|(other, waiting)| *other != key && rank(other, waiting.since) < mine).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Waiting>> {
        lock(&self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, StreamExt};

    fn key(namespace: &str) -> Key {
        Key::new("web").within(namespace)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn who_waits_longest_in_the_cluster_comes_first() {
        let (queue, _woken) = Queue::new();
        queue.waits(key("a"), at(10), Full::Cluster(3));
        queue.waits(key("b"), at(20), Full::Cluster(3));
        assert_eq!(queue.ahead(&key("a"), at(10), 3), 0);
        assert_eq!(queue.ahead(&key("b"), at(20), 3), 1);
        assert_eq!(queue.ahead(&key("c"), at(30), 3), 2, "one that comes now");
        queue.leaves(&key("a"));
        assert_eq!(queue.ahead(&key("b"), at(20), 3), 0);
    }

    #[test]
    fn who_could_not_start_anyway_holds_up_nobody() {
        let (queue, _woken) = Queue::new();
        queue.waits(key("full"), at(10), Full::Namespace(1));
        queue.waits(key("strict"), at(10), Full::Cluster(2));
        assert_eq!(queue.ahead(&key("c"), at(30), 3), 0);
        assert_eq!(queue.ahead(&key("c"), at(30), 2), 1);
    }

    #[test]
    fn all_that_wait_are_woken_until_they_leave() {
        let (queue, mut woken) = Queue::new();
        queue.waits(key("a"), at(10), Full::Cluster(3));
        queue.wake();
        queue.wake();
        assert_eq!(woken.next().now_or_never().flatten(), Some(key("a")));
        assert_eq!(woken.next().now_or_never().flatten(), Some(key("a")), "it may have been too early");
        queue.leaves(&key("a"));
        queue.wake();
        assert!(woken.next().now_or_never().is_none());
    }
}
