//! The user's Services and Ingresses, which may change in the middle of a rollout.

use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice, networking::v1::Ingress};
use serde_json::{Value, json};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routes {
    /// Name of the Service.
    pub service: String,
    /// The Service is there.
    pub is_served: bool,
    /// Ingresses: class and host of each.
    pub ingresses: Vec<(&'static str, &'static str)>,
}

impl Default for Routes {
    fn default() -> Self {
        Self { service: "web".to_owned(), is_served: true, ingresses: vec![("nginx", "shop.example")] }
    }
}

impl Routes {
    /// As the API server lists them.
    pub fn services(&self) -> Vec<Service> {
        let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80}]});
        if !self.is_served {
            return Vec::new();
        }
        vec![serde_json::from_value(json!({"metadata": {"name": self.service}, "spec": spec})).unwrap()]
    }

    /// As the API server lists them.
    pub fn ingresses(&self) -> Vec<Ingress> {
        let ingress = |(class, host): &(&str, &str)| {
            let backend = json!({"service": {"name": self.service, "port": {"number": 80}}});
            let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
            let rule = json!({"host": host, "http": {"paths": [path]}});
            serde_json::from_value(json!({
                "metadata": {"name": host}, "spec": {"ingressClassName": class, "rules": [rule]},
            }))
            .unwrap()
        };
        self.ingresses.iter().map(ingress).collect()
    }

    /// Whether an Ingress leads to the Service.
    pub fn lead(&self) -> bool {
        self.is_served && !self.ingresses.is_empty()
    }

    /// The slice of the Service, with these ready pods.
    pub fn endpoints(&self, pods: &[String]) -> Vec<EndpointSlice> {
        let target = |pod: &String| json!({"addresses": [], "targetRef": {"name": pod}});
        let endpoints: Vec<Value> = pods.iter().map(target).collect();
        let labels = json!({"kubernetes.io/service-name": self.service});
        let slice = json!({"metadata": {"labels": labels}, "addressType": "IPv4", "endpoints": endpoints});
        vec![serde_json::from_value(slice).unwrap()]
    }
}
