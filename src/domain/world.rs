//! What users have around a Deployment, in its namespace. Objects of ours are not part of it.

use super::k8s::selector::Labels;
use k8s_openapi::{
    api::{core::v1::Service, networking::v1::NetworkPolicy},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct World {
    /// Services.
    pub services: Vec<Service>,
    /// Network policies.
    pub policies: Vec<NetworkPolicy>,
    /// Autoscalers, raw: they are cloned, and typed forms drop fields newer than this program.
    pub autoscalers: Vec<Value>,
    /// Objects that routers read, raw, by kind.
    pub routes: BTreeMap<String, Vec<Value>>,
}

impl World {
    /// Adds an object as the API server sent it, with its `kind`.
    ///
    /// # Errors
    /// When it is not what its kind promises.
    pub fn add(&mut self, object: Value) -> Result<(), serde_json::Error> {
        match object.get("kind").and_then(Value::as_str) {
            Some("Service") => self.services.push(serde_json::from_value(object)?),
            Some("NetworkPolicy") => self.policies.push(serde_json::from_value(object)?),
            Some("HorizontalPodAutoscaler") => self.autoscalers.push(object),
            kind => self.routes.entry(kind.unwrap_or_default().to_owned()).or_default().push(object),
        }
        Ok(())
    }

    /// Objects of this kind that routers read.
    #[must_use]
    pub fn routes(&self, kind: &str) -> &[Value] {
        self.routes.get(kind).map_or(&[], Vec::as_slice)
    }
}

/// A Deployment, as selectors see it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// Its selector.
    pub selector: LabelSelector,
    /// Labels of its pods.
    pub pod_labels: Labels,
}
