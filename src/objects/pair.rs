//! The pair as a whole: which of the user's Services and Ingresses belong to it, and every object of ours.

use super::{
    canary_autoscaler::canary_autoscaler,
    canary_deployment::{autoscaled_size, canary_deployment},
    canary_policy::canary_policies,
    canary_service::{canary_service, canary_service_name, is_split, our_services},
    manifest::{ASKED_AT_ANNOTATION, Kind, Manifest, Owner},
};
use crate::{
    domain::{
        k8s::label_rewrite::LabelRewrite, names::Weight, observed::Observed, state::Traffic,
        strategy::CanaryStrategy,
    },
    routers::{self, RouteIntent},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use serde_json::Value;
use std::collections::BTreeMap;

/// A Deployment, its canary and how they are told apart.
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
        if self.strategy.splits_by_pods() {
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
        objects.extend(self.services());
        objects.sort_by_key(|object| object.kind);
        objects
    }

    /// What `object` is made as: what carries traffic is born without any, and gets it as an update of the object
    /// that was seen. So a write that arrives when nobody wants it any more brings no traffic back; unlike an
    /// update, the making of an object cannot be tied to what its sender has seen.
    #[must_use]
    pub fn newborn(&self, object: Manifest, traffic: &Traffic) -> Manifest {
        match object.kind {
            Kind::Ingress => {
                let nothing = Traffic { weight: Weight::ZERO, routes: false, header: None, ..*traffic };
                let born = self.routing(&nothing).into_iter().find(|born| born.name == object.name);
                born.unwrap_or(object)
            }
            Kind::Deployment if self.strategy.splits_by_pods() => self.deployment(0, traffic),
            _ => object,
        }
    }

    /// The canary Deployment alone. Where its pods are the split it is what routes, and says so as an Ingress does:
    /// every new wish is a write, so that a late one of an older wish is refused.
    #[must_use]
    pub fn deployment(&self, replicas: i32, traffic: &Traffic) -> Manifest {
        let asked_at = (ASKED_AT_ANNOTATION.to_owned(), traffic.asked_at.to_string());
        let annotations = self.strategy.splits_by_pods().then_some(asked_at).into_iter().collect();
        canary_deployment(self.seen, self.owner, self.rewrite, &self.strategy.pods, replicas, annotations)
    }

    fn services(&self) -> impl Iterator<Item = Manifest> {
        self.stable_services().flat_map(|user| {
            let stable = user.metadata.name.as_deref().unwrap_or_default();
            let names = our_services(stable, self.strategy).into_iter();
            names.map(|name| canary_service(user, self.owner, self.rewrite, &name))
        })
    }

    /// Whether anything of the user's leads traffic to the pair.
    #[must_use]
    pub fn is_routed(&self) -> bool {
        let nothing = Traffic::none(Timestamp::UNIX_EPOCH);
        self.with_intent(&nothing, |intent| routers::of(self.strategy).leads(intent))
    }

    /// The routing objects alone.
    #[must_use]
    pub fn routing(&self, traffic: &Traffic) -> Vec<Manifest> {
        self.with_intent(traffic, |intent| routers::of(self.strategy).objects(intent))
    }

    fn with_intent<T>(&self, traffic: &Traffic, then: impl FnOnce(&RouteIntent<'_>) -> T) -> T {
        let name = |service: &Service| service.metadata.name.clone().unwrap_or_default();
        let services: BTreeMap<String, String> = self
            .stable_services()
            .map(|service| (name(service), canary_service_name(&name(service), self.strategy)))
            .collect();
        then(&RouteIntent {
            owner: self.owner,
            canary_of: &self.rewrite.owner_label(),
            services: &services,
            world: &self.seen.world,
            settings: &self.strategy.nginx,
            traffic,
            header: traffic.header.and_then(|index| self.strategy.header_match(index)),
        })
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

/// The observed object of ours with this kind and name.
#[must_use]
pub fn find<'a>(ours: &'a [Value], kind: Kind, name: &str) -> Option<&'a Value> {
    ours.iter().find(|object| named(object) == Some((kind, name)))
}

/// Kind and name of an observed object, if it is of a kind of ours.
#[must_use]
pub fn named(object: &Value) -> Option<(Kind, &str)> {
    let kind = object.get("kind")?.as_str()?.parse().ok()?;
    Some((kind, object.get("metadata")?.get("name")?.as_str()?))
}
