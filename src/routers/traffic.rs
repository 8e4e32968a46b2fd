//! The traffic of a pair, as its router makes it.

use super::{Intent, Requests, Routes, Sight, TrafficRouter, of};
use crate::{
    domain::{state::Traffic, strategy::CanaryStrategy},
    objects::{
        canary_deployment::canary_name,
        manifest::{Kind, Manifest},
        pair::Pair,
    },
};
use serde_json::Value;

/// Whether requests can reach the pair.
#[must_use]
pub fn is_routed(pair: &Pair<'_>) -> bool {
    let (router, settings) = router(pair.strategy);
    router.survey(&pair.services(), settings, &pair.seen.world).is_routed
}

/// The objects that split this traffic; none where nothing of the user's routes to the pair.
#[must_use]
pub fn desired(pair: &Pair<'_>, traffic: &Traffic) -> Vec<Manifest> {
    with(pair, traffic, |router, intent, routes| router.desired(intent, routes))
}

/// Where the requests of each side are counted while this traffic is in force.
#[must_use]
pub fn requests(pair: &Pair<'_>, traffic: &Traffic) -> Option<Requests> {
    with(pair, traffic, |router, intent, routes| router.requests(intent, routes, &pair.seen.world))
}

fn with<T>(
    pair: &Pair<'_>,
    traffic: &Traffic,
    ask: impl FnOnce(&dyn TrafficRouter, &Intent<'_>, &Routes<'_>) -> T,
) -> T {
    let (router, settings) = router(pair.strategy);
    let services = pair.services();
    let found = router.survey(&services, settings, &pair.seen.world);
    let intent = Intent {
        owner: pair.owner,
        canary_of: &pair.rewrite.owner_label(),
        services: &services,
        settings,
        weight_total: pair.strategy.weight_total,
        weight: traffic.weight,
        is_open: traffic.routes,
        headers: traffic.headers.iter().filter_map(|index| pair.strategy.header_route(*index)).collect(),
        mirror: traffic.mirror.and_then(|index| pair.strategy.mirror_route(index)),
        asked_at: traffic.asked_at,
    };
    ask(router, &intent, &found)
}

/// What `object` is made as: what carries traffic is born without any, and gets it as an update of the object
/// that was seen. So a write that arrives when nobody wants it any more brings no traffic back; unlike an
/// update, the making of an object cannot be tied to what its sender has seen.
#[must_use]
pub fn newborn(pair: &Pair<'_>, object: Manifest, traffic: &Traffic) -> Manifest {
    match object.kind {
        kind if kind.is_route() => {
            let nothing = Traffic::none(traffic.asked_at);
            let born = desired(pair, &nothing).into_iter().find(|born| born.name == object.name);
            born.unwrap_or(object)
        }
        Kind::DEPLOYMENT if pair.by_pods => pair.deployment(0, traffic),
        _ => object,
    }
}

/// Whether the traffic that `desired` carries, to `pods` canary pods, is in force. Where it `retreats`, an object that is
/// gone carries none.
///
/// # Errors
/// What is awaited of the data plane, which does not follow what is written.
pub fn in_force(pair: &Pair<'_>, desired: &[Manifest], pods: i32, retreats: bool) -> Result<bool, String> {
    let canary = canary_name(&pair.owner.name);
    router(pair.strategy).0.in_force(&Sight {
        desired,
        ours: &pair.seen.ours,
        world: &pair.seen.world,
        canary: &canary,
        pods,
        retreats,
    })
}

fn router(strategy: &CanaryStrategy) -> (&'static dyn TrafficRouter, &Value) {
    let router = of(strategy);
    (router, strategy.settings_of(router.key()))
}
