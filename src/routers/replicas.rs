//! Without a route: the user's Service selects canary pods as well, so their share of all pods is their
//! share of the traffic. Argo's basic canary.

use super::{Capabilities, Chosen, Routes, Sight, TrafficRouter};
use crate::{
    domain::{k8s::json_pointer::part, names::Weight, world::World},
    objects::manifest::{Kind, find},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// See the module.
#[derive(Debug)]
pub struct Replicas;

impl TrafficRouter for Replicas {
    fn key(&self) -> &'static str {
        "replicas"
    }

    fn doc(&self) -> &'static str {
        "Where nothing else routes to a Service of the Deployment: that Service selects canary pods too, and the canary's share of the traffic is its share of the pods, at most half."
    }

    fn route(&self) -> &'static str {
        "Service"
    }

    fn chosen(&self) -> Chosen {
        Chosen::Otherwise
    }

    fn capabilities(&self, _: &Value) -> Capabilities {
        Capabilities { header_routes: 0, headers_of_route: 0, mirrors: false, by_pods: true }
    }

    /// The user's Services route, while there is one; without, no request arrives at all.
    fn survey<'a>(&self, _: &BTreeMap<String, String>, _: &Value, _: &'a World) -> Routes<'a> {
        Routes { is_routed: true, ..Routes::default() }
    }

    /// There are exactly as many canary pods as carry the weight.
    fn in_force(&self, sight: &Sight<'_>) -> Result<bool, String> {
        let Some(object) = find(sight.ours, Kind::DEPLOYMENT, sight.canary) else {
            return Ok(sight.pods == 0);
        };
        let number = |pointer: &str| part(object, pointer).and_then(Value::as_i64).unwrap_or(0);
        let is_current = number("/status/observedGeneration") >= number("/metadata/generation");
        let all = ["/spec/replicas", "/status/replicas"];
        Ok(is_current && all.iter().all(|pointer| number(pointer) == i64::from(sight.pods)))
    }

    /// `stable × w ∕ (100 − w)` to the nearest, because the user's replicas stay as they are: none without
    /// traffic, else from 1 to as many as stable has.
    fn canary_size(&self, weight: Weight, stable: i32, least: i32) -> i32 {
        let most = stable.max(1);
        match weight.pods_next_to(stable) {
            _ if weight == Weight::ZERO => 0,
            None => most,
            Some(pods) => pods.clamp(least.clamp(1, most), most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_the_pods_comes_as_near_as_whole_pods_can() {
        let pods = |percent: u8, stable| Replicas.canary_size(Weight::try_from(percent).unwrap(), stable, 1);
        assert_eq!([0, 1, 20, 50, 80, 100].map(|percent| pods(percent, 5)), [0, 1, 1, 5, 5, 5]);
        assert_eq!([10, 25, 33, 40].map(|percent| pods(percent, 10)), [1, 3, 5, 7]);
        assert_eq!((pods(50, 0), pods(20, 1)), (1, 1));
        assert_eq!(Replicas.canary_size(Weight::try_from(10).unwrap(), 10, 2), 2);
    }
}
