//! Header routes: Argo's `setHeaderRoute`, as far as NGINX can hold one, and the annotations that do the same.

use crate::{
    document::fields::{Fields, Node},
    domain::strategy::{CanaryStrategy, HeaderMatch, HeaderRoute, HeaderValue, Step},
};
use std::collections::BTreeMap;

/// Characters beside letters and digits that ingress-nginx accepts in a header's name or value.
///
/// Source: ingress-nginx `internal/ingress/annotations/parser/validators.go`, `BasicCharsRegex`.
const PLAIN: &str = "-._~/:";
/// The same for `canary-by-header-pattern`: `IsValidRegex`.
const PATTERN: &str = "-._~/:^$[](){}*+?|&=\\";

/// What may be written on the canary Ingress beside its weight.
const CANARY_KEYS: [&str; 4] =
    ["canary-by-header", "canary-by-header-value", "canary-by-header-pattern", "canary-by-cookie"];

/// Annotations that choose who gets to the canary, under whatever prefix. Haldane makes the Ingress with its own
/// rights, so one that acts otherwise, such as a snippet or an issuer, must not come in this way.
pub(super) fn canary_keys(node: Node<'_>) -> Option<BTreeMap<String, String>> {
    let last_part = |key: &str| key.rsplit('/').next().unwrap_or_default().to_owned();
    let is_foreign = |key: &&String| !CANARY_KEYS.contains(&last_part(key).as_str());
    match node.value().as_object().and_then(|given| given.keys().find(is_foreign)) {
        Some(key) => {
            let allowed = CANARY_KEYS.join(", ");
            node.fail(format!("has {key:?}, which is not supported; allowed are {allowed}"))
        }
        None => node.map(Node::string),
    }
}

/// Reads one `setHeaderRoute`.
pub(super) fn header_route(fields: &mut Fields<'_>) -> Option<HeaderRoute> {
    let name = fields.required("name", Node::string);
    let mut matches = fields.list("match", |node| node.object(header_match));
    if matches.len() > 1 {
        fields.fail(format!("has {} matches, but NGINX can look at one header only", matches.len()));
    }
    Some(HeaderRoute { name: name?, matching: matches.pop() })
}

fn header_match(fields: &mut Fields<'_>) -> Option<HeaderMatch> {
    let header = fields.required("headerName", |node| spelled(node, PLAIN));
    let value = fields.required("headerValue", |node| node.object(header_value));
    Some(HeaderMatch { header: header?, value: value? })
}

fn header_value(fields: &mut Fields<'_>) -> Option<HeaderValue> {
    let exact = fields.optional("exact", |node| spelled(node, PLAIN)).map(HeaderValue::Exact);
    let prefix = fields.optional("prefix", |node| spelled(node, PLAIN)).map(HeaderValue::Prefix);
    let regex = fields.optional("regex", |node| spelled(node, PATTERN)).map(HeaderValue::Regex);
    let mut given: Vec<HeaderValue> = [exact, prefix, regex].into_iter().flatten().collect();
    if given.len() != 1 && fields.is_clean() {
        fields.fail("must have exactly one of exact, prefix, regex");
    }
    given.pop()
}

/// A text that ingress-nginx accepts in an annotation; it would ignore the whole canary otherwise.
fn spelled(node: Node<'_>, marks: &str) -> Option<String> {
    let Some(text) = node.value().as_str() else { return node.string() };
    let accepted = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
    match text {
        "" => node.fail("must not be empty"),
        _ if text.chars().all(accepted) => Some(text.to_owned()),
        _ => node
            .fail(format!("has characters that NGINX refuses here; allowed are letters, digits and {marks}")),
    }
}

/// Checks that at every step one route is enough.
pub(super) fn check_routes(fields: &mut Fields<'_>, strategy: &CanaryStrategy) {
    let mut known: Option<&str> = None;
    let mut used = false;
    for (index, step) in strategy.steps.iter().enumerate() {
        let Step::SetHeaderRoute(route) = step else { continue };
        used = true;
        let managed = &strategy.nginx.managed_routes;
        if !managed.is_empty() && !managed.contains(&route.name) {
            fields.fail(format!(
                "steps[{index}].setHeaderRoute.name is {:?}, which trafficRouting.managedRoutes does not list",
                route.name
            ));
        }
        match known.filter(|name| *name != route.name) {
            Some(name) if route.matching.is_some() => fields.fail(format!(
                "steps[{index}].setHeaderRoute sets {:?} beside {name:?}, but NGINX can hold one header route: remove that first, by a setHeaderRoute of its name without match",
                route.name
            )),
            Some(_) => {}
            None => known = route.matching.is_some().then_some(route.name.as_str()),
        }
    }
    let by_header = |key: &&String| key.contains("canary-by-header");
    if let (true, Some(key)) = (used, strategy.nginx.additional_annotations.keys().find(by_header)) {
        fields.fail(format!(
            "has setHeaderRoute steps and {key:?} in additionalIngressAnnotations, but NGINX can look at one header only"
        ));
    }
}
