//! Whether the Deployment can have a canary where it is: selectors, names, routes.

use super::{claims, differences, foreign_policies, ports, replacement, routes, scheduling, shared};
use crate::admit::{facts::Neighbours, object::Object, report::Report};
use crate::{
    config::{annotations::path, dry_start, queries::marks_of},
    decide::{Draft, Unfit, behind_another},
    document::finding::{Finding, Findings},
    domain::{
        k8s::{
            json_pointer::part,
            label_rewrite::LabelRewrite,
            selector::{self, Labels, map_selects},
        },
        keys,
        strategy::{CanaryStrategy, RolloutSpec},
        world::{Canaries, Workload},
    },
    objects::{
        canary_deployment::canary_name,
        canary_policy::{NAMESPACE_NAME, unclear_policies},
        canary_service::{NoStableService, canary_labels, our_services},
        labels::{service_name, service_selector},
    },
    routers::{self, Obstacle},
};
use k8s_openapi::api::core::v1::Service;
use serde_json::Value;

/// The checks against what else is in the namespace. `releases`: a changed template starts its canary now.
#[must_use]
pub fn among(object: Object<'_>, draft: &Draft<'_>, neighbours: &Neighbours, releases: bool) -> Report {
    let mut report = Report::default();
    let Draft { spec: RolloutSpec { strategy, .. }, split, rewrite, problems, warnings, .. } = draft;
    for problem in problems {
        unfit(problem, object, strategy, releases, &mut report);
    }
    report.warnings.extend(warnings.iter().cloned());
    let by_pods = routers::by_pods(strategy);
    let (found, advice) = replacement::empties(object, by_pods);
    report.findings.extend(found);
    report.warnings.extend(advice);
    let (found, advice) = claims::check(object, &neighbours.claims);
    report.findings.extend(found);
    report.warnings.extend(advice);
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
        let deployment = (object.name(), Labels::new());
        let deployment =
            foreign_policies::Sides::targets("Deployment", deployment, &canary_name(object.name()));
        let sides = [sides, deployment].into_iter().chain(services).chain(targets(object, draft));
        let sides: Vec<foreign_policies::Sides> = sides.collect();
        let (findings, warnings) = foreign_policies::missed(&neighbours.selecting, &sides);
        report.findings.extend(findings);
        report.warnings.extend(warnings);
        report.warnings.extend(scheduling::by_scheduling(object, rewrite));
        report.warnings.extend(differences::by_template(object, rewrite));
        let unclear = unclear_policies(&neighbours.world.policies, &pods, namespace, rewrite);
        report.warnings.extend(unclear.iter().map(|name| {
            format!("NetworkPolicy {name:?} names pods of stable by a namespaceSelector that looks at other labels than {NAMESPACE_NAME}: if it means this namespace, canary pods are left out; select it by that label")
        }));
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
    if !by_pods {
        report.warnings.extend(split.iter().flat_map(|service| ports::unnamed(service, object)));
    }
    report.warnings.extend(ports::unprobed(split, object));
    let pods_of_others =
        split.iter().filter_map(|service| shared::by_others(service, object, neighbours, by_pods));
    report.warnings.extend(pods_of_others);
    let other = behind_another(object.name(), &draft.services, strategy, &neighbours.world, &Canaries::new());
    report.warnings.extend(
        other.filter(|_| releases).map(|why| format!("{why}: this release waits until that one has ended")),
    );
    routes::check(draft, &neighbours.world, &pods, releases, &mut report);
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
        Unfit::Service(finding) => finding.clone(),
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

/// What takes requests of the user's routes and Services during a release, where a route has a companion.
fn targets(object: Object<'_>, draft: &Draft<'_>) -> Vec<foreign_policies::Sides> {
    let router = routers::of(&draft.spec.strategy);
    let of_route = |route: &&Value| {
        let companion = router.companion(object.name(), route)?;
        let name = part(route, "/metadata/name")?.as_str()?;
        let labels = part(route, "/metadata/labels")
            .and_then(|labels| serde_json::from_value(labels.clone()).ok())
            .unwrap_or_default();
        Some(foreign_policies::Sides::targets(router.route(), (name, labels), &companion))
    };
    let mut all: Vec<_> = draft.routes.found.iter().filter_map(of_route).collect();
    if !all.is_empty() {
        all.extend(draft.services.iter().map(|(stable, canary)| {
            foreign_policies::Sides::targets("Service", (stable, Labels::new()), canary)
        }));
    }
    all
}

/// A user's Service and the canary's, as monitors see them.
fn both_services(
    service: &Service,
    strategy: &CanaryStrategy,
    rewrite: &LabelRewrite,
    namespace: &str,
) -> Option<foreign_policies::Sides> {
    // A preview's Service is the canary's under another name.
    let canary =
        our_services(service_name(service), strategy, routers::by_pods(strategy)).into_iter().next()?;
    let stable = (service_name(service), service.metadata.labels.clone().unwrap_or_default());
    Some(foreign_policies::Sides::services(stable, (&canary, canary_labels(service, rewrite)), namespace))
}
