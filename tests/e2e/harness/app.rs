//! The application that is released: a Deployment, its Service and its Ingress, or what else routes to it.

use super::{Space, cluster::setting};
use serde_json::{Value, json};
use std::{collections::BTreeMap, ops::RangeInclusive};

/// Values that tests change; the rest is as everybody writes it.
#[derive(Debug, Clone)]
pub struct App {
    /// Name of all three objects.
    pub name: String,
    /// Pods.
    pub replicas: u32,
    /// Environment of the sample application.
    pub env: BTreeMap<String, String>,
    /// Annotations of the Deployment.
    pub annotations: BTreeMap<String, String>,
    /// Changes of the Deployment by hand: JSON pointer and value.
    pub changes: Vec<(String, Value)>,
}

impl App {
    /// `web` in version v1, not opted in.
    pub fn plain() -> Self {
        Self {
            name: "web".to_owned(),
            replicas: 2,
            env: BTreeMap::from([("VERSION".to_owned(), "v1".to_owned())]),
            annotations: BTreeMap::new(),
            changes: Vec::new(),
        }
    }

    /// `web` in version v1 with this canary strategy.
    pub fn canary(strategy: &str) -> Self {
        Self::plain().annotated("haldane.dev/canary", strategy)
    }

    /// With an annotation more.
    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With an environment variable more: another version.
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.env.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Of this size.
    pub fn sized(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// With the value at a JSON pointer of the Deployment replaced or added.
    pub fn changed(mut self, pointer: &str, value: Value) -> Self {
        self.changes.push((pointer.to_owned(), value));
        self
    }

    /// The Deployment.
    pub fn deployment(&self) -> Value {
        // A busy machine is no reason to take a pod away from its clients.
        let patient = json!({
            "httpGet": {"path": "/healthz", "port": 8080},
            "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 10,
        });
        let labels = json!({"app": self.name});
        let env: Vec<_> =
            self.env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        let mut deployment = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self.name, "annotations": self.annotations},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "terminationGracePeriodSeconds": 30,
                        "containers": [{
                            "name": "app",
                            "image": setting("HALDANE_SAMPLE_IMAGE"),
                            "imagePullPolicy": "IfNotPresent",
                            "env": env,
                            "ports": [{"containerPort": 8080}],
                            "readinessProbe": patient,
                            "resources": {"requests": {"cpu": "5m", "memory": "8Mi"}},
                        }],
                    },
                },
            },
        });
        for (pointer, value) in &self.changes {
            let (parent, key) = pointer.rsplit_once('/').expect("a JSON pointer");
            let parent = deployment.pointer_mut(parent).unwrap_or_else(|| panic!("nothing at {parent}"));
            parent[key] = value.clone();
        }
        deployment
    }

    /// The Service; Prometheus finds the pods through it.
    pub fn service(&self) -> Value {
        let scrape = json!({"prometheus.io/scrape": "true", "prometheus.io/port": "8080"});
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": self.name, "annotations": scrape},
            "spec": {"selector": {"app": self.name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        })
    }

    /// The Ingress, or what else routes: on the namespace's host for `web`, below it for others, since a path belongs to one application.
    pub fn ingress(&self, space: &Space) -> Value {
        let host =
            if self.name == "web" { space.host.clone() } else { format!("{}.{}", self.name, space.host) };
        space.front.route(&self.name, &host)
    }

    /// An autoscaler for it, with what else its `spec` says; not part of [`App::manifest`].
    pub fn autoscaler(&self, sizes: RangeInclusive<u32>, spec: &Value) -> Value {
        let mut autoscaler = json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": self.name},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": self.name},
                "minReplicas": sizes.start(),
                "maxReplicas": sizes.end(),
            },
        });
        for (key, value) in spec.as_object().expect("fields") {
            autoscaler["spec"][key] = value.clone();
        }
        autoscaler
    }

    /// All three, for `kubectl apply`.
    pub fn manifest(&self, space: &Space) -> String {
        let items = [self.service(), self.ingress(space), self.deployment()];
        json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
    }
}
