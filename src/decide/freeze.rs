//! The plan of the next rollout, complete with what depends on the cluster. Admission and the controller freeze it by
//! the same rules.

use super::reach::{self, Reach};
use crate::{
    document::finding::Finding,
    domain::{
        hosts::Hosts,
        k8s::label_rewrite::LabelRewrite,
        strategy::{CanaryStrategy, RolloutSpec},
        world::{Workload, World},
    },
    objects::{
        canary_service::{NoStableService, both_services, find_stable_service, is_split, our_services},
        labels::{self, CannotSeparate, service_name},
    },
    routers::{self, Obstacle, Refusal, Routes},
};
use k8s_openapi::api::core::v1::Service;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The plan of the next rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Frozen {
    /// From the annotations and templates as they are now, with its router.
    pub spec: RolloutSpec,
    /// How its canary will be distinguished.
    pub rewrite: LabelRewrite,
    /// The only hosts that its metrics may query, if a policy names some.
    pub metric_hosts: Option<Vec<Hosts>>,
}

/// A plan before it is frozen, as far as the cluster allows to complete it.
#[derive(Debug)]
pub struct Draft<'a> {
    /// The plan with its Service and its router.
    pub spec: RolloutSpec,
    /// The user's Services that are split.
    pub split: Vec<&'a Service>,
    /// The canary's Service for each of them.
    pub services: BTreeMap<String, String>,
    /// What of the user's routes to them.
    pub routes: Routes<'a>,
    /// How the canary will be distinguished, if it can be.
    pub rewrite: Option<LabelRewrite>,
    /// Why no rollout can start with this plan.
    pub problems: Vec<Unfit>,
    /// What people should know before it starts.
    pub warnings: Vec<String>,
}

/// Why no rollout can start with a plan where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// The Service of which `canaryService` is the canary is not known.
    StableService(NoStableService),
    /// Canary pods cannot be kept out of a selector.
    Selector(CannotSeparate),
    /// The router cannot do what the plan asks for.
    Router(Refusal),
    /// An object of the user is in the way.
    Object(Obstacle),
    /// A Service reaches one of the two versions only.
    Service(Finding),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StableService(error) => write!(f, "canaryService: {error}"),
            Self::Selector(error) => error.fmt(f),
            Self::Router(refusal) => refusal.fmt(f),
            Self::Object(obstacle) => write!(f, "{:?}: {}", obstacle.name, obstacle.problem),
            Self::Service(finding) => finding.fmt(f),
        }
    }
}

/// Freezes which Service is split, how, and how canary pods are labelled: a route or Service that comes later is for the
/// next rollout.
///
/// # Errors
/// Why no rollout can start with this plan.
pub fn freeze(spec: RolloutSpec, workload: &Workload, world: &World) -> Result<Frozen, String> {
    let Draft { spec, rewrite, problems, .. } = Draft::of(spec, workload, world);
    match rewrite {
        Some(rewrite) if problems.is_empty() => Ok(Frozen { spec, rewrite, metric_hosts: None }),
        _ => Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    }
}

impl<'a> Draft<'a> {
    /// Completes a plan.
    #[must_use]
    pub fn of(mut spec: RolloutSpec, workload: &Workload, world: &'a World) -> Self {
        let mut problems = Vec::new();
        let strategy = &mut spec.strategy;
        let stable = find_stable_service(strategy, &world.services, &workload.pods.labels);
        problems.extend(stable.err().map(Unfit::StableService));
        let split: Vec<&Service> = world
            .services
            .iter()
            .filter(|service| is_split(service, strategy, &workload.pods.labels))
            .collect();
        let services = both_services(split.iter().copied(), strategy);
        let router = routers::choose(strategy, &services, world);
        strategy.router = Some(router.key().to_owned());
        problems.extend(routers::refused_by(router, strategy).into_iter().map(Unfit::Router));
        let found = router.survey(&services, strategy.settings_of(router.key()), world);
        problems.extend(found.conflicts.iter().cloned().map(Unfit::Object));
        problems.extend(router.unfit(&services, strategy, &found, world).into_iter().map(Unfit::Object));
        let by_pods = routers::by_pods(strategy);
        let ours: Vec<String> =
            services.keys().flat_map(|name| our_services(name, strategy, by_pods)).collect();
        problems.extend(split.iter().flat_map(|service| in_the_way(service, strategy, by_pods, world)));
        let rewrite = if by_pods {
            // The user's Services must select the canary too.
            Ok(LabelRewrite { of: workload.name.clone(), keys: BTreeSet::new() })
        } else {
            // A Service in the place of ours is a problem of its own; that it selects our pods goes without saying.
            let is_in_place = |service: &&Service| ours.iter().any(|name| name == service_name(service));
            let others: Vec<&Service> =
                world.services.iter().filter(|service| !is_in_place(service)).collect();
            labels::choose(workload, &others, &world.policies)
        };
        let rewrite = rewrite.map_err(|error| problems.push(Unfit::Selector(error))).ok();
        let Reach { gaps, warnings } = reach::of_services(workload, strategy, world);
        problems.extend(gaps.into_iter().map(Unfit::Service));
        Self { spec, split, services, routes: found, rewrite, problems, warnings }
    }
}

