//! Clients that send all that they are let, and never finish.

use crate::server::{Server, eventually, within};
use haldane::runtime::http::Limits;
use http::{Request, header::CONTENT_TYPE};
use hyper::{
    body::{Body, Bytes, Frame, SizeHint},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};
use tokio::task::JoinSet;

/// The longest body that is read at all.
const GREAT: usize = 7 << 20;
/// Of a body, at once; a stream of a client has at most one that was not sent.
const PIECE: usize = 1 << 10;
/// What the server may hold of a connection before anyone reads it.
const UNREAD: usize = 256 << 10;
const CONNECTIONS: usize = 6;
/// More than the server lets one connection have.
const REQUESTS: usize = 40;

/// A body whose last piece never comes, if it is not empty.
struct Unending {
    left: usize,
    taken: Arc<AtomicUsize>,
}

impl Body for Unending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.left {
            0 => return Poll::Ready(None),
            PIECE => return Poll::Pending,
            _ => {}
        }
        self.left -= PIECE;
        self.taken.fetch_add(PIECE, SeqCst);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; PIECE])))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

fn request(length: usize, taken: &Arc<AtomicUsize>) -> Request<Unending> {
    let body = Unending { left: length, taken: Arc::clone(taken) };
    let request = Request::post("https://localhost/mutate").header(CONTENT_TYPE, "application/json");
    request.body(body).unwrap()
}

/// Its memory is bounded by what it takes from sockets: counted is what clients could get rid of.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_clients_cannot_make_the_server_take_more_than_it_has_room_for() {
    let server = Server::start(Limits::default()).await;
    let (taken, mut requests) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for _ in 0..CONNECTIONS {
        let stream = TokioIo::new(server.connect().await.unwrap());
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        requests.spawn(async move { drop(connection.await) });
        // What the server lets its clients do they know with the first answer.
        let first = within("a first answer", sender.send_request(request(0, &taken))).await;
        assert_eq!(first.unwrap().status().as_u16(), 400);
        for _ in 0..REQUESTS {
            let mut sender = sender.clone();
            let request = request(GREAT, &taken);
            requests.spawn(async move { drop(sender.send_request(request).await) });
        }
    }
    let (mut before, mut quiet) = (0, 0);
    eventually("the server takes no more", async || {
        let now = taken.load(SeqCst);
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
        now >= GREAT && quiet > 100
    })
    .await;
    let taken = taken.load(SeqCst);
    // Two are read, all others wait for room.
    let most = 2 * GREAT + CONNECTIONS * (UNREAD + REQUESTS * PIECE);
    assert!(taken <= most, "{taken} bytes were taken, of which nobody has read {}", taken - 2 * GREAT);
    eprintln!(
        "{CONNECTIONS} connections with {REQUESTS} endless requests each: {taken} of at most {most} bytes"
    );
    // Others are served meanwhile.
    let client = server.client(|client| client);
    let other = client.post(server.url("/mutate")).json(&crate::server::review("web")).send();
    assert_eq!(within("another request", other).await.unwrap().status().as_u16(), 200);
}
