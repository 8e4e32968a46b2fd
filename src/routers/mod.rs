//! L1: routing backends. Each turns the wanted traffic into objects; it is in force when they are observed.

pub mod nginx;
pub mod replicas;
pub mod size;

use crate::{
    domain::{
        k8s::selector::{Labels, map_selects},
        names::Weight,
        state::Traffic,
        strategy::{CanaryStrategy, HeaderMatch, NginxRouting, Router},
        world::World,
    },
    objects::{
        labels::service_selector,
        manifest::{Manifest, Owner},
    },
};
use std::collections::BTreeMap;

/// What shall be routed, and how.
#[derive(Debug)]
pub struct RouteIntent<'a> {
    /// The user's Deployment.
    pub owner: &'a Owner,
    /// Value of the label that marks this pair's objects.
    pub canary_of: &'a str,
    /// The canary's Service for each of the user's.
    pub services: &'a BTreeMap<String, String>,
    /// What users have in the namespace.
    pub world: &'a World,
    /// Settings of the user.
    pub settings: &'a NginxRouting,
    /// Traffic that shall be in force.
    pub traffic: &'a Traffic,
    /// The header route that shall be in force.
    pub header: Option<&'a HeaderMatch>,
}

/// A way to split traffic.
pub trait TrafficRouter: Sync {
    /// Its name, in Argo's `trafficRouting` where it has one.
    fn key(&self) -> &'static str;

    /// One sentence for the reference page.
    fn doc(&self) -> &'static str;

    /// By which plans name it.
    fn router(&self) -> Router;

    /// How many canary pods `weight` needs beside a stable of `stable` pods; at least `least` with traffic.
    fn pods_for(&self, weight: Weight, stable: i32, least: i32) -> i32;

    /// Whether anything of the user's leads traffic to the pair.
    fn leads(&self, intent: &RouteIntent<'_>) -> bool;

    /// The objects that route as intended; none when nothing of the user's routes to the pair.
    fn objects(&self, intent: &RouteIntent<'_>) -> Vec<Manifest>;
}

/// Every router, in the order of the reference page.
pub static ROUTERS: &[&dyn TrafficRouter] = &[&nginx::Nginx, &replicas::Replicas];

/// The router that a plan goes by: NGINX, until a rollout's start has chosen.
#[must_use]
pub fn of(strategy: &CanaryStrategy) -> &'static dyn TrafficRouter {
    let wanted = strategy.router.unwrap_or(Router::Nginx);
    ROUTERS.iter().copied().find(|router| router.router() == wanted).unwrap_or(&nginx::Nginx)
}

/// The router for a rollout that starts now: the one that the plan names, else NGINX where an Ingress of the
/// user routes to one of `services`.
#[must_use]
pub fn choose(strategy: &CanaryStrategy, services: &[&str], world: &World) -> Router {
    let prefix = &strategy.nginx.annotation_prefix;
    let mut stable = nginx::ingresses(world).iter().filter(|ingress| !nginx::is_canary(ingress, prefix));
    strategy.router.unwrap_or_else(|| {
        if stable.any(|ingress| nginx::routes_to(ingress, services)) {
            Router::Nginx
        } else {
            Router::Replicas
        }
    })
}

/// Whether an Ingress of users routes to a Service of users that selects these pods.
#[must_use]
pub fn has_route(pods: &Labels, world: &World) -> bool {
    let selecting = world
        .services
        .iter()
        .filter(|service| service_selector(service).is_some_and(|selector| map_selects(selector, pods)));
    let names: Vec<&str> = selecting.filter_map(|service| service.metadata.name.as_deref()).collect();
    nginx::ingresses(world).iter().any(|ingress| nginx::routes_to(ingress, &names))
}
