//! Notifications to a real HTTP server, with the routing and the Secrets of a made-up API server.

mod records;
mod routings;
mod secrets;

use super::{Means, Notifier, Patience};
use crate::{
    cluster::events::Publisher,
    controller::metrics::Notifications,
    measure::{http::Clients, secrets::Reader},
    notify::{Notice, Occasion},
    objects::manifest::Owner,
    providers::hosts::HostPolicy,
    runtime::locked::lock,
};
use futures::{StreamExt, stream::BoxStream};
use http::{Request, Response};
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::Body;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, sync::mpsc};

/// Longer than any of these tests needs.
const LIMIT: Duration = Duration::from_secs(20);

/// What a receiver does with each request in turn; the last one stays.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Answer(u16),
    Redirect,
    Hang,
    /// Answers 200 with a body that never ends.
    Endless,
}

/// An address of this machine: the machine itself is never a host of a notification by its loopback address. Nothing is
/// sent to the other end.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("198.51.100.1:9").unwrap();
    socket.local_addr().unwrap().ip()
}

/// A server, and the requests that it gets: `PATH AUTHORIZATION BODY`.
async fn receiver(manners: &[Manner]) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind((own_address(), 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = mpsc::unbounded_channel();
    let manners = Arc::new(Mutex::new(manners.to_vec()));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (sender, manners) = (sender.clone(), Arc::clone(&manners));
            let answer = move |request: Request<Incoming>| {
                let mut left = lock(&manners);
                let manner = if left.len() > 1 { left.remove(0) } else { left[0] };
                drop(left);
                received(request, sender.clone(), manner, address)
            };
            let serving = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer))
                .into_owned();
            tokio::spawn(async move { drop(serving.await) });
        }
    });
    (address, requests)
}

type Endless = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;
type Answer = Either<Full<Bytes>, Endless>;

async fn received(
    request: Request<Incoming>,
    sender: mpsc::UnboundedSender<String>,
    manner: Manner,
    address: SocketAddr,
) -> Result<Response<Answer>, Infallible> {
    let path = request.uri().path().to_owned();
    let proof = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    sender.send(format!("{path} {} {}", proof.unwrap_or_default(), body["event"].as_str().unwrap())).unwrap();
    let answer = Response::builder();
    let answer = match manner {
        Manner::Answer(status) => answer.status(status),
        Manner::Redirect => answer.status(302).header("location", format!("http://{address}/elsewhere")),
        Manner::Hang => std::future::pending().await,
        Manner::Endless => {
            let body = StreamBody::new(futures::stream::pending().boxed());
            return Ok(answer.body(Either::Right(body)).unwrap());
        }
    };
    Ok(answer.body(Either::Left(Full::default())).unwrap())
}

/// An API server with a Secret `chat`.
#[derive(Clone, Default)]
struct Api {
    /// The routing of namespace `shop`.
    routing: Arc<Mutex<Option<String>>>,
    /// How many of the next requests to read something fail.
    failures: Arc<Mutex<usize>>,
    /// How many of the next requests to read a Secret find none.
    missing: Arc<Mutex<usize>>,
    /// Whether requests to read something are never answered.
    hangs: bool,
    /// Paths of what was read.
    read: Arc<Mutex<Vec<String>>>,
}

impl Api {
    fn with(routing: &str) -> Self {
        Self { routing: Arc::new(Mutex::new(Some(routing.to_owned()))), ..Self::default() }
    }

    /// How often an object of this name was read.
    fn reads(&self, name: &str) -> usize {
        lock(&self.read).iter().filter(|path| path.ends_with(name)).count()
    }

    /// A client, and the messages of the Events that it creates.
    fn client(&self) -> (kube::Client, mpsc::UnboundedReceiver<String>) {
        let (sender, events) = mpsc::unbounded_channel();
        let api = self.clone();
        let answer = move |request: Request<Body>| {
            let (api, sender) = (api.clone(), sender.clone());
            async move {
                let (status, object) = if request.uri().path().ends_with("/events") {
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let event: Value = serde_json::from_slice(&body).unwrap();
                    drop(sender.send(format!("{} {}", event["reason"], event["message"])));
                    (200, event)
                } else {
                    api.answer(request.uri().path()).await
                };
                let body = Full::new(Bytes::from(object.to_string()));
                Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
            }
        };
        (kube::Client::new(tower::service_fn(answer), "shop"), events)
    }

