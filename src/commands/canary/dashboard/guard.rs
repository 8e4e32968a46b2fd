//! Which requests are answered. Pages of other sites reach this machine through the browser: by names that resolve to it, which the `Host`
//! header shows, and by requests across sites, which `Origin` shows and which cannot know the token.

use http::{
    HeaderMap, HeaderName, HeaderValue, Response,
    header::{self, AsHeaderName, HOST, ORIGIN},
};

/// Header of an order with the token.
pub const TOKEN: &str = "x-haldane-token";

/// Names of this machine for itself.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Only our own files, no inline code, no frames.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// See the module.
#[derive(Debug)]
pub struct Guard {
    /// The port that the server listens on.
    pub port: u16,
    /// Random, another one in each process.
    pub token: String,
}

impl Guard {
    /// Whether a page of ours may have sent a request with these headers.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), String> {
        let Some(host) = only(headers, HOST).filter(|host| self.is_ours(host)) else {
            return Err(format!(
                "the Host header must be localhost:{0}; open http://localhost:{0}",
                self.port
            ));
        };
        let is_same =
            |origin: &HeaderValue| origin.to_str().is_ok_and(|text| text == format!("http://{host}"));
        if headers.get_all(ORIGIN).iter().all(is_same) {
            Ok(())
        } else {
            Err("a page of another origin has sent this request".to_owned())
        }
    }

    /// Whether our page has sent an order with these headers.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn check_order(&self, headers: &HeaderMap) -> Result<(), String> {
        let is_ours = |token: &str| same(token.as_bytes(), self.token.as_bytes());
        if only(headers, ORIGIN).is_none() {
            Err("an order needs the Origin header, which browsers send".to_owned())
        } else if only(headers, TOKEN).is_none_or(|token| !is_ours(token)) {
            Err(format!("the header {TOKEN} must have the token of this process; reload the page"))
        } else {
            Ok(())
        }
    }

    /// Browsers leave out port 80.
    fn is_ours(&self, host: &str) -> bool {
        let port = format!(":{}", self.port);
        let name = host.strip_suffix(&port).or((self.port == 80).then_some(host));
        name.is_some_and(|name| NAMES.contains(&name))
    }
}

/// The value of a header that is there once.
fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Compares in a time that does not depend on where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// Adds the headers that every answer has.
pub fn protect<B>(mut response: Response<B>) -> Response<B> {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let fixed = fixed.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value)));
    response.headers_mut().extend(fixed);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_names_of_this_machine_with_the_port_are_ours() {
        let guard = Guard { port: 3100, token: "t".into() };
        for (host, expected) in [
            ("localhost:3100", true),
            ("127.0.0.1:3100", true),
            ("[::1]:3100", true),
            ("localhost", false),
            ("localhost:3101", false),
            ("rebound.example.com:3100", false),
            ("localhost.example.com:3100", false),
            ("evil@localhost:3100", false),
            ("127.0.0.2:3100", false),
            ("", false),
        ] {
            assert_eq!(guard.check(&headers(&[(HOST, host)])).is_ok(), expected, "{host}");
        }
        let mut twice = headers(&[(HOST, "localhost:3100")]);
        twice.append(HOST, HeaderValue::from_static("example.com"));
        assert!(guard.check(&twice).is_err());
    }

    #[test]
    fn another_origin_is_refused_even_where_only_its_port_differs() {
        let guard = Guard { port: 3100, token: "t".into() };
        for (origin, expected) in [
            ("http://localhost:3100", true),
            ("http://127.0.0.1:3100", false),
            ("https://localhost:3100", false),
            ("http://localhost:3000", false),
            ("null", false),
        ] {
            let sent = headers(&[(HOST, "localhost:3100"), (ORIGIN, origin)]);
            assert_eq!(guard.check(&sent).is_ok(), expected, "{origin}");
        }
    }
}
