//! The HTTP requests of metric providers: the only ones that leave the cluster's API.

use super::control::Control;
use crate::providers::{
    hosts::HostPolicy,
    http::{HttpRequest, HttpResponse},
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use url::Host;

/// Longest answer of a provider that is read, in bytes.
const MAX_BODY: usize = 1 << 20;

/// The HTTP clients: one checks certificates, the other is for metrics that say `insecure`. Both call only
/// what the policy admits: a URL is checked before, an address when its name has been looked up.
#[derive(Debug, Clone)]
pub struct Clients {
    checked: reqwest::Client,
    insecure: reqwest::Client,
    admitted: Admitted,
}

impl Clients {
    /// Clients that trust the public authorities: the image has no certificate store of its own.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(policy: HostPolicy) -> Result<Self, reqwest::Error> {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
        let roots: Vec<_> = roots.map(|der| reqwest::Certificate::from_der(der)).collect::<Result<_, _>>()?;
        let control = Arc::new(Control::new(policy.control.clone()));
        let admitted = Admitted { policy: Arc::new(policy), control };
        // A redirect could lead to an address that nobody has checked, a proxy calls without asking us.
        let builder = || {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .dns_resolver(Arc::new(admitted.clone()))
                .user_agent("haldane")
        };
        Ok(Self {
            checked: builder().tls_certs_only(roots).build()?,
            insecure: builder().tls_certs_only([]).tls_danger_accept_invalid_certs(true).build()?,
            admitted: admitted.clone(),
        })
    }

    /// Where requests may go.
    #[must_use]
    pub fn policy(&self) -> &HostPolicy {
        &self.admitted.policy
    }

    /// Sends a request within its timeout.
    ///
    /// # Errors
    /// Why there is no answer, without the URL's path and query, which may hold a secret.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, String> {
        self.admitted.policy.check(&request.url)?;
        let address = match request.url.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            Some(Host::Domain(_)) | None => None,
        };
        if let Some(address) = address {
            self.admitted.check("", address).await?;
        }
        let client = if request.insecure { &self.insecure } else { &self.checked };
        let mut outgoing =
            client.request(request.method, request.url).timeout(request.timeout).body(request.body);
        for (name, value) in request.headers {
            outgoing = outgoing.header(name, value);
        }
        let mut response = outgoing.send().await.map_err(|error| explain(&error))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| explain(&error))? {
            if body.len().saturating_add(chunk.len()) > MAX_BODY {
                return Err(format!("the answer is longer than {MAX_BODY} bytes; aggregate in the query"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status, body })
    }
}

/// Looks names up and keeps the addresses that may be called.
#[derive(Debug, Clone)]
struct Admitted {
    policy: Arc<HostPolicy>,
    control: Arc<Control>,
}

impl Admitted {
    /// Whether an address that `name` leads to may be called; the name is empty for a bare address.
    async fn check(&self, name: &str, address: IpAddr) -> Result<(), String> {
        self.policy.check_address(name, address)?;
        if self.control.has(address).await {
            Err(self.policy.is_control(&address.to_string()))
        } else {
            Ok(())
        }
    }
}

impl Resolve for Admitted {
    fn resolve(&self, name: Name) -> Resolving {
        let hosts = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let mut refused = format!("{} has no address", name.as_str());
            let mut admitted: Vec<SocketAddr> = Vec::new();
            for address in found {
                match hosts.check(name.as_str(), address.ip()).await {
                    Ok(()) => admitted.push(address),
                    Err(problem) => refused = problem,
                }
            }
            if admitted.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, refused).into());
            }
            Ok::<Addrs, _>(Box::new(admitted.into_iter()))
        })
    }
}

/// The error with its causes, which reqwest keeps apart; without the URL, which may hold a secret.
fn explain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    if let Some(url) = error.url() {
        text = text.replace(url.as_str(), url.host_str().unwrap_or("the provider"));
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
