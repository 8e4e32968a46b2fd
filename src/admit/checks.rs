//! Whether the Deployment can have a canary at all: strategy, selectors, names, routes.

use super::{facts::Neighbours, object::Object};
use crate::{
    build::{
        canary_service::canary_service_name,
        labels::{choose, service_selector},
        manifest::{MANAGED_BY, MANAGED_BY_LABEL},
    },
    config::annotations::path,
    domain::{
        finding::{Finding, Findings},
        keys,
        selector::{self, Labels, map_selects},
        strategy::CanaryStrategy,
    },
    routers::nginx,
};
use k8s_openapi::{
    api::{core::v1::Service, networking::v1::Ingress},
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use serde_json::Value;

/// What is wrong, and what only deserves a warning.
#[derive(Debug, Default)]
pub struct Report {
    /// Reasons to refuse.
    pub findings: Findings,
    /// Worth knowing.
    pub warnings: Vec<String>,
}

/// The checks that need nothing but the Deployment.
#[must_use]
pub fn alone(object: Object<'_>) -> Findings {
    let kind = object.0.pointer("/spec/strategy/type").and_then(Value::as_str).unwrap_or("RollingUpdate");
    if kind == "RollingUpdate" {
        return Findings::new();
    }
    vec![Finding::new(
        "spec.strategy.type",
        kind,
        "a canary needs RollingUpdate: stable must keep serving while it is replaced, or NGINX answers 503; remove spec.strategy, or opt out",
    )]
}

/// The checks against what else is in the namespace.
#[must_use]
pub fn among(object: Object<'_>, name: &str, strategy: &CanaryStrategy, neighbours: &Neighbours) -> Report {
    let mut report = Report::default();
    let users: Vec<Service> = neighbours.services.iter().filter(|s| !is_ours(&s.metadata)).cloned().collect();
    let selector = object.0.pointer("/spec/selector").cloned().unwrap_or_default();
    let selector: LabelSelector = serde_json::from_value(selector).unwrap_or_default();
    let split: Vec<&Service> =
        users.iter().filter(|service| is_split(service, strategy, &object.pod_labels())).collect();
    // A Service in the place of ours is a finding of its own; that it selects our pods goes without saying.
    let ours: Vec<String> = split.iter().map(|service| canary_name_of(service, strategy)).collect();
    let is_in_place = |s: &&Service| s.metadata.name.as_ref().is_some_and(|name| ours.contains(name));
    let others: Vec<Service> = users.iter().filter(|service| !is_in_place(service)).cloned().collect();
    if let Err(error) = choose(name, &selector, &object.pod_labels(), &others, &neighbours.policies) {
        let shown = serde_json::to_string(&selector).unwrap_or_default();
        let advice =
            format!("{error}; it must have a label with one fixed value, e.g. matchLabels: {{app: {name}}}");
        report.findings.push(Finding::new("spec.selector", shown, advice));
    }
    report.findings.extend(labels_that_select(strategy, &selector, &users));
    for holder in neighbours.holders.iter().filter(|holder| !holder.is_ours) {
        let problem =
            format!("{} {:?} exists and is not Haldane's; rename or delete it", holder.kind, holder.name);
        report.findings.push(Finding::new("metadata.name", name, problem));
    }
    for service in &split {
        services(service, strategy, neighbours, &mut report);
    }
    routes(&split, strategy, neighbours, &mut report);
    report
}

/// Labels of `canaryMetadata` by which pods are selected: with them a canary pod could pass for a stable one.
fn labels_that_select(strategy: &CanaryStrategy, selector: &LabelSelector, services: &[Service]) -> Findings {
    let mut used = selector::keys(selector);
    used.extend(services.iter().filter_map(service_selector).flat_map(|map| map.keys().cloned()));
    let clashing =
        strategy.pods.labels.iter().filter(|(key, _)| key.starts_with(keys::PREFIX) || used.contains(*key));
    clashing
        .map(|(key, value)| {
            let place = format!("{}.canaryMetadata.labels[{key}]", path(keys::CANARY));
            Finding::new(place, value, "pods of this namespace are selected by this label, so the canary's is Haldane's to choose; use another key")
        })
        .collect()
}

fn is_ours(metadata: &ObjectMeta) -> bool {
    metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(MANAGED_BY_LABEL))
        .is_some_and(|by| by == MANAGED_BY)
}

