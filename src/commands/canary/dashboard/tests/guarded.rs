//! Which requests get an answer, and which orders are given.

use super::{Dashboard, Listeners, REFUSAL, STREAMS, answer, lock};
use crate::{commands::canary::dashboard::assets, domain::keys};
use http::{Method, StatusCode, header};
use regex::Regex;
use serde_json::json;

#[tokio::test]
async fn a_name_that_was_bound_to_this_machine_gets_nothing() {
    let dashboard = Dashboard::start(false).await;
    dashboard.lists(&["web"]);
    let rebound = [("host", "evil.example.com:3100")];
    for path in ["/", "/app.js", "/api/rollouts", "/api/rollouts/shop/web"] {
        assert_eq!(dashboard.get(path, &rebound).await.status(), StatusCode::FORBIDDEN, "{path}");
    }
    let (status, answer) = dashboard.order("web", "abort", &rebound).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let expected =
        format!("the Host header must be localhost:{0}; open http://localhost:{0}", dashboard.port);
    assert_eq!(answer, json!({"error": expected}));
    assert!(lock(&dashboard.written).is_empty());
    for host in ["127.0.0.1", "[::1]"] {
        let host = format!("{host}:{}", dashboard.port);
        assert_eq!(dashboard.get("/", &[("host", &host)]).await.status(), StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_can_neither_read_nor_order() {
    let dashboard = Dashboard::start(false).await;
    dashboard.lists(&["web"]);
    dashboard.stream("/api/rollouts").await.next("rollouts").await;
    let foreign = [("origin", "https://evil.example.com")];
    assert_eq!(dashboard.get("/api/rollouts", &foreign).await.status(), StatusCode::FORBIDDEN);
    for headers in [
        [("origin", "https://evil.example.com"), ("x-haldane-token", "secret")],
        [("origin", "http://localhost:1"), ("x-haldane-token", "secret")],
        [("origin", "null"), ("x-haldane-token", "secret")],
        [("x-haldane-token", "wrong"), ("accept", "*/*")],
        [("x-haldane-token", "secre"), ("accept", "*/*")],
        [("x-haldane-token", ""), ("accept", "*/*")],
    ] {
        let (status, answer) = dashboard.order("web", "abort", &headers).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{headers:?}: {answer}");
    }
    // As a form of another site would: without Origin, or without the token.
    let body = r#"{"order": "abort"}"#;
    for headers in
        [[("x-haldane-token", "secret")], [("origin", &*format!("http://localhost:{}", dashboard.port))]]
    {
        let request = dashboard.request(Method::POST, "/api/rollouts/shop/web/orders", &headers, body);
        assert_eq!(dashboard.send(request).await.status(), StatusCode::FORBIDDEN, "{headers:?}");
    }
    assert!(lock(&dashboard.written).is_empty());
}

#[tokio::test]
async fn an_order_is_the_annotation_and_a_refusal_is_shown_verbatim() {
    let dashboard = Dashboard::start(false).await;
    dashboard.lists(&["web", "frozen"]);
    dashboard.stream("/api/rollouts").await.next("rollouts").await;
    let given = dashboard.order("web", "promote-full", &[]).await;
    assert_eq!(given, (StatusCode::OK, json!({"warnings": ["the plan is frozen"]})));
    let (path, body) = lock(&dashboard.written)[0].clone();
    assert_eq!(path, "/apis/apps/v1/namespaces/shop/deployments/web");
    assert_eq!(body, json!({"metadata": {"annotations": {keys::DO: "promote-full"}}}));
    let refused = dashboard.order("frozen", "abort", &[]).await;
    assert_eq!(refused, (StatusCode::UNPROCESSABLE_ENTITY, json!({"error": REFUSAL})));
}

#[tokio::test]
async fn what_is_not_an_order_of_something_shown_reaches_no_cluster() {
    let dashboard = Dashboard::start(false).await;
    dashboard.lists(&["web"]);
    dashboard.stream("/api/rollouts").await.next("rollouts").await;
    let (status, answer) = dashboard.order("web", "promte", &[]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer["error"].as_str().unwrap().contains("promote, promote-full"), "{answer}");
    assert_eq!(dashboard.order("other", "abort", &[]).await.0, StatusCode::NOT_FOUND);
    assert_eq!(dashboard.order("web", &"x".repeat(5000), &[]).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(lock(&dashboard.written).is_empty());
}

#[tokio::test]
async fn a_read_only_dashboard_refuses_orders() {
    let dashboard = Dashboard::start(true).await;
    dashboard.lists(&["web"]);
    let mut events = dashboard.stream("/api/rollouts").await;
    assert_eq!(events.next("session").await["readOnly"], json!(true));
    events.next("rollouts").await;
    let refused = dashboard.order("web", "abort", &[]).await;
    let why = "this dashboard is read-only: it was started with --read-only";
    assert_eq!(refused, (StatusCode::FORBIDDEN, json!({"error": why})));
    assert!(lock(&dashboard.written).is_empty());
}

#[tokio::test]
async fn every_answer_is_protected() {
    let dashboard = Dashboard::start(false).await;
    for path in ["/", "/app.js", "/app.css", "/icon.svg", "/none", "/../Cargo.toml", "/api/rollouts"] {
        let response = dashboard.get(path, &[]).await;
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        let policy = header("content-security-policy");
        let sources = policy.replace("'none'", "").replace("'self'", "");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
        );
        assert!(!sources.contains('\''), "only ours, nothing inline: {policy}");
    }
    let page = assets::find("/").unwrap().content;
    let inline = Regex::new(r"(?i)<script>|<style|\sstyle=|\son[a-z]+=|https?:").unwrap();
    assert!(!inline.is_match(page), "{page}");
}

#[tokio::test]
async fn there_is_nothing_else() {
    let dashboard = Dashboard::start(false).await;
    for path in ["/none", "/index.html", "/api", "/api/rollouts/shop", "/api/rollouts/shop/web/orders"] {
        let (status, answer) = answer(dashboard.get(path, &[]).await).await;
        assert_eq!(
            (status, &answer["error"]),
            (StatusCode::NOT_FOUND, &json!(format!("there is nothing at {path}")))
        );
    }
    for method in [Method::PUT, Method::DELETE, Method::OPTIONS, Method::POST] {
        let request = dashboard.request(method.clone(), "/api/rollouts", &[], "");
        assert_eq!(dashboard.send(request).await.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
}

#[tokio::test]
async fn streams_are_bounded_and_a_closed_page_makes_room() {
    let dashboard = Dashboard::start(false).await;
    let mut open = Vec::new();
    for _ in 0..STREAMS {
        open.push(dashboard.stream("/api/rollouts").await);
    }
    let (status, refused) = answer(dashboard.get("/api/rollouts/shop/web", &[]).await).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused["error"], json!("32 pages are open already; close one of them"));
    assert_eq!(dashboard.get("/", &[]).await.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    open.pop();
    // The server learns of it by its next write.
    dashboard.lists(&["web"]);
    let mut again = dashboard.get("/api/rollouts", &[]).await;
    while again.status() != StatusCode::OK {
        tokio::task::yield_now().await;
        again = dashboard.get("/api/rollouts", &[]).await;
    }
}

#[tokio::test]
async fn only_this_machine_can_connect() {
    let first = Listeners::bind(0).await.unwrap();
    assert!(first.addresses().iter().all(|address| address.ip().is_loopback()), "{first:?}");
    let error = Listeners::bind(first.port().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
