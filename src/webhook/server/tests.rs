use super::*;
use crate::{
    document::finding::Finding,
    runtime::{metrics, telemetry::capture},
};
use hyper::body::Frame;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};
use tracing_subscriber::fmt::MakeWriter;

/// Allows, patches or denies by the name of the object.
struct ByName;

impl Handler for ByName {
    async fn handle(&self, _: Stage, review: &Review) -> Verdict {
        match review.name.as_str() {
            "patched" => {
                let patch = json!([{"op": "remove", "path": "/spec/paused"}]);
                Verdict::allow_with(serde_json::from_value(patch).unwrap()).by("hold").by("order")
            }
            "denied" => Verdict::forbid("order", "no"),
            "wrong" => Verdict::invalid("plan", vec![Finding::new("spec.field", "s3cret", "is wrong")]),
            "broken" => panic!("a defect in a rule"),
            _ => Verdict::allow(),
        }
    }
}

fn review(name: &str) -> String {
    let request = json!({
        "uid": "u", "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "operation": "CREATE", "name": name, "namespace": "shop", "userInfo": {"username": "jane"},
        "dryRun": true, "object": {},
    });
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string()
}

fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::post(path).header(CONTENT_TYPE, "application/json; charset=utf-8");
    request.body(Full::new(body.into())).unwrap()
}

/// Code and body of the answer; the handler and the body are always ready, so nothing is waited for.
fn ask<B>(webhook: &Webhook<ByName>, request: Request<B>) -> (u16, Value)
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send,
{
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let response = runtime.block_on(webhook.answer(request));
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    let code = response.status().as_u16();
    let body = response.into_body().collect().now_or_never().unwrap().unwrap().to_bytes();
    (code, serde_json::from_slice(&body).unwrap())
}

fn webhook() -> (Webhook<ByName>, Registry) {
    let mut registry = metrics::registry();
    (Webhook::new(ByName, &mut registry), registry)
}

#[test]
fn a_review_gets_its_verdict() {
    let (webhook, _) = webhook();
    for (name, allowed) in [("plain", true), ("patched", true), ("denied", false)] {
        let (code, answer) = ask(&webhook, post("/mutate", review(name)));
        assert_eq!((code, &answer["response"]["allowed"]), (200, &json!(allowed)), "{name}");
    }
}

#[test]
fn a_request_that_is_not_a_review_gets_an_http_error_with_the_reason() {
    let (webhook, _) = webhook();
    let with_header = |name, value| {
        let mut request = post("/validate", review("plain"));
        request.headers_mut().insert(name, HeaderValue::from_static(value));
        request
    };
    let get = {
        let mut request = post("/mutate", "");
        *request.method_mut() = Method::GET;
        request
    };
    for (request, code, message) in [
        (post("/", review("plain")), 404, "unknown path, use POST /mutate, POST /validate or POST /warn"),
        (get, 405, "only POST is allowed"),
        (with_header(CONTENT_TYPE, "text/plain"), 415, "Content-Type must be application/json"),
        (with_header(CONTENT_LENGTH, "7340033"), 413, "the body is longer than 7340032 bytes"),
        (post("/mutate", vec![b' '; MAX_BODY_BYTES + 1]), 413, "the body is longer than 7340032 bytes"),
        (
            post("/mutate", "{"),
            400,
            "the body is not an AdmissionReview: EOF while parsing an object at line 1",
        ),
        (post("/mutate", "{}"), 400, "expected admission.k8s.io/v1 AdmissionReview, got \"\" \"\""),
    ] {
        let (got, status) = ask(&webhook, request);
        assert_eq!((got, &status["code"], &status["kind"]), (code, &json!(code), &json!("Status")));
        assert!(status["message"].as_str().unwrap().starts_with(message), "{status}");
    }
}

#[test]
fn a_body_of_the_maximum_length_is_read() {
    let (webhook, _) = webhook();
    let mut body = review("plain");
    body.push_str(&" ".repeat(MAX_BODY_BYTES - body.len()));
    assert_eq!(ask(&webhook, post("/mutate", body)).0, 200);
}

/// A body that never arrives.
struct Never;

