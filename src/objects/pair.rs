//! The pair as a whole: which of the user's Services belong to it, and every object of ours.

use super::{
    canary_autoscaler::canary_autoscaler,
    canary_deployment::{autoscaled_size, canary_deployment},
    canary_policy::canary_policies,
    canary_service::{both_services, canary_service, is_split, our_services},
    manifest::{ASKED_AT_ANNOTATION, Manifest, Owner},
};
use crate::domain::{
    k8s::label_rewrite::LabelRewrite, observed::Observed, state::Traffic, strategy::CanaryStrategy,
};
use k8s_openapi::api::core::v1::Service;
use std::collections::BTreeMap;

/// A Deployment, its canary and how they are distinguished.
#[derive(Debug)]
pub struct Pair<'a> {
    /// The cluster as seen.
    pub seen: &'a Observed,
    /// The user's Deployment.
    pub owner: &'a Owner,
    /// The plan's strategy.
    pub strategy: &'a CanaryStrategy,
    /// How canary pods are labelled.
    pub rewrite: &'a LabelRewrite,
    /// Whether the number of canary pods is its share of the traffic.
    pub by_pods: bool,
}

impl Pair<'_> {
    /// The user's Services that are split: those that select stable's pods, or the one that the plan names.
    pub fn stable_services(&self) -> impl Iterator<Item = &Service> {
        stable_services(self.seen, self.strategy)
    }

    /// Everything of ours but what routes, with a canary of `replicas` pods, or more where it is autoscaled.
    #[must_use]
    pub fn objects(&self, replicas: i32, traffic: &Traffic) -> Vec<Manifest> {
        let labels = self.seen.pod_labels();
        let mut objects = canary_policies(&self.seen.world.policies, &labels, self.owner, self.rewrite);
        if self.by_pods {
            // Their number is the split, and the user's own Services reach them.
            objects.push(self.deployment(replicas, traffic));
        } else {
            let autoscaler = canary_autoscaler(self.seen, self.owner, self.rewrite, replicas);
            let size = match autoscaler {
                Some(_) => autoscaled_size(self.seen, self.owner, replicas),
                None => replicas,
            };
            objects.push(self.deployment(size, traffic));
            objects.extend(autoscaler);
        }
        objects.extend(self.canary_services());
        objects.sort_by_key(|object| object.kind);
        objects
    }

    /// The canary Deployment alone. Where its pods are the split it is what routes, and says so as a route does:
    /// every new desired size is a write, so that a late one of an older size is refused.
    #[must_use]
    pub fn deployment(&self, replicas: i32, traffic: &Traffic) -> Manifest {
        let asked_at = (ASKED_AT_ANNOTATION.to_owned(), traffic.asked_at.to_string());
        let annotations = self.by_pods.then_some(asked_at).into_iter().collect();
        canary_deployment(self.seen, self.owner, self.rewrite, &self.strategy.pods, replicas, annotations)
    }

    fn canary_services(&self) -> impl Iterator<Item = Manifest> {
        self.stable_services().flat_map(|user| {
            let stable = user.metadata.name.as_deref().unwrap_or_default();
            let names = our_services(stable, self.strategy, self.by_pods).into_iter();
            names.map(|name| canary_service(user, self.owner, self.rewrite, &name))
        })
    }

    /// The canary's Service for each of the user's that is split.
    #[must_use]
    pub fn services(&self) -> BTreeMap<String, String> {
        both_services(self.stable_services(), self.strategy)
    }
}

/// See [`Pair::stable_services`].
pub fn stable_services<'a>(
    seen: &'a Observed,
    strategy: &'a CanaryStrategy,
) -> impl Iterator<Item = &'a Service> {
    let labels = seen.pod_labels();
    seen.world.services.iter().filter(move |service| is_split(service, strategy, &labels))
}
