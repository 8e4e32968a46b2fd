//! An HTTP/1.1 and HTTP/2 server, for the webhook and the admin port.
//!
//! No client can keep an unused connection open, and none loses a request at shutdown.

mod activity;
mod connections;

use super::{
    shutdown::{Phase, Phases},
    telemetry::causes,
};
use activity::Activity;
use connections::{Connections, Wanted};
use futures::FutureExt;
use http::{
    Request, Response, Version,
    header::{CONNECTION, HeaderValue},
};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use std::{
    convert::Infallible,
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time,
};
use tracing::{debug, error, warn};

/// Concurrent requests on an HTTP/2 connection. API servers call webhooks over HTTP/1.1, with one at a time.
const STREAMS: u32 = 8;

/// Bytes of a request body that are buffered before it is read. With all streams of all connections: 64 MiB.
const STREAM_WINDOW: u32 = 32 << 10;

/// Bytes of the decoded headers of a request. With all streams of all connections: 16 MiB.
const HEADER_LIST: u32 = 8 << 10;

/// Bytes of an HTTP/1.1 connection that are buffered before they are read.
const READ_AHEAD: usize = 64 << 10;

/// Timeouts and maximum numbers of connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From accepting a connection to the end of its TLS handshake.
    pub handshake: Duration,
    /// Without a request. Longer than Go's 90 s, so that an API server closes first and never sends a request into
    /// a closing connection.
    pub idle: Duration,
    /// Without a request, if another connection needs the slot.
    pub spare: Duration,
    /// For requests in flight at shutdown.
    pub grace: Duration,
    /// Maximum number of connections; a further one closes an idle one.
    pub connections: usize,
    /// Maximum number of connections of one address; further ones are closed immediately.
    pub per_peer: usize,
}

/// The address of the client: an extension of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            idle: Duration::from_mins(2),
            spare: Duration::from_secs(1),
            grace: Duration::from_secs(10),
            connections: 256,
            per_peer: 256,
        }
    }
}

/// Binds `address`; `[::]` falls back to `0.0.0.0` where the kernel has no IPv6.
///
/// # Errors
/// When the address is in use, not local or not allowed.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() => {
            debug!(%error, "no IPv6");
            TcpListener::bind(("0.0.0.0", address.port())).await
        }
        bound => bound,
    }
}

/// Serves `listener` until the process stops, then finishes the requests in flight within the grace period.
///
/// `accept` does the TLS handshake, or nothing. `answer` turns a request into a response; it must complete in
/// bounded time.
///
/// # Guarantees
/// No connection closes while a client sends a request, if the drain period is longer than the client's pauses.
/// While draining, every request is answered; HTTP/2 clients get GOAWAY, and HTTP/1.1 clients get `Connection:
/// close` with each answer. API servers call webhooks over HTTP/1.1, and do not repeat a POST on a connection that
/// closes. After the drain period no connection is accepted and idle ones are closed, but a connection that was
/// just opened may still send a request; a request whose headers have arrived is answered if that takes less than
/// the grace period.
pub async fn serve<A, AF, T, S, SF>(
    listener: TcpListener,
    limits: Limits,
    accept: A,
    answer: S,
    phases: Phases,
) where
    A: Fn(TcpStream) -> AF,
    AF: Future<Output = io::Result<T>> + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Request<Incoming>) -> SF + Clone + Send + Sync + 'static,
    SF: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let (mut connections, mut open, mut waiting) = (Connections::default(), JoinSet::new(), None);
    let mut stop = std::pin::pin!(phases.clone().reached(Phase::Stopping));
    let open_slot = |(stream, peer), connections: &mut Connections, open: &mut JoinSet<()>| {
        if connections.of(peer) >= limits.per_peer {
            debug!(%peer, "too many connections");
            return;
        }
        let handshake = accept(stream);
        let (answer, activity) = (answer.clone(), connections.take(peer));
        let answer = move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            answer(request)
        };
        let state = Arc::new(ServerState { limits, phases: phases.clone(), wanted: connections.wanted() });
        open.spawn(async move {
            let accepted = tokio::select! {
                accepted = handshake => accepted,
                () = activity.idle(limits.handshake, limits.spare) => Err(io::ErrorKind::TimedOut.into()),
            };
            match accepted {
                Ok(stream) => connection(stream, answer, &activity, &state).await,
                Err(error) => debug!(%error, "handshake failed"),
            }
        });
    };
    loop {
        if let Some(stream) = waiting.take_if(|_| open.len() < limits.connections) {
            open_slot(stream, &mut connections, &mut open);
        }
        tokio::select! {
            () = &mut stop => break,
            Some(ended) = open.join_next() => log_panic(ended),
            stream = next(&listener), if waiting.is_none() => waiting = Some(stream),
            () = connections.free_a_slot(limits), if waiting.is_some() => {}
        }
    }
    // For their clients these connections are already open.
    let arrived = std::iter::from_fn(|| listener.accept().now_or_never()?.ok()).map(from);
    for stream in waiting.into_iter().chain(arrived.take(limits.connections)) {
        open_slot(stream, &mut connections, &mut open);
    }
    drop(listener);
    let all = async {
        while let Some(ended) = open.join_next().await {
            log_panic(ended);
        }
    };
    if time::timeout(limits.grace, all).await.is_err() {
        warn!(
            connections = open.len(),
            "closed connections with requests that took longer than the grace period"
        );
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        error!(%error, "the task of a connection failed");
    }
}

