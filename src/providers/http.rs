//! Common parts of providers that use HTTP: requests, headers, authentication.
//!
//! Source of the authentication's fields: Argo's `Authentication`; of the token's exchange: RFC 6749, 4.4.

use super::{Step, Then, has_argument, hosts::HostPolicy};
use crate::document::{
    fields::{Fields, Node},
    json_size::parsed_bytes,
};
use ::http::{HeaderName, HeaderValue, Method};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use url::{Url, form_urlencoded};

/// Maximum timeout in seconds: a measurement that takes longer delays the whole analysis.
pub const MAX_TIMEOUT: u32 = 300;

/// Maximum memory of a parsed answer, in bytes: 50 times as much as an answer with 1000 series needs.
pub const MAX_PARSED: usize = 8 << 20;

/// Headers that the request sets itself.
const OWN_HEADERS: &[&str] = &["host", "content-length", "transfer-encoding", "connection", "upgrade", "te"];

/// An HTTP request.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// HTTP method.
    pub method: Method,
    /// The URL.
    pub url: Url,
    /// Names and values, not checked for characters that HTTP does not allow.
    pub headers: Vec<(String, String)>,
    /// The body; may be empty.
    pub body: String,
    /// Timeout of the request and its answer.
    pub timeout: Duration,
    /// Whether to accept any certificate of the server.
    pub insecure: bool,
}

/// An answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The body, of limited length.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// Whether the status is 2xx.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// The beginning of the body, in quotes, for a message.
    pub(super) fn beginning(&self) -> String {
        const MAX_SHOWN: usize = 80;
        let text: String = String::from_utf8_lossy(&self.body).chars().take(MAX_SHOWN).collect();
        format!("{text:?}")
    }

    /// Memory that the parsed body takes; a body above the maximum is not parsed.
    #[must_use]
    pub fn parsed_bytes(&self) -> usize {
        parsed_bytes(&self.body).min(MAX_PARSED)
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Result<Value, BadAnswer> {
        if parsed_bytes(&self.body) > MAX_PARSED {
            return Err(BadAnswer::TooMuch);
        }
        Ok(serde_json::from_slice(&self.body)?)
    }
}

/// An answer that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadAnswer {
    #[error("the answer has more values than the limit of {} MiB of memory allows; query fewer, or aggregate in the query", MAX_PARSED >> 20)]
    TooMuch,
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// How requests authenticate.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Authentication {
    basic: Option<String>,
    oauth2: Option<OAuth2>,
}

#[derive(Clone, PartialEq, Eq)]
struct OAuth2 {
    token_url: Url,
    client_id: String,
    client_secret: String,
    scopes: Vec<String>,
}

/// Reads `headers`, a list of `{key, value}`.
pub(super) fn headers(fields: &mut Fields<'_>) -> Vec<(String, String)> {
    fields.doc("A list of `{key, value}`.").list("headers", |node| {
        node.object(|header| {
            let key = header.required("key", header_name);
            let value = header.required("value", header_value);
            Some((key?, value?))
        })
    })
}

/// Reads the name of a header.
pub(crate) fn header_name(node: Node<'_>) -> Option<String> {
    match node.value().as_str() {
        Some(name) if has_argument(name) => node.string(),
        Some(name) if HeaderName::from_bytes(name.as_bytes()).is_err() => node.fail("is not a header name"),
        Some(name) if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) => {
            node.fail("is set by Haldane and cannot be changed")
        }
        _ => node.string(),
    }
}

/// Reads the value of a header.
pub(crate) fn header_value(node: Node<'_>) -> Option<String> {
    match node.value().as_str() {
        Some(value) if HeaderValue::from_str(value).is_err() => {
            node.fail("is not a header value: control characters are not allowed")
        }
        _ => node.string(),
    }
}

/// Reads a URL, which may contain `{{args.x}}`. A host that is always refused is a finding.
pub(super) fn url(node: Node<'_>) -> Option<String> {
    let Some(text) = node.value().as_str().filter(|text| !has_argument(text)) else { return node.string() };
    match checked_url(text).and_then(|url| HostPolicy::default().check(&url)) {
        Ok(()) => node.string(),
        Err(problem) => node.fail(problem),
    }
}

/// Parses the URL of a request.
///
/// # Errors
/// Why the URL cannot be used.
pub fn checked_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok();
    let url = url.filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
    match url {
        None => Err(format!("{text:?} is not an http or https URL")),
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("a URL must not contain a password; use authentication.basicAuth".to_owned())
        }
        Some(url) => Ok(url),
    }
}

