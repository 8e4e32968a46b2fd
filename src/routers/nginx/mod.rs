//! The NGINX canary annotations, honoured by ingress-nginx, Traefik ≥ 3.7 and Higress.
//!
//! Rules of the contract, from ingress-nginx' source: a canary backend joins the upstream of the stable
//! Service, so it reaches every host and path that uses it; host, path and pathType must equal the stable
//! rule's or the backend is dropped; other annotations on a canary Ingress are ignored.

mod routes;
mod settings;

use super::{Capabilities, Chosen, Intent, Refusal, Resource, RouterField, Routes, Series, TrafficRouter};
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
use routes::{annotation, backend, items, paths};
use serde_json::{Map, Value, json};
use settings::Settings;
use std::collections::{BTreeMap, BTreeSet};

/// Annotation that named the class before `spec.ingressClassName` did; still honoured.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
/// Kubernetes' limit for names of Ingresses.
const NAME_MAX: usize = 253;

/// What carries the canary's traffic.
pub const INGRESS: Kind = Kind::route("Ingress", "networking.k8s.io/v1");

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
        const { &[Resource::written(INGRESS)] }
    }

    fn survey<'a>(
        &self,
        services: &BTreeMap<String, String>,
        settings: &Value,
        world: &'a World,
    ) -> Routes<'a> {
        routes::survey(services, &Settings::of(settings), world)
    }

    fn hazards(
        &self,
        services: &BTreeMap<String, String>,
        settings: &Value,
        routes: &Routes<'_>,
    ) -> Vec<String> {
        routes::hazards(services, &Settings::of(settings), routes)
    }

    fn desired(&self, intent: &Intent<'_>, routes: &Routes<'_>) -> Vec<Manifest> {
        let mut by_class: BTreeMap<Class, Vec<&Value>> = BTreeMap::new();
        for ingress in &routes.found {
            by_class.entry(class_of(ingress)).or_default().push(ingress);
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

    fn series(&self) -> Option<&'static Series> {
        Some(&Series {
            prefix: "nginx_ingress_controller_",
            side: "canary",
            services: &["service", "exported_service"],
            namespace: "exported_namespace",
        })
    }
}

