//! The slots for connections, and which connection closes when all are in use and another one arrives.

use super::{Limits, activity::Activity};
use std::{
    net::IpAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time;

/// The open connections and their peers.
#[derive(Debug, Default)]
pub(super) struct Connections {
    taken: Vec<(IpAddr, Weak<Activity>)>,
    /// A connection waits: the next one with an answer closes.
    wanted: Arc<AtomicBool>,
}

/// Decides whether an answer is the last of its connection, because another connection needs the slot.
#[derive(Debug, Clone)]
pub(super) struct Wanted(Arc<AtomicBool>);

impl Wanted {
    /// True for one answer per waiting connection.
    pub fn take(&self) -> bool {
        self.0.swap(false, Relaxed)
    }
}

impl Connections {
    /// How many connections a peer has.
    pub fn of(&self, peer: IpAddr) -> usize {
        self.taken.iter().filter(|(other, slot)| *other == peer && slot.strong_count() > 0).count()
    }

    /// Registers a connection.
    pub fn take(&mut self, peer: IpAddr) -> Arc<Activity> {
        let activity = Activity::new();
        self.taken.retain(|(_, slot)| slot.strong_count() > 0);
        self.taken.push((peer, Arc::downgrade(&activity)));
        self.wanted.store(false, Relaxed);
        activity
    }

    /// See [`Wanted`].
    pub fn wanted(&self) -> Wanted {
        Wanted(Arc::clone(&self.wanted))
    }

    /// Closes a connection. It never completes: the caller drops it when a slot is free.
    ///
    /// The connection that has been idle for longest closes immediately. While all are in use, the next answer over
    /// HTTP/1.1 says `Connection: close`; its client then opens another connection, after those that wait. No
    /// request in flight is lost.
    pub async fn free_a_slot(&self, limits: Limits) {
        self.wanted.store(true, Relaxed);
        loop {
            let idle = self.taken.iter().filter_map(|(_, slot)| slot.upgrade());
            let idle = idle.filter_map(|slot| slot.idle_since().map(|since| (since, slot)));
            let longest = idle.min_by_key(|(since, _)| *since);
            let left = longest
                .as_ref()
                .map_or(limits.spare, |(since, _)| limits.spare.saturating_sub(since.elapsed()));
            if let (Duration::ZERO, Some((_, slot))) = (left, longest) {
                slot.ask_to_close();
                // If it is still open after that, its peer delays it: close the next one.
                time::sleep(limits.spare).await;
            } else {
                time::sleep(left).await;
            }
        }
    }
}
