//! L1: who splits the traffic: one folder or file per router.
//!
//! A router says what of the user's routes to the pair, which objects of ours split it, and when the split is in force.
//! What it cannot do is refused by its [`Capabilities`]. Nothing outside of its file names it: a new router is its file
//! and one line in [`ROUTERS`].

mod capabilities;
mod choice;
mod companion;
mod fields;
pub mod gateway;
mod kinds;
pub mod nginx;
mod raw;
pub mod replicas;
mod requests;
pub mod size;
pub mod traefik;
pub mod traffic;

pub use capabilities::{Capabilities, Refusal, refusals, refused_by};
pub use choice::{by_pods, choose, has_route, is_known, is_routed, of, routes};
pub use fields::{Plugin, RouterField, nameable, plugins, read, read_plugins, with_defaults};
pub use kinds::{
    Resource, is_cluster_wide, is_optional, kinds, named, optional_kinds, owned_by_routes, read_kinds,
};
pub use requests::{Requests, Timed};

use crate::{
    document::fields::Fields,
    domain::{
        names::Weight,
        strategy::{CanaryStrategy, HeaderRoute, MirrorRoute},
        world::World,
    },
    objects::manifest::{Manifest, Owner, find},
};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Every router, in the order in which they are tried and of the reference page.
pub static ROUTERS: &[&dyn TrafficRouter] =
    &[&nginx::Nginx, &gateway::Gateway, &traefik::Traefik, &replicas::Replicas];

/// The router of plans that were recorded before plans named theirs.
pub static DEFAULT: &dyn TrafficRouter = &nginx::Nginx;

/// A way to split traffic.
pub trait TrafficRouter: Sync {
    /// Its name, in Argo's `trafficRouting` where it has one.
    fn key(&self) -> &'static str;

    /// One or two sentences for the reference page.
    fn doc(&self) -> &'static str;

    /// The kind of object by which users route to their Services.
    fn route(&self) -> &'static str;

    /// How a plan comes to it.
    fn chosen(&self) -> Chosen;

    /// Its fields below [`TrafficRouter::key`].
    fn fields(&self) -> &'static [RouterField] {
        &[]
    }

    /// The plugin of Argo's that it stands for, if there is one.
    fn plugin(&self) -> Option<&'static Plugin> {
        None
    }

    /// Its settings where a plan has none, if it records any. `annotation_prefix` is the installation's.
    fn defaults(&self, _annotation_prefix: &str) -> Option<Value> {
        None
    }

    /// The settings of a plan that has given these fields. Leaves a finding for what does not fit together.
    fn settings(
        &self,
        given: Map<String, Value>,
        _defaults: Option<&Value>,
        _fields: &mut Fields<'_>,
    ) -> Value {
        given.into()
    }

    /// What it can do.
    fn capabilities(&self, settings: &Value) -> Capabilities;

    /// What else it cannot do of a plan.
    fn refused(&self, _strategy: &CanaryStrategy, _settings: &Value) -> Vec<Refusal> {
        Vec::new()
    }

    /// What it reads, and which of it it writes.
    fn resources(&self) -> &'static [Resource] {
        &[]
    }

    /// What of the user's routes to these Services. Keys are the user's Services, values the canary's.
    fn survey<'a>(
        &self,
        services: &BTreeMap<String, String>,
        settings: &Value,
        world: &'a World,
    ) -> Routes<'a>;

    /// What people should know about these routes before a release.
    fn hazards(
        &self,
        _services: &BTreeMap<String, String>,
        _strategy: &CanaryStrategy,
        _routes: &Routes<'_>,
        _world: &World,
    ) -> Vec<String> {
        Vec::new()
    }

    /// What of these routes cannot carry the plan.
    fn unfit(
        &self,
        _services: &BTreeMap<String, String>,
        _strategy: &CanaryStrategy,
        _routes: &Routes<'_>,
        _world: &World,
    ) -> Vec<Obstacle> {
        Vec::new()
    }

    /// Name of the object that takes the requests of a user's route during a release of this Deployment, if another does:
    /// what is attached to the user's by its name does not cover that one.
    fn companion(&self, _deployment: &str, _route: &Value) -> Option<String> {
        None
    }

    /// Name of a found route whose companion would compete with a companion of another Deployment, which splits this Service.
    fn shared(&self, _: &BTreeMap<String, String>, _: &Routes<'_>, _other: &str) -> Option<String> {
        None
    }

    /// The objects that split the traffic as intended, except the pair's own.
    fn desired(&self, _intent: &Intent<'_>, _routes: &Routes<'_>) -> Vec<Manifest> {
        Vec::new()
    }

    /// Whether the desired traffic is in force, as far as the cluster shows it.
    ///
    /// # Errors
    /// What is awaited of the data plane, which does not follow what is written.
    fn in_force(&self, sight: &Sight<'_>) -> Result<bool, String> {
        Ok(sight.is_written())
    }

    /// Whether requests for the canary go to stable while the canary has no pods, and none of them fails.
    fn falls_back(&self) -> bool {
        false
    }

    /// Whether a canary that has lost its pods gets no requests after a moment in which they fail: the last resort where
    /// its routes can neither be changed nor removed.
    fn has_last_resort(&self) -> bool {
        self.falls_back()
    }

    /// How many canary pods `weight` needs alongside a stable of `stable` pods; at least `least` with traffic.
    ///
    /// By default `⌈weight × stable⌉`; without traffic one, so that it is known to start before it gets any.
    fn canary_size(&self, weight: Weight, stable: i32, least: i32) -> i32 {
        let least = if weight == Weight::ZERO { 1 } else { least.max(1) };
        weight.share_of(stable).max(least)
    }

    /// Where its data plane counts the requests of each side, if nothing but the weight decides where one goes.
    fn requests(&self, _intent: &Intent<'_>, _routes: &Routes<'_>, _world: &World) -> Option<Requests> {
        None
    }

    /// How the two sides differ in its own metrics, if it has any.
    fn series(&self) -> Option<&'static Series> {
        None
    }
}