/// Reads `insecure`.
pub(crate) fn insecure(fields: &mut Fields<'_>) -> bool {
    fields.doc("`true` accepts any certificate.").optional("insecure", Node::bool).unwrap_or_default()
}

/// Reads `timeout` or `timeoutSeconds`; 0 means the default.
pub(super) fn timeout(fields: &mut Fields<'_>, key: &'static str, default: u32) -> Duration {
    let seconds = fields.optional(key, |node| node.integer(0..=MAX_TIMEOUT));
    Duration::from_secs(seconds.filter(|seconds| *seconds > 0).unwrap_or(default).into())
}

impl Authentication {
    /// Reads `authentication`.
    pub fn of(fields: &mut Fields<'_>) -> Self {
        fields
            .doc("`basicAuth: {username, password}`, or `oauth2: {tokenUrl, clientId, clientSecret, scopes}` (client credentials). Put a bearer token into `headers`. For secrets, use arguments with a `secretKeyRef`.")
            .optional("authentication", Self::read)
            .unwrap_or_default()
    }

    fn read(node: Node<'_>) -> Option<Self> {
        node.object(|fields| {
            let basic = fields.optional("basicAuth", basic);
            let oauth2 = fields.optional("oauth2", OAuth2::read);
            fields.unsupported("sigv4", "put a signing proxy in front of Prometheus");
            if basic.is_some() && oauth2.is_some() {
                fields.fail("only one of basicAuth and oauth2 is allowed");
                return None;
            }
            Some(Self { basic, oauth2 })
        })
    }

    /// Sends `request` with credentials; for `OAuth2` it requests a token first.
    pub fn send(self, mut request: HttpRequest, then: Then<HttpResponse>) -> Step {
        if let Some(oauth2) = self.oauth2 {
            return oauth2.send(request, then);
        }
        request.headers.extend(self.basic.map(|basic| authorization("Basic", &basic)));
        Step::Http(Box::new(request), then)
    }
}

fn authorization(scheme: &str, proof: &str) -> (String, String) {
    ("Authorization".to_owned(), format!("{scheme} {proof}"))
}

