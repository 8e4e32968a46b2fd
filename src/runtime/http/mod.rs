//! Serving HTTP/1.1 and HTTP/2 on a socket: what the webhook and the admin port have in common.
//!
//! No peer can hold a connection without using it, and none loses a request at shutdown.

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

/// Requests at once on an HTTP/2 connection. API servers ask webhooks over HTTP/1.1, which is one at a time.
const STREAMS: u32 = 8;

/// Bytes of a request body that are taken in before anyone reads it. With all streams of all connections: 64 MiB.
const STREAM_WINDOW: u32 = 32 << 10;

/// Bytes of a request's headers, decoded. With all streams of all connections: 16 MiB.
const HEADER_LIST: u32 = 8 << 10;

/// Bytes of a connection over HTTP/1.1 that are taken in before anyone reads them.
const READ_AHEAD: usize = 64 << 10;

/// How long peers may keep us waiting, and how many may.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From accepting a connection to the end of its TLS handshake.
    pub handshake: Duration,
    /// Without any request. Above Go's 90 s, so that an API server closes first and never sends a request
    /// into a closing connection.
    pub idle: Duration,
    /// Idle for so long, a connection is cut when another one needs its place.
    pub spare: Duration,
    /// For requests in flight at shutdown.
    pub grace: Duration,
    /// Connections open at once; further ones make those go that are idle.
    pub connections: usize,
    /// Of which one address has at most so many; further ones of it are closed at once.
    pub of_a_peer: usize,
}

/// Where a request comes from: an extension of each request that is answered.
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
            of_a_peer: 256,
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

/// Serves `listener` until the process stops, then finishes the requests in flight, within the grace.
///
/// `accept` makes a connection readable: the TLS handshake, or nothing. `answer` makes a response of a
/// request; it must end by itself in bounded time.
///
/// # Guarantees
/// A peer never learns of the end by a connection that closes under its request, as long as the drain is
/// longer than its pauses. While draining, everything is answered; HTTP/2 peers are told to go away, and
/// HTTP/1.1 peers with each answer that it is the connection's last. API servers speak HTTP/1.1 with
/// webhooks, and do not repeat a POST that met a closing connection. After that no connection is accepted,
/// those that lie idle are closed, those that were just opened may still ask; a request whose headers have
/// arrived is answered if that takes less than the grace.
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
    let (mut connections, mut open, mut standing) = (Connections::default(), JoinSet::new(), None);
    let mut stop = std::pin::pin!(phases.clone().reached(Phase::Stopping));
    let seat = |(stream, peer), connections: &mut Connections, open: &mut JoinSet<()>| {
        if connections.of(peer) >= limits.of_a_peer {
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
            let shaken = tokio::select! {
                shaken = handshake => shaken,
                () = activity.idle(limits.handshake, limits.spare) => Err(io::ErrorKind::TimedOut.into()),
            };
            match shaken {
                Ok(stream) => connection(stream, answer, &activity, &state).await,
                Err(error) => debug!(%error, "handshake failed"),
            }
        });
    };
    loop {
        if let Some(stream) = standing.take_if(|_| open.len() < limits.connections) {
            seat(stream, &mut connections, &mut open);
        }
        tokio::select! {
            () = &mut stop => break,
            Some(ended) = open.join_next() => log_panic(ended),
            stream = next(&listener), if standing.is_none() => standing = Some(stream),
            () = connections.make_room(limits), if standing.is_some() => {}
        }
    }
    // Their peers believe that they are connected.
    let arrived = std::iter::from_fn(|| listener.accept().now_or_never()?.ok()).map(from);
    for stream in standing.into_iter().chain(arrived.take(limits.connections)) {
        seat(stream, &mut connections, &mut open);
    }
    drop(listener);
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

/// The next connection. Failures of single connections are passed over.
async fn next(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => {
                // Answers are single small writes: waiting to coalesce them only adds latency.
                if let Err(error) = accepted.0.set_nodelay(true) {
                    debug!(%error, "no TCP_NODELAY");
                }
                return from(accepted);
            }
            Err(error) => {
                // Mostly out of file descriptors, which passes when connections end.
                warn!(%error, "cannot accept a connection");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// A connection and its peer's address, IPv4 in one spelling.
fn from((stream, address): (TcpStream, SocketAddr)) -> (TcpStream, IpAddr) {
    (stream, address.ip().to_canonical())
}

/// What a connection must know of the server.
struct ServerState {
    limits: Limits,
    phases: Phases,
    wanted: Wanted,
}

impl ServerState {
    /// Ends when a connection has to be given up for the server's sake.
    async fn is_left(&self, activity: &Activity) {
        self.phases.clone().reached(Phase::Draining).await;
        // One that was just opened is about to be used.
        if activity.version().await != Version::HTTP_2 {
            // There is no other way to tell the peer than with an answer.
            self.phases.clone().reached(Phase::Stopping).await;
        }
    }

    /// Whether an answer over HTTP/1.1 is the last on its connection.
    fn is_last_answer(&self) -> bool {
        self.phases.is_reached(Phase::Draining) || self.wanted.take()
    }
}

/// Serves one connection until the peer closes it, it lies idle, or it is not wanted any more.
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
    let farewell = tokio::select! {
        ended = connection.as_mut() => return log_end(ended),
        () = activity.idle(limits.idle, limits.spare) => limits.spare,
        () = state.is_left(activity) => limits.grace,
    };
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => log_end(ended),
        () = activity.idle_for(farewell) => debug!("connection cut"),
        () = time::sleep(limits.grace) => debug!("connection cut in use"),
    }
}

fn log_end(ended: Result<(), Box<dyn Error + Send + Sync>>) {
    if let Err(error) = ended {
        debug!(error = causes(error.as_ref()), "connection failed");
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // `Activity` bounds slow headers of both protocols; hyper's own timer knows HTTP/1.1 only.
    builder.http1().header_read_timeout(None).max_buf_size(READ_AHEAD);
    // Room for all streams at once: else bodies that nobody reads yet hold up those being read.
    builder
        .http2()
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_LIST)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAMS * STREAM_WINDOW);
    builder
}
