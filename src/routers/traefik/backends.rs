//! The Services behind an `IngressRoute`.

use super::{INGRESS_ROUTE, TRAEFIK_SERVICE};
use crate::{
    domain::k8s::json_pointer::part,
    routers::raw::{items, name_of, namespace_of, service_of},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// `TraefikService`s that name one another are followed so far.
const MAX_DEPTH: usize = 4;

/// Objects of the user, and the Services behind them that are split.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backends<'a> {
    /// The canary's Service for each of the user's that is split.
    pub services: &'a BTreeMap<String, String>,
    /// `IngressRoute`s and `TraefikService`s of one namespace.
    pub found: &'a [&'a Value],
}

impl<'a> Backends<'a> {
    /// The `IngressRoute`s.
    pub fn routes(self) -> impl Iterator<Item = &'a Value> {
        self.found.iter().copied().filter(|object| INGRESS_ROUTE.is_of(object))
    }

    /// The canary's Service, if a reference means a Service that is split.
    pub fn canary_of(self, reference: &Value, namespace: &str) -> Option<&'a String> {
        self.services.get(service_of(reference, namespace)?)
    }

    /// The `TraefikService` that a reference means.
    pub fn named_by(self, reference: &Value, namespace: &str) -> Option<&'a Value> {
        let text = |field: &str| reference.get(field).and_then(Value::as_str);
        let is_meant = text("kind") == Some(TRAEFIK_SERVICE.name())
            && text("namespace").is_none_or(|other| other == namespace);
        let name = text("name").filter(|_| is_meant)?;
        self.found.iter().copied().find(|object| TRAEFIK_SERVICE.is_of(object) && name_of(object) == name)
    }

    /// The references among which the requests of a rule are shared: its services, or the services of the
    /// weighted `TraefikService` that it has alone.
    pub fn of_rule(self, rule: &'a Value, namespace: &str) -> Vec<&'a Value> {
        let services: Vec<&Value> = items(rule, "/services").collect();
        let [alone] = services[..] else { return services };
        let weighted: Vec<&Value> = self
            .named_by(alone, namespace)
            .into_iter()
            .flat_map(|object| items(object, "/spec/weighted/services"))
            .collect();
        if weighted.is_empty() { services } else { weighted }
    }

    /// Whether requests of a reference reach a split Service.
    pub fn reaches(self, reference: &Value, namespace: &str) -> bool {
        self.reaches_within(MAX_DEPTH, reference, namespace)
    }

    fn reaches_within(self, depth: usize, reference: &Value, namespace: &str) -> bool {
        let Some(depth) = depth.checked_sub(1) else { return false };
        let mut inner = self.named_by(reference, namespace).into_iter().flat_map(serving);
        self.canary_of(reference, namespace).is_some()
            || inner.any(|reference| self.reaches_within(depth, reference, namespace))
    }

    /// The rules of a route that are split.
    pub fn rules(self, route: &'a Value) -> impl Iterator<Item = &'a Value> {
        let namespace = namespace_of(route);
        items(route, "/spec/routes")
            .filter(move |rule| items(rule, "/services").any(|reference| self.reaches(reference, namespace)))
    }
}

/// The references of a `TraefikService` to what answers its requests. A mirror gets copies, and a fallback errors.
pub(super) fn serving(object: &Value) -> impl Iterator<Item = &Value> {
    let one = ["/spec/mirroring", "/spec/failover/service"];
    let several = ["/spec/weighted/services", "/spec/highestRandomWeight/services"];
    let one = one.into_iter().filter_map(|pointer| part(object, pointer));
    one.chain(several.into_iter().flat_map(|pointer| items(object, pointer)))
}
