//! Listens, serves, and ends without losing a request.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::App;
use crate::{log, memory, routes, values};

/// Longer than proxies keep idle connections: whoever closes first should be the client,
/// or else a request may be on its way to a connection that has just been closed.
const IDLE: Duration = Duration::from_mins(2);

/// How long unfinished requests may take after the drain time.
const FINISH: Duration = Duration::from_secs(20);

/// Serves until SIGTERM or SIGINT, then for the drain time more, then finishes.
pub async fn run(app: Arc<App>, port: u16, drain: Duration) -> io::Result<()> {
    let mut signals = Signals::new()?;
    let listener = listen(port).await?;
    let version = app.settings.load().version.clone();
    log(&format!("version {} on port {port}", version.as_str()));
    let growth = tokio::spawn(memory::grow(Arc::clone(&app)));

    let connections = Connections::new(Arc::clone(&app));
    let mut end = pin!(async {
        signals.next().await;
        app.start_draining();
        let drain_text = values::show_duration(drain);
        log(&format!("draining, serving for {drain_text} more"));
        // Asked twice, do not wait.
        tokio::select! {
            () = tokio::time::sleep(drain) => {}
            () = signals.next() => {}
        }
    });
    loop {
        tokio::select! {
            accepted = listener.accept() => connections.accept(accepted).await,
            () = &mut end => break,
        }
    }
    // Connections that the kernel has taken but nobody has accepted would be reset.
    while let Some(accepted @ Ok(_)) = listener.accept().now_or_never() {
        connections.accept(accepted).await;
    }
    drop(listener);
    growth.abort();
    connections.finish().await;
    Ok(())
}

/// On all addresses, of both families where the machine has both.
async fn listen(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
    }
}

struct Connections {
    app: Arc<App>,
    builder: auto::Builder<TokioExecutor>,
    graceful: GracefulShutdown,
}

impl Connections {
    fn new(app: Arc<App>) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
        Self { app, builder, graceful: GracefulShutdown::new() }
    }

    async fn accept<A>(&self, accepted: io::Result<(TcpStream, A)>) {
        match accepted {
            Ok((stream, _)) => self.serve(stream),
            Err(error) => {
                // Such as too many open files: trying again at once would only burn time.
                log(&format!("accept: {error}"));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    fn serve(&self, stream: TcpStream) {
        // Answers are small; waiting to fill a packet only adds latency.
        let _ = stream.set_nodelay(true);
        let app = Arc::clone(&self.app);
        let service = service_fn(move |request| routes::handle(Arc::clone(&app), request));
        let connection = self.builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = self.graceful.watch(connection);
        // A broken connection is the client's business; there is nobody else to tell.
        tokio::spawn(async move { drop(connection.await) });
    }

    async fn finish(self) {
        let open = self.graceful.count();
        log(&format!("ending, {open} connections open"));
        if tokio::time::timeout(FINISH, self.graceful.shutdown()).await.is_err() {
            log("ended with requests unfinished");
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
