//! Traefik's own API: a companion of the user's `IngressRoute`, which is never changed.
//!
//! The companion has a copy of each route that reaches a split Service, with the same rule and the next higher priority, so
//! that Traefik tries it first; its services are weighted. Without the companion the user's route is what remains.
//!
//! Rules of the contract, from Traefik's source: a route without a priority has the length of its rule; several services of
//! a route share its requests by weight; a route of which one service is missing, or has no endpoints, is left out.

mod backends;
mod companion;
mod priorities;
mod requests;
mod routes;
mod rule;
#[cfg(test)]
mod tests;

use super::{
    Capabilities, Chosen, Intent, Obstacle, Requests, Resource, RouterField, Routes, TrafficRouter,
    companion::name, raw::name_of,
};
use crate::{
    domain::{strategy::CanaryStrategy, world::World},
    objects::manifest::{Kind, Manifest},
};
use backends::Backends;
use serde_json::Value;
use std::collections::BTreeMap;

/// What users route by, and what carries the canary's traffic.
const INGRESS_ROUTE: Kind = Kind::route("IngressRoute", "traefik.io/v1alpha1");

/// What routes of users may name in place of Services; it is only read.
const TRAEFIK_SERVICE: Kind = Kind::route("TraefikService", "traefik.io/v1alpha1");

/// The field of the settings.
const WEIGHTED: &str = "weightedTraefikServiceName";

/// Header routes that a companion may have, and headers of each: Traefik has no limit.
const MAX_HEADERS: usize = 8;

/// See the module.
#[derive(Debug)]
pub struct Traefik;

impl TrafficRouter for Traefik {
    fn key(&self) -> &'static str {
        "traefik"
    }

    fn doc(&self) -> &'static str {
        "Traefik's own API: a companion of each IngressRoute of the user, with a copy of the routes to the Services, in which these are weighted, by the next higher priority. Only where `trafficRouting` names it."
    }

    fn route(&self) -> &'static str {
        INGRESS_ROUTE.name()
    }

    fn chosen(&self) -> Chosen {
        Chosen::ByName
    }

    fn fields(&self) -> &'static [RouterField] {
        const {
            &[RouterField {
                key: WEIGHTED,
                doc: "The user's weighted TraefikService: only the IngressRoutes that name it are split. By default every one that routes to the Service, with and without a TraefikService.",
                read: |node| node.object_name().map(Value::from),
            }]
        }
    }

    fn capabilities(&self, _: &Value) -> Capabilities {
        Capabilities {
            header_routes: MAX_HEADERS,
            headers_of_route: MAX_HEADERS,
            mirrors: false,
            by_pods: false,
        }
    }

    fn resources(&self) -> &'static [Resource] {
        const {
            let read = Resource { is_written: false, ..Resource::written(TRAEFIK_SERVICE).optional() };
            &[Resource::written(INGRESS_ROUTE).optional().owned_by_route(), read]
        }
    }

    fn survey<'a>(
        &self,
        services: &BTreeMap<String, String>,
        settings: &Value,
        world: &'a World,
    ) -> Routes<'a> {
        routes::survey(services, settings, world)
    }

    fn unfit(
        &self,
        services: &BTreeMap<String, String>,
        strategy: &CanaryStrategy,
        routes: &Routes<'_>,
        world: &World,
    ) -> Vec<Obstacle> {
        let backends = Backends { services, found: &routes.found };
        priorities::in_the_way(&backends, strategy, world.routes(INGRESS_ROUTE.name()))
    }

    fn companion(&self, deployment: &str, object: &Value) -> Option<String> {
        INGRESS_ROUTE.is_of(object).then(|| name(deployment, object))
    }

    /// Companions have copies of what they split only, so they compete where a rule has both Services.
    fn shared(
        &self,
        services: &BTreeMap<String, String>,
        routes: &Routes<'_>,
        other: &str,
    ) -> Option<String> {
        let others = BTreeMap::from([(other.to_owned(), String::new())]);
        let backends = Backends { services, found: &routes.found };
        let theirs = Backends { services: &others, ..backends };
        let is_theirs = |route: &Value, rule: &Value| theirs.rules(route).any(|their| their == rule);
        let route =
            backends.routes().find(|route| backends.rules(route).any(|rule| is_theirs(route, rule)))?;
        Some(name_of(route).to_owned())
    }

    /// Traefik drops a route of which one service has no endpoints, and the user's is what remains.
    fn has_last_resort(&self) -> bool {
        true
    }

    fn desired(&self, intent: &Intent<'_>, routes: &Routes<'_>) -> Vec<Manifest> {
        let backends = Backends { services: intent.services, found: &routes.found };
        backends.routes().map(|route| companion::of(intent, route, &backends)).collect()
    }

    fn requests(&self, intent: &Intent<'_>, routes: &Routes<'_>, world: &World) -> Option<Requests> {
        requests::of(intent, routes, world)
    }
}
