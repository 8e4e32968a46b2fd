//! L1: routing backends. Each turns the wanted traffic into objects; it is in force when they are observed.

pub mod nginx;

use crate::{
    build::manifest::{Manifest, Owner},
    domain::{
        state::Traffic,
        strategy::{HeaderMatch, NginxRouting},
    },
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
    /// Its name in Argo's `trafficRouting`.
    fn key(&self) -> &'static str;

    /// One sentence for the reference page.
    fn doc(&self) -> &'static str;

    /// The objects that route as intended; none when nothing of the user's routes to the pair.
    fn objects(&self, intent: &RouteIntent<'_>) -> Vec<Manifest>;
}

/// Every router, in the order of the reference page.
pub static ROUTERS: &[&dyn TrafficRouter] = &[&nginx::Nginx];