    async fn answer(&self, path: &str) -> (u16, Value) {
        lock(&self.read).push(path.to_owned());
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let mut failures = lock(&self.failures);
        if *failures > 0 {
            *failures -= 1;
            return (
                503,
                json!({"status": "Failure", "code": 503, "reason": "ServiceUnavailable", "message": "away"}),
            );
        }
        drop(failures);
        let mut missing = lock(&self.missing);
        if path.contains("/secrets/") && *missing > 0 {
            *missing -= 1;
            return (
                404,
                json!({"status": "Failure", "code": 404, "reason": "NotFound", "message": "not found"}),
            );
        }
        drop(missing);
        let routing = lock(&self.routing).clone();
        match (path, routing) {
            ("/api/v1/namespaces/shop/configmaps/haldane-notifications", Some(routing)) => {
                (200, json!({"metadata": {"name": "haldane-notifications"}, "data": {"routing": routing}}))
            }
            // `Bearer t0k3n`, with a line break as editors leave it, and two lines.
            ("/api/v1/namespaces/shop/secrets/chat", _) => (
                200,
                json!({"data": {"token": "QmVhcmVyIHQwazNuCg==", "lines": "czNjcmV0LWE6CnMzY3JldC1iCg=="}}),
            ),
            _ => {
                (404, json!({"status": "Failure", "code": 404, "reason": "NotFound", "message": "not found"}))
            }
        }
    }
}

fn owner() -> Owner {
    Owner { name: "web".into(), namespace: "shop".into(), uid: "u-1".into() }
}

fn notice(event: &'static str, occasion: Option<Occasion>) -> Notice {
    Notice {
        id: "u-1.1".into(),
        time: "2026-01-01T00:00:00Z".parse().unwrap(),
        event,
        type_: "Normal",
        occasion,
        namespace: "shop".into(),
        deployment: "web".into(),
        revision: Some(2),
        phase: None,
        step: None,
        steps: None,
        weight: None,
        stable_images: Vec::new(),
        canary_images: Vec::new(),
        message: String::new(),
        next: None,
        report: None,
    }
}

/// A notifier with this routing, and the Events about its failures.
fn notifier(routing: &str) -> (Notifier, mpsc::UnboundedReceiver<String>) {
    notifier_of(&Api::with(routing), Notifications::default())
}

fn notifier_of(api: &Api, counted: Notifications) -> (Notifier, mpsc::UnboundedReceiver<String>) {
    // Another test may have done it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let (client, events) = api.client();
    let mine =
        HostPolicy { notified: vec![own_address().to_string().parse().unwrap()], ..HostPolicy::default() };
    let notifier = Notifier::new(Means {
        own_namespace: "haldane-system".into(),
        http: Clients::new(mine.of_notifications()).unwrap(),
        secrets: Reader {
            client: client.clone(),
            own_namespace: "haldane-system".into(),
            service_account: "haldane".into(),
        },
        publisher: Publisher::new(client.clone(), "haldane-1"),
        client,
        counted,
        patience: Patience { first: Duration::from_millis(20), total: Duration::from_millis(300) },
    });
    (notifier, events)
}

async fn next(received: &mut mpsc::UnboundedReceiver<String>) -> String {
    tokio::time::timeout(LIMIT, received.recv()).await.expect("it comes in time").unwrap()
}