fn is_split(service: &Service, strategy: &CanaryStrategy, pod_labels: &Labels) -> bool {
    match &strategy.stable_service {
        Some(name) => service.metadata.name.as_ref() == Some(name),
        None => service_selector(service).is_some_and(|selector| map_selects(selector, pod_labels)),
    }
}

/// Name of the canary's Service beside `service`.
fn canary_name_of(service: &Service, strategy: &CanaryStrategy) -> String {
    canary_service_name(service.metadata.name.as_deref().unwrap_or_default(), strategy)
}

/// The name that the canary's Service needs, and the kind of the user's.
fn services(service: &Service, strategy: &CanaryStrategy, neighbours: &Neighbours, report: &mut Report) {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let canary = canary_name_of(service, strategy);
    let taken = |other: &&Service| other.metadata.name.as_ref() == Some(&canary) && !is_ours(&other.metadata);
    if neighbours.services.iter().find(taken).is_some() {
        let problem = format!(
            "Service {canary:?} exists and is not Haldane's, which makes the canary's Service itself; delete it"
        );
        report.findings.push(Finding::new(path(keys::CANARY), name, problem));
    }
    let external = service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("ExternalName");
    if external {
        let problem = "the Service is an ExternalName, which has no pods to split between";
        report.findings.push(Finding::new(path(keys::CANARY), name, problem));
    }
}

/// Traffic can be split only where an Ingress leads to a Service, and only one canary can be attached to it.
fn routes(split: &[&Service], strategy: &CanaryStrategy, neighbours: &Neighbours, report: &mut Report) {
    let names: Vec<&str> = split.iter().filter_map(|service| service.metadata.name.as_deref()).collect();
    if let Some(wanted) = strategy.stable_service.as_deref().filter(|wanted| !names.contains(wanted)) {
        report.warnings.push(format!("Service {wanted:?}, named as stableService, does not exist yet"));
    }
    let prefix = &strategy.nginx.annotation_prefix;
    let leads = |ingress: &&Ingress| {
        nginx::paths(ingress)
            .any(|(_, path)| nginx::backend(path).is_some_and(|service| names.contains(&service)))
    };
    let (canaries, stable): (Vec<&Ingress>, Vec<&Ingress>) = neighbours
        .ingresses
        .iter()
        .filter(|ingress| !is_ours(&ingress.metadata))
        .partition(|i| nginx::is_canary(i, prefix));
    let stable_names: Vec<&str> =
        stable.iter().filter(|i| leads(i)).filter_map(|i| i.metadata.name.as_deref()).collect();
    if stable_names.is_empty() {
        report.warnings.push(
            "no Ingress leads to a Service of this Deployment, so its canary would get no traffic".to_owned(),
        );
    }
    for missing in
        strategy.nginx.stable_ingresses.iter().filter(|name| !stable_names.contains(&name.as_str()))
    {
        report.warnings.push(format!(
            "Ingress {missing:?}, named as stableIngress, does not lead to a Service of this Deployment"
        ));
    }
    for foreign in canaries.iter().filter(|i| shares_route(i, &stable, &names)) {
        let name = foreign.metadata.name.as_deref().unwrap_or_default();
        let problem =
            "this Ingress is a canary of the same host and path already; NGINX honours one, so delete it";
        report.findings.push(Finding::new(path(keys::CANARY), name, problem));
    }
}

/// A foreign canary joins our upstream when its host and path are those of a stable route of ours.
fn shares_route(canary: &Ingress, stable: &[&Ingress], services: &[&str]) -> bool {
    nginx::paths(canary).any(|(host, path)| {
        stable.iter().flat_map(|ingress| nginx::paths(ingress)).any(|(stable_host, stable_path)| {
            host == stable_host
                && path.path == stable_path.path
                && nginx::backend(stable_path).is_some_and(|service| services.contains(&service))
        })
    })
}
