//! What goes on at one connection, for those who decide when it ends.

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
    /// Of the first request, which all others share.
    version: Option<Version>,
    /// When `open` became what it is.
    since: Instant,
    /// Somebody else needs the place.
    unwanted: bool,
}

/// Keeps a request counted as open.
pub(super) struct Open(Arc<Activity>);

impl Activity {
    pub fn new() -> Arc<Self> {
        let begin = Requests { open: 0, version: None, since: clock::monotonic(), unwanted: false };
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

    /// Since when no request is open; none while one is, or after [`Activity::ask_to_leave`].
    pub fn idle_since(&self) -> Option<Instant> {
        let now = *self.0.borrow();
        (now.open == 0 && !now.unwanted).then_some(now.since)
    }

    /// The connection can be used from now on.
    pub fn is_ready(&self) {
        self.0.send_modify(|requests| requests.since = clock::monotonic());
    }

    /// Its place is needed: see [`Activity::idle`].
    pub fn ask_to_leave(&self) {
        self.0.send_modify(|requests| requests.unwanted = true);
    }

    /// Ends when no request has been open for `idle`, or for `spare` and the place is needed.
    pub async fn idle(&self, idle: Duration, spare: Duration) {
        self.quiet(|now| if now.unwanted { spare } else { idle }).await;
    }

    /// Ends when no request has been open for `patience`, counted from now on.
    pub async fn idle_for(&self, patience: Duration) {
        let start = clock::monotonic();
        self.quiet(|now| patience.saturating_add(start.saturating_duration_since(now.since))).await;
    }

    async fn quiet(&self, patience: impl Fn(Requests) -> Duration) {
        let mut requests = self.0.subscribe();
        loop {
            let now = *requests.borrow_and_update();
            // The sender lives in `self`, so this ends with a change only.
            let changed = requests.changed();
            if now.open > 0 {
                let _ = changed.await;
            } else if time::timeout(patience(now).saturating_sub(now.since.elapsed()), changed).await.is_err()
            {
                return;
            }
        }
    }

    /// The protocol, once the first request tells.
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
