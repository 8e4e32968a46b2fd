//! Requests and answers: the page, its streams, and orders.

use super::{
    assets,
    guard::{Guard, protect},
    kept::Key,
    stream::{self, Answer, Sources},
};
use crate::{
    cluster::api::message,
    commands::canary::{error::CanaryError, orders},
    domain::request::{Order, UnknownOrder},
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{error::Error, sync::Arc};
use tokio::sync::Semaphore;

/// Pages that are open at once; each has one stream.
pub const STREAMS: usize = 32;
/// Longest body of a request, in bytes.
const BODY: usize = 4 << 10;

/// See the module.
pub struct Site {
    /// See there.
    pub guard: Guard,
    /// What is shown; `None` for all namespaces.
    pub namespace: Option<String>,
    /// Orders are refused.
    pub read_only: bool,
    /// Gives the orders.
    pub client: Client,
    /// What the streams show.
    pub sources: Sources,
    /// Streams that may still be opened.
    pub streams: Arc<Semaphore>,
}

/// What the page sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    order: String,
}

/// A request that is not answered.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl Site {
    /// Answers a request.
    pub async fn answer<B>(self: Arc<Self>, request: Request<B>) -> Response<Answer>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let answered = self.routed(request).await;
        protect(answered.unwrap_or_else(|Refusal(status, why)| json_answer(status, &json!({"error": why}))))
    }

    async fn routed<B>(self: Arc<Self>, request: Request<B>) -> Result<Response<Answer>, Refusal>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let forbidden = |why| Refusal(StatusCode::FORBIDDEN, why);
        self.guard.check(request.headers()).map_err(forbidden)?;
        let path = request.uri().path().to_owned();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let key = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
        match (request.method(), parts.as_slice()) {
            (&Method::GET, ["api", "rollouts"]) => self.stream(None),
            (&Method::GET, ["api", "rollouts", namespace, name]) => self.stream(Some(key(namespace, name))),
            (&Method::POST, ["api", "rollouts", namespace, name, "orders"]) => {
                self.guard.check_order(request.headers()).map_err(forbidden)?;
                self.ordered(&key(namespace, name), request.into_body()).await
            }
            (method, _) if method != Method::GET => {
                Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not allowed here")))
            }
            _ => {
                let unknown = || Refusal(StatusCode::NOT_FOUND, format!("there is nothing at {path}"));
                let asset = assets::find(&path).ok_or_else(unknown)?;
                Ok(answer(StatusCode::OK, asset.media_type, asset.content))
            }
        }
    }

    /// A stream of all rollouts, or of one.
    fn stream(&self, key: Option<Key>) -> Result<Response<Answer>, Refusal> {
        let Ok(permit) = Arc::clone(&self.streams).try_acquire_owned() else {
            let why = format!("{STREAMS} pages are open already; close one of them");
            return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, why));
        };
        let mut response = Response::new(stream::body(self.sources.clone(), key, &self.session(), permit));
        let media_type = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        Ok(response)
    }

    async fn ordered<B>(&self, key: &Key, body: B) -> Result<Response<Answer>, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if self.read_only {
            let why = "this dashboard is read-only: it was started with --read-only";
            return Err(Refusal(StatusCode::FORBIDDEN, why.to_owned()));
        }
        let order = order(body).await?;
        let (namespace, name) = key;
        if !self.sources.snapshots.borrow().rollouts.contains_key(key) {
            let why = format!("Deployment {namespace}/{name} is not managed, or not shown here");
            return Err(Refusal(StatusCode::NOT_FOUND, why));
        }
        let given = orders::give(&self.client, namespace, name, &order.to_string()).await;
        let warnings = given.map_err(|error| refused(&error))?;
        Ok(json_answer(StatusCode::OK, &json!({"warnings": warnings})))
    }

    /// What the page must know of this process.
    fn session(&self) -> Value {
        json!({"token": self.guard.token, "namespace": self.namespace, "readOnly": self.read_only})
    }
}

/// The order that the page sends.
async fn order<B>(body: B) -> Result<Order, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let body = Limited::new(body, BODY).collect().await.map_err(|error| {
        let status = if error.is::<LengthLimitError>() {
            StatusCode::PAYLOAD_TOO_LARGE
        } else {
            StatusCode::BAD_REQUEST
        };
        Refusal(status, format!("the order cannot be read: {error}"))
    })?;
    let bad = |why: String| Refusal(StatusCode::BAD_REQUEST, why);
    let sent: Sent = serde_json::from_slice(&body.to_bytes())
        .map_err(|error| bad(format!("the body must be {{\"order\": \"...\"}}: {error}")))?;
    sent.order.parse().map_err(|error: UnknownOrder| bad(error.to_string()))
}

/// The refusal of an order, with the text of admission or the API server.
fn refused(error: &CanaryError) -> Refusal {
    let CanaryError::Api(error) = error else {
        return Refusal(StatusCode::BAD_GATEWAY, error.to_string());
    };
    let code = if let kube::Error::Api(status) = error { status.code } else { 0 };
    let status = StatusCode::from_u16(code).ok().filter(|status| status.as_u16() >= 400);
    Refusal(status.unwrap_or(StatusCode::BAD_GATEWAY), message(error))
}

fn json_answer(status: StatusCode, value: &Value) -> Response<Answer> {
    answer(status, "application/json", value.to_string())
}

fn answer(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response<Answer> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
