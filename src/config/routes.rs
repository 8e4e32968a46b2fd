//! Argo's `setHeaderRoute` and `setMirrorRoute`, and what routers refuse of a plan.

use crate::{
    document::fields::{Fields, Node},
    domain::{
        names::Weight,
        strategy::{CanaryStrategy, HeaderMatch, HeaderRoute, HeaderValue, MirrorRoute, Step},
    },
    routers,
};

/// Reads one `setHeaderRoute`.
pub(super) fn header_route(fields: &mut Fields<'_>) -> Option<HeaderRoute> {
    let name = fields.required("name", Node::string);
    let matching = fields.list("match", |node| node.object(header_match));
    Some(HeaderRoute { name: name?, matching })
}

fn header_match(fields: &mut Fields<'_>) -> Option<HeaderMatch> {
    let header = fields.required("headerName", text);
    let value = fields.required("headerValue", |node| node.object(header_value));
    Some(HeaderMatch { header: header?, value: value? })
}

fn header_value(fields: &mut Fields<'_>) -> Option<HeaderValue> {
    let exact = fields.optional("exact", text).map(HeaderValue::Exact);
    let prefix = fields.optional("prefix", text).map(HeaderValue::Prefix);
    let regex = fields.optional("regex", text).map(HeaderValue::Regex);
    let mut given: Vec<HeaderValue> = [exact, prefix, regex].into_iter().flatten().collect();
    if given.len() != 1 && fields.is_clean() {
        fields.fail("must have exactly one of exact, prefix, regex");
    }
    given.pop()
}

fn text(node: Node<'_>) -> Option<String> {
    if node.value().as_str() == Some("") { node.fail("must not be empty") } else { node.string() }
}

/// Reads one `setMirrorRoute`.
pub(super) fn mirror_route(fields: &mut Fields<'_>) -> Option<MirrorRoute> {
    let name = fields.required("name", Node::string);
    let percent = |node: Node<'_>| Weight::of(node.integer(0..=Weight::PERCENT)?, Weight::PERCENT).ok();
    let share = fields.optional("percentage", percent);
    fields
        .unsupported("match", "all requests that routes send to the Service are copied, or a share of them");
    Some(MirrorRoute { name: name?, share })
}

/// Checks the names of routes, and what a router can do of the plan.
pub(super) fn check_routes(fields: &mut Fields<'_>, strategy: &CanaryStrategy) {
    let managed = &strategy.managed_routes;
    for (index, step) in strategy.steps.iter().enumerate() {
        let (kind, name) = match step {
            Step::SetHeaderRoute(route) => ("setHeaderRoute", &route.name),
            Step::SetMirrorRoute(route) => ("setMirrorRoute", &route.name),
            _ => continue,
        };
        if !managed.is_empty() && !managed.contains(name) {
            let problem =
                "is not listed in trafficRouting.managedRoutes; add it there, or use a name that is";
            fields.fail_at(&format!("steps[{index}].{kind}.name"), name, problem);
        }
    }
    for refusal in routers::refusals(strategy) {
        fields.fail_at(&refusal.field, "", refusal.problem);
    }
}
