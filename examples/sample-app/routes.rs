//! Answers requests.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use http::header::{ALLOW, CONNECTION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes};
use serde::Serialize;
use serde_json::json;

use crate::app::{App, Readiness};
use crate::settings::{Changes, Refusal, Settings};
use crate::{log, metrics};

const X_VERSION: HeaderName = HeaderName::from_static("x-version");
const TEXT: &str = "text/plain; charset=utf-8";
const MAX_BODY: usize = 16 << 10;
/// Bodies that the sink keeps.
const MAX_KEPT: usize = 100;

type Answer = Response<Full<Bytes>>;

/// Answers one request.
pub async fn handle<B>(app: Arc<App>, request: Request<B>) -> Result<Answer, Infallible>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let settings = app.settings.load_full();
    let http1 = request.version() < http::Version::HTTP_2;
    let mut answer = match request.uri().path() {
        "/healthz" => health(&app),
        "/metrics" => exposition(&app),
        "/settings" => change_settings(&app, request).await,
        "/series" => change_series(&app, request).await,
        "/sink" => sink(&app, request).await,
        path if path.starts_with("/api/") => observed(&settings, path),
        path => {
            let start = Instant::now();
            if !settings.latency.is_zero() {
                tokio::time::sleep(settings.latency).await;
            }
            compute(settings.work);
            let answer = application(&app, &settings, path);
            app.metrics.record(answer.status().as_u16(), start.elapsed());
            answer
        }
    };
    let headers = answer.headers_mut();
    headers.insert(X_VERSION, settings.version.header());
    if http1 && app.readiness() == Readiness::Draining {
        // A client that reuses connections moves to another pod before this one ends.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer)
}

/// Keeps the processor busy.
fn compute(span: Duration) {
    let start = Instant::now();
    while start.elapsed() < span {
        std::hint::spin_loop();
    }
}

/// The routes that count as traffic.
fn application(app: &App, settings: &Settings, path: &str) -> Answer {
    let version = settings.version.as_str();
    let pod = &app.pod;
    match path {
        "/" | "/version" if app.spread.fails(settings.error_rate) => failure("as set"),
        "/" => text(StatusCode::OK, format!("sample-app {version} on {pod}\n")),
        "/version" => json(StatusCode::OK, &json!({"version": version, "pod": pod})),
        "/success" => text(StatusCode::OK, "success\n".to_owned()),
        "/error" => failure("as asked"),
        _ => text(StatusCode::NOT_FOUND, format!("no such route: {path}\n")),
    }
}

fn failure(why: &str) -> Answer {
    text(StatusCode::INTERNAL_SERVER_ERROR, format!("failed {why}\n"))
}

fn health(app: &App) -> Answer {
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    match app.readiness() {
        Readiness::Ready => text(StatusCode::OK, "ready\n".to_owned()),
        Readiness::Starting(left) => {
            let left = left.as_secs_f64();
            text(unavailable, format!("starting: ready in {left:.1}s\n"))
        }
        Readiness::Draining => text(unavailable, "draining\n".to_owned()),
    }
}

