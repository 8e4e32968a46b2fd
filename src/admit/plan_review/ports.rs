//! The containers behind the ports of the Services that are split.

use crate::{
    admit::object::Object,
    domain::world::{Pods, written},
    objects::labels::service_name,
};
use k8s_openapi::{api::core::v1::Service, apimachinery::pkg::util::intstr::IntOrString};
use serde_json::{Value, json};

/// Ports by which a Service finds its pods, but that the pod template does not name.
pub(super) fn unnamed(service: &Service, object: Object<'_>) -> Vec<String> {
    let pods = Pods::of(object.template());
    let names = targets(service).filter(|target| matches!(target, IntOrString::String(_)));
    let missing = names.filter(|target| pods.declare(target) == Some(false));
    missing
        .map(|target| {
            format!(
                "targetPort {} of Service {:?} is a name that no container port of the pod template has: these pods would get no requests by it",
                written(target),
                service_name(service)
            )
        })
        .collect()
}

/// A container that a Service reaches and that has no readiness probe, while another container has one: it is the
/// other that decides when pods get requests. A template without any probe is reported elsewhere.
pub(super) fn unprobed(services: &[&Service], object: Object<'_>) -> Option<String> {
    let containers = object.template().pointer("/spec/containers").and_then(Value::as_array)?;
    let is_probed = |container: &Value| container.get("readinessProbe").is_some();
    let probed = containers.iter().find(|container| is_probed(container))?;
    let reached = services.iter().find_map(|service| {
        let target =
            targets(service).find(|target| containers.iter().any(|found| declares(found, target)))?;
        Some((service, target))
    });
    let (container, by) = match reached {
        Some((service, target)) => {
            let mut reached = containers.iter().filter(|found| declares(found, target));
            let by = format!(
                ", which Service {:?} reaches at targetPort {}",
                service_name(service),
                written(target)
            );
            (reached.next()?, by)
        }
        None => (containers.first()?, String::new()),
    };
    (!is_probed(container)).then(|| {
        format!(
            "container {}{by}, has no readinessProbe, only {} has: canary pods get requests before they can serve them",
            quoted_name(container),
            quoted_name(probed)
        )
    })
}

fn targets(service: &Service) -> impl Iterator<Item = &IntOrString> {
    service
        .spec
        .iter()
        .flat_map(|spec| spec.ports.iter().flatten())
        .filter_map(|port| port.target_port.as_ref())
}

fn declares(container: &Value, target: &IntOrString) -> bool {
    Pods::of(&json!({"spec": {"containers": [container]}})).declare(target) == Some(true)
}

fn quoted_name(container: &Value) -> String {
    format!("{:?}", container.get("name").and_then(Value::as_str).unwrap_or_default())
}
