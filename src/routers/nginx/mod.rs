//! The NGINX canary annotations, honoured by ingress-nginx, Traefik ≥ 3.7 and Higress.
//!
//! Rules of the contract, from ingress-nginx' source: a canary backend joins the upstream of the stable
//! Service, so it reaches every host and path that uses it; host, path and pathType must equal the stable
//! rule's or the backend is dropped; other annotations on a canary Ingress are ignored.

mod obstacles;
mod requests;
mod routes;
mod settings;
#[cfg(test)]
mod tests;

use super::{
    Capabilities, Chosen, Intent, Refusal, Requests, Resource, RouterField, Routes, Series, TrafficRouter,
    raw::items,
};
use crate::{
    document::fields::Fields,
    domain::{
        k8s::{json_pointer::part, selector::Labels},
        names::{Weight, suffixed},
        strategy::{CanaryStrategy, HeaderMatch, HeaderValue},
        world::World,
    },
    objects::{
        canary_deployment::canary_name,
        manifest::{ASKED_AT_ANNOTATION, Kind, Manifest, Meta},
    },
};
use routes::{annotation, backend, paths};
use serde_json::{Map, Value, json};
use settings::Settings;
use std::collections::{BTreeMap, BTreeSet};

/// Annotation that named the class before `spec.ingressClassName` did; still honoured.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
/// Annotation that says whether clients keep the side that they are on. NGINX reads it from the canary's Ingress.
///
/// Source: ingress-nginx `internal/ingress/controller/controller.go`, `mergeAlternativeBackend`.
const AFFINITY_BEHAVIOR: &str = "affinity-canary-behavior";
/// Its values.
const BEHAVIORS: [&str; 2] = ["sticky", "legacy"];
/// Kubernetes' limit for names of Ingresses.
const NAME_MAX: usize = 253;

/// What carries the canary's traffic.
pub const INGRESS: Kind = Kind::route("Ingress", "networking.k8s.io/v1");

/// Which controller an Ingress belongs to.
const INGRESS_CLASS: Kind = Kind::route("IngressClass", "networking.k8s.io/v1");

/// See the module.
#[derive(Debug)]
pub struct Nginx;

/// The class of an Ingress and the place where it is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Field(String),
    Annotation(String),
    Default,
}

impl TrafficRouter for Nginx {
    fn key(&self) -> &'static str {
        "nginx"
    }

    fn doc(&self) -> &'static str {
        "Canary annotations of ingress-nginx on one Ingress per class, made from the rules of the user's Ingresses."
    }

    fn route(&self) -> &'static str {
        "Ingress"
    }

    fn chosen(&self) -> Chosen {
        Chosen::ByRoutes
    }

    fn fields(&self) -> &'static [RouterField] {
        settings::FIELDS
    }

    fn defaults(&self, annotation_prefix: &str) -> Option<Value> {
        Some(Settings::with_prefix(annotation_prefix))
    }

    fn settings(
        &self,
        given: Map<String, Value>,
        defaults: Option<&Value>,
        fields: &mut Fields<'_>,
    ) -> Value {
        Settings::given(&given, defaults, fields)
    }

    fn capabilities(&self, _: &Value) -> Capabilities {
        Capabilities { header_routes: 1, headers_of_route: 1, mirrors: false, by_pods: false }
    }

    fn refused(&self, strategy: &CanaryStrategy, settings: &Value) -> Vec<Refusal> {
        settings::refused(strategy, &Settings::of(settings))
    }

    fn resources(&self) -> &'static [Resource] {
        const { &[Resource::written(INGRESS), Resource::cluster_wide(INGRESS_CLASS)] }
    }

    fn survey<'a>(
        &self,
        services: &BTreeMap<String, String>,
        settings: &Value,
        world: &'a World,
    ) -> Routes<'a> {
        let settings = Settings::of(settings);
        let found = routes::survey(services, &settings, world);
        let conflicts = obstacles::in_the_way(services, &settings, &found.found, world);
        Routes { conflicts, ..found }
    }

    fn hazards(
        &self,
        services: &BTreeMap<String, String>,
        strategy: &CanaryStrategy,
        routes: &Routes<'_>,
        world: &World,
    ) -> Vec<String> {
        let settings = Settings::of(strategy.settings_of(self.key()));
        let mut warnings = routes::hazards(services, strategy, &settings, routes);
        warnings.extend(obstacles::of_unknown_controllers(&routes.found, world));
        warnings
    }

    fn desired(&self, intent: &Intent<'_>, routes: &Routes<'_>) -> Vec<Manifest> {
        let mut by_class: BTreeMap<Class, Vec<&Value>> = BTreeMap::new();
        for ingress in &routes.found {
            by_class.entry(Class::of(ingress)).or_default().push(ingress);
        }
        let several = by_class.len() > 1;
        by_class
            .iter()
            .filter_map(|(class, ingresses)| canary_ingress(intent, class, ingresses, several))
            .collect()
    }

    fn falls_back(&self) -> bool {
        true
    }

    fn requests(&self, intent: &Intent<'_>, routes: &Routes<'_>, _: &World) -> Option<Requests> {
        requests::of(intent, routes)
    }

    fn series(&self) -> Option<&'static Series> {
        Some(&Series {
            prefix: "nginx_ingress_controller_",
            side: "canary",
            services: &["service", "exported_service"],
            namespace: "exported_namespace",
        })
    }
}