fn routing(address: SocketAddr, fields: &str) -> String {
    format!(
        "destinations: [{{name: team, events: [all], webhook: {{url: 'http://{address}/in', {fields}}}}}]"
    )
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_and_gets_notices_in_their_order() {
    let (address, mut requests) =
        receiver(&[Manner::Answer(500), Manner::Answer(429), Manner::Answer(200)]).await;
    let key = "headers: [{key: Authorization, valueFrom: {secretKeyRef: {name: chat, key: token}}}]";
    let (notifier, mut events) = notifier(&routing(address, key));
    notifier.notify(&owner(), notice("RolloutUpdated", Some(Occasion::Started)));
    notifier.notify(&owner(), notice("RolloutStepCompleted", None));
    for event in ["RolloutUpdated", "RolloutUpdated", "RolloutUpdated", "RolloutStepCompleted"] {
        assert_eq!(next(&mut requests).await, format!("/in Bearer t0k3n {event}"));
    }
    drop(notifier);
    assert!(requests.is_empty() && events.try_recv().is_err(), "delivered once, without a failure");
}

#[tokio::test]
async fn a_receiver_that_hangs_is_left_and_its_failure_is_reported_once() {
    let (hangs, mut never) = receiver(&[Manner::Hang]).await;
    let (works, mut requests) = receiver(&[Manner::Answer(204)]).await;
    let routing = format!(
        "destinations: [{{name: dead, webhook: {{url: 'http://{hangs}/', timeoutSeconds: 1}}}}, {{name: team, webhook: {{url: 'http://{works}/'}}}}]"
    );
    let (notifier, mut events) = notifier(&routing);
    for (event, occasion) in [("RolloutUpdated", Occasion::Started), ("RolloutCompleted", Occasion::Promoted)]
    {
        notifier.notify(&owner(), notice(event, Some(occasion)));
        assert_eq!(next(&mut requests).await, format!("/  {event}"), "the other destination does not wait");
    }
    let reported = next(&mut events).await;
    assert!(
        reported.starts_with("\"NotificationFailed\" \"RolloutUpdated was not sent to \\\"dead\\\": "),
        "{reported}"
    );
    let mut tried = next(&mut never).await;
    while tried == "/  RolloutUpdated" {
        tried = next(&mut never).await;
    }
    assert_eq!(tried, "/  RolloutCompleted", "the next one is tried as well");
    notifier
        .notify(&owner(), Notice { revision: Some(3), ..notice("RolloutAborted", Some(Occasion::Aborted)) });
    let next = next(&mut events).await;
    assert!(next.contains("RolloutAborted was not sent"), "one Event for each release: {next}");
}

#[tokio::test]
async fn what_was_accepted_is_not_sent_again_whatever_the_body_of_the_answer() {
    let (address, mut requests) = receiver(&[Manner::Endless]).await;
    let (notifier, mut events) = notifier(&routing(address, "timeoutSeconds: 1"));
    for event in ["RolloutUpdated", "RolloutCompleted"] {
        notifier.notify(&owner(), notice(event, Some(Occasion::Started)));
        assert_eq!(next(&mut requests).await, format!("/in  {event}"));
    }
    drop(notifier);
    assert_eq!(tokio::time::timeout(LIMIT, events.recv()).await, Ok(None), "nothing is lost");
    assert!(requests.try_recv().is_err(), "each is sent once");
}

#[tokio::test]
async fn a_dead_destination_takes_no_room_from_another() {
    let (hangs, mut never) = receiver(&[Manner::Hang]).await;
    let (works, mut requests) = receiver(&[Manner::Answer(204)]).await;
    let routing = format!(
        "destinations: [{{name: dead, events: [all], webhook: {{url: 'http://{hangs}/'}}}}, {{name: team, webhook: {{url: 'http://{works}/'}}}}]"
    );
    let (notifier, mut events) = notifier(&routing);
    notifier.notify(&owner(), notice("RolloutUpdated", Some(Occasion::Started)));
    assert_eq!(
        (next(&mut never).await, next(&mut requests).await),
        ("/  RolloutUpdated".into(), "/  RolloutUpdated".into())
    );
    let other = Owner { uid: "u-2".into(), ..owner() };
    for _ in 0..99 {
        notifier.notify(&other, notice("TrafficWeightUpdated", None));
    }
    notifier.notify(&owner(), notice("RolloutCompleted", Some(Occasion::Promoted)));
    assert_eq!(next(&mut requests).await, "/  RolloutCompleted");
    assert_eq!(
        next(&mut events).await,
        "\"NotificationFailed\" \"TrafficWeightUpdated was not sent to \\\"dead\\\": 50 others wait for this destination\"",
        "the Deployment that has most of them loses one"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_a_lasting_answer_not_repeated() {
    for (manner, answered) in [(Manner::Redirect, "302"), (Manner::Answer(404), "404")] {
        let (address, mut requests) = receiver(&[manner]).await;
        let (notifier, mut events) = notifier(&routing(address, ""));
        notifier.notify(&owner(), notice("RolloutCompleted", Some(Occasion::Promoted)));
        let reported = next(&mut events).await;
        assert!(reported.contains(&format!("the receiver answered {answered}")), "{reported}");
        assert_eq!(next(&mut requests).await, "/in  RolloutCompleted");
        assert!(requests.try_recv().is_err(), "once");
    }
}

#[tokio::test]
async fn what_may_not_be_called_is_not_and_a_secret_is_not_shown() {
    // The webhook was away when these were written.
    let secret = "destinations: [{name: team, slack: {urlFrom: {secretKeyRef: {name: chat, key: token}}}}]";
    let loopback = "destinations: [{name: team, slack: {url: 'http://127.0.0.1/'}}]";
    let unreadable = "destinations: [{name: team}]";
    for (routing, problem) in [
        (secret, "was not sent to \\\"team\\\": \\\"*****\\\" is not an http or https URL"),
        (loopback, "127.0.0.1 is not allowed as a notification host: it is the machine itself"),
        (
            unreadable,
            "was not sent: ConfigMap haldane-notifications cannot be read: data[routing].destinations[0]: must have",
        ),
    ] {
        let (notifier, mut events) = notifier(routing);
        notifier.notify(&owner(), notice("RolloutAborted", Some(Occasion::Aborted)));
        let reported = next(&mut events).await;
        assert!(reported.contains(problem), "{reported}");
    }
}