fn basic(node: Node<'_>) -> Option<String> {
    node.object(|basic| {
        let username = basic.required("username", Node::string);
        let password = basic.required("password", Node::string);
        Some(BASE64_STANDARD.encode(format!("{}:{}", username?, password?)))
    })
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

impl OAuth2 {
    fn read(node: Node<'_>) -> Option<Self> {
        node.object(|fields| {
            let token_url = fields.required("tokenUrl", url);
            let client_id = fields.required("clientId", Node::string);
            let client_secret = fields.required("clientSecret", Node::string);
            let scopes = fields.list("scopes", Node::string);
            // While it contains arguments, any URL will do: it is read again when they are known.
            let unknown = |text: &String| Url::parse("http://unknown").ok().filter(|_| has_argument(text));
            let token_url = token_url?;
            let token_url = unknown(&token_url).or_else(|| checked_url(&token_url).ok())?;
            Some(Self { token_url, client_id: client_id?, client_secret: client_secret?, scopes })
        })
    }

    /// The request for a token, with the client's credentials in a header, as the standard requires, or in the body
    /// for servers that support only that.
    fn token_request(&self, timeout: Duration, insecure: bool, in_body: bool) -> HttpRequest {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !self.scopes.is_empty() {
            form.append_pair("scope", &self.scopes.join(" "));
        }
        let mut headers = vec![form_type()];
        if in_body {
            form.append_pair("client_id", &self.client_id).append_pair("client_secret", &self.client_secret);
        } else {
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let client = format!("{}:{}", encoded(&self.client_id), encoded(&self.client_secret));
            headers.push(authorization("Basic", &BASE64_STANDARD.encode(client)));
        }
        let (url, body) = (self.token_url.clone(), form.finish());
        HttpRequest { method: Method::POST, url, headers, body, timeout, insecure }
    }

    fn send(self, request: HttpRequest, then: Then<HttpResponse>) -> Step {
        let (timeout, insecure) = (request.timeout, request.insecure);
        let first = self.token_request(timeout, insecure, false);
        Step::Http(
            Box::new(first),
            Box::new(move |answer| {
                if matches!(answer.status, 400 | 401) {
                    let second = self.token_request(timeout, insecure, true);
                    return Step::Http(
                        Box::new(second),
                        Box::new(move |answer| self.with_token(&answer, request, then)),
                    );
                }
                self.with_token(&answer, request, then)
            }),
        )
    }

    /// The body is not shown: it could contain the token.
    fn with_token(&self, answer: &HttpResponse, mut request: HttpRequest, then: Then<HttpResponse>) -> Step {
        let host = self.token_url.host_str().unwrap_or_default();
        if !answer.is_success() {
            return Step::fail(format!(
                "oauth2: {host} answered {} to the request for a token",
                answer.status
            ));
        }
        match serde_json::from_slice::<Token>(&answer.body) {
            Ok(token) => {
                request.headers.push(authorization("Bearer", &token.access_token));
                Step::Http(Box::new(request), then)
            }
            Err(_) => Step::fail(format!("oauth2: {host} answered without an access_token")),
        }
    }
}

/// The content type of a form.
pub(super) fn form_type() -> (String, String) {
    ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        document::fields::read,
        providers::{Defaults, MetricProvider, Question, Release, web::Web},
    };
    use serde_json::{Value, json};

    /// A web metric behind `OAuth2`, and its first step.
    fn begin() -> Step {
        let config = json!({
            "url": "https://metrics.example/x",
            "authentication": {"oauth2": {
                "tokenUrl": "https://login.example/token", "clientId": "me", "clientSecret": "s:1", "scopes": ["a", "b"],
            }},
        });
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let (defaults, release) = (Defaults::default(), Release::default());
        Web.measure(&Question { config: &config, defaults: &defaults, now, name: "run-m-1", release })
    }

    fn answer(status: u16, body: &Value) -> HttpResponse {
        HttpResponse { status, body: body.to_string().into_bytes() }
    }

    fn sent(step: Step) -> (HttpRequest, Then<HttpResponse>) {
        match step {
            Step::Http(request, then) => (*request, then),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_is_requested_and_sent() {
        let (token, then) = sent(begin());
        assert_eq!(token.url.as_str(), "https://login.example/token");
        assert_eq!(token.body, "grant_type=client_credentials&scope=a+b");
        let basic = BASE64_STANDARD.encode("me:s%3A1");
        assert!(token.headers.contains(&authorization("Basic", &basic)), "{:?}", token.headers);
        let (request, then) = sent(then(answer(200, &json!({"access_token": "t0k3n"}))));
        assert!(request.headers.contains(&authorization("Bearer", "t0k3n")));
        let Step::Done(Ok(_)) = then(answer(200, &json!(1))) else { panic!("no sample") };
    }

    #[test]
    fn a_server_that_requires_the_client_in_the_body_gets_it_there() {
        let (_, then) = sent(begin());
        let (second, then) = sent(then(answer(401, &json!({"error": "invalid_client"}))));
        assert_eq!(second.body, "grant_type=client_credentials&scope=a+b&client_id=me&client_secret=s%3A1");
        let Step::Done(Err(problem)) = then(answer(403, &json!({"secret": "s:1"}))) else { panic!("done") };
        assert_eq!(problem, "oauth2: login.example answered 403 to the request for a token");
    }

    #[test]
    fn an_answer_that_would_fill_the_memory_is_not_parsed() {
        let (_, then) = sent(begin());
        let (_, then) = sent(then(answer(200, &json!({"access_token": "t0k3n"}))));
        let poison =
            HttpResponse { status: 200, body: format!("[{}1]", "{\"\":0},".repeat(60_000)).into_bytes() };
        assert_eq!(poison.parsed_bytes(), MAX_PARSED);
        let Step::Done(Err(problem)) = then(poison) else { panic!("it was parsed") };
        assert_eq!(
            problem,
            "the answer has more values than the limit of 8 MiB of memory allows; query fewer, or aggregate in the query"
        );
    }

    #[test]
    fn headers_and_addresses_that_do_harm_are_refused() {
        let config = json!({
            "url": "http://169.254.169.254/latest/meta-data",
            "headers": [{"key": "Host", "value": "x"}, {"key": "a b", "value": "x"}, {"key": "X", "value": "a\r\nb"}],
            "authentication": {"oauth2": {"tokenUrl": "http://user:pw@login", "clientId": "a", "clientSecret": "b"}},
        });
        let findings = read(&config, "web", |node| Web.check(node)).unwrap_err();
        let findings: Vec<_> = findings.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(findings.join("\n"), @r#"
        web.url: "http://169.254.169.254/latest/meta-data": 169.254.169.254 is not allowed as a metric host: it is a link-local address
        web.headers[0].key: "Host": is set by Haldane and cannot be changed
        web.headers[1].key: "a b": is not a header name
        web.headers[2].value: "a\r\nb": is not a header value: control characters are not allowed
        web.authentication.oauth2.tokenUrl: "http://user:pw@login": a URL must not contain a password; use authentication.basicAuth
        "#);
    }
}
