//! What of a route does not fit into a companion: Gateway API limits rules and matches, of which a companion has more.

use super::{
    companion::{MAX_OF_RULE, VALUES, replaces_prefix},
    routes::{is_split, obstacle},
};
use crate::{
    domain::strategy::CanaryStrategy,
    routers::{
        Obstacle,
        raw::{items, namespace_of},
    },
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Limits of Gateway API: rules, and matches of all rules.
const MAX_RULES: usize = 16;
const MAX_OF_ROUTE: usize = 128;

/// Why the companion of a route would be too large for the plan.
pub(super) fn too_large(
    route: &Value,
    services: &BTreeMap<String, String>,
    strategy: &CanaryStrategy,
) -> Option<Obstacle> {
    let indices = 0..strategy.steps.len();
    let header_routes = indices.map(|index| strategy.headers_at(index).len()).max().unwrap_or_default();
    let (mut rules, mut matches) = (0_usize, 0_usize);
    for rule in items(route, "/spec/rules") {
        let of_rule = items(rule, "/matches").count().max(1).saturating_mul(VALUES.len());
        let is_split = is_split(rule, namespace_of(route), services);
        let copies = if is_split { header_routes.saturating_add(1) } else { 1 };
        let parts = if replaces_prefix(rule) { of_rule } else { of_rule.div_ceil(MAX_OF_RULE) };
        rules = rules.saturating_add(copies.saturating_mul(parts));
        matches = matches.saturating_add(copies.saturating_mul(of_rule));
    }
    (rules > MAX_RULES || matches > MAX_OF_ROUTE).then(|| {
        let by_headers = match header_routes {
            0 => String::new(),
            count => format!(" with {count} setHeaderRoute at once"),
        };
        let problem = format!(
            "its companion needs {rules} rules and {matches} matches{by_headers}, of {MAX_RULES} and {MAX_OF_ROUTE} that an HTTPRoute can have: {} for each match of this one; split this HTTPRoute in two",
            VALUES.len()
        );
        obstacle(route, problem)
    })
}
