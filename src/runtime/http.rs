//! Serving HTTP/1.1 and HTTP/2 on a socket: what the webhook and the admin port have in common.
//!
//! No peer can hold a connection without using it, and none loses a request at shutdown.

use super::telemetry::causes;
use futures::future::Either;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time,
};
use tracing::{debug, error, warn};

/// Requests at once on an HTTP/2 connection: what Go sends before it knows our limit.
const STREAMS: u32 = 100;

/// Bytes of a request body that are taken in before anyone reads it.
const STREAM_WINDOW: u32 = 64 << 10;

/// How long peers may keep us waiting, and how many may.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From accepting a connection to the end of its TLS handshake.
    pub handshake: Duration,
    /// From the handshake to the end of the first request's headers.
    pub first_request: Duration,
    /// Without any request after that. Above Go's 90 s, so that an API server closes first and never
    /// sends a request into a closing connection.
    pub idle: Duration,
    /// For requests in flight at shutdown.
    pub grace: Duration,
    /// Connections open at once; further ones wait in the kernel.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            first_request: Duration::from_secs(10),
            idle: Duration::from_mins(2),
            grace: Duration::from_secs(10),
            connections: 256,
        }
    }
}

/// Binds `address`; `[::]` falls back to `0.0.0.0` where the kernel has no IPv6.
///
/// # Errors
/// When the address is taken, not local or not allowed.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() => {
            debug!(%error, "no IPv6");
            TcpListener::bind(("0.0.0.0", address.port())).await
        }
        bound => bound,
    }
}

/// Serves `listener` until `stop`, then finishes the requests in flight, within the grace.
///
/// `accept` makes a connection readable: the TLS handshake, or nothing. `answer` makes a response of a
/// request; it must end by itself in bounded time.
///
/// # Guarantees
/// After `stop` no connection is accepted, HTTP/2 peers are told to go away and HTTP/1.1 peers that this
/// is the last response; a request whose headers have arrived is answered if that takes less than the grace.
pub async fn serve<A, AF, T, S, SF>(
    listener: TcpListener,
    limits: Limits,
    accept: A,
    answer: S,
    stop: impl Future<Output = ()>,
) where
    A: Fn(TcpStream) -> AF,
    AF: Future<Output = io::Result<T>> + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Request<Incoming>) -> SF + Clone + Send + Sync + 'static,
    SF: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(limits.connections));
    let (stopping, stopped) = watch::channel(false);
    let mut open = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, slot) = tokio::select! {
            () = &mut stop => break,
            Some(ended) = open.join_next() => {
                log_panic(ended);
                continue;
            }
            accepted = next(&listener, &slots) => accepted,
        };
        let handshake = time::timeout(limits.handshake, accept(stream));
        let (answer, stopped) = (answer.clone(), stopped.clone());
        open.spawn(async move {
            let _slot = slot;
            match handshake.await {
                Ok(Ok(stream)) => connection(stream, limits, answer, stopped).await,
                Ok(Err(error)) => debug!(%error, "handshake failed"),
                Err(_) => debug!("handshake took too long"),
            }
        });
    }
    drop(listener);
    stopping.send_replace(true);
    let all = async {
        while let Some(ended) = open.join_next().await {
            log_panic(ended);
        }
    };
    if time::timeout(limits.grace, all).await.is_err() {
        warn!(connections = open.len(), "cut requests that outlasted the grace period");
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        error!(%error, "a connection's task failed");
    }
}

/// The next connection, once there is room for it. Failures of single connections are passed over.
async fn next(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are single small writes: waiting to coalesce them only adds latency.
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%error, "no TCP_NODELAY");
                }
                return (stream, slot);
            }
            Err(error) => {
                // Mostly out of file descriptors, which passes when connections end.
                warn!(%error, "cannot accept a connection");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves one connection until the peer closes it, it lies idle, or the server stops.
async fn connection<T, S, SF>(stream: T, limits: Limits, answer: S, mut stopped: watch::Receiver<bool>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Request<Incoming>) -> SF,
    SF: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let activity = Activity::default();
    let service = service_fn(|request| {
        let request_open = activity.begin();
        let answer = answer(request);
        async move {
            let response = answer.await;
            drop(request_open);
            Ok::<_, Infallible>(response)
        }
    });
    let builder = builder();
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Either::Left(ended),
        () = activity.idle(limits) => Either::Right(()),
        _ = stopped.wait_for(|stopped| *stopped) => Either::Right(()),
    };
    let ended = match ended {
        Either::Left(ended) => Ok(ended),
        Either::Right(()) => {
            connection.as_mut().graceful_shutdown();
            time::timeout(limits.grace, connection).await
        }
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(error = causes(error.as_ref()), "connection failed"),
        Err(_) => debug!("connection cut"),
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // `Activity` bounds slow headers of both protocols; hyper's own timer knows HTTP/1.1 only.
    builder.http1().header_read_timeout(None);
    // Room for all streams at once: else bodies that nobody reads yet hold up those being read.
    builder
        .http2()
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAMS * STREAM_WINDOW);
    builder
}

/// Counts the open requests of one connection.
#[derive(Default)]
struct Activity(Arc<watch::Sender<Requests>>);

#[derive(Default, Clone, Copy)]
struct Requests {
    open: usize,
    ever: bool,
}

/// Keeps a request counted as open.
struct Open(Arc<watch::Sender<Requests>>);

impl Activity {
    fn begin(&self) -> Open {
        self.0.send_modify(|requests| {
            *requests = Requests { open: requests.open.saturating_add(1), ever: true }
        });
        Open(Arc::clone(&self.0))
    }

    /// Ends when no request has been open for the limit's time.
    async fn idle(&self, limits: Limits) {
        let mut requests = self.0.subscribe();
        loop {
            let now = *requests.borrow_and_update();
            let patience = if now.ever { limits.idle } else { limits.first_request };
            let changed = requests.changed();
            if now.open > 0 {
                // The sender lives in `self`, so this ends with a change only.
                let _ = changed.await;
            } else if time::timeout(patience, changed).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|requests| requests.open = requests.open.saturating_sub(1));
    }
}