fn exposition(app: &App) -> Answer {
    match app.metrics.encode() {
        Ok(out) => answer(StatusCode::OK, metrics::CONTENT_TYPE, with_series(&out, &app.series.load())),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// What an observability product would say about any application: the error rate that is set here.
fn observed(settings: &Settings, path: &str) -> Answer {
    json(StatusCode::OK, &json!({"of": path, "error_rate": settings.error_rate.as_f64()}))
}

/// The series of others come before the mark that ends an exposition.
fn with_series(own: &str, others: &str) -> String {
    const END: &str = "# EOF\n";
    format!("{}{others}{END}", own.strip_suffix(END).unwrap_or(own))
}

/// Stands in for the exporter of another program: shows what it is sent.
async fn change_series<B>(app: &App, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let body = match Limited::new(request.into_body(), MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let mut series = String::from_utf8_lossy(&body).trim().to_owned();
    if !series.is_empty() {
        series.push('\n');
    }
    app.series.store(Arc::new(series.clone()));
    text(StatusCode::OK, series)
}

/// Stands in for a receiver of notifications: keeps the newest bodies, and shows them as a JSON list of texts.
async fn sink<B>(app: &App, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let is_sent = *request.method() == Method::POST;
    let body = match Limited::new(request.into_body(), MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let mut kept = app.sink.lock().unwrap_or_else(PoisonError::into_inner);
    if is_sent {
        kept.push(String::from_utf8_lossy(&body).into_owned());
        let excess = kept.len().saturating_sub(MAX_KEPT);
        kept.drain(..excess);
    }
    json(StatusCode::OK, &*kept)
}

async fn change_settings<B>(app: &App, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::POST | Method::PUT => match read_changes(request).await {
            Ok(changes) => {
                app.change(&changes);
                log(&format!("settings {}", shown(&**app.settings.load())));
            }
            Err(refusal) => {
                let body = json!({"error": refusal.to_string(), "refused": refusal});
                return json(StatusCode::BAD_REQUEST, &body);
            }
        },
        _ => {
            let message = "use GET, POST or PUT\n".to_owned();
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, message);
            let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT");
            answer.headers_mut().insert(ALLOW, allowed);
            return answer;
        }
    }
    json(StatusCode::OK, &**app.settings.load())
}

/// Reads the query, then the body; there has to be at least one of them.
async fn read_changes<B>(request: Request<B>) -> Result<Changes, Refusal>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let mut changes = Changes::default();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let body = Limited::new(request.into_body(), MAX_BODY)
        .collect()
        .await
        .map_err(|error| Refusal::new("body", &error.to_string(), "send at most 16 KiB"))?
        .to_bytes();
    if query.is_empty() && body.is_empty() {
        let allowed = "send a query such as ?error_rate=0.5 or a JSON object";
        return Err(Refusal::new("body", "", allowed));
    }
    // Only the query matters; the rest is there to make it a URL.
    if let Ok(url) = reqwest::Url::parse(&format!("http://localhost/?{query}")) {
        for (field, value) in url.query_pairs() {
            changes.set(&field, &value)?;
        }
    }
    if !body.is_empty() {
        changes.set_from_json(&body)?;
    }
    Ok(changes)
}

fn shown(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    answer(status, "application/json", shown(value) + "\n")
}

fn text(status: StatusCode, body: String) -> Answer {
    answer(status, TEXT, body)
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> Arc<App> {
        Arc::new(App::new(Settings::default()))
    }

    async fn send(app: &Arc<App>, method: &str, uri: &str, body: &str) -> (u16, String) {
        let request =
            Request::builder().method(method).uri(uri).body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let Ok(answer) = handle(Arc::clone(app), request).await;
        assert!(answer.headers().contains_key("x-version"), "{uri}");
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_error_share_applies_to_root_and_version_only() {
        let app = app();
        let (status, body) = send(&app, "PUT", "/settings?error_rate=100%&version=v2", "").await;
        assert_eq!(status, 200, "{body}");
        assert!(body.contains(r#""version":"v2","error_rate":1.0"#), "{body}");
        for (path, expected) in [
            ("/", 500),
            ("/version", 500),
            ("/success", 200),
            ("/error", 500),
            ("/nowhere", 404),
            ("/healthz", 200),
            ("/metrics", 200),
        ] {
            assert_eq!(send(&app, "GET", path, "").await.0, expected, "{path}");
        }
    }

    #[tokio::test]
    async fn probes_metrics_and_settings_are_not_counted() {
        let app = app();
        for path in ["/healthz", "/metrics", "/settings"] {
            send(&app, "GET", path, "").await;
        }
        let (_, out) = send(&app, "GET", "/metrics", "").await;
        assert!(!out.contains("success="), "{out}");
        send(&app, "GET", "/success", "").await;
        send(&app, "GET", "/error", "").await;
        let (_, out) = send(&app, "GET", "/metrics", "").await;
        assert!(out.contains("sample_app_requests_count{success=\"true\"} 1"));
        assert!(out.contains("sample_app_requests_count{success=\"false\"} 1"));
    }

    #[tokio::test]
    async fn it_can_stand_for_a_metrics_service_and_an_exporter() {
        let app = app();
        send(&app, "PUT", "/settings?error_rate=25%", "").await;
        let (status, body) = send(&app, "GET", "/api/errors/shop/web", "").await;
        assert_eq!((status, body.trim()), (200, r#"{"error_rate":0.25,"of":"/api/errors/shop/web"}"#));
        send(&app, "PUT", "/series", "response_total{deployment=\"web\"} 5").await;
        let (_, out) = send(&app, "GET", "/metrics", "").await;
        assert!(out.ends_with("response_total{deployment=\"web\"} 5\n# EOF\n"), "{out}");
        assert!(!out.contains("success="), "neither counts as traffic: {out}");
    }

    #[tokio::test]
    async fn it_can_stand_for_a_receiver_of_notifications() {
        let app = app();
        for body in ["{\"n\": 1}", "two"] {
            send(&app, "POST", "/sink", body).await;
        }
        let (status, body) = send(&app, "GET", "/sink", "").await;
        assert_eq!((status, body.trim()), (200, r#"["{\"n\": 1}","two"]"#));
        for n in 0..MAX_KEPT {
            send(&app, "POST", "/sink", &n.to_string()).await;
        }
        let (_, body) = send(&app, "GET", "/sink", "").await;
        assert!(body.starts_with(r#"["0","1","#), "only the newest are kept: {body}");
    }

    #[tokio::test]
    async fn a_bad_setting_is_refused_and_nothing_changes() {
        let app = app();
        let bad = r#"{"version": "v9", "error_rate": 2}"#;
        let (status, body) = send(&app, "POST", "/settings", bad).await;
        assert_eq!(status, 400);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["refused"]["field"], "error_rate");
        assert_eq!(body["refused"]["value"], "2");
        assert_eq!(app.settings.load().version.as_str(), "v1");

        for (method, uri, body, expected) in [
            ("PUT", "/settings", "", 400),
            ("PUT", "/settings?colour=red", "", 400),
            ("POST", "/settings?latency=0s", "", 200),
            ("DELETE", "/settings", "", 405),
        ] {
            let (status, answer) = send(&app, method, uri, body).await;
            assert_eq!(status, expected, "{method} {uri}: {answer}");
        }
    }
}
