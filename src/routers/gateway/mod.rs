//! Gateway API: a companion of the user's `HTTPRoute`, which is never changed.
//!
//! The companion is a clone of the whole route. Each of its matches has one more condition that always holds, so it
//! comes before the user's; the backends of split Services are weighted. Without the companion the user's route is what
//! remains.

mod companion;
mod features;
mod following;
mod headers;
mod limits;
mod plugin;
mod precedence;
mod requests;
mod routes;
#[cfg(test)]
mod tests;

use super::{
    Capabilities, Chosen, Intent, Obstacle, Plugin, Refusal, Requests, Resource, RouterField, Routes, Sight,
    TrafficRouter, companion::name, raw::name_of,
};
use crate::{
    document::fields::{Fields, Node},
    domain::{strategy::CanaryStrategy, world::World},
    objects::manifest::{Kind, Manifest, find},
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What users route by, and what carries the canary's traffic.
pub const HTTP_ROUTE: Kind = Kind::route("HTTPRoute", "gateway.networking.k8s.io/v1");

/// Which implementation a Gateway belongs to, and what that can do.
const GATEWAY_CLASS: Kind = Kind::route("GatewayClass", "gateway.networking.k8s.io/v1");

/// Header routes that a companion may have: each repeats the rules of split Services.
const MAX_HEADER_ROUTES: usize = 3;
/// Headers of a match, without the condition that always holds.
const MAX_HEADERS: usize = 8;

/// See the module.
#[derive(Debug)]
pub struct Gateway;

const HTTP_ROUTE_FIELD: RouterField = RouterField {
    key: "httpRoute",
    doc: "The user's HTTPRoute to split; by default every one that routes to the Service.",
    read: |node| node.object_name().map(Value::from),
};

static FIELDS: &[RouterField] = &[
    HTTP_ROUTE_FIELD,
    RouterField {
        key: "httpRoutes",
        doc: "The same for several, `[{name: NAME}]`.",
        read: |node| {
            let name = |node: Node<'_>| node.object(|fields| fields.required("name", Node::object_name));
            node.list(name).map(Value::from)
        },
    },
    RouterField {
        key: "requestMirror",
        doc: "Whether the Gateway's controller honours the filter RequestMirror, where its GatewayClass lists no `supportedFeatures`; false by default. Without the feature `setMirrorRoute` is refused.",
        read: |node| node.bool().map(Value::from),
    },
];

impl TrafficRouter for Gateway {
    fn key(&self) -> &'static str {
        "gateway"
    }

    fn doc(&self) -> &'static str {
        "Gateway API: a companion of each HTTPRoute of the user, in which the Services are weighted and every match asks for `X-Forwarded-Proto` as well. Only where `trafficRouting` names it."
    }

    fn route(&self) -> &'static str {
        "HTTPRoute"
    }

    fn chosen(&self) -> Chosen {
        Chosen::ByName
    }

    fn fields(&self) -> &'static [RouterField] {
        FIELDS
    }

    fn plugin(&self) -> Option<&'static Plugin> {
        Some(&plugin::PLUGIN)
    }

    fn settings(&self, given: Map<String, Value>, _: Option<&Value>, fields: &mut Fields<'_>) -> Value {
        if given.contains_key("httpRoute") && given.contains_key("httpRoutes") {
            fields.fail("must have httpRoute or httpRoutes, not both");
        }
        let one = given.get("httpRoute").cloned().into_iter();
        let several = given.get("httpRoutes").and_then(Value::as_array).cloned().unwrap_or_default();
        let names = one.chain(several).collect();
        let mirrors = given.get("requestMirror").cloned().unwrap_or(Value::Bool(false));
        let settings = [("httpRoutes".to_owned(), names), ("requestMirror".to_owned(), mirrors)];
        settings.into_iter().chain(plugin::own(&given)).collect::<Map<_, _>>().into()
    }

    fn capabilities(&self, _: &Value) -> Capabilities {
        Capabilities {
            header_routes: MAX_HEADER_ROUTES,
            headers_of_route: MAX_HEADERS,
            mirrors: true,
            by_pods: false,
        }
    }

    fn refused(&self, strategy: &CanaryStrategy, _: &Value) -> Vec<Refusal> {
        headers::refused(strategy)
    }

    fn resources(&self) -> &'static [Resource] {
        const {
            &[
                Resource::written(HTTP_ROUTE).optional().owned_by_route(),
                Resource::cluster_wide(GATEWAY_CLASS),
            ]
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

    fn hazards(
        &self,
        _: &BTreeMap<String, String>,
        strategy: &CanaryStrategy,
        _: &Routes<'_>,
        _: &World,
    ) -> Vec<String> {
        plugin::ignored(strategy.settings_of(self.key())).collect()
    }

    fn unfit(
        &self,
        services: &BTreeMap<String, String>,
        strategy: &CanaryStrategy,
        routes: &Routes<'_>,
        world: &World,
    ) -> Vec<Obstacle> {
        let settings = strategy.settings_of(self.key());
        let is_promised = settings.get("requestMirror") == Some(&Value::Bool(true));
        let of = |route: &&Value| {
            let mirror = features::without_mirror(route, strategy, is_promised, world);
            let headers = headers::known(route, services, strategy);
            let outranked = precedence::outranked(route, services, strategy, &routes.found, world);
            let all = limits::too_large(route, services, strategy).into_iter().chain(mirror);
            all.chain(headers).chain(outranked).collect::<Vec<_>>()
        };
        routes.found.iter().flat_map(of).collect()
    }

    fn companion(&self, deployment: &str, route: &Value) -> Option<String> {
        Some(name(deployment, route))
    }

    /// A companion is a clone of the whole route, so the older one would have the requests of all.
    fn shared(&self, _: &BTreeMap<String, String>, routes: &Routes<'_>, other: &str) -> Option<String> {
        let route = routes.found.iter().find(|route| routes::names(route, other))?;
        Some(name_of(route).to_owned())
    }

    fn desired(&self, intent: &Intent<'_>, routes: &Routes<'_>) -> Vec<Manifest> {
        routes.found.iter().map(|route| companion::of(intent, route)).collect()
    }

    fn requests(&self, intent: &Intent<'_>, routes: &Routes<'_>, _: &World) -> Option<Requests> {
        requests::of(intent, routes)
    }

    /// As written, and followed by every Gateway, as far as they say.
    fn in_force(&self, sight: &Sight<'_>) -> Result<bool, String> {
        if !sight.is_written() {
            return Ok(false);
        }
        let mut awaited = sight.desired.iter().filter_map(|wanted| {
            let companion = find(sight.ours, wanted.kind, &wanted.name)?;
            following::awaited(wanted, companion, sight.retreats, sight.world)
        });
        awaited.next().map_or(Ok(true), Err)
    }
}
