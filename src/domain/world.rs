//! What users have around a Deployment, in its namespace, and the canaries of other Deployments there.

use super::k8s::{json_pointer::part, selector::Labels};
use k8s_openapi::{
    Metadata,
    api::{core::v1::Service, networking::v1::NetworkPolicy},
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
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
    /// Services of canaries of other Deployments, by name.
    pub canaries: Canaries,
}

/// Whose canaries Services are, by the names of the Services.
pub type Canaries = BTreeMap<String, OtherCanary>;

/// Whose canary a Service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherCanary {
    /// Name of the Deployment.
    pub deployment: String,
    /// The user's Service of which it is the counterpart, where that is written on it.
    pub service: Option<String>,
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

    /// Adds an object, or replaces the one of its kind and name; whether that changed anything. Objects stay sorted by
    /// name, as the API server lists them.
    ///
    /// # Errors
    /// When it is not what its kind promises.
    pub fn put(&mut self, object: Value) -> Result<bool, serde_json::Error> {
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
        Ok(match kind {
            "Service" => put(&mut self.services, serde_json::from_value(object)?, name_of),
            "NetworkPolicy" => put(&mut self.policies, serde_json::from_value(object)?, name_of),
            "HorizontalPodAutoscaler" => put(&mut self.autoscalers, object, raw_name),
            kind => put(self.routes.entry(kind.to_owned()).or_default(), object, raw_name),
        })
    }

    /// Whether there is an object of this kind and name.
    #[must_use]
    pub fn has(&self, kind: &str, name: &str) -> bool {
        match kind {
            "Service" => self.services.iter().any(|known| name_of(known) == name),
            "NetworkPolicy" => self.policies.iter().any(|known| name_of(known) == name),
            "HorizontalPodAutoscaler" => self.autoscalers.iter().any(|known| raw_name(known) == name),
            kind => self.routes(kind).iter().any(|known| raw_name(known) == name),
        }
    }

    /// Removes the objects of a kind whose name is not to be kept; whether there were any.
    pub fn retain(&mut self, kind: &str, keeps: impl Fn(&str) -> bool) -> bool {
        match kind {
            "Service" => retain(&mut self.services, name_of, keeps),
            "NetworkPolicy" => retain(&mut self.policies, name_of, keeps),
            "HorizontalPodAutoscaler" => retain(&mut self.autoscalers, raw_name, keeps),
            kind => self.routes.get_mut(kind).is_some_and(|routes| retain(routes, raw_name, keeps)),
        }
    }

    /// Objects of this kind that routers read.
    #[must_use]
    pub fn routes(&self, kind: &str) -> &[Value] {
        self.routes.get(kind).map_or(&[], Vec::as_slice)
    }
}

fn name_of<K: Metadata<Ty = ObjectMeta>>(object: &K) -> &str {
    object.metadata().name.as_deref().unwrap_or_default()
}

fn raw_name(object: &Value) -> &str {
    part(object, "/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

fn put<T: PartialEq>(objects: &mut Vec<T>, object: T, name: fn(&T) -> &str) -> bool {
    match objects.binary_search_by(|known| name(known).cmp(name(&object))) {
        Ok(index) => objects.get_mut(index).is_some_and(|known| {
            let is_changed = *known != object;
            *known = object;
            is_changed
        }),
        Err(index) => {
            objects.insert(index, object);
            true
        }
    }
}

fn retain<T>(objects: &mut Vec<T>, name: fn(&T) -> &str, keeps: impl Fn(&str) -> bool) -> bool {
    let count = objects.len();
    objects.retain(|object| keeps(name(object)));
    objects.len() != count
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str, name: &str, port: u16) -> Value {
        json!({"kind": kind, "metadata": {"name": name}, "spec": {"clusterIP": port.to_string()}})
    }

    #[test]
    fn objects_are_kept_by_kind_and_name_in_the_order_of_names() {
        for kind in ["Service", "NetworkPolicy", "HorizontalPodAutoscaler", "Ingress"] {
            let mut world = World::default();
            for name in ["c", "a", "b"] {
                assert!(world.put(object(kind, name, 1)).unwrap(), "{kind} {name} is new");
            }
            assert!(!world.put(object(kind, "b", 1)).unwrap(), "{kind} b has not changed");
            let mut listed = World::default();
            for name in ["a", "b", "c"] {
                listed.add(object(kind, name, 1)).unwrap();
            }
            assert_eq!(world, listed, "{kind}");
            assert!(world.retain(kind, |name| name != "b"));
            assert!(!world.retain(kind, |name| name != "b"), "{kind} b is gone already");
            listed = World::default();
            for name in ["a", "c"] {
                listed.add(object(kind, name, 1)).unwrap();
            }
            assert_eq!(world, listed, "{kind}");
        }
    }
}
