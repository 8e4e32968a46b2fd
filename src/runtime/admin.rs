//! The plain HTTP port for the kubelet and Prometheus: `/healthz`, `/readyz`, `/metrics`.

use super::{locked::lock, metrics};
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::body::Bytes;
use prometheus_client::registry::Registry;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// The conditions for readiness.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, bool>>>);

impl Readiness {
    /// Ready once all `conditions` are met.
    #[must_use]
    pub fn after(conditions: &[&'static str]) -> Self {
        let unmet = conditions.iter().map(|condition| (*condition, false)).collect();
        Self(Arc::new(Mutex::new(unmet)))
    }

    /// Sets whether `condition` is met.
    pub fn set(&self, condition: &'static str, met: bool) {
        self.lock().insert(condition, met);
    }

    /// The conditions that are not met; ready if there are none.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        self.lock().iter().filter(|(_, met)| !**met).map(|(condition, _)| *condition).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, bool>> {
        lock(&self.0)
    }
}

/// Answers a request to the admin port without waiting for anything.
pub fn answer<B>(request: &Request<B>, readiness: &Readiness, registry: &Registry) -> Response<Full<Bytes>> {
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "ok\n"),
        "/readyz" => match readiness.missing().as_slice() {
            [] => text(StatusCode::OK, "ok\n"),
            missing => {
                text(StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {}\n", missing.join(", ")))
            }
        },
        "/metrics" => match metrics::encode(registry) {
            Ok(metrics) => with_type(text(StatusCode::OK, metrics), metrics::CONTENT_TYPE),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        _ => text(StatusCode::NOT_FOUND, "use /healthz, /readyz or /metrics\n"),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    with_type(response, "text/plain; charset=utf-8")
}

fn with_type(mut response: Response<Full<Bytes>>, media_type: &'static str) -> Response<Full<Bytes>> {
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(media_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use http_body_util::BodyExt;

    fn get(path: &str, readiness: &Readiness) -> (StatusCode, String) {
        let request = Request::get(path).body(()).unwrap();
        let response = answer(&request, readiness, &metrics::registry());
        let status = response.status();
        let body = response.into_body().collect().now_or_never().unwrap().unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn readiness_names_what_is_missing() {
        let readiness = Readiness::after(&["certificate", "webhook"]);
        let waiting = |text: &str| (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {text}\n"));
        assert_eq!(get("/readyz", &readiness), waiting("certificate, webhook"));
        readiness.set("certificate", true);
        assert_eq!(get("/readyz", &readiness), waiting("webhook"));
        readiness.set("webhook", true);
        assert_eq!(get("/readyz", &readiness), (StatusCode::OK, "ok\n".to_owned()));
    }

    #[test]
    fn health_does_not_depend_on_readiness() {
        assert_eq!(get("/healthz", &Readiness::after(&["never"])).0, StatusCode::OK);
    }

    #[test]
    fn metrics_are_open_metrics_and_other_paths_are_not_found() {
        let (status, text) = get("/metrics", &Readiness::after(&[]));
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("haldane_build_info{version=") && text.ends_with("# EOF\n"), "{text}");
        assert_eq!(get("/", &Readiness::after(&[])).0, StatusCode::NOT_FOUND);
    }
}
