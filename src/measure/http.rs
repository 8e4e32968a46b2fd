//! The HTTP requests of metric providers: the only requests to anything other than the Kubernetes API.

use super::control_plane::ControlPlane;
use crate::{
    domain::hosts::Hosts,
    providers::{
        hosts::HostPolicy,
        http::{HttpRequest, HttpResponse},
    },
};
use reqwest::{
    Response,
    dns::{Addrs, Name, Resolve, Resolving},
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use url::{Host, Url};

/// Maximum length of a provider's answer, in bytes.
const MAX_BODY: usize = 1 << 20;

/// The HTTP clients: one verifies certificates, the other is for metrics with `insecure: true`. Both call only what
/// the host policy allows: the URL is checked first, and each address after its name is resolved.
#[derive(Debug, Clone)]
pub struct Clients {
    checked: reqwest::Client,
    insecure: reqwest::Client,
    admitted: Admitted,
}

impl Clients {
    /// Clients that trust the public certificate authorities: the image has no certificate store.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(policy: HostPolicy) -> Result<Self, reqwest::Error> {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
        let roots: Vec<_> = roots.map(|der| reqwest::Certificate::from_der(der)).collect::<Result<_, _>>()?;
        let control = Arc::new(ControlPlane::new(policy.control.clone()));
        let admitted = Admitted { policy: Arc::new(policy), control };
        // A redirect could point to an unchecked address, and a proxy would resolve names itself.
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

    /// The host policy.
    #[must_use]
    pub fn policy(&self) -> &HostPolicy {
        &self.admitted.policy
    }

    /// Sends a request within its timeout; if `hosts` are given, only to these.
    ///
    /// # Errors
    /// Why there is no answer, without the path and query of the URL, which may contain a secret.
    pub async fn send(&self, request: HttpRequest, hosts: Option<&[Hosts]>) -> Result<HttpResponse, String> {
        let mut response = self.answer(request, hosts).await?;
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

    /// Sends a request within its timeout, and reads only the status of the answer.
    ///
    /// # Errors
    /// As of [`Clients::send`].
    pub async fn status(&self, request: HttpRequest) -> Result<u16, String> {
        Ok(self.answer(request, None).await?.status().as_u16())
    }

    async fn answer(&self, request: HttpRequest, hosts: Option<&[Hosts]>) -> Result<Response, String> {
        self.admitted.policy.check(&request.url)?;
        check_named(&request.url, hosts)?;
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
        outgoing.send().await.map_err(|error| explain(&error))
    }
}

/// Whether policy profiles allow this host. All arguments are substituted by now.
fn check_named(url: &Url, hosts: Option<&[Hosts]>) -> Result<(), String> {
    let host = url.host().map(|host| host.to_owned());
    let is_named = |hosts: &[Hosts]| host.as_ref().is_some_and(|host| hosts.iter().any(|h| h.include(host)));
    match hosts {
        Some(hosts) if !is_named(hosts) => {
            let named = hosts.iter().map(Hosts::to_string).collect::<Vec<_>>().join(", ");
            let host = url.host_str().unwrap_or_default();
            Err(format!("{host} is not among the metric hosts that the policy allows: {named}"))
        }
        _ => Ok(()),
    }
}

/// Resolves names and keeps the addresses that are allowed.
#[derive(Debug, Clone)]
struct Admitted {
    policy: Arc<HostPolicy>,
    control: Arc<ControlPlane>,
}

impl Admitted {
    /// Checks an address that `name` resolves to; the name is empty for an address in the URL itself.
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

/// The error with its causes, and without the URL, which may contain a secret.
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

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;
    use std::time::Duration;

    /// The address after arguments changed what admission checked.
    #[tokio::test]
    async fn a_profile_cannot_be_got_around_by_arguments_in_an_address() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let clients = Clients::new(HostPolicy::default()).unwrap();
        let hosts: Vec<Hosts> =
            vec!["prometheus.monitoring".parse().unwrap(), "10.1.0.0/16".parse().unwrap()];
        for url in ["http://10.88.0.1:18080/stolen?@prometheus.monitoring:9090/", "http://other.monitoring/"]
        {
            let url: Url = url.parse().unwrap();
            assert_eq!(check_named(&url, None), Ok(()), "no policy restricts the hosts");
            let request = HttpRequest {
                method: Method::GET,
                url,
                headers: Vec::new(),
                body: String::new(),
                timeout: Duration::from_secs(1),
                insecure: false,
            };
            let problem = clients.send(request, Some(&hosts)).await.unwrap_err();
            let wanted =
                "is not among the metric hosts that the policy allows: prometheus.monitoring, 10.1.0.0/16";
            assert!(problem.ends_with(wanted), "{problem}");
        }
        for url in ["http://prometheus.monitoring:9090/", "http://10.1.2.3/"] {
            assert_eq!(check_named(&url.parse().unwrap(), Some(&hosts)), Ok(()), "{url}");
            assert!(check_named(&url.parse().unwrap(), Some(&[])).is_err(), "the policy allows no host");
        }
    }
}
