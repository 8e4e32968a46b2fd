//! The user's Services and Ingresses, which may change in the middle of a rollout.

use haldane::domain::world::World;
use k8s_openapi::api::discovery::v1::EndpointSlice;
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
    /// As a look-up finds them.
    pub fn world(&self) -> World {
        let mut world = World::default();
        let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80}]});
        if self.is_served {
            let service = json!({"kind": "Service", "metadata": {"name": self.service}, "spec": spec});
            world.add(service).unwrap();
        }
        self.ingresses().for_each(|ingress| world.add(ingress).unwrap());
        world
    }

    fn ingresses(&self) -> impl Iterator<Item = Value> {
        let ingress = move |(class, host): &(&str, &str)| {
            let backend = json!({"service": {"name": self.service, "port": {"number": 80}}});
            let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
            let rule = json!({"host": host, "http": {"paths": [path]}});
            json!({
                "kind": "Ingress",
                "metadata": {"name": host},
                "spec": {"ingressClassName": class, "rules": [rule]},
            })
        };
        self.ingresses.iter().map(ingress)
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