/// The next connection. Errors of single connections are ignored.
async fn next(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => {
                // Answers are single small writes: coalescing them only adds latency.
                if let Err(error) = accepted.0.set_nodelay(true) {
                    debug!(%error, "no TCP_NODELAY");
                }
                return from(accepted);
            }
            Err(error) => {
                // Usually out of file descriptors, until connections end.
                warn!(%error, "cannot accept a connection");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// A connection and the canonical address of its peer.
fn from((stream, address): (TcpStream, SocketAddr)) -> (TcpStream, IpAddr) {
    (stream, address.ip().to_canonical())
}

/// The state of the server that a connection needs.
struct ServerState {
    limits: Limits,
    phases: Phases,
    wanted: Wanted,
}

impl ServerState {
    /// Completes when the server must close a connection to stop.
    async fn must_close(&self, activity: &Activity) {
        self.phases.clone().reached(Phase::Draining).await;
        // A connection that was just opened will be used.
        if activity.version().await != Version::HTTP_2 {
            // In HTTP/1.1 only an answer can announce the end.
            self.phases.clone().reached(Phase::Stopping).await;
        }
    }

    /// Whether an answer over HTTP/1.1 is the last one of its connection.
    fn is_last_answer(&self) -> bool {
        self.phases.is_reached(Phase::Draining) || self.wanted.take()
    }
}

/// Serves one connection until the client closes it, it is idle for too long, or the server needs its slot or stops.
async fn connection<T, S, SF>(stream: T, answer: S, activity: &Arc<Activity>, state: &Arc<ServerState>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Request<Incoming>) -> SF,
    SF: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let limits = state.limits;
    activity.is_ready();
    let service = service_fn(|request: Request<Incoming>| {
        let version = request.version();
        let request_open = activity.begin(version);
        let (answer, state) = (answer(request), Arc::clone(state));
        async move {
            let mut response = answer.await;
            if version != Version::HTTP_2 && state.is_last_answer() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            drop(request_open);
            Ok::<_, Infallible>(response)
        }
    });
    let builder = builder();
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let patience = tokio::select! {
        ended = connection.as_mut() => return log_end(ended),
        () = activity.idle(limits.idle, limits.spare) => limits.spare,
        () = state.must_close(activity) => limits.grace,
    };
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => log_end(ended),
        () = activity.idle_for(patience) => debug!("closed a connection"),
        () = time::sleep(limits.grace) => debug!("closed a connection in use"),
    }
}

fn log_end(ended: Result<(), Box<dyn Error + Send + Sync>>) {
    if let Err(error) = ended {
        debug!(error = causes(error.as_ref()), "connection failed");
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // `Activity` limits slow headers in both protocols; hyper's timer covers HTTP/1.1 only.
    builder.http1().header_read_timeout(None).max_buf_size(READ_AHEAD);
    // Large enough for all streams: otherwise bodies that are not read yet would block those being read.
    builder
        .http2()
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_LIST)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAMS * STREAM_WINDOW);
    builder
}
