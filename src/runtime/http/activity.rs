//! The activity of a connection, which decides when it is closed.

use crate::runtime::clock;
use http::Version;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::watch, time};

/// Counts the open requests of one connection.
#[derive(Debug)]
pub(super) struct Activity(watch::Sender<Requests>);

#[derive(Debug, Clone, Copy)]
struct Requests {
    open: usize,
    /// The protocol of the first request, which all others share.
    version: Option<Version>,
    /// When `open` changed last.
    since: Instant,
    /// Another connection needs the slot.
    slot_needed: bool,
}

/// Keeps a request counted as open.
pub(super) struct Open(Arc<Activity>);

impl Activity {
    pub fn new() -> Arc<Self> {
        let begin = Requests { open: 0, version: None, since: clock::monotonic(), slot_needed: false };
        Arc::new(Self(watch::Sender::new(begin)))
    }

    pub fn begin(self: &Arc<Self>, version: Version) -> Open {
        self.0.send_modify(|requests| {
            let open = requests.open.saturating_add(1);
            let version = Some(requests.version.unwrap_or(version));
            *requests = Requests { open, version, since: clock::monotonic(), ..*requests };
        });
        Open(Arc::clone(self))
    }

    /// Since when no request is open; `None` while one is, or after [`Activity::ask_to_close`].
    pub fn idle_since(&self) -> Option<Instant> {
        let now = *self.0.borrow();
        (now.open == 0 && !now.slot_needed).then_some(now.since)
    }

    /// Marks the connection as ready for requests.
    pub fn is_ready(&self) {
        self.0.send_modify(|requests| requests.since = clock::monotonic());
    }

    /// Another connection needs the slot: see [`Activity::idle`].
    pub fn ask_to_close(&self) {
        self.0.send_modify(|requests| requests.slot_needed = true);
    }

    /// Completes when no request has been open for `idle`, or for `spare` if the slot is needed.
    pub async fn idle(&self, idle: Duration, spare: Duration) {
        self.quiet(|now| if now.slot_needed { spare } else { idle }).await;
    }

    /// Completes when no request has been open for `patience`, counted from now.
    pub async fn idle_for(&self, patience: Duration) {
        let start = clock::monotonic();
        self.quiet(|now| patience.saturating_add(start.saturating_duration_since(now.since))).await;
    }

    async fn quiet(&self, patience: impl Fn(Requests) -> Duration) {
        let mut requests = self.0.subscribe();
        loop {
            let now = *requests.borrow_and_update();
            // `self` owns the sender, so this completes only with a change.
            let changed = requests.changed();
            if now.open > 0 {
                let _ = changed.await;
            } else if time::timeout(patience(now).saturating_sub(now.since.elapsed()), changed).await.is_err()
            {
                return;
            }
        }
    }

    /// The protocol, once there is a request.
    pub async fn version(&self) -> Version {
        let mut requests = self.0.subscribe();
        let known = requests.wait_for(|now| now.version.is_some()).await;
        known.ok().and_then(|now| now.version).unwrap_or(Version::HTTP_11)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.send_modify(|requests| {
            *requests =
                Requests { open: requests.open.saturating_sub(1), since: clock::monotonic(), ..*requests };
        });
    }
}
