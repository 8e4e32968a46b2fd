//! The plan of the next rollout, complete with what depends on the cluster.

use crate::{
    build::{labels, pair::stable_services},
    domain::{
        observed::Observed,
        rewrite::LabelRewrite,
        strategy::{RolloutSpec, Router},
    },
    routers::{self, replicas},
};
use std::collections::BTreeSet;

/// The plan of the next rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Next {
    /// From the annotations and templates as they are now, with its router.
    pub spec: RolloutSpec,
    /// How its canary will be told apart.
    pub rewrite: LabelRewrite,
}

impl Next {
    /// Freezes how traffic is split and how canary pods are labelled: an Ingress or Service that comes later
    /// is for the next rollout.
    ///
    /// # Errors
    /// Why no rollout can start with this plan.
    pub fn freeze(mut spec: RolloutSpec, deployment: &str, seen: &Observed) -> Result<Self, String> {
        let services: Vec<&str> =
            stable_services(seen, &spec.strategy).filter_map(|s| s.metadata.name.as_deref()).collect();
        let router = routers::choose(&spec.strategy, &services, &seen.ingresses);
        let rewrite = match router {
            Router::Nginx => {
                let selector = &seen.deployment.spec.selector;
                labels::choose(deployment, selector, &seen.pod_labels(), &seen.services, &seen.policies)
                    .map_err(|error| error.to_string())?
            }
            // The user's Services shall select the canary too.
            Router::Replicas => match replicas::unfit(&spec.strategy) {
                Some(why) => return Err(why),
                None => LabelRewrite { of: deployment.to_owned(), keys: BTreeSet::new() },
            },
        };
        spec.strategy.router = Some(router);
        Ok(Self { spec, rewrite })
    }
}
