//! L1: routing backends. Each turns the wanted traffic into objects; it is in force when they are observed.

pub mod nginx;
pub mod replicas;
pub mod size;

use crate::{
    domain::{
        names::Weight,
        state::Traffic,
        strategy::{CanaryStrategy, HeaderMatch, NginxRouting, Router},
    },
    objects::manifest::{Manifest, Owner},
};
use k8s_openapi::api::networking::v1::Ingress;
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
    /// Ingresses of the namespace.
    pub ingresses: &'a [Ingress],
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
/// user leads to one of `services`.
#[must_use]
pub fn choose<'a>(
    strategy: &CanaryStrategy,
    services: &[&str],
    ingresses: impl IntoIterator<Item = &'a Ingress>,
) -> Router {
    let leads = |ingress: &Ingress| {
        !nginx::is_canary(ingress, &strategy.nginx.annotation_prefix)
            && nginx::paths(ingress)
                .any(|(_, path)| nginx::backend(path).is_some_and(|s| services.contains(&s)))
    };
    strategy
        .router
        .unwrap_or_else(|| if ingresses.into_iter().any(leads) { Router::Nginx } else { Router::Replicas })
}
