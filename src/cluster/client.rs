//! The one client of the Kubernetes API; it counts its requests.

use super::deadline::{LIMITS, WithDeadline, is_watch};
use crate::runtime::metrics::{self, Metric};
use futures::{FutureExt, future::BoxFuture};
use http::{Method, Request, Response, Uri};
use kube::{Client, Config, Error, client::ClientBuilder};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use std::{
    fmt,
    task::{Context, Poll},
};
use tower::{Layer, Service, layer::layer_fn};

/// Connects as `KUBECONFIG` or the pod's service account says, and counts requests in `registry`. Attempts that the
/// client library repeats by itself count as one request, and have one deadline.
///
/// # Errors
/// No configuration, or an unusable one.
pub async fn connect(registry: &mut Registry) -> kube::Result<Client> {
    let config = Config::infer().await.map_err(Error::InferConfig)?;
    let builder = ClientBuilder::try_from(config)?.with_layer(&layer_fn(|inner| WithDeadline(inner, LIMITS)));
    Ok(builder.with_layer(&counting(registry)).build())
}

/// Counts the requests of the service below.
fn counting<S>(registry: &mut Registry) -> impl Layer<S, Service = Counting<S>> + use<S> {
    let requests = Requests::default();
    metrics::register(registry, Metric::ApiRequests, requests.clone());
    layer_fn(move |inner| Counting { inner, requests: requests.clone() })
}

type Requests = Family<Asked, Counter>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    verb: &'static str,
    code: Code,
}

/// HTTP status, or `error` where there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Code(Option<u16>);

impl EncodeLabelValue for Code {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        match self.0 {
            Some(code) => code.encode(encoder),
            None => "error".encode(encoder),
        }
    }
}

/// See [`counting`].
#[derive(Clone)]
struct Counting<S> {
    inner: S,
    requests: Requests,
}

impl<S, B, R> Service<Request<B>> for Counting<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (verb, requests) = (verb(request.method(), request.uri()), self.requests.clone());
        let count = move |answer: &Result<S::Response, S::Error>| {
            let code = Code(answer.as_ref().ok().map(|response| response.status().as_u16()));
            requests.get_or_create(&Asked { verb, code }).inc();
        };
        self.inner.call(request).inspect(count).boxed()
    }
}

/// The RBAC verb of a request.
///
/// Source: kubernetes `apiserver/pkg/endpoints/request/requestinfo.go`.
fn verb(method: &Method, uri: &Uri) -> &'static str {
    let has_name = has_name(uri.path());
    match *method {
        Method::GET | Method::HEAD if is_watch(uri) => "watch",
        Method::GET | Method::HEAD if has_name => "get",
        Method::GET | Method::HEAD => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if has_name => "delete",
        Method::DELETE => "deletecollection",
        _ => "other",
    }
}

/// Whether a path names one object. What is not a resource, such as `/version`, counts as one.
fn has_name(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["api", _, resource @ ..] | ["apis", _, _, resource @ ..] => {
            !matches!(resource, [_] | ["namespaces", _, _])
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Empty;
    use hyper::body::Bytes;
    use std::{convert::Infallible, future::ready};
    use tower::service_fn;

    #[test]
    fn verbs_are_the_verbs_of_rbac() {
        let deployments = "/apis/apps/v1/namespaces/shop/deployments";
        let cases = [
            ("GET", format!("{deployments}/web"), "get"),
            ("GET", deployments.to_owned(), "list"),
            ("GET", "/apis/apps/v1/deployments?watch=true&labelSelector=a".to_owned(), "watch"),
            ("GET", "/api/v1/namespaces/shop".to_owned(), "get"),
            ("GET", "/api/v1/namespaces".to_owned(), "list"),
            ("GET", "/api/v1/namespaces/shop/configmaps".to_owned(), "list"),
            ("GET", "/version".to_owned(), "get"),
            ("GET", "/apis/apps/v1".to_owned(), "get"),
            ("POST", "/api/v1/namespaces/shop/configmaps".to_owned(), "create"),
            ("PUT", "/api/v1/namespaces/shop/configmaps/haldane-web".to_owned(), "update"),
            ("PATCH", format!("{deployments}/web/status"), "patch"),
            ("DELETE", format!("{deployments}/web-canary"), "delete"),
            ("DELETE", deployments.to_owned(), "deletecollection"),
        ];
        for (method, uri, expected) in cases {
            let got = verb(&method.parse().unwrap(), &uri.parse().unwrap());
            assert_eq!(got, expected, "{method} {uri}");
        }
    }

    #[tokio::test]
    async fn requests_are_counted_by_verb_and_answer() {
        let mut registry = metrics::registry();
        let conflict = |_: Request<()>| {
            let answer = Response::builder().status(409).body(Empty::<Bytes>::new()).unwrap();
            ready(Ok::<_, Infallible>(answer))
        };
        let layer = counting(&mut registry);
        let mut service = layer.layer(service_fn(conflict));
        let request = || Request::put("/api/v1/namespaces/shop/configmaps/web").body(()).unwrap();
        for _ in 0..2 {
            service.call(request()).await.unwrap();
        }
        let text = metrics::encode(&registry).unwrap();
        assert!(text.contains("haldane_api_requests_total{verb=\"update\",code=\"409\"} 2\n"), "{text}");
    }

    #[tokio::test]
    async fn a_request_without_an_answer_counts_as_an_error() {
        let mut registry = metrics::registry();
        let layer = counting(&mut registry);
        let refused = |_: Request<()>| ready(Err::<Response<()>, _>("connection refused"));
        layer.layer(service_fn(refused)).call(Request::get("/version").body(()).unwrap()).await.unwrap_err();
        let text = metrics::encode(&registry).unwrap();
        assert!(text.contains("haldane_api_requests_total{verb=\"get\",code=\"error\"} 1\n"), "{text}");
    }
}
