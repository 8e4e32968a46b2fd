//! `kubectl canary dashboard`: a page for the user's own browser, with the user's own rights.
//!
//! ```text
//!  watches ──Change──► Board ──Snapshot──► stream ──server-sent events──► page
//!                                          orders ◄──────── POST ────────
//! ```

mod assets;
mod board;
mod guard;
mod kept;
mod nearby;
mod rollout;
mod server;
mod site;
mod stream;
mod watches;

#[cfg(test)]
mod tests;

use super::error::CanaryError;
use crate::runtime::clock;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use board::{Board, Change, LASTING, Snapshot};
use futures::{FutureExt, Stream, StreamExt};
use guard::Guard;
use kube::Client;
use rustls::crypto::ring;
use server::Listeners;
use site::{STREAMS, Site};
use std::{
    io::{Write, stdout},
    process::ExitCode,
    sync::Arc,
};
use stream::Sources;
use tokio::{
    sync::{Semaphore, watch},
    time,
};

/// Serves the page until the program is ended.
///
/// # Errors
/// The port is in use.
pub async fn run(
    client: Client,
    namespace: Option<String>,
    port: u16,
    read_only: bool,
) -> Result<ExitCode, CanaryError> {
    let cannot_listen = |error| CanaryError::Listen(port, error);
    let listeners = Listeners::bind(port).await.map_err(cannot_listen)?;
    let port = listeners.port().map_err(cannot_listen)?;
    let (sender, snapshots) = watch::channel(Arc::default());
    tokio::spawn(feed(watches::all(&client, namespace.as_deref()), sender));
    let watched = client.clone();
    let site = Arc::new(Site {
        guard: Guard { port, token: token()? },
        read_only,
        client,
        sources: Sources { snapshots, around: Arc::new(move |subject| watches::around(&watched, subject)) },
        streams: Arc::new(Semaphore::new(STREAMS)),
        namespace,
    });
    let scope =
        site.namespace.as_ref().map_or("all namespaces".to_owned(), |name| format!("namespace {name}"));
    writeln!(stdout(), "http://localhost:{port} shows the releases of {scope}; Ctrl-C ends it")?;
    server::serve(listeners, site).await;
    Ok(ExitCode::SUCCESS)
}

/// Keeps the snapshot as new as the changes.
async fn feed(changes: impl Stream<Item = Change> + Unpin, snapshots: watch::Sender<Arc<Snapshot>>) {
    let mut changes = changes.fuse();
    let mut board = Board::default();
    loop {
        let mut new = Vec::new();
        match time::timeout(LASTING, changes.next()).await {
            Ok(Some(change)) => new.push(change),
            Ok(None) => return,
            // Time for troubles to end.
            Err(_) => {}
        }
        // Changes that have come together count as one.
        while let Some(Some(change)) = changes.next().now_or_never() {
            new.push(change);
        }
        board.apply(new, clock::monotonic());
        snapshots.send_replace(Arc::new(board.snapshot()));
    }
}

/// A secret that no page of another site can know.
fn token() -> Result<String, CanaryError> {
    let mut random = [0; 32];
    let source = ring::default_provider().secure_random;
    source
        .fill(&mut random)
        .map_err(|_| CanaryError::Format("the system has no random numbers".to_owned()))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(random))
}
