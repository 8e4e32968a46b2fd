//! Answers admission requests over HTTP, with limits on size, time and memory.

use super::{
    decision_log::{self, DecisionLog},
    memory_budget::{MAX_BODY_BYTES, MemoryBudget},
    review::{self, BadReview},
};
use crate::{
    domain::review::{Review, Stage, Verdict},
    runtime::{clock, heavy::Heavy, http::Peer},
};
use futures::FutureExt;
use http::{
    Method, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use prometheus_client::registry::Registry;
use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr},
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};
use tokio::time;
use tracing::{Instrument, Span, warn};

/// Half a second less than the timeout of the webhook configurations: Haldane's own error gives the reason, the API
/// server's only says that the time is over.
pub const TIME_LIMIT: Duration = Duration::from_millis(4500);

/// For the body alone. API servers send it at once, and a slow sender delays others.
const BODY_TIME: Duration = Duration::from_secs(1);

/// Reviews parsed at once.
const PARSED_AT_ONCE: usize = 2;

/// Decides reviews.
pub trait Handler: Send + Sync + 'static {
    /// The verdict on `review`. One that takes longer than 4.5 s is not used.
    ///
    /// # Cancellation
    /// Dropped at an await point when the time is over.
    fn handle(&self, stage: Stage, review: &Review) -> impl Future<Output = Verdict> + Send;
}

/// Why a request gets no verdict.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("unknown path, use POST /mutate, POST /validate or POST /warn")]
    NoSuchPath,
    #[error("only POST is allowed")]
    NotPost,
    #[error("Content-Type must be application/json")]
    NotJson,
    #[error("the body is longer than {MAX_BODY_BYTES} bytes")]
    TooLong,
    #[error("the body has more values than a Deployment can have")]
    TooDense,
    #[error("the body did not arrive within {0:?}")]
    Slow(Duration),
    #[error("the body ended early: {0}")]
    Cut(Box<dyn Error + Send + Sync>),
    #[error(transparent)]
    BadReview(#[from] BadReview),
    #[error("no verdict within {0:?}")]
    TooLate(Duration),
    #[error("the answer cannot be written: {0}")]
    Unwritable(serde_json::Error),
    #[error("internal error; Haldane's log has the details")]
    Bug,
}

impl Refusal {
    fn code(&self) -> StatusCode {
        match self {
            Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::NotPost => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLong | Self::TooDense => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Cut(_) | Self::BadReview(_) => StatusCode::BAD_REQUEST,
            Self::TooLate(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Unwritable(_) | Self::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// The webhook: paths, limits and the decision log around a [`Handler`].
#[derive(Debug)]
pub struct Webhook<H> {
    handler: H,
    memory: MemoryBudget,
    parsing: Heavy,
    log: DecisionLog,
    time_limit: Duration,
    body_time: Duration,
}

impl<H: Handler> Webhook<H> {
    /// A webhook that decides by `handler` and counts in `registry`.
    pub fn new(handler: H, registry: &mut Registry) -> Self {
        Self {
            handler,
            memory: MemoryBudget::new(),
            parsing: Heavy::new(PARSED_AT_ONCE),
            log: DecisionLog::new(registry),
            time_limit: TIME_LIMIT,
            body_time: BODY_TIME,
        }
    }

    /// The same with another time limit than [`TIME_LIMIT`], also for the body.
    #[must_use]
    pub fn within(self, time_limit: Duration) -> Self {
        Self { time_limit, body_time: time_limit, ..self }
    }

    /// Answers one HTTP request; ends within the time limit.
    ///
    /// A request that is not a valid review on a known path is answered with an HTTP error and a `Status`: the API
    /// server then follows the webhook's failure policy. So is a panic, which affects only its own request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send,
    {
        let started = clock::monotonic();
        let stage = match request.uri().path() {
            "/mutate" => Stage::Mutate,
            "/validate" => Stage::Validate,
            "/warn" => Stage::Warn,
            _ => return refused(&Refusal::NoSuchPath),
        };
        let span = decision_log::span(stage);
        // A panic leaves nothing half-changed: only semaphores and counters are shared.
        let decided = AssertUnwindSafe(self.decide(stage, request, started, &span)).catch_unwind();
        let answer = match time::timeout(self.time_limit, decided).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Refusal::Bug),
            Err(_) => Err(Refusal::TooLate(self.time_limit)),
        };
        let response = answer.map_or_else(
            |refusal| {
                self.log.refused(stage);
                span.in_scope(|| warn!(%refusal, "admission request not answered"));
                refused(&refusal)
            },
            |body| json(StatusCode::OK, body),
        );
        self.log.took(stage, started.elapsed());
        response
    }

    /// The record of the decision has all that the span says, and stands outside of it.
    async fn decide<B>(
        &self,
        stage: Stage,
        request: Request<B>,
        started: Instant,
        span: &Span,
    ) -> Result<Vec<u8>, Refusal>
    where
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send,
    {
        let length = check(&request)?;
        let peer = request.extensions().get().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Peer(peer)| *peer);
        let room_to_read = self.memory.to_read(peer, length).await.ok_or(Refusal::TooLong)?;
        let body = time::timeout(self.body_time, read(request.into_body())).await;
        let body = body.map_err(|_| Refusal::Slow(self.body_time))??;
        // Held until the answer is written, because the review is in memory until then.
        let _room_to_parse = self.memory.to_parse(peer, &body).await.ok_or(Refusal::TooDense)?;
        let review = self.parsing.run(|| review::parse(&body)).await?;
        drop((body, room_to_read));
        decision_log::is_about(span, &review);
        let verdict = self.handler.handle(stage, &review).instrument(span.clone()).await;
        let answer = review::answer(stage, &review, &verdict).map_err(Refusal::Unwritable)?;
        self.log.decided(stage, peer, &review, &verdict, started.elapsed());
        Ok(answer)
    }
}

/// Checks the headers, and gives the length to expect.
fn check<B>(request: &Request<B>) -> Result<usize, Refusal> {
    if request.method() != Method::POST {
        return Err(Refusal::NotPost);
    }
    let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let media_type =
        header(CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Refusal::NotJson);
    }
    let length = header(CONTENT_LENGTH).and_then(|value| value.parse().ok()).unwrap_or(MAX_BODY_BYTES);
    if length > MAX_BODY_BYTES { Err(Refusal::TooLong) } else { Ok(length) }
}

async fn read<B>(body: B) -> Result<Bytes, Refusal>
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::TooLong),
        Err(error) => Err(Refusal::Cut(error)),
    }
}

fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    let code = refusal.code();
    // A `Status` can always be written; if not, the code alone must do.
    json(code, review::failure(code, &refusal.to_string()).unwrap_or_default())
}

fn json(code: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
