//! Sends one request.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use http::header::{CONNECTION, HOST};
use http::{HeaderMap, HeaderValue};
use reqwest::Url;

use crate::args::Args;
use crate::target::LOCALHOST;
use crate::values;

/// Sends the same request again and again.
pub struct Client {
    http: reqwest::Client,
    url: Url,
    timeout: Duration,
}

/// The result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An answer came, complete.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The `X-Version` header, which only the application sets.
        version: Option<String>,
    },
    /// No answer, or only a part of one.
    Broken {
        /// Why.
        reason: String,
    },
    /// Not even sent: too many others had no answer yet.
    Overload,
}

impl Client {
    /// A client as set on the command line.
    pub fn new(args: &Args) -> Result<Self, reqwest::Error> {
        // The HTTP client wants one even if it never speaks TLS; a second call changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();

        let mut headers: HeaderMap = args.headers.iter().cloned().collect();
        if let Some(host) = &args.host {
            headers.insert(HOST, host.clone());
        }
        if args.no_keepalive {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let localhost = LOCALHOST.map(|address| SocketAddr::new(address, 0));
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .resolve_to_addrs("localhost", &localhost)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(if args.no_keepalive { 0 } else { usize::MAX })
            .timeout(args.timeout)
            .build()?;
        Ok(Self { http, url: args.url.clone(), timeout: args.timeout })
    }

    /// Sends one request and reads the whole answer.
    pub async fn send(&self) -> Reply {
        self.try_send().await.unwrap_or_else(|error| Reply::Broken { reason: self.reason(&error) })
    }

    async fn try_send(&self) -> Result<Reply, reqwest::Error> {
        let mut response = self.http.get(self.url.clone()).send().await?;
        let status = response.status().as_u16();
        let version = response
            .headers()
            .get("x-version")
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        while response.chunk().await?.is_some() {}
        Ok(Reply::Answer { status, version })
    }

    fn reason(&self, error: &reqwest::Error) -> String {
        if error.is_timeout() {
            return format!("no answer within {}", values::show_duration(self.timeout));
        }
        let mut root: &dyn Error = error;
        while let Some(source) = root.source() {
            root = source;
        }
        let stage = if error.is_connect() {
            "connect"
        } else if error.is_body() || error.is_decode() {
            "answer cut short"
        } else {
            "request"
        };
        format!("{stage}: {root}")
    }
}
