//! Which hosts a metric may query, and a notification may be sent to.
//!
//! Users who can annotate a Deployment choose addresses that Haldane calls from inside the cluster. So some
//! addresses are always refused: the machine itself, link-local addresses, the metadata services of clouds, which
//! serve credentials, and addresses that are not a single host. The installation or a policy profile can refuse
//! more. A name is checked before it is resolved, and every address that it resolves to is checked before it is
//! called.

use crate::domain::hosts::{Hosts, embedded, plain};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

/// Names at which clouds serve the credentials of a machine.
const METADATA_NAMES: &[&str] =
    &["metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"];

/// Addresses at which clouds serve the credentials and settings of a machine, outside of the link-local ranges.
/// Source: the clouds' documentation of their instance metadata services, or of the named service.
const METADATA_ADDRESSES: &[IpAddr] = &[
    // AWS, and EKS Pod Identity.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    // Azure: WireServer.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // Google Cloud.
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    // Alibaba Cloud.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // Oracle Cloud.
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)),
    // Scaleway.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
];

/// Hosts that the installation allows and denies, in addition to those that are always refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostPolicy {
    /// If not empty, only these hosts are allowed.
    pub allowed: Vec<Hosts>,
    /// These hosts are denied, even if they are among the allowed ones.
    pub denied: Vec<Hosts>,
    /// Services, as `NAME.NAMESPACE`, that control the cluster: the API server's and Haldane's own.
    pub control: Vec<String>,
    /// Notifications may be sent to these hosts as well.
    pub notified: Vec<Hosts>,
    /// What asks for a host.
    pub purpose: Purpose,
}

/// What asks for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Purpose {
    /// A metric.
    #[default]
    Metric,
    /// A notification.
    Notification,
}

impl HostPolicy {
    /// The hosts of notifications: the allowed metric hosts, if the installation names some, and [`notified`](Self::notified).
    #[must_use]
    pub fn of_notifications(&self) -> Self {
        let allowed = self.allowed.iter().chain(&self.notified).cloned().collect();
        Self { allowed, purpose: Purpose::Notification, ..self.clone() }
    }

    /// Checks the host of a URL, as far as possible without resolving it.
    ///
    /// # Errors
    /// Why it is not allowed.
    pub fn check(&self, url: &Url) -> Result<(), String> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check_address("", address.into()),
            Some(Host::Ipv6(address)) => self.check_address("", address.into()),
            Some(Host::Domain(name)) => self.check_name(&plain(name)),
            None => Err("has no host".to_owned()),
        }
    }

    fn check_name(&self, name: &str) -> Result<(), String> {
        if METADATA_NAMES.contains(&name) || name == "localhost" || name.ends_with(".localhost") {
            return Err(format!(
                "{name} is not allowed as a {} host: it is the machine itself or its metadata service",
                self.purpose
            ));
        }
        if self.control.iter().any(|service| is_service(name, service)) {
            return Err(self.is_control(name));
        }
        if self.denied.iter().any(|hosts| hosts.has_name(name)) {
            return Err(format!("{name} is denied as a {} host", self.purpose));
        }
        // The name may still resolve to an address in an allowed network.
        let by_name_only = self.allowed.iter().all(|hosts| !matches!(hosts, Hosts::Net(..)));
        let is_allowed = self.allowed.is_empty() || self.allowed.iter().any(|hosts| hosts.has_name(name));
        if is_allowed || !by_name_only { Ok(()) } else { Err(self.is_not_allowed(name)) }
    }

    /// Whether requests that can change something are allowed. While metrics may query every host, they are not.
    ///
    /// # Errors
    /// Why it is not allowed.
    pub fn check_write(&self) -> Result<(), String> {
        if !self.allowed.is_empty() {
            return Ok(());
        }
        Err(match self.purpose {
            Purpose::Metric => "only GET is allowed while metrics may query every host; to allow POST and PUT, an administrator restricts the metric hosts with --metric-hosts-allowed",
            Purpose::Notification => "no notification host is allowed; an administrator names some with --notification-hosts-allowed",
        }
        .to_owned())
    }

    fn is_not_allowed(&self, host: &str) -> String {
        let problem = format!("{host} is not among the allowed {} hosts", self.purpose);
        match self.purpose {
            Purpose::Metric => problem,
            Purpose::Notification => {
                format!("{problem}; an administrator allows it with --notification-hosts-allowed")
            }
        }
    }

    /// The problem of a host that is part of the control plane.
    #[must_use]
    pub fn is_control(&self, host: &str) -> String {
        format!("{host} is not allowed as a {} host: it is the API server or Haldane itself", self.purpose)
    }

    /// Checks an address that `name` resolves to; the name is empty for an address in the URL itself.
    ///
    /// # Errors
    /// Why it is not allowed.
    pub fn check_address(&self, name: &str, address: IpAddr) -> Result<(), String> {
        let address = embedded(address);
        let name = plain(name);
        if let Some(what) = never(address) {
            return Err(format!("{address} is not allowed as a {} host: it is {what}", self.purpose));
        }
        if self.denied.iter().any(|hosts| hosts.has_address(address)) {
            return Err(format!("{address} is denied as a {} host", self.purpose));
        }
        let is_allowed = |hosts: &Hosts| hosts.has_name(&name) || hosts.has_address(address);
        if self.allowed.is_empty() || self.allowed.iter().any(is_allowed) {
            Ok(())
        } else {
            Err(self.is_not_allowed(&address.to_string()))
        }
    }
}

