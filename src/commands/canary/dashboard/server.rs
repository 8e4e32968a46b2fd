//! An HTTP/1.1 server for browsers of this machine.

use super::site::Site;
use futures::FutureExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time,
};

/// Connections at once.
const CONNECTIONS: usize = 128;
/// For the headers of a request, and without a request.
const HEADERS: Duration = Duration::from_secs(30);
/// Bytes that are buffered of a connection.
const READ_AHEAD: usize = 16 << 10;
/// After a failure to accept, which is mostly a lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The sockets: of both families, so that no other program answers as localhost.
#[derive(Debug)]
pub struct Listeners {
    first: TcpListener,
    /// Absent where the kernel has no IPv6.
    second: Option<TcpListener>,
}

impl Listeners {
    /// Listens on the loopback addresses; port 0 means any.
    ///
    /// # Errors
    /// When the port is in use or not allowed.
    pub async fn bind(port: u16) -> io::Result<Self> {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = first.local_addr()?.port();
        let second = match TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
            Ok(second) => Some(second),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(_) => None,
        };
        Ok(Self { first, second })
    }

    /// The port.
    ///
    /// # Errors
    /// The operating system's.
    pub fn port(&self) -> io::Result<u16> {
        self.first.local_addr().map(|address| address.port())
    }

    /// Where it listens.
    #[cfg(test)]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        [Some(&self.first), self.second.as_ref()]
            .into_iter()
            .flatten()
            .map(|it| it.local_addr().unwrap())
            .collect()
    }

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match &self.second {
            Some(second) => {
                futures::future::select(self.first.accept().boxed(), second.accept().boxed())
                    .await
                    .factor_first()
                    .0
            }
            None => self.first.accept().await,
        }
    }
}

/// Serves until the program ends.
pub async fn serve(listeners: Listeners, site: Arc<Site>) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Never closed.
        let Ok(slot) = Arc::clone(&free).acquire_owned().await else { return };
        match listeners.accept().await {
            Ok((stream, _)) => {
                let site = Arc::clone(&site);
                tokio::spawn(async move {
                    connection(stream, site).await;
                    drop(slot);
                });
            }
            Err(_) => time::sleep(PAUSE).await,
        }
    }
}

/// Serves one connection. What goes wrong with it is the browser's to say.
async fn connection(stream: TcpStream, site: Arc<Site>) {
    let service = service_fn(|request: http::Request<Incoming>| {
        Arc::clone(&site).answer(request).map(Ok::<_, Infallible>)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(READ_AHEAD);
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}