impl Class {
    fn of(ingress: &Value) -> Self {
        let field = part(ingress, "/spec/ingressClassName").and_then(Value::as_str);
        match field.map(str::to_owned).map(Self::Field) {
            Some(class) => class,
            None => annotation(ingress, CLASS_ANNOTATION)
                .map_or(Self::Default, |class| Self::Annotation(class.to_owned())),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Field(name) | Self::Annotation(name) => Some(name),
            Self::Default => None,
        }
    }
}

fn canary_ingress(
    intent: &Intent<'_>,
    class: &Class,
    ingresses: &[&Value],
    several: bool,
) -> Option<Manifest> {
    let rules = canary_rules(intent, ingresses);
    if rules.is_empty() {
        return None;
    }
    let hosts: BTreeSet<&str> = rules.iter().filter_map(|rule| rule.get("host")?.as_str()).collect();
    let tls = canary_tls(ingresses, &hosts);
    let mut annotations = canary_annotations(intent, ingresses);
    let mut name = canary_name(&intent.owner.name);
    let mut class_name = None;
    match class {
        Class::Field(class) => class_name = Some(class.clone()),
        Class::Annotation(class) => drop(annotations.insert(CLASS_ANNOTATION.to_owned(), class.clone())),
        Class::Default => {}
    }
    if let (true, Some(class)) = (several, class.name()) {
        name = suffixed(&name, &format!("-{class}"), NAME_MAX);
    }
    let mut spec = Map::from_iter([("rules".to_owned(), Value::from(rules))]);
    spec.extend(class_name.map(|class| ("ingressClassName".to_owned(), Value::from(class))));
    spec.extend((!tls.is_empty()).then(|| ("tls".to_owned(), Value::from(tls))));
    let meta = Meta { annotations, ..Meta::default() };
    Some(Manifest::new(INGRESS, &name, intent.owner, intent.canary_of, meta, spec.into()))
}

/// Every host, path and pathType that routes to a Service of the pair, routing to the canary's instead.
fn canary_rules(intent: &Intent<'_>, ingresses: &[&Value]) -> Vec<Value> {
    let mut by_host: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (host, path) in ingresses.iter().flat_map(|ingress| paths(ingress)) {
        let Some(canary) = backend(path).and_then(|service| intent.services.get(service)) else { continue };
        let mut path = path.clone();
        if let Some(name) = path.pointer_mut("/backend/service/name") {
            *name = json!(canary);
        }
        let known = by_host.entry(host).or_default();
        if !known.contains(&path) {
            known.push(path);
        }
    }
    let rule = |(host, paths): (&str, Vec<Value>)| match host {
        "" => json!({"http": {"paths": paths}}),
        host => json!({"host": host, "http": {"paths": paths}}),
    };
    by_host.into_iter().map(rule).collect()
}

fn canary_tls(ingresses: &[&Value], hosts: &BTreeSet<&str>) -> Vec<Value> {
    let all = ingresses.iter().flat_map(|ingress| items(ingress, "/spec/tls"));
    let is_shared = |tls: &&Value| {
        items(tls, "/hosts").any(|host| host.as_str().is_some_and(|host| hosts.contains(host)))
    };
    let mut known = Vec::new();
    for tls in all.filter(is_shared) {
        if !known.contains(tls) {
            known.push(tls.clone());
        }
    }
    known
}

/// `canary-weight` always; the user's additional annotations and the header route only while such routes are on.
fn canary_annotations(intent: &Intent<'_>, ingresses: &[&Value]) -> Labels {
    let settings = Settings::of(intent.settings);
    let prefix = &settings.annotation_prefix;
    let full = |key: &str| if key.contains('/') { key.to_owned() } else { format!("{prefix}/{key}") };
    // There is one at most, with one match: more is refused.
    let matching = intent.headers.iter().flat_map(|route| &route.matching).next();
    let matching = matching.filter(|_| intent.is_open);
    let additional = settings.additional(matching.is_some()).filter(|_| intent.is_open);
    let mut annotations: Labels = additional.map(|(key, value)| (full(key), value.clone())).collect();
    annotations.insert(full("canary"), "true".to_owned());
    let total = intent.weight_total.max(settings.weight_total);
    annotations.insert(full("canary-weight"), intent.weight.parts_of(total).to_string());
    if total > Weight::PERCENT {
        annotations.insert(full("canary-weight-total"), total.to_string());
    }
    if let Some(matching) = matching {
        let (key, value) = header_value(matching);
        annotations.insert(full("canary-by-header"), matching.header.clone());
        annotations.insert(full(key), value);
    }
    let behavior = |ingress: &&Value| annotation(ingress, &full(AFFINITY_BEHAVIOR)).map(str::to_owned);
    let behavior = ingresses.iter().filter_map(behavior).find(|value| BEHAVIORS.contains(&value.as_str()));
    annotations.extend(behavior.map(|value| (full(AFFINITY_BEHAVIOR), value)));
    annotations.insert(ASKED_AT_ANNOTATION.to_owned(), intent.asked_at.to_string());
    annotations
}

/// The annotation that says what a header must hold. NGINX looks for a pattern anywhere in the value, so it is
/// tied to both ends, as the other routers of Argo read it.
fn header_value(route: &HeaderMatch) -> (&'static str, String) {
    match &route.value {
        HeaderValue::Exact(value) => ("canary-by-header-value", value.clone()),
        HeaderValue::Prefix(prefix) => ("canary-by-header-pattern", format!("^{}", escaped(prefix))),
        HeaderValue::Regex(regex) => ("canary-by-header-pattern", format!("^(?:{regex})$")),
    }
}

/// A text as a regular expression that means just this text.
fn escaped(text: &str) -> String {
    let special = |c: char| "^$[](){}*+?|&=\\.".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}
