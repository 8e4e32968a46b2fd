//! Header routes: Argo's `setHeaderRoute`, as far as NGINX can hold one.

use crate::domain::{
    fields::{Fields, Node},
    strategy::{CanaryStrategy, HeaderMatch, HeaderRoute, HeaderValue, Step},
};

/// Characters beside letters and digits that ingress-nginx accepts in a header's name or value.
///
/// Source: ingress-nginx `internal/ingress/annotations/parser/validators.go`, `BasicCharsRegex`.
const PLAIN: &str = "-._~/:";
/// The same for `canary-by-header-pattern`: `IsValidRegex`.
const PATTERN: &str = "-._~/:^$[](){}*+?|&=\\";

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
    if given.len() != 1 && fields.only_known() {
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
