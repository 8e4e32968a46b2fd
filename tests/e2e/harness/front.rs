//! What is in front of applications: who takes the requests of clients, and how users route them.

use super::cluster::setting;
use serde_json::{Value, json};

/// See the module. Everything but [`Front::Nginx`] needs `tests/cluster/cluster add NAME traefik`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// ingress-nginx, by Ingresses.
    Nginx,
    /// Traefik, by Ingresses of its own class, of which it honours NGINX annotations.
    Traefik,
    /// Traefik, by `HTTPRoutes`.
    Gateway,
    /// Traefik, by `IngressRoutes` of its own API.
    TraefikCrd,
}

impl Front {
    /// Address and port.
    pub fn address(self) -> String {
        setting(if self == Self::Nginx { "HALDANE_INGRESS" } else { "HALDANE_TRAEFIK" })
    }

    /// Namespace and name of the Service in front of its own pods.
    pub fn service(self) -> (&'static str, &'static str) {
        match self {
            Self::Nginx => ("ingress-nginx", "ingress-nginx-controller"),
            Self::Traefik | Self::Gateway | Self::TraefikCrd => ("traefik", "traefik"),
        }
    }

    /// The class of its Ingresses.
    pub fn class(self) -> &'static str {
        if self == Self::Nginx { "nginx" } else { "traefik" }
    }

    /// What users route by.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Nginx | Self::Traefik => "networking.k8s.io/v1 Ingress",
            Self::Gateway => "gateway.networking.k8s.io/v1 HTTPRoute",
            Self::TraefikCrd => "traefik.io/v1alpha1 IngressRoute",
        }
    }

    /// What routes a host to the Service of the same name.
    pub fn route(self, name: &str, host: &str) -> Value {
        let (api_version, kind) = self.kind().split_once(' ').expect("a group and a kind");
        let spec = match self {
            Self::Gateway => {
                let matches = json!([{"path": {"type": "PathPrefix", "value": "/"}}]);
                let rule = json!({"matches": matches, "backendRefs": [{"name": name, "port": 80}]});
                let edge = json!({"name": "edge", "namespace": "traefik"});
                json!({"parentRefs": [edge], "hostnames": [host], "rules": [rule]})
            }
            Self::TraefikCrd => {
                let matching = format!("Host(`{host}`) && PathPrefix(`/`)");
                let services = json!([{"name": name, "port": 80}]);
                let rule = json!({"kind": "Rule", "match": matching, "services": services});
                json!({"entryPoints": ["web"], "routes": [rule]})
            }
            Self::Nginx | Self::Traefik => {
                let backend = json!({"service": {"name": name, "port": {"number": 80}}});
                let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
                json!({"ingressClassName": self.class(), "rules": [{"host": host, "http": {"paths": [path]}}]})
            }
        };
        json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec})
    }
}
