//! The dashboard as a browser sees it, fed by the channel that the watches feed.

mod guarded;
mod streams;

use super::{
    board::Change,
    feed,
    guard::{Guard, TOKEN},
    nearby,
    server::{Listeners, serve},
    site::{STREAMS, Site},
    stream::Sources,
};
use crate::{
    cluster::records::state_name,
    decide::fixtures::seen,
    domain::{keys, state::RolloutState},
    objects::marks::marks,
    runtime::locked::lock,
};
use futures::{StreamExt, channel::mpsc};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Client, api::DynamicObject, client::Body, runtime::watcher::Event};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, watch},
    time::timeout,
};

/// What the webhook says about every order for `frozen`.
const REFUSAL: &str =
    "admission webhook \"validate.haldane.dev\" denied the request: no rollout is under way";

/// A dashboard that runs.
struct Dashboard {
    port: u16,
    changes: mpsc::UnboundedSender<Change>,
    nearby: Arc<Mutex<Vec<mpsc::UnboundedSender<nearby::Change>>>>,
    /// Requests that the API server got: path and body.
    written: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Dashboard {
    async fn start(read_only: bool) -> Self {
        let (changes, received) = mpsc::unbounded();
        let (sender, snapshots) = watch::channel(Arc::default());
        tokio::spawn(feed(received, sender));
        let listeners = Listeners::bind(0).await.unwrap();
        let port = listeners.port().unwrap();
        let nearby: Arc<Mutex<Vec<_>>> = Arc::default();
        let opened = Arc::clone(&nearby);
        let written: Arc<Mutex<Vec<_>>> = Arc::default();
        let site = Site {
            guard: Guard { port, token: "secret".into() },
            namespace: None,
            read_only,
            client: api_server(Arc::clone(&written)),
            sources: Sources {
                snapshots,
                around: Arc::new(move |_| {
                    let (sender, received) = mpsc::unbounded();
                    lock(&opened).push(sender);
                    received.boxed()
                }),
            },
            streams: Arc::new(Semaphore::new(STREAMS)),
        };
        tokio::spawn(serve(listeners, Arc::new(site)));
        Self { port, changes, nearby, written }
    }

    /// Everything is listed: these Deployments, and nothing else.
    fn lists(&self, names: &[&str]) {
        self.changed(Change::Deployment(Event::Init));
        for name in names {
            self.changed(Change::Deployment(Event::InitApply(deployment(name))));
        }
        self.changed(Change::Deployment(Event::InitDone));
        self.changed(Change::Canary(Event::InitDone));
        self.changed(Change::Record(Event::InitDone));
    }

    fn changed(&self, change: Change) {
        self.changes.unbounded_send(change).unwrap();
    }

    /// A request as the page sends it, with other headers.
    fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(Bytes::from(body.to_owned())));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        let host = format!("localhost:{}", self.port);
        request.headers_mut().insert(header::HOST, host.parse().unwrap());
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
        self.send(self.request(Method::GET, path, headers, "")).await
    }

    /// An order as the page gives it, with other headers; the status and the answer.
    async fn order(&self, name: &str, order: &str, headers: &[(&str, &str)]) -> (StatusCode, Value) {
        let origin = format!("http://localhost:{}", self.port);
        let usual = [("origin", origin.as_str()), (TOKEN, "secret")];
        let path = format!("/api/rollouts/shop/{name}/orders");
        let body = json!({"order": order}).to_string();
        let request = self.request(Method::POST, &path, &[&usual, headers].concat(), &body);
        answer(self.send(request).await).await
    }

    async fn stream(&self, path: &str) -> Events {
        let response = self.get(path, &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Events { body: response.into_body(), text: String::new() }
    }
}

/// The status of an answer, and its JSON.
async fn answer(response: Response<Incoming>) -> (StatusCode, Value) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

/// An API server that takes every write, except for `frozen`.
fn api_server(written: Arc<Mutex<Vec<(String, Value)>>>) -> Client {
    let answer = move |request: Request<Body>| {
        let written = Arc::clone(&written);
        async move {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let is_refused = path.ends_with("/frozen");
            lock(&written).push((path, serde_json::from_slice(&body).unwrap()));
            let refusal = json!({"kind": "Status", "status": "Failure", "message": REFUSAL, "code": 422});
            let response = if is_refused { Response::builder().status(422) } else { Response::builder() };
            let response = response.header(header::WARNING, "299 - \"the plan is frozen\"");
            let body = if is_refused { refusal } else { json!({}) };
            Ok::<_, Infallible>(response.body(Body::from(body.to_string().into_bytes())).unwrap())
        }
    };
    Client::new(tower::service_fn(answer), "default")
}

/// Server-sent events.
struct Events {
    body: Incoming,
    text: String,
}

impl Events {
    /// The data of the next event with this name; others are skipped.
    async fn next(&mut self, name: &str) -> Value {
        timeout(Duration::from_secs(20), self.find(name)).await.unwrap_or_else(|_| panic!("no {name}"))
    }

    async fn find(&mut self, name: &str) -> Value {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let lines = event.split_once('\n').unwrap_or_default();
                if lines.0 == format!("event: {name}") {
                    return serde_json::from_str(lines.1.strip_prefix("data: ").unwrap()).unwrap();
                }
            }
            let frame = self.body.frame().await.expect("the stream does not end").unwrap();
            self.text += std::str::from_utf8(&frame.into_data().unwrap()).unwrap();
        }
    }
}

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// A managed Deployment whose template is held.
fn deployment(name: &str) -> DynamicObject {
    let mut value = json!(seen(4, "web:2", true).deployment);
    value["apiVersion"] = json!("apps/v1");
    value["kind"] = json!("Deployment");
    let metadata = &mut value["metadata"];
    metadata["name"] = json!(name);
    metadata["namespace"] = json!("shop");
    metadata["uid"] = json!(format!("{name}-uid"));
    metadata["labels"] = json!({keys::MANAGED: "true"});
    object(value)
}

/// The record of a Deployment.
fn record(name: &str, state: &RolloutState) -> ConfigMap {
    let owner =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": format!("{name}-uid")});
    object(json!({
        "metadata": {
            "name": state_name(name), "namespace": "shop", "labels": marks(name), "ownerReferences": [owner],
        },
        "data": {"state": serde_json::to_string(state).unwrap(), "stable-image": "web:1"},
    }))
}
