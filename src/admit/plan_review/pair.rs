//! Whether the Deployment can have a canary at all: strategy, selectors, names, routes.

use super::{foreign_policies, routes, scheduling};
use crate::admit::{facts::Neighbours, object::Object, report::Report};
use crate::{
    config::{annotations::path, dry_start, queries::marks_of},
    decide::{Draft, Unfit},
    document::finding::{Finding, Findings},
    domain::{
        k8s::{
            json_pointer::part,
            label_rewrite::LabelRewrite,
            selector::{self, Labels, map_selects},
        },
        keys,
        strategy::{CanaryStrategy, RolloutSpec},
        world::Workload,
    },
    objects::{
        canary_service::{NoStableService, canary_labels, our_services},
        labels::service_selector,
    },
    routers::{self, Obstacle},
};
use k8s_openapi::{api::core::v1::Service, apimachinery::pkg::util::intstr::IntOrString};
use serde_json::Value;

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
        "a canary needs RollingUpdate: stable must keep serving while it is replaced, or requests fail; remove spec.strategy, or opt out",
    )]
}

/// The checks against what else is in the namespace. `releases`: a changed template starts its canary now.
#[must_use]
pub fn among(object: Object<'_>, draft: &Draft<'_>, neighbours: &Neighbours, releases: bool) -> Report {
    let mut report = Report::default();
    let Draft { spec: RolloutSpec { strategy, .. }, split, rewrite, problems, .. } = draft;
    for problem in problems {
        unfit(problem, object, strategy, releases, &mut report);
    }
    let pods = object.pod_labels();
    if let Some(rewrite) = rewrite {
        let changed = rewrite.apply(&pods).into_iter();
        report.relabelled = changed.filter(|(key, _)| rewrite.keys.contains(key)).collect();
        report.marks =
            marks_of(rewrite, &pods, split, strategy, Some((dry_start::STABLE_HASH, dry_start::CANARY_HASH)));
        let namespace = part(object.0, "/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        let sides = foreign_policies::Sides::pods(&pods, rewrite, namespace);
        let services =
            split.iter().filter_map(|service| both_services(service, strategy, rewrite, namespace));
        let sides: Vec<foreign_policies::Sides> = std::iter::once(sides).chain(services).collect();
        let (findings, warnings) = foreign_policies::missed(&neighbours.selecting, &sides);
        report.findings.extend(findings);
        report.warnings.extend(warnings);
        report.warnings.extend(scheduling::by_scheduling(object, rewrite));
    }
    report.warnings.extend(neighbours.unread.iter().map(|why| {
        format!("policies of other APIs that may miss the canary's pods were not checked: {why}")
    }));
    report.findings.extend(labels_that_select(strategy, &object.workload(), &neighbours.world.services));
    for holder in neighbours.holders.iter().filter(|holder| !holder.is_ours) {
        let problem =
            format!("{} {:?} exists and is not Haldane's; rename or delete it", holder.kind, holder.name);
        report.findings.push(Finding::new("metadata.name", object.name(), problem));
    }
    if !routers::by_pods(strategy) {
        report.warnings.extend(split.iter().flat_map(|service| unnamed_ports(service, object)));
    }
    routes::check(draft, &pods, releases, &mut report);
    report
}

/// What keeps the plan from being frozen. Before a release it may still be on its way.
fn unfit(
    problem: &Unfit,
    object: Object<'_>,
    strategy: &CanaryStrategy,
    releases: bool,
    report: &mut Report,
) {
    let finding = match problem {
        Unfit::StableService(error) => {
            // A Deployment may come before its Service.
            let is_binding = releases || *error != NoStableService::Missing;
            let named = strategy.canary_service.as_deref().unwrap_or_default();
            return routes::lacking(report, is_binding, "canaryService", named, error.to_string());
        }
        Unfit::Selector(error) => {
            let shown = part(object.0, "/spec/selector").map(Value::to_string).unwrap_or_default();
            let advice = format!(
                "{error}; it must have a label with one fixed value, e.g. matchLabels: {{app: {}}}",
                object.name()
            );
            Finding::new("spec.selector", shown, advice)
        }
        Unfit::Router(refusal) => {
            Finding::new(format!("{}.{}", path(keys::CANARY), refusal.field), "", &refusal.problem)
        }
        Unfit::Object(Obstacle { name, problem, .. }) => Finding::new(path(keys::CANARY), name, problem),
    };
    report.findings.push(finding);
}

/// Labels of `canaryMetadata` by which pods are selected: with them a canary pod could pass for a stable one.
fn labels_that_select(strategy: &CanaryStrategy, workload: &Workload, services: &[Service]) -> Findings {
    let mut used = selector::keys(&workload.selector);
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

/// Whether a Service of the user selects these pods.
pub(in crate::admit) fn is_served(pods: &Labels, services: &[Service]) -> bool {
    services.iter().filter_map(service_selector).any(|selector| map_selects(selector, pods))
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
    let canary = our_services(name_of(service), strategy, routers::by_pods(strategy)).into_iter().next()?;
    let stable = (name_of(service), service.metadata.labels.clone().unwrap_or_default());
    Some(foreign_policies::Sides::services(stable, (&canary, canary_labels(service, rewrite)), namespace))
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
