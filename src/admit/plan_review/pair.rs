//! Whether the Deployment can have a canary at all: strategy, selectors, names, routes.

use super::{foreign_policies, routes, scheduling};
use crate::admit::{facts::Neighbours, object::Object, report::Report};
use crate::{
    config::{annotations::path, dry_start, queries::marks_of},
    document::finding::{Finding, Findings},
    domain::{
        k8s::{
            json_pointer::part,
            label_rewrite::LabelRewrite,
            selector::{self, Labels, map_selects},
        },
        keys,
        strategy::{CanaryStrategy, Router},
    },
    objects::{
        canary_service::{NoStableService, canary_labels, find_stable_service, is_split, our_services},
        labels::{choose, service_selector},
        marks::is_ours,
    },
    routers::{self, replicas},
};
use k8s_openapi::{
    api::{core::v1::Service, networking::v1::Ingress},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// The checks that need nothing but the Deployment.
#[must_use]
pub fn alone(object: Object<'_>) -> Findings {
    let kind = part(object.0, "/spec/strategy/type").and_then(Value::as_str).unwrap_or("RollingUpdate");
    if kind == "RollingUpdate" {
        return Findings::new();
    }
    vec![Finding::new(
        "spec.strategy.type",
        kind,
        "a canary needs RollingUpdate: stable must keep serving while it is replaced, or NGINX answers 503; remove spec.strategy, or opt out",
    )]
}

/// Fills in what of a plan depends on what else is in the namespace: the Service that `canaryService` belongs to, and
/// how the traffic of a rollout that starts now would be split. `releases`: it does start now.
#[must_use]
pub fn complete(
    object: Object<'_>,
    strategy: &mut CanaryStrategy,
    neighbours: &Neighbours,
    releases: bool,
) -> Report {
    let mut report = Report::default();
    let named = strategy.canary_service.clone().unwrap_or_default();
    match find_stable_service(strategy, users(neighbours), &object.pod_labels()) {
        Ok(()) => {}
        // A Deployment may come before its Service.
        Err(error @ NoStableService::Missing) => {
            routes::lacking(&mut report, releases, "canaryService", &named, error.to_string());
        }
        Err(error @ NoStableService::Ambiguous(_)) => {
            routes::lacking(&mut report, true, "canaryService", &named, error.to_string());
        }
    }
    strategy.router = Some(router(object, strategy, neighbours));
    report
}

/// The checks against what else is in the namespace. `releases`: a changed template starts its canary now.
#[must_use]
pub fn among(
    object: Object<'_>,
    name: &str,
    strategy: &CanaryStrategy,
    neighbours: &Neighbours,
    releases: bool,
) -> Report {
    let mut report = Report::default();
    let users: Vec<Service> = users(neighbours).cloned().collect();
    let selector = part(object.0, "/spec/selector").cloned().unwrap_or_default();
    let selector: LabelSelector = serde_json::from_value(selector).unwrap_or_default();
    let split: Vec<&Service> =
        users.iter().filter(|service| is_split(service, strategy, &object.pod_labels())).collect();
    // A Service in the place of ours is a finding of its own; that it selects our pods goes without saying.
    let ours: Vec<String> =
        split.iter().flat_map(|service| our_services(name_of(service), strategy)).collect();
    let is_in_place = |s: &&Service| s.metadata.name.as_ref().is_some_and(|name| ours.contains(name));
    let others: Vec<Service> = users.iter().filter(|service| !is_in_place(service)).cloned().collect();
    // Where pods are the split, the user's Services shall select the canary too: it keeps its labels.
    let rewrite = if strategy.splits_by_pods() {
        Ok(LabelRewrite { of: name.to_owned(), keys: BTreeSet::new() })
    } else {
        choose(name, &selector, &object.pod_labels(), &others, &neighbours.policies)
    };
    match rewrite {
        Ok(rewrite) => {
            let changed = rewrite.apply(&object.pod_labels()).into_iter();
            report.relabelled = changed.filter(|(key, _)| rewrite.keys.contains(key)).collect();
            report.marks = marks_of(
                &rewrite,
                &object.pod_labels(),
                &split,
                strategy,
                Some((dry_start::STABLE_HASH, dry_start::CANARY_HASH)),
            );
            let namespace = part(object.0, "/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
            let pods = foreign_policies::Sides::pods(&object.pod_labels(), &rewrite, namespace);
            let services =
                split.iter().filter_map(|service| both_services(service, strategy, &rewrite, namespace));
            let sides: Vec<foreign_policies::Sides> = std::iter::once(pods).chain(services).collect();
            let (findings, warnings) = foreign_policies::missed(&neighbours.selecting, &sides);
            report.findings.extend(findings);
            report.warnings.extend(warnings);
            report.warnings.extend(scheduling::by_scheduling(object, &rewrite));
        }
        Err(error) => {
            let shown = serde_json::to_string(&selector).unwrap_or_default();
            let advice = format!(
                "{error}; it must have a label with one fixed value, e.g. matchLabels: {{app: {name}}}"
            );
            report.findings.push(Finding::new("spec.selector", shown, advice));
        }
    }
    report.warnings.extend(neighbours.unread.iter().map(|why| {
        format!("policies of other APIs that may miss the canary's pods were not checked: {why}")
    }));
    report.findings.extend(labels_that_select(strategy, &selector, &users));
    for holder in neighbours.holders.iter().filter(|holder| !holder.is_ours) {
        let problem =
            format!("{} {:?} exists and is not Haldane's; rename or delete it", holder.kind, holder.name);
        report.findings.push(Finding::new("metadata.name", name, problem));
    }
    for service in &split {
        names_of_ours(service, strategy, neighbours, &mut report);
    }
    let pods = object.pod_labels();
    if strategy.splits_by_pods() {
        routes::check_service(&split, strategy, &pods, releases, &mut report);
        let unfit = replicas::unfit(strategy);
        report.findings.extend(unfit.map(|why| Finding::new(path(keys::CANARY), "", why)));
    } else {
        report.warnings.extend(split.iter().flat_map(|service| unnamed_ports(service, object)));
        routes::check(&split, strategy, neighbours, &pods, releases, &mut report);
    }
    report
}

/// How the traffic of a rollout that starts now would be split.
fn router(object: Object<'_>, strategy: &CanaryStrategy, neighbours: &Neighbours) -> Router {
    let labels = object.pod_labels();
    let split = users(neighbours).filter(|service| is_split(service, strategy, &labels));
    let names: Vec<&str> = split.filter_map(|service| service.metadata.name.as_deref()).collect();
    let ingresses = neighbours.ingresses.iter().filter(|ingress| !is_ours(&ingress.metadata));
    routers::choose(strategy, &names, ingresses)
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

/// Whether an Ingress of the user leads to a Service of the user that selects these pods.
#[must_use]
pub fn has_route(pods: &Labels, services: &[Service], ingresses: &[Ingress]) -> bool {
    let names: Vec<&str> =
        selecting(pods, services).filter_map(|service| service.metadata.name.as_deref()).collect();
    let mut users = ingresses.iter().filter(|ingress| !is_ours(&ingress.metadata));
    users.any(|ingress| routes::leads(ingress, &names))
}

/// Whether a Service of the user selects these pods.
pub(in crate::admit) fn is_served(pods: &Labels, services: &[Service]) -> bool {
    selecting(pods, services).next().is_some()
}

fn selecting<'a>(pods: &'a Labels, services: &'a [Service]) -> impl Iterator<Item = &'a Service> {
    services.iter().filter(|service| {
        !is_ours(&service.metadata)
            && service_selector(service).is_some_and(|selector| map_selects(selector, pods))
    })
}

/// The Services of the user.
fn users(neighbours: &Neighbours) -> impl Iterator<Item = &Service> {
    neighbours.services.iter().filter(|service| !is_ours(&service.metadata))
}

fn name_of(service: &Service) -> &str {
    service.metadata.name.as_deref().unwrap_or_default()
}

/// A user's Service and the canary's, as monitors see them.
fn both_services(
    service: &Service,
    strategy: &CanaryStrategy,
    rewrite: &LabelRewrite,
    namespace: &str,
) -> Option<foreign_policies::Sides> {
    // A preview's Service is the canary's under another name.
    let canary = our_services(name_of(service), strategy).into_iter().next()?;
    let stable = (name_of(service), service.metadata.labels.clone().unwrap_or_default());
    Some(foreign_policies::Sides::services(stable, (&canary, canary_labels(service, rewrite)), namespace))
}

/// The names that the Services of ours for a user's need, and that it can have such.
fn names_of_ours(service: &Service, strategy: &CanaryStrategy, neighbours: &Neighbours, report: &mut Report) {
    let ours = our_services(name_of(service), strategy);
    for taken in ours.iter().filter(|ours| users(neighbours).any(|user| name_of(user) == ours.as_str())) {
        let problem = format!(
            "Service {taken:?} exists and is not Haldane's, which makes the canary's Service itself; delete it"
        );
        report.findings.push(Finding::new(path(keys::CANARY), name_of(service), problem));
    }
    let external = service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("ExternalName");
    if external && !ours.is_empty() {
        let problem = "the Service is an ExternalName, which has no pods to split between";
        report.findings.push(Finding::new(path(keys::CANARY), name_of(service), problem));
    }
}

/// Ports by which a Service finds its pods, but that the pod template does not name.
fn unnamed_ports(service: &Service, object: Object<'_>) -> Vec<String> {
    let pod = object.template().get("spec").unwrap_or(&Value::Null);
    let containers =
        ["containers", "initContainers"].iter().filter_map(|key| pod.get(*key)?.as_array()).flatten();
    let ports = containers.filter_map(|container| container.get("ports")?.as_array()).flatten();
    let named: Vec<&str> = ports.filter_map(|port| port.get("name")?.as_str()).collect();
    let targets = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    targets
        .filter_map(|port| match &port.target_port {
            Some(IntOrString::String(name)) if !named.contains(&name.as_str()) => Some(name),
            _ => None,
        })
        .map(|name| {
            format!(
                "targetPort {name:?} of Service {:?} is a name that no container port of the pod template has: these pods would get no requests by it",
                name_of(service)
            )
        })
        .collect()
}
