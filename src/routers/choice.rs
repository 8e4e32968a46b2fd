//! Which router a plan goes by.

use super::{Chosen, DEFAULT, ROUTERS, TrafficRouter};
use crate::{
    domain::{
        k8s::selector::{Labels, map_selects},
        strategy::CanaryStrategy,
        world::World,
    },
    objects::labels::service_selector,
};
use k8s_openapi::api::core::v1::Service;
use serde_json::Value;
use std::collections::BTreeMap;

/// The router of this key.
fn find(key: &str) -> Option<&'static dyn TrafficRouter> {
    ROUTERS.iter().copied().find(|router| router.key() == key)
}

/// Whether there is a router of this key.
#[must_use]
pub fn is_known(key: &str) -> bool {
    find(key).is_some()
}

/// The router that a plan goes by: the default one, until a rollout's start has chosen.
#[must_use]
pub fn of(strategy: &CanaryStrategy) -> &'static dyn TrafficRouter {
    strategy.router.as_deref().and_then(find).unwrap_or(DEFAULT)
}

/// Whether the number of canary pods is its share of the traffic, so that none may be there without.
#[must_use]
pub fn by_pods(strategy: &CanaryStrategy) -> bool {
    let router = of(strategy);
    router.capabilities(strategy.settings_of(router.key())).by_pods
}

/// The routers that a plan may go by: the one that it names, or all that are tried.
pub(super) fn candidates(strategy: &CanaryStrategy) -> impl Iterator<Item = &'static dyn TrafficRouter> {
    let named = strategy.router.as_deref();
    ROUTERS.iter().copied().filter(move |router| match named {
        Some(key) => router.key() == key,
        None => router.chosen() != Chosen::ByName,
    })
}

/// The router for a rollout that starts now: the one that the plan names, else the first that finds a route to one of
/// these Services.
#[must_use]
pub fn choose(
    strategy: &CanaryStrategy,
    services: &BTreeMap<String, String>,
    world: &World,
) -> &'static dyn TrafficRouter {
    let is_routed = |router: &&dyn TrafficRouter| {
        router.survey(services, strategy.settings_of(router.key()), world).is_routed
    };
    match strategy.router.as_deref() {
        Some(key) => find(key).unwrap_or(DEFAULT),
        None => candidates(strategy).find(is_routed).unwrap_or(DEFAULT),
    }
}

/// Whether a route of users routes to a Service of users that selects these pods.
#[must_use]
pub fn has_route(pods: &Labels, world: &World) -> bool {
    let mut selecting = world
        .services
        .iter()
        .filter(|service| service_selector(service).is_some_and(|selector| map_selects(selector, pods)));
    selecting.any(|service| is_routed(service, None, world))
}

/// The routers whose routes decide: those that are found, and the one that the plan names.
fn deciding(plan: Option<&CanaryStrategy>) -> impl Iterator<Item = &'static dyn TrafficRouter> {
    let named = plan.and_then(|plan| plan.router.as_deref());
    ROUTERS.iter().copied().filter(move |router| match router.chosen() {
        Chosen::ByRoutes => true,
        Chosen::ByName => named == Some(router.key()),
        Chosen::Otherwise => false,
    })
}

/// Whether a route of users routes to this Service of users, for this plan.
#[must_use]
pub fn is_routed(service: &Service, plan: Option<&CanaryStrategy>, world: &World) -> bool {
    let name = service.metadata.name.clone();
    let services: BTreeMap<String, String> = name.into_iter().map(|name| (name.clone(), name)).collect();
    deciding(plan).any(|router| router.survey(&services, &Value::Null, world).is_routed)
}

/// The kinds of routes that decide for a plan: `Ingress`, where it names no other router.
#[must_use]
pub fn routes(plan: Option<&CanaryStrategy>) -> String {
    deciding(plan).map(TrafficRouter::route).collect::<Vec<_>>().join(" or ")
}
