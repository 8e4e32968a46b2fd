//! The places for connections, and who makes room for another one when all are taken.

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

/// Who sits where.
#[derive(Debug, Default)]
pub(super) struct Connections {
    taken: Vec<(IpAddr, Weak<Activity>)>,
    /// Somebody stands: the next to be answered makes room.
    wanted: Arc<AtomicBool>,
}

/// Asks whether the answer that is being given is the connection's last, for another one to have its place.
#[derive(Debug, Clone)]
pub(super) struct Wanted(Arc<AtomicBool>);

impl Wanted {
    /// True for one answer each time that somebody waits.
    pub fn take(&self) -> bool {
        self.0.swap(false, Relaxed)
    }
}

impl Connections {
    /// How many connections a peer has.
    pub fn of(&self, peer: IpAddr) -> usize {
        self.taken.iter().filter(|(other, seat)| *other == peer && seat.strong_count() > 0).count()
    }

    /// A place for one more.
    pub fn take(&mut self, peer: IpAddr) -> Arc<Activity> {
        let activity = Activity::new();
        self.taken.retain(|(_, seat)| seat.strong_count() > 0);
        self.taken.push((peer, Arc::downgrade(&activity)));
        self.wanted.store(false, Relaxed);
        activity
    }

    /// See [`Wanted`].
    pub fn wanted(&self) -> Wanted {
        Wanted(Arc::clone(&self.wanted))
    }

    /// Sees to it that somebody leaves; never ends, dropped when somebody has left.
    ///
    /// The one that is idle for longest goes at once. While all are in use, the next to be answered over
    /// HTTP/1.1 is told that this is the last answer: its peer then opens another connection, behind those
    /// that wait. Nothing that is under way is lost.
    pub async fn make_room(&self, limits: Limits) {
        self.wanted.store(true, Relaxed);
        loop {
            let idle = self.taken.iter().filter_map(|(_, seat)| seat.upgrade());
            let idle = idle.filter_map(|seat| seat.idle_since().map(|since| (since, seat)));
            let longest = idle.min_by_key(|(since, _)| *since);
            let left = longest
                .as_ref()
                .map_or(limits.spare, |(since, _)| limits.spare.saturating_sub(since.elapsed()));
            if let (Duration::ZERO, Some((_, seat))) = (left, longest) {
                seat.ask_to_leave();
                // If it has not left by then, its peer holds it up: the next one goes.
                time::sleep(limits.spare).await;
            } else {
                time::sleep(left).await;
            }
        }
    }
}