impl Body for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[test]
fn a_body_that_does_not_arrive_is_given_up_after_a_second() {
    let (webhook, _) = webhook();
    assert_eq!(webhook.body_time, Duration::from_secs(1));
    let webhook = Webhook { body_time: Duration::from_millis(10), ..webhook };
    let (code, status) = ask(&webhook, post("/mutate", "").map(|_| Never));
    assert_eq!((code, &status["message"]), (408, &json!("the body did not arrive within 10ms")));
}

#[test]
fn decisions_are_counted() {
    let (webhook, registry) = webhook();
    for (path, body) in [
        ("/mutate", review("plain")),
        ("/mutate", review("patched")),
        ("/validate", review("denied")),
        ("/validate", "{".to_owned()),
    ] {
        ask(&webhook, post(path, body));
    }
    let text = metrics::encode(&registry).unwrap();
    for (stage, decision) in
        [("mutate", "allowed"), ("mutate", "patched"), ("validate", "denied"), ("validate", "none")]
    {
        let line =
            format!("haldane_admission_decisions_total{{stage=\"{stage}\",decision=\"{decision}\"}} 1\n");
        assert!(text.contains(&line), "{line}{text}");
    }
    for (stage, decision, rule) in
        [("mutate", "patched", "hold"), ("mutate", "patched", "order"), ("validate", "denied", "order")]
    {
        let labels = format!("stage=\"{stage}\",decision=\"{decision}\",rule=\"{rule}\"");
        assert!(text.contains(&format!("haldane_admission_rules_total{{{labels}}} 1\n")), "{labels}{text}");
    }
    assert!(text.contains("haldane_admission_duration_seconds_count{stage=\"mutate\"} 2"), "{text}");
}

#[test]
fn a_panic_affects_only_its_own_request() {
    let (webhook, registry) = webhook();
    let (code, status) = ask(&webhook, post("/mutate", review("broken")));
    assert_eq!((code, &status["reason"]), (500, &json!("InternalServerError")));
    assert_eq!(status["message"], "internal error; Haldane's log has the details");
    assert_eq!(ask(&webhook, post("/mutate", review("plain"))).0, 200);
    let text = metrics::encode(&registry).unwrap();
    assert!(text.contains("{stage=\"mutate\",decision=\"none\"} 1\n"), "{text}");
}

#[test]
fn the_log_names_the_review_that_got_no_answer() {
    let (lines, _guard) = capture::Lines::of("warn");
    assert_eq!(ask(&webhook().0, post("/mutate", review("broken"))).0, 500);
    let about = r#"review{stage="mutate" uid="u" operation="CREATE" kind="Deployment" namespace="shop" name="broken"}"#;
    let written = lines.text();
    assert!(written.contains(&format!(" WARN {about}: ")), "{written}");
    assert!(
        written.ends_with(
            "admission request not answered refusal=internal error; Haldane's log has the details\n"
        ),
        "{written}"
    );
}

/// Log lines, as JSON.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The decision log's lines about a review of this object, without what differs each time.
fn logged(name: &str) -> Vec<Value> {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(lines.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        let (webhook, _) = webhook();
        ask(&webhook, post("/mutate", review(name)));
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &mut lines {
        assert!(line["duration_ms"].as_f64().unwrap() > 0.0, "{line}");
        let line = line.as_object_mut().unwrap();
        line.remove("timestamp");
        line.remove("duration_ms");
    }
    lines
}

#[test]
fn the_decision_log_has_user_object_and_rules() {
    let about = |name: &str, decision: &str, rules: &str, more: Value| {
        let mut line = json!({
            "level": "INFO", "target": "decisions", "stage": "mutate", "peer": "0.0.0.0", "decision": decision, "rules": rules,
            "uid": "u", "namespace": "shop", "name": name, "kind": "Deployment", "operation": "CREATE",
            "user": "jane", "dry_run": true, "warnings": 0,
        });
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        vec![line]
    };
    assert_eq!(logged("patched"), about("patched", "patched", "hold order", json!({})));
    let no = json!({"code": 403, "reason": "Forbidden", "message": "no"});
    assert_eq!(logged("denied"), about("denied", "denied", "order", no));
    // Where, but not what was there.
    let wrong = json!({"code": 422, "reason": "Invalid", "fields": "spec.field"});
    assert_eq!(logged("wrong"), about("wrong", "denied", "plan", wrong));
    assert_eq!(logged("plain"), Vec::<Value>::new(), "nothing was decided");
}