/// How a plan comes to a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// By its name in the plan, or because a route of its kind is there.
    ByRoutes,
    /// Only by its name in the plan.
    ByName,
    /// Where no other router finds a route.
    Otherwise,
}

/// What of the user's routes to the pair.
#[derive(Debug, Default)]
pub struct Routes<'a> {
    /// Objects of users that route to a Service of the pair.
    pub found: Vec<&'a Value>,
    /// Whether requests can reach the pair.
    pub is_routed: bool,
    /// Names in the settings that route to no Service of the pair.
    pub missing: Vec<Obstacle>,
    /// Objects of users because of which the traffic cannot be split.
    pub conflicts: Vec<Obstacle>,
}

/// An object that is missing or in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// The field that names it, below `trafficRouting`; empty where no field does.
    pub field: &'static str,
    /// Name of the object.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What is to be routed, and how.
#[derive(Debug)]
pub struct Intent<'a> {
    /// The user's Deployment.
    pub owner: &'a Owner,
    /// Value of the label that marks this pair's objects.
    pub canary_of: &'a str,
    /// The canary's Service for each of the user's.
    pub services: &'a BTreeMap<String, String>,
    /// Settings of the user.
    pub settings: &'a Value,
    /// The total of which weights are parts.
    pub weight_total: u32,
    /// Share of the canary.
    pub weight: Weight,
    /// Whether routes by header or cookie are on.
    pub is_open: bool,
    /// The header routes that are on.
    pub headers: Vec<&'a HeaderRoute>,
    /// The mirror route that is on.
    pub mirror: Option<&'a MirrorRoute>,
    /// When this was asked for. Every object that routes carries it.
    pub asked_at: Timestamp,
}

/// What is seen of the desired traffic.
#[derive(Debug)]
pub struct Sight<'a> {
    /// The desired objects.
    pub desired: &'a [Manifest],
    /// Objects of ours.
    pub ours: &'a [Value],
    /// What users have.
    pub world: &'a World,
    /// Name of the canary Deployment.
    pub canary: &'a str,
    /// Pods that carry the desired weight.
    pub pods: i32,
    /// Whether traffic is taken back, so that an object that is gone is as good.
    pub retreats: bool,
}

impl Sight<'_> {
    /// Every desired object is observed as desired, and no other object routes.
    #[must_use]
    pub fn is_written(&self) -> bool {
        let mut routes = self.ours.iter().filter_map(named).filter(|(kind, _)| kind.is_route());
        routes.all(|route| self.desired.iter().any(|wanted| (wanted.kind, wanted.name.as_str()) == route))
            && self.desired.iter().all(|wanted| match find(self.ours, wanted.kind, &wanted.name) {
                Some(observed) => wanted.is_satisfied_by(observed),
                None => self.retreats,
            })
    }
}

/// How the two sides differ in a router's own metrics.
#[derive(Debug, PartialEq, Eq)]
pub struct Series {
    /// What the names of its metrics begin with.
    pub prefix: &'static str,
    /// The label that holds the canary's upstream, `NAMESPACE-SERVICE-PORT`; empty for stable.
    pub side: &'static str,
    /// Labels that name stable's Service for both sides.
    pub services: &'static [&'static str],
    /// The label that names the namespace.
    pub namespace: &'static str,
}

/// How the two sides differ in the metrics of each router.
pub fn series() -> impl Iterator<Item = &'static Series> {
    ROUTERS.iter().filter_map(|router| router.series())
}
