//! What users have around a Deployment, in its namespace. Objects of ours are not part of it.

use super::k8s::{json_pointer::part, selector::Labels};
use k8s_openapi::{
    api::{core::v1::Service, networking::v1::NetworkPolicy},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
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
    /// The pods of its template.
    pub pods: Pods,
    /// The pods that run, if they are known to be of another template.
    pub running: Option<Pods>,
}

/// What Services see of the pods of a template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pods {
    /// Their labels.
    pub labels: Labels,
    /// The ports that their containers declare.
    pub ports: Vec<DeclaredPort>,
}

/// A port that a container declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredPort {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its number.
    pub number: i64,
}

impl Pods {
    /// The pods of a template as the API server sent it.
    #[must_use]
    pub fn of(template: &Value) -> Self {
        let labels = part(template, "/metadata/labels").and_then(Value::as_object);
        let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        let declared = |port: &Value| {
            let name = port.get("name").and_then(Value::as_str).map(str::to_owned);
            Some(DeclaredPort { name, number: port.get("containerPort")?.as_i64()? })
        };
        let ports = containers(template).filter_map(|container| container.get("ports")?.as_array()).flatten();
        Self {
            labels: labels.into_iter().flatten().filter_map(text).collect(),
            ports: ports.filter_map(declared).collect(),
        }
    }

    /// Whether a container declares the port that a Service targets. `None` if no container declares any and the Service
    /// targets a number: then nothing is known.
    #[must_use]
    pub fn declare(&self, target: &IntOrString) -> Option<bool> {
        match target {
            IntOrString::Int(_) if self.ports.is_empty() => None,
            target => Some(self.ports.iter().any(|port| port.is_target(target))),
        }
    }
}

impl DeclaredPort {
    /// Whether a Service reaches it by this `targetPort`.
    #[must_use]
    pub fn is_target(&self, target: &IntOrString) -> bool {
        match target {
            IntOrString::Int(number) => self.number == i64::from(*number),
            IntOrString::String(name) => self.name.as_ref() == Some(name),
        }
    }
}

/// A `targetPort` for a message: a number, or a name in quotes.
#[must_use]
pub fn written(target: &IntOrString) -> String {
    match target {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => format!("{name:?}"),
    }
}

/// The containers of a pod template; those that run before the others come last.
fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    let kinds = ["/spec/containers", "/spec/initContainers"];
    kinds.into_iter().filter_map(|kind| part(template, kind)?.as_array()).flatten()
}
