//! Releases behind one Service or route take turns: a router knows one canary of a Service, whatever its canary Service is
//! called, and two companions of one route would take each other's requests.

use crate::{
    domain::{
        observed::Observed,
        strategy::CanaryStrategy,
        world::{Canaries, OtherCanary, World},
    },
    objects::{
        canary_service::{both_services, our_services},
        pair::stable_services,
    },
    routers,
};
use std::collections::BTreeMap;

/// Another Deployment whose canary is in the way of this one's, in words that stay the same while it is. What has `started`
/// may not be in the world yet.
#[must_use]
pub fn behind_another(
    deployment: &str,
    services: &BTreeMap<String, String>,
    strategy: &CanaryStrategy,
    world: &World,
    started: &Canaries,
) -> Option<String> {
    let canaries = world.canaries.iter().chain(started);
    let mut others = canaries.filter(|(_, other)| other.deployment != deployment).peekable();
    let ours = own_canaries(deployment, services, strategy);
    // A canary that needs no Service of its own is in nobody's way.
    if ours.is_empty() || others.peek().is_none() {
        return None;
    }
    let router = routers::of(strategy);
    let found = router.survey(services, strategy.settings_of(router.key()), world);
    others.find_map(|(name, OtherCanary { deployment, service })| {
        // Its Service has the name of one of ours, or is another canary of the same Service.
        let own = ours.get(name).and_then(|own| own.service.as_ref());
        let split = own.or(service.as_ref().filter(|service| services.contains_key(*service)));
        let place = match split {
            Some(service) => format!("Service {service:?}"),
            None => format!("{} {:?}", router.route(), router.shared(services, &found, service.as_ref()?)?),
        };
        Some(format!("Deployment {deployment:?} is in a release behind the same {place}"))
    })
}

/// The Services that a canary of this Deployment needs for these of the user's.
fn own_canaries(
    deployment: &str,
    services: &BTreeMap<String, String>,
    strategy: &CanaryStrategy,
) -> Canaries {
    let by_pods = routers::by_pods(strategy);
    let of = |service: &String| {
        let own = OtherCanary { deployment: deployment.to_owned(), service: Some(service.clone()) };
        our_services(service, strategy, by_pods).into_iter().map(move |name| (name, own.clone()))
    };
    services.keys().flat_map(of).collect()
}

/// A rollout that could start now, and the Services that it splits.
pub(super) struct Turn<'a> {
    deployment: &'a str,
    strategy: &'a CanaryStrategy,
    world: &'a World,
    services: BTreeMap<String, String>,
}

impl<'a> Turn<'a> {
    pub(super) fn of(deployment: &'a str, strategy: &'a CanaryStrategy, seen: &'a Observed) -> Self {
        let services = both_services(stable_services(seen, strategy), strategy);
        Self { deployment, strategy, world: &seen.world, services }
    }

    /// The Services that its canary needs.
    pub(super) fn canaries(&self) -> Canaries {
        own_canaries(self.deployment, &self.services, self.strategy)
    }

    /// Why it must wait, where these have started as well and no watch has reported them yet.
    pub(super) fn must_wait(&self, started: &Canaries) -> Option<String> {
        let why = behind_another(self.deployment, &self.services, self.strategy, self.world, started)?;
        Some(format!("waits for its turn: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::fixtures::{next, seen};
    use crate::objects::separate;
    use serde_json::{Value, json};

    /// Why version `b` of `web` waits next to the canary Service of `owner`, whose UID is not ours.
    fn next_to(owner: &str, by_pods: bool) -> Option<String> {
        next_to_service(owner, "web-canary", &json!({}), by_pods)
    }

    fn next_to_service(owner: &str, name: &str, annotations: &Value, by_pods: bool) -> Option<String> {
        let mut seen = seen(4, "b", true);
        let labels = json!({"app.kubernetes.io/managed-by": "haldane", "haldane.dev/canary-of": owner});
        let owners = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": "other"}]);
        let metadata =
            json!({"name": name, "labels": labels, "annotations": annotations, "ownerReferences": owners});
        let mut world = World::default();
        for object in [
            json!({"kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}}),
            json!({"kind": "Service", "metadata": metadata, "spec": {"selector": {"app": "web-canary"}}}),
        ] {
            separate::add(&mut world, object).unwrap();
        }
        seen.world = std::sync::Arc::new(world);
        let mut strategy = next().spec.strategy;
        strategy.router = by_pods.then(|| "replicas".to_owned());
        Turn::of("web", &strategy, &seen).must_wait(&Canaries::new())
    }

    #[test]
    fn one_of_two_deployments_behind_a_service_waits() {
        assert_eq!(
            next_to("web-spot", false).as_deref(),
            Some(
                "waits for its turn: Deployment \"web-spot\" is in a release behind the same Service \"web\""
            )
        );
        assert_eq!(next_to("web", false), None, "what a deleted Deployment of its name has left");
        assert_eq!(next_to("web-spot", true), None, "it needs no Service of its own");
    }

    #[test]
    fn the_name_of_the_other_canary_service_is_of_no_matter() {
        let next_to = |service: &str, by_pods| {
            next_to_service("web-spot", "next", &json!({"haldane.dev/service": service}), by_pods)
        };
        assert!(next_to("web", false).is_some(), "both are canaries of the same Service");
        assert_eq!(next_to("other", false), None);
        assert_eq!(next_to("web", true), None, "it needs no Service of its own");
    }

    /// Why version `b` of `web` waits next to a canary of Service `api`, where this is the user's route.
    fn behind_route(router: &str, route: Value) -> Option<String> {
        let mut seen = seen(4, "b", true);
        let service =
            json!({"kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}});
        let world = std::sync::Arc::make_mut(&mut seen.world);
        *world = World::default();
        for object in [service, route] {
            world.add(object).unwrap();
        }
        let strategy = CanaryStrategy { router: Some(router.to_owned()), ..next().spec.strategy };
        let other = OtherCanary { deployment: "api".to_owned(), service: Some("api".to_owned()) };
        let started = Canaries::from([("api-canary".to_owned(), other)]);
        Turn::of("web", &strategy, &seen).must_wait(&started)
    }

    #[test]
    fn companions_of_one_route_take_turns_where_they_would_compete() {
        let waits = |kind: &str| {
            Some(format!(
                "waits for its turn: Deployment \"api\" is in a release behind the same {kind} \"shop\""
            ))
        };
        let metadata = json!({"name": "shop", "namespace": "shop"});
        let by_gateway = |services: [&str; 2]| {
            let rules = services.map(|service| json!({"backendRefs": [{"name": service, "port": 80}]}));
            let route = json!({"kind": "HTTPRoute", "metadata": metadata, "spec": {"rules": rules}});
            behind_route("gateway", route)
        };
        assert_eq!(by_gateway(["web", "api"]), waits("HTTPRoute"), "a companion clones every rule");
        assert_eq!(by_gateway(["web", "other"]), None);
        let by_traefik = |rules: &[&[&str]]| {
            let of = |services: &&[&str]| {
                let services = services.iter().map(|name| json!({"name": name, "port": 80}));
                let services: Vec<Value> = services.collect();
                json!({"kind": "Rule", "match": "Path(`/`)", "services": services})
            };
            let routes: Vec<Value> = rules.iter().map(of).collect();
            let route = json!({"kind": "IngressRoute", "metadata": metadata, "spec": {"routes": routes}});
            behind_route("traefik", route)
        };
        assert_eq!(by_traefik(&[&["web", "api"]]), waits("IngressRoute"));
        assert_eq!(by_traefik(&[&["web"], &["api"]]), None, "a companion has a copy of what it splits");
    }
}