/// Whether a name resolves to this Service, `NAME.NAMESPACE`, or to one of its pods. A name without a namespace is
/// resolved in Haldane's own.
fn is_service(name: &str, service: &str) -> bool {
    let is_whole = |rest: &str| rest.is_empty() || rest.starts_with('.');
    let bare = service.split('.').next().unwrap_or(service);
    name == bare
        || name.match_indices(service).any(|(at, found)| {
            let (before, after) = (name.get(..at).unwrap_or_default(), name.get(at + found.len()..));
            (before.is_empty() || before.ends_with('.')) && after.is_some_and(is_whole)
        })
}

/// Why an address is always refused; `None` if it is not.
fn never(address: IpAddr) -> Option<&'static str> {
    if METADATA_ADDRESSES.contains(&address) {
        return Some("the address where a cloud serves the machine's credentials");
    }
    let (is_link_local, is_broadcast) = match address {
        // For some systems every address in 0.0.0.0/8 is this machine.
        IpAddr::V4(v4) if v4.octets().first() == Some(&0) => return Some("the machine itself"),
        IpAddr::V4(v4) => (v4.is_link_local(), v4.is_broadcast()),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), false),
    };
    match () {
        () if is_link_local => Some("a link-local address"),
        () if address.is_loopback() || address.is_unspecified() => Some("the machine itself"),
        () if address.is_multicast() || is_broadcast => Some("not a single host"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy(allowed: &[&str], denied: &[&str]) -> HostPolicy {
        let hosts = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        HostPolicy { allowed: hosts(allowed), denied: hosts(denied), ..HostPolicy::default() }
    }

    fn check(policy: &HostPolicy, url: &str) -> Result<(), String> {
        policy.check(&Url::parse(url).unwrap())
    }

    #[test]
    fn addresses_that_are_never_allowed_are_refused_in_every_spelling() {
        for url in [
            "http://169.254.169.254/latest",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://127.0.0.1:8080/",
            "http://0/",
            "http://[::1]/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://metadata.google.internal/",
            "http://100.100.100.200/",
            "http://224.0.0.1/",
            "http://168.63.129.16/machine",
            "http://[fd20:ce::254]/",
            "http://[fd00:c1::a9fe:a9fe]/",
            "http://[64:ff9b:1::a9fe:a9fe]/",
            "http://[2002:a9fe:a9fe::]/",
            "http://[::ffff:0:a9fe:a9fe]/",
            "http://[::127.0.0.1]/",
            "http://[2001::5601:5601]/",
            "http://[fd12::5efe:a9fe:a9fe]/",
            "http://0.0.0.1/",
        ] {
            assert!(check(&HostPolicy::default(), url).is_err(), "{url}");
            assert!(check(&policy(&["0.0.0.0/0", "::/0", "*.internal"], &[]), url).is_err(), "{url}");
        }
        for url in ["http://prometheus.monitoring:9090", "https://10.1.2.3", "http://metadata-service.web"] {
            assert_eq!(check(&HostPolicy::default(), url), Ok(()), "{url}");
        }
    }

    #[test]
    fn a_name_is_judged_again_by_its_address() {
        let open = HostPolicy::default();
        assert!(open.check_address("evil.example", "169.254.169.254".parse().unwrap()).is_err());
        assert!(open.check_address("evil.example", "::ffff:127.0.0.1".parse().unwrap()).is_err());
        let narrow = policy(&["*.monitoring", "10.0.0.0/8"], &["10.9.0.0/16", "old.monitoring"]);
        assert_eq!(narrow.check_address("x.monitoring", "192.168.0.1".parse().unwrap()), Ok(()));
        assert_eq!(narrow.check_address("other", "10.1.2.3".parse().unwrap()), Ok(()));
        assert!(narrow.check_address("other", "10.9.2.3".parse().unwrap()).is_err());
        assert!(narrow.check_address("other", "192.168.0.1".parse().unwrap()).is_err());
        assert!(check(&narrow, "http://old.monitoring").is_err());
        assert_eq!(
            check(&policy(&["*.monitoring"], &[]), "http://evil.example").unwrap_err(),
            "evil.example is not among the allowed metric hosts"
        );
    }

    #[test]
    fn the_control_plane_is_never_a_metric_host() {
        let control = ["kubernetes.default", "haldane-webhook.haldane-system"].map(str::to_owned).to_vec();
        let policy = HostPolicy { control, ..policy(&["*.default", "*.haldane-system", "*.local"], &[]) };
        for name in [
            "kubernetes.default",
            "KUBERNETES.default.svc.",
            "kubernetes.default.svc.cluster.local",
            "haldane-webhook",
            "10-1-2-3.haldane-webhook.haldane-system.svc.cluster.local",
        ] {
            let problem = check(&policy, &format!("https://{name}/")).unwrap_err();
            assert!(
                problem.ends_with("is not allowed as a metric host: it is the API server or Haldane itself"),
                "{problem}"
            );
        }
        for name in ["my-kubernetes.default", "kubernetes.default-2.svc.cluster.local", "prometheus.default"]
        {
            assert!(
                !check(&policy, &format!("https://{name}/")).is_err_and(|why| why.contains("itself")),
                "{name}"
            );
        }
    }

    #[test]
    fn notifications_go_to_named_hosts_only_and_never_where_metrics_may_not_be_queried() {
        let named =
            HostPolicy { notified: vec!["hooks.slack.com".parse().unwrap()], ..policy(&[], &["*.old"]) };
        let notifications = named.of_notifications();
        assert_eq!(check(&notifications, "https://hooks.slack.com/services/x"), Ok(()));
        assert_eq!(
            check(&notifications, "http://vault.vault/").unwrap_err(),
            "vault.vault is not among the allowed notification hosts; an administrator allows it with --notification-hosts-allowed"
        );
        assert!(
            check(&notifications, "http://x.old/").unwrap_err().contains("denied as a notification host")
        );
        assert_eq!(check(&named, "http://vault.vault/"), Ok(()), "metrics may be queried from every host");
        assert!(named.check_write().is_err() && notifications.check_write().is_ok());
        let none = HostPolicy::default().of_notifications().check_write().unwrap_err();
        assert!(none.contains("--notification-hosts-allowed"), "{none}");
    }

    #[test]
    fn post_is_refused_while_metrics_may_query_every_host() {
        assert!(HostPolicy::default().check_write().unwrap_err().contains("--metric-hosts-allowed"));
        assert_eq!(policy(&["*.monitoring"], &[]).check_write(), Ok(()));
    }

    proptest! {
        #[test]
        fn no_link_local_address_is_ever_called(bits in 0_u32..=0xffff, name in "[a-z]{1,8}") {
            let v4 = Ipv4Addr::from_bits(0xa9fe_0000 | bits);
            for address in [IpAddr::V4(v4), IpAddr::V6(v4.to_ipv6_mapped())] {
                prop_assert!(policy(&["0.0.0.0/0", "::/0"], &[]).check_address(&name, address).is_err());
            }
        }
    }
}
