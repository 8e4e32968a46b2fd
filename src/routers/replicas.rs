//! Without an Ingress: the user's Service selects canary pods as well, so their share of all pods is their
//! share of the traffic. Argo's basic canary.

use super::{RouteIntent, TrafficRouter};
use crate::{
    domain::{
        names::Weight,
        strategy::{CanaryStrategy, Router, Step},
    },
    gocompat::duration::GoDuration,
    objects::manifest::Manifest,
};

/// See the module.
#[derive(Debug)]
pub struct Replicas;

impl TrafficRouter for Replicas {
    fn key(&self) -> &'static str {
        "replicas"
    }

    fn doc(&self) -> &'static str {
        "Where no Ingress leads to a Service of the Deployment: that Service selects canary pods too, and the share of the traffic is that of the pods, at most half."
    }

    fn router(&self) -> Router {
        Router::Replicas
    }

    /// `stable × w ∕ (100 − w)` to the nearest, because the user's replicas stay as they are: none without
    /// traffic, else from 1 to as many as stable has.
    fn pods_for(&self, weight: Weight, stable: i32, least: i32) -> i32 {
        let most = stable.max(1);
        match weight.beside(stable) {
            _ if weight == Weight::ZERO => 0,
            None => most,
            Some(pods) => pods.clamp(least.clamp(1, most), most),
        }
    }

    /// The user's Services do, as long as there is one; without, nobody is sent anywhere.
    fn leads(&self, _: &RouteIntent<'_>) -> bool {
        true
    }

    fn objects(&self, _: &RouteIntent<'_>) -> Vec<Manifest> {
        Vec::new()
    }
}

/// What a plan asks for that needs an Ingress, and why.
#[must_use]
pub fn unfit(strategy: &CanaryStrategy) -> Option<String> {
    let step = strategy.steps.iter().enumerate().find_map(|(index, step)| match step {
        Step::SetCanaryScale(_) => Some(format!("steps[{index}].setCanaryScale")),
        Step::SetHeaderRoute(_) => Some(format!("steps[{index}].setHeaderRoute")),
        _ => None,
    });
    let delay = || (strategy.scale_down_delay > GoDuration::ZERO).then(|| "scaleDownDelaySeconds".to_owned());
    let field = step.or_else(delay)?;
    Some(format!(
        "{field} needs an Ingress that leads to a Service of the Deployment: without one the traffic is split by the number of pods"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_the_pods_comes_as_near_as_whole_pods_can() {
        let pods = |percent: u8, stable| Replicas.pods_for(Weight::try_from(percent).unwrap(), stable, 1);
        assert_eq!([0, 1, 20, 50, 80, 100].map(|percent| pods(percent, 5)), [0, 1, 1, 5, 5, 5]);
        assert_eq!([10, 25, 33, 40].map(|percent| pods(percent, 10)), [1, 3, 5, 7]);
        assert_eq!((pods(50, 0), pods(20, 1)), (1, 1));
        assert_eq!(Replicas.pods_for(Weight::try_from(10).unwrap(), 10, 2), 2);
    }
}