/// Why the Services of ours for a user's cannot be made.
fn in_the_way(service: &Service, strategy: &CanaryStrategy, by_pods: bool, world: &World) -> Vec<Unfit> {
    let ours = our_services(service_name(service), strategy, by_pods);
    let is_taken = |ours: &&String| world.services.iter().any(|user| service_name(user) == ours.as_str());
    let taken = ours.iter().filter(is_taken).map(|taken| {
        format!(
            "Service {taken:?} exists and is not Haldane's, which makes the canary's Service itself; delete it"
        )
    });
    let is_external = service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("ExternalName");
    let external = (is_external && !ours.is_empty())
        .then(|| "the Service is an ExternalName, which has no pods to split between".to_owned());
    let obstacle = |problem| Obstacle { field: "", name: service_name(service).to_owned(), problem };
    taken.chain(external).map(obstacle).map(Unfit::Object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::strategy::{Defaults, read_strategy};
    use crate::decide::fixtures::seen;
    use crate::domain::observed::ReplicaSetView;
    use serde_json::json;
    use std::sync::Arc;

    /// The plan `{canaryService: next}` among these Services, which select the pods.
    fn frozen(services: &[&str]) -> Result<Frozen, String> {
        let defaults = Defaults { settle: "6s".parse().unwrap(), annotation_prefix: "nginx".into() };
        let strategy = read_strategy(&json!({"canaryService": "next"}), "", &defaults).unwrap();
        let mut seen = seen(4, "b", true);
        for name in services {
            let service =
                json!({"kind": "Service", "metadata": {"name": name}, "spec": {"selector": {"app": "web"}}});
            Arc::make_mut(&mut seen.world).add(service).unwrap();
        }
        freeze(RolloutSpec { strategy, templates: Vec::new() }, &seen.workload(), &seen.world)
    }

    #[test]
    fn a_held_template_that_its_service_does_not_select_does_not_start() {
        let defaults = Defaults { settle: "6s".parse().unwrap(), annotation_prefix: "nginx".into() };
        let strategy = read_strategy(&json!({}), "", &defaults).unwrap();
        let mut seen = seen(4, "b", true);
        let labels = json!({"app": "web", "tier": "front", "pod-template-hash": "1"});
        let spec = json!({"replicas": 4, "template": {"metadata": {"labels": labels}}});
        let running = json!({"metadata": {"name": "web-1"}, "spec": spec, "status": {"readyReplicas": 4}});
        seen.replica_sets = vec![ReplicaSetView::of(&running)];
        let service =
            json!({"kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"tier": "front"}}});
        Arc::make_mut(&mut seen.world).add(service).unwrap();
        let spec = RolloutSpec { strategy, templates: Vec::new() };
        let why = freeze(spec, &seen.workload(), &seen.world).unwrap_err();
        assert!(why.contains("Service \"web\" selects tier=front, as the running pods have it"), "{why}");
    }

    #[test]
    fn the_service_that_a_canary_service_belongs_to_is_frozen_with_the_plan() {
        let next = frozen(&["web"]).unwrap();
        assert_eq!(next.spec.strategy.stable_service.as_deref(), Some("web"));
        let why = frozen(&["front", "web"]).unwrap_err();
        assert!(why.starts_with("canaryService: the Services \"front\" and \"web\""), "{why}");
    }
}
