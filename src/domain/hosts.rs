//! Sets of hosts, by name or address.

use core::net::{IpAddr, Ipv4Addr};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use url::Host;

/// A set of hosts: `prometheus.monitoring`, `*.monitoring`, `10.0.0.0/8`, `10.1.2.3`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Hosts {
    /// One name.
    Name(String),
    /// All names that end so; the text begins with a point.
    Below(String),
    /// All addresses of which so many leading bits are equal.
    Net(IpAddr, u8),
}

/// The text names no hosts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a host such as prometheus.monitoring, *.monitoring, 10.1.2.3 or 10.0.0.0/8")]
pub struct BadHosts;

impl FromStr for Hosts {
    type Err = BadHosts;

    fn from_str(text: &str) -> Result<Self, BadHosts> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        if let Ok(address) = address.parse::<IpAddr>() {
            let bits = bits.map_or(Ok(most(address)), str::parse).map_err(|_| BadHosts)?;
            return if bits <= most(address) { Ok(Self::Net(address, bits)) } else { Err(BadHosts) };
        }
        let text = text.trim_end_matches('.').to_ascii_lowercase();
        let (name, is_below) = text.strip_prefix('*').map_or((text.as_str(), false), |name| (name, true));
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if name.is_empty() || !name.chars().all(is_name) || is_below != name.starts_with('.') {
            return Err(BadHosts);
        }
        Ok(if is_below { Self::Below(name.to_owned()) } else { Self::Name(name.to_owned()) })
    }
}

impl TryFrom<String> for Hosts {
    type Error = BadHosts;

    fn try_from(text: String) -> Result<Self, BadHosts> {
        text.parse()
    }
}

impl From<Hosts> for String {
    fn from(hosts: Hosts) -> Self {
        hosts.to_string()
    }
}

impl fmt::Display for Hosts {
    /// As it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Below(ending) => write!(f, "*{ending}"),
            Self::Net(address, bits) if *bits == most(*address) => write!(f, "{address}"),
            Self::Net(address, bits) => write!(f, "{address}/{bits}"),
        }
    }
}

/// Bits of an address.
const fn most(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl Hosts {
    /// Whether a host, as an address names it, is among them. A name is not looked up.
    #[must_use]
    pub fn include(&self, host: &Host) -> bool {
        match host {
            Host::Domain(name) => self.has_name(&plain(name)),
            Host::Ipv4(address) => self.has_address(embedded((*address).into())),
            Host::Ipv6(address) => self.has_address(embedded((*address).into())),
        }
    }

    /// Whether a name is among them, in lower case and without a point at its end.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        match self {
            Self::Name(known) => known == name,
            Self::Below(ending) => name.ends_with(ending.as_str()),
            Self::Net(..) => false,
        }
    }

    /// Whether an address is among them.
    #[must_use]
    pub fn has_address(&self, address: IpAddr) -> bool {
        let Self::Net(net, bits) = self else { return false };
        let equal = match (net, address) {
            (IpAddr::V4(net), IpAddr::V4(address)) => (net.to_bits() ^ address.to_bits()).leading_zeros(),
            (IpAddr::V6(net), IpAddr::V6(address)) => (net.to_bits() ^ address.to_bits()).leading_zeros(),
            _ => return false,
        };
        equal >= u32::from(*bits)
    }
}

/// A name as sets of hosts have it.
#[must_use]
pub fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The IPv4 address within an IPv6 one that may reach it, by whatever translation the network has.
///
/// Sources: RFC 4291 2.5.5 (compatible, mapped), RFC 6052 and 8215 (NAT64), RFC 2765 (translated), RFC 3056 (6to4),
/// RFC 4380 (Teredo), RFC 5214 (ISATAP).
#[must_use]
pub fn embedded(address: IpAddr) -> IpAddr {
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)));
    let IpAddr::V6(v6) = address.to_canonical() else { return address.to_canonical() };
    match v6.segments() {
        // The machine itself and no address at all look like compatible ones.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => v6.into(),
        [0, 0, 0, 0, 0 | 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..]
        | [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => v4(high, low),
        [0x2001, 0, _, _, _, _, high, low] => v4(!high, !low),
        _ => v6.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_or_refused() {
        for text in ["", "*", "*x", "*.", "a/8", "10.0.0.0/33", "a b", "http://a", ".a"] {
            assert_eq!(text.parse::<Hosts>(), Err(BadHosts), "{text}");
        }
        for text in ["prometheus.monitoring", "*.monitoring", "10.1.2.3", "10.0.0.0/8", "fd00::/8"] {
            assert_eq!(text.parse::<Hosts>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_host_is_among_them_by_its_name_or_its_address_alone() {
        let include =
            |hosts: &str, host: &str| hosts.parse::<Hosts>().unwrap().include(&Host::parse(host).unwrap());
        assert!(include("*.example.com", "a.EXAMPLE.com.") && !include("*.example.com", "example.com"));
        assert!(include("10.0.0.0/8", "10.1.2.3") && include("10.0.0.0/8", "[::ffff:10.1.2.3]"));
        assert!(!include("0.0.0.0/0", "example.com"), "a name is not looked up");
    }
}
