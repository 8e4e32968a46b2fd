//! A destination of notifications, and the requests to it.

use super::{formats::Format, notice::Notice, occasion::Occasion, placeholders::Template};
use crate::{
    domain::metric::SecretKeyRef,
    providers::{
        hosts::HostPolicy,
        http::{HttpRequest, checked_url},
    },
};
use core::time::Duration;
use http::{HeaderValue, Method};
use url::Url;

/// Longest address, and longest value of a header, in bytes: servers accept no longer ones.
pub(super) const MAX_TEXT: usize = 8 << 10;

/// A receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Its name, for messages.
    pub name: String,
    /// What it is sent.
    pub format: Format,
    /// Where.
    pub url: Text,
    /// Headers of the request.
    pub headers: Vec<(String, Text)>,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// Whether any certificate of it is accepted.
    pub insecure: bool,
    pub(super) selections: Vec<Selection>,
    pub(super) message: Option<Template>,
}

/// A text that is written down, or in a Secret of the namespace of the `ConfigMap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// As written.
    Literal(String),
    /// The value of this key.
    Secret(SecretKeyRef),
}

/// Which Events a destination is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selection {
    All,
    Occasion(Occasion),
    Reason(&'static str),
}

impl Selection {
    fn includes(self, notice: &Notice) -> bool {
        match self {
            Self::All => true,
            Self::Occasion(wanted) => notice.occasion.is_some_and(|occasion| wanted.includes(occasion)),
            Self::Reason(reason) => notice.event == reason,
        }
    }
}

impl Destination {
    /// Whether it asks for this.
    pub(super) fn gets(&self, notice: &Notice) -> bool {
        self.selections.iter().any(|selection| selection.includes(notice))
    }

    /// The request with a notice, once the address and the headers are known.
    ///
    /// # Errors
    /// Why the address or a header cannot be used, or may not be.
    pub fn request(
        &self,
        notice: &Notice,
        url: &str,
        headers: Vec<(String, String)>,
        hosts: &HostPolicy,
    ) -> Result<HttpRequest, String> {
        if url.len() > MAX_TEXT {
            return Err(format!("the URL may have at most {MAX_TEXT} bytes"));
        }
        let url = checked_url(url)?;
        permitted(&url, hosts)?;
        for (name, value) in &headers {
            if value.len() > MAX_TEXT || HeaderValue::from_str(value).is_err() {
                return Err(format!(
                    "the value of header {name:?} must be one line of at most {MAX_TEXT} bytes, of ASCII characters only"
                ));
            }
        }
        let text = self.message.as_ref().map(|template| template.filled(notice, self.format));
        let content_type = ("Content-Type".to_owned(), self.format.content_type().to_owned());
        Ok(HttpRequest {
            method: Method::POST,
            url,
            headers: headers.into_iter().chain([content_type]).collect(),
            body: self.format.body(notice, text).to_string(),
            timeout: self.timeout,
            insecure: self.insecure,
        })
    }
}

/// Checks that a notification may be sent to this address.
///
/// # Errors
/// Why it may not.
pub(super) fn permitted(url: &Url, hosts: &HostPolicy) -> Result<(), String> {
    hosts.check_write()?;
    hosts.check(url)
}

#[cfg(test)]
mod tests {
    use super::{super::notice::tests::notice, *};
    use serde_json::Value;

    fn destination() -> Destination {
        Destination {
            name: "a".to_owned(),
            format: Format::Webhook,
            url: Text::Literal("https://a.example.com".to_owned()),
            headers: Vec::new(),
            timeout: Duration::from_secs(3),
            insecure: false,
            selections: Vec::new(),
            message: None,
        }
    }

    #[test]
    fn a_request_is_made_for_allowed_hosts_only() {
        let hosts = HostPolicy { notified: vec!["a.example.com".parse().unwrap()], ..HostPolicy::default() };
        let destination = destination();
        let request = |url: &str, hosts: &HostPolicy| {
            let key = ("Authorization".to_owned(), "Bearer x".to_owned());
            destination.request(&notice(), url, vec![key], hosts)
        };
        let sent = request("https://a.example.com/in?x=1", &hosts.of_notifications()).ok().unwrap();
        assert_eq!((sent.method.as_str(), sent.url.as_str()), ("POST", "https://a.example.com/in?x=1"));
        assert_eq!(sent.timeout.as_secs(), 3);
        let headers: Vec<_> = sent.headers.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        assert_eq!(headers, ["Authorization: Bearer x", "Content-Type: application/json; charset=utf-8"]);
        assert_eq!(serde_json::from_str::<Value>(&sent.body).unwrap(), Format::Webhook.body(&notice(), None));
        for url in ["https://b.example.com", "http://127.0.0.1/", "http://169.254.169.254/"] {
            assert!(request(url, &hosts.of_notifications()).is_err(), "{url}");
        }
        // Metrics may be queried from every host, and a notification would write.
        assert!(request("https://b.example.com", &HostPolicy::default().of_notifications()).is_err());
    }
}