fn class_of(ingress: &Value) -> Class {
    let field = part(ingress, "/spec/ingressClassName").and_then(Value::as_str);
    match field.map(str::to_owned).map(Class::Field) {
        Some(class) => class,
        None => annotation(ingress, CLASS_ANNOTATION)
            .map_or(Class::Default, |class| Class::Annotation(class.to_owned())),
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
    let mut annotations = canary_annotations(intent);
    let mut name = canary_name(&intent.owner.name);
    let mut class_name = None;
    match class {
        Class::Field(class) => class_name = Some(class.clone()),
        Class::Annotation(class) => drop(annotations.insert(CLASS_ANNOTATION.to_owned(), class.clone())),
        Class::Default => {}
    }
    if let (true, Class::Field(class) | Class::Annotation(class)) = (several, class) {
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
fn canary_annotations(intent: &Intent<'_>) -> Labels {
    let settings = Settings::of(intent.settings);
    let prefix = &settings.annotation_prefix;
    let full = |key: &str| if key.contains('/') { key.to_owned() } else { format!("{prefix}/{key}") };
    let additional = settings.additional_annotations.iter().filter(|_| intent.is_open);
    let mut annotations: Labels = additional.map(|(key, value)| (full(key), value.clone())).collect();
    annotations.insert(full("canary"), "true".to_owned());
    let total = intent.weight_total.max(settings.weight_total);
    annotations.insert(full("canary-weight"), intent.weight.parts_of(total).to_string());
    if total > Weight::PERCENT {
        annotations.insert(full("canary-weight-total"), total.to_string());
    }
    // There is one at most, with one match: more is refused.
    let matching = intent.headers.iter().flat_map(|route| &route.matching).next();
    if let Some(matching) = matching.filter(|_| intent.is_open) {
        let (key, value) = header_value(matching);
        annotations.insert(full("canary-by-header"), matching.header.clone());
        annotations.insert(full(key), value);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::strategy::HeaderRoute, objects::manifest::Owner};
    fn ingress(name: &str, class: &str, rules: &[(&str, &str, &str)]) -> Value {
        let rules: Vec<_> = rules
            .iter()
            .map(|(host, path, service)| {
                let backend = json!({"service": {"name": service, "port": {"number": 80}}});
                json!({"host": host, "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]}})
            })
            .collect();
        json!({
            "kind": "Ingress",
            "metadata": {"name": name, "annotations": {"external-dns.alpha.kubernetes.io/hostname": "a"}},
            "spec": {"ingressClassName": class, "rules": rules, "tls": [{"hosts": ["a.com"], "secretName": "tls"}]},
        })
    }

    fn made(ingresses: &[Value], weight: u8, routes: bool) -> Vec<Value> {
        made_with(ingresses, (weight.into(), 100), routes, None)
    }

    fn made_with(
        ingresses: &[Value],
        (parts, total): (u32, u32),
        routes: bool,
        header: Option<&HeaderMatch>,
    ) -> Vec<Value> {
        let additional =
            if header.is_some() { ("canary-by-cookie", "testers") } else { ("canary-by-header", "X-Canary") };
        let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
        let services = BTreeMap::from([("web".to_owned(), "web-canary".to_owned())]);
        let settings = json!({
            "annotationPrefix": "nginx.ingress.kubernetes.io",
            "additionalAnnotations": {additional.0: additional.1},
        });
        let route = header.map(|matching| HeaderRoute { name: "r".into(), matching: vec![matching.clone()] });
        let mut world = World::default();
        for ingress in ingresses {
            world.add(ingress.clone()).unwrap();
        }
        let intent = Intent {
            owner: &owner,
            canary_of: "web",
            services: &services,
            settings: &settings,
            weight_total: total,
            weight: Weight::of(parts, total).unwrap(),
            is_open: routes,
            headers: route.iter().collect(),
            mirror: None,
            asked_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let found = Nginx.survey(&services, &settings, &world);
        Nginx.desired(&intent, &found).into_iter().map(|m| m.body).collect()
    }

    #[test]
    fn one_ingress_has_every_host_and_path_of_the_pair_and_nothing_else() {
        let user = [
            ingress("one", "nginx", &[("a.com", "/", "web"), ("a.com", "/api", "api")]),
            ingress("two", "nginx", &[("b.com", "/shop", "web")]),
        ];
        let made = made(&user, 25, true);
        assert_eq!(made.len(), 1);
        insta::assert_yaml_snapshot!(made[0]);
    }

    #[test]
    fn a_finer_weight_comes_with_its_total() {
        let user = [ingress("one", "nginx", &[("a.com", "/", "web")])];
        let weights = |weight| {
            let made = made_with(&user, weight, true, None);
            let annotation = |key: &str| {
                made[0]["metadata"]["annotations"][format!("nginx.ingress.kubernetes.io/{key}")].clone()
            };
            (annotation("canary-weight"), annotation("canary-weight-total"))
        };
        assert_eq!(weights((5, 1000)), (json!("5"), json!("1000")));
        assert_eq!(weights((1000, 1000)), (json!("1000"), json!("1000")));
        assert_eq!(weights((5, 100)), (json!("5"), Value::Null), "NGINX' own total");
    }

    #[test]
    fn each_class_has_its_own() {
        let user = [
            ingress("one", "inner", &[("a.com", "/", "web")]),
            ingress("two", "outer", &[("a.com", "/", "web")]),
        ];
        let names: Vec<_> = made(&user, 5, false).iter().map(|m| m["metadata"]["name"].to_string()).collect();
        assert_eq!(names, ["\"web-canary-inner\"", "\"web-canary-outer\""]);
    }

    #[test]
    fn header_routes_are_gone_when_they_are_off() {
        let made = made(&[ingress("one", "nginx", &[("a.com", "/", "web")])], 0, false);
        let annotations = made[0]["metadata"]["annotations"].as_object().unwrap();
        let keys: Vec<_> = annotations.keys().filter(|k| k.starts_with("nginx")).collect();
        assert_eq!(keys, ["nginx.ingress.kubernetes.io/canary", "nginx.ingress.kubernetes.io/canary-weight"]);
    }

    #[test]
    fn a_header_route_is_added_to_weight_and_cookie() {
        let user = [ingress("one", "nginx", &[("a.com", "/", "web")])];
        let keys = |value: HeaderValue, routes| {
            let header = HeaderMatch { header: "X-Canary-Test".into(), value };
            let made = made_with(&user, (5, 100), routes, Some(&header));
            let annotations = made[0]["metadata"]["annotations"].as_object().unwrap().clone();
            let ours = annotations.iter().filter_map(|(key, value)| {
                Some(format!(
                    "{}={}",
                    key.strip_prefix("nginx.ingress.kubernetes.io/canary-")?,
                    value.as_str()?
                ))
            });
            ours.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            keys(HeaderValue::Exact("true".into()), true),
            "by-cookie=testers by-header=X-Canary-Test by-header-value=true weight=5"
        );
        assert_eq!(
            keys(HeaderValue::Prefix("qa.".into()), true),
            "by-cookie=testers by-header=X-Canary-Test by-header-pattern=^qa\\. weight=5"
        );
        assert_eq!(
            keys(HeaderValue::Regex("a|b".into()), true),
            "by-cookie=testers by-header=X-Canary-Test by-header-pattern=^(?:a|b)$ weight=5"
        );
        assert_eq!(keys(HeaderValue::Exact("true".into()), false), "weight=5");
    }
}
