//! No request to the API server lasts for ever: a server that takes packets and answers nothing would stop a pass for a quarter
//! of an hour, and whatever waits for it.

use futures::{FutureExt, future::BoxFuture};
use http::{Method, Request, Response, Uri};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tower::Service;

type BoxError = Box<dyn Error + Send + Sync>;

/// How long answers may take, with all attempts that the client library repeats by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    read: Duration,
    write: Duration,
}

/// The API server waits up to 30 s for an admission webhook of a write, and then says which one it was.
pub(super) const LIMITS: Limits = Limits { read: Duration::from_secs(15), write: Duration::from_secs(35) };

/// Why a request ended without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not answer within {} s", .0.as_secs_f32())]
struct NoAnswer(Duration);

/// Ends every request of the service below at its deadline, except watches.
#[derive(Clone)]
pub(super) struct WithDeadline<S>(pub S, pub Limits);

impl<S, B, R> Service<Request<B>> for WithDeadline<S>
where
    S: Service<Request<B>, Response = Response<R>, Error: Into<BoxError>>,
    S::Future: Send + 'static,
    R: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Limited<R>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let limit = self.1.of(&request);
        let answer = self.0.call(request).map(|answer| answer.map_err(Into::into));
        async move {
            let Some(limit) = limit else { return Ok(answer.await?.map(|body| Limited::new(body, None))) };
            let end = Instant::now() + limit;
            let answer = timeout_at(end, answer).await.map_err(|_| NoAnswer(limit))??;
            Ok(answer.map(|body| Limited::new(body, Some((end, limit)))))
        }
        .boxed()
    }
}

impl Limits {
    /// How long a request may take; `None` for a watch.
    fn of<B>(self, request: &Request<B>) -> Option<Duration> {
        match *request.method() {
            Method::GET | Method::HEAD if is_watch(request.uri()) => None,
            Method::GET | Method::HEAD => Some(self.read),
            _ => Some(self.write),
        }
    }
}

/// Whether a read is a watch, which lasts.
pub(super) fn is_watch(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| {
        query.split('&').any(|parameter| matches!(parameter, "watch=true" | "watch=1" | "watch"))
    })
}

/// A body that must have arrived by the request's deadline.
pub(super) struct Limited<R> {
    body: Pin<Box<R>>,
    end: Option<(Pin<Box<Sleep>>, Duration)>,
}

impl<R> Limited<R> {
    fn new(body: R, end: Option<(Instant, Duration)>) -> Self {
        let end = end.map(|(end, limit)| (Box::pin(sleep_until(end)), limit));
        Self { body: Box::pin(body), end }
    }
}

impl<R: Body<Data = Bytes, Error: Into<BoxError>>> Body for Limited<R> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = self.body.as_mut().poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let Some((end, limit)) = &mut self.end else { return Poll::Pending };
        ready!(end.as_mut().poll(context));
        Poll::Ready(Some(Err(NoAnswer(*limit).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{future::pending, stream};
    use http_body_util::{BodyExt, Empty, StreamBody};
    use std::convert::Infallible;
    use tower::service_fn;

    const SHORT: Limits = Limits { read: Duration::from_millis(20), write: Duration::from_millis(50) };

    fn request(method: Method, uri: &str) -> Request<()> {
        Request::builder().method(method).uri(uri).body(()).unwrap()
    }

    #[tokio::test]
    async fn a_request_that_is_never_answered_ends_and_a_watch_goes_on() {
        let silent = |_: Request<()>| pending::<Result<Response<Empty<Bytes>>, Infallible>>();
        let mut service = WithDeadline(service_fn(silent), SHORT);
        for (method, said) in [(Method::GET, "within 0.02 s"), (Method::PATCH, "within 0.05 s")] {
            let error = service.call(request(method, "/api/v1/pods/web")).await.err().unwrap();
            assert!(error.to_string().contains(said), "{error}");
        }
        let watch = service.call(request(Method::GET, "/api/v1/pods?watch=true"));
        tokio::time::timeout(10 * SHORT.write, watch).await.map(drop).unwrap_err();
    }

    #[tokio::test]
    async fn a_body_that_never_ends_does_end() {
        let endless = |_: Request<()>| async {
            let body = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
            Ok::<_, Infallible>(Response::new(body))
        };
        let mut service = WithDeadline(service_fn(endless), SHORT);
        let answer = service.call(request(Method::GET, "/api/v1/pods")).await.unwrap();
        let error = answer.into_body().collect().await.unwrap_err();
        assert!(error.to_string().contains("within 0.02 s"), "{error}");
    }
}
