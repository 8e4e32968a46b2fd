//! The plan of the next rollout, complete with what depends on the cluster.

use crate::{
    domain::{
        hosts::Hosts,
        k8s::label_rewrite::LabelRewrite,
        observed::Observed,
        strategy::{RolloutSpec, Router},
    },
    objects::{canary_service::find_stable_service, labels, pair::stable_services},
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
    /// The only hosts that its metrics may be asked of, if a policy names some.
    pub metric_hosts: Option<Vec<Hosts>>,
}

impl Next {
    /// Freezes which Service is split, how, and how canary pods are labelled: an Ingress or Service that comes
    /// later is for the next rollout.
    ///
    /// # Errors
    /// Why no rollout can start with this plan.
    pub fn freeze(mut spec: RolloutSpec, deployment: &str, seen: &Observed) -> Result<Self, String> {
        find_stable_service(&mut spec.strategy, &seen.services, &seen.pod_labels())
            .map_err(|error| format!("canaryService: {error}"))?;
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
        Ok(Self { spec, rewrite, metric_hosts: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::strategy::{Defaults, read_strategy};
    use crate::decide::fixtures::seen;
    use serde_json::json;

    /// The plan `{canaryService: next}` among these Services, which select the pods.
    fn frozen(services: &[&str]) -> Result<Next, String> {
        let defaults = Defaults { settle: "6s".parse().unwrap(), annotation_prefix: "nginx".into() };
        let strategy = read_strategy(&json!({"canaryService": "next"}), "", &defaults).unwrap();
        let mut seen = seen(4, "b", true);
        let service = |name: &&str| {
            let service = json!({"metadata": {"name": name}, "spec": {"selector": {"app": "web"}}});
            serde_json::from_value(service).unwrap()
        };
        seen.services = services.iter().map(service).collect();
        Next::freeze(RolloutSpec { strategy, templates: Vec::new() }, "web", &seen)
    }

    #[test]
    fn the_service_that_a_canary_service_belongs_to_is_frozen_with_the_plan() {
        let next = frozen(&["web"]).unwrap();
        assert_eq!(next.spec.strategy.stable_service.as_deref(), Some("web"));
        let why = frozen(&["front", "web"]).unwrap_err();
        assert!(why.starts_with("canaryService: the Services \"front\" and \"web\""), "{why}");
    }
}
