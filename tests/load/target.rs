//! Which targets are allowed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// Parses the URL and refuses everything that is not on this machine or in a test network:
/// a load generator that takes any address sooner or later is given a wrong one.
pub fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if url.scheme() != "http" {
        return Err(format!("use http://, not {}://", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("leave user and password out of the URL".to_owned());
    }
    let host = url.host_str().unwrap_or_default();
    if host == "localhost" {
        return Ok(url);
    }
    // Other names are refused unresolved: what they resolve to may change.
    let address = host.trim_start_matches('[').trim_end_matches(']');
    if address.parse().is_ok_and(allowed) {
        return Ok(url);
    }
    Err(format!(
        "{host} is not a test address; \
         allowed are localhost, 127.0.0.0/8, ::1 and 10.0.0.0/8 (use --host for names)"
    ))
}

/// The addresses that `localhost` stands for, whatever a resolver may say.
pub const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

fn allowed(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.octets().starts_with(&[10]),
        IpAddr::V6(v6) => v6.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_addresses_are_allowed() {
        for url in [
            "http://127.0.0.1/",
            "http://127.8.9.10:8080/a?b=c",
            "http://10.255.0.1",
            "http://[::1]:80/",
            "http://[::ffff:10.0.0.1]/",
            "http://localhost:8080/",
        ] {
            assert!(parse(url).is_ok(), "{url}: {:?}", parse(url));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for url in [
            "http://11.0.0.1/",
            "http://9.255.255.255/",
            "http://192.168.0.1/",
            "http://172.16.0.1/",
            "http://1.1.1.1/",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://[fd00::1]/",
            "http://[::ffff:1.1.1.1]/",
            "http://example.com/",
            "http://localhost.example.com/",
            "http://10.0.0.1.example.com/",
            "http://10.0.0.1@1.1.1.1/",
            "http://16843009/",
            "https://127.0.0.1/",
            "ftp://127.0.0.1/",
            "127.0.0.1:8080",
            "",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
        let message = parse("http://example.com/").unwrap_err();
        assert!(message.starts_with("example.com is not a test address"));
    }
}
