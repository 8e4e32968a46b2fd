//! Priorities of routes, and who would lose requests to a companion by its own.
//!
//! Source: traefik 3.7 `pkg/server/router/router.go`, `buildEntryPointHandler`, and `pkg/muxer/http/mux.go`.

use super::{backends::Backends, routes::shown, rule};
use crate::{
    domain::strategy::CanaryStrategy,
    routers::{
        Obstacle,
        capabilities::header_routes,
        raw::{items, name_of},
    },
};
use serde_json::Value;

/// The largest priority of a route.
const MAX: i64 = i64::MAX - 1000;

/// The priority that Traefik gives a route: its own, or the length of its rule.
fn priority(rule: &Value) -> i64 {
    let own = rule.get("priority").and_then(Value::as_i64).filter(|own| *own != 0);
    own.unwrap_or_else(|| {
        let rule = rule.get("match").and_then(Value::as_str).unwrap_or_default();
        i64::try_from(rule.len()).unwrap_or(MAX)
    })
}

/// The priorities of what stands for a route: of its copy, and above it of those for requests with a header.
pub(super) fn of_companion(rule: &Value) -> [i64; 2] {
    let own = priority(rule);
    [own.saturating_add(1), own.saturating_add(2)]
}

/// Routes that leave no room for what stands for them, and routes from which that would take requests.
pub(super) fn in_the_way(backends: &Backends<'_>, strategy: &CanaryStrategy, all: &[Value]) -> Vec<Obstacle> {
    let has_headers = header_routes(strategy).any(|(_, route)| !route.matching.is_empty());
    let mut found = Vec::new();
    for route in backends.routes() {
        for rule in backends.rules(route) {
            let [first, by_header] = of_companion(rule);
            let last = if has_headers { by_header } else { first };
            found.extend(without_room(route, rule, last));
            found.extend(all.iter().flat_map(|other| stolen_from(other, (route, rule), last, backends)));
        }
    }
    found
}

/// A priority of 0 would be Traefik's own choice, and the largest ones are not the users'.
fn without_room(route: &Value, rule: &Value, last: i64) -> Option<Obstacle> {
    let own = priority(rule);
    let has_room = last <= MAX && !(own < 0 && last >= 0);
    (!has_room).then(|| {
        let problem = format!(
            "its route {} has priority {own}, and its companion gets priorities up to {last}: Traefik takes 0 for none, and allows none above {MAX}; set another priority",
            shown(rule)
        );
        Obstacle { field: "", name: name_of(route).to_owned(), problem }
    })
}

/// Routes of an `IngressRoute` whose requests could go to what stands for `rule` of `route`, with priorities up to `last`.
fn stolen_from(
    other: &Value,
    (route, rule): (&Value, &Value),
    last: i64,
    backends: &Backends<'_>,
) -> Vec<Obstacle> {
    let own = priority(rule);
    let is_copied = |theirs: &Value| {
        let mut routes = backends.routes().filter(|found| name_of(found) == name_of(other));
        routes.any(|found| backends.rules(found).any(|copied| copied == theirs))
    };
    let is_robbed = |theirs: &&Value| {
        let is_same = name_of(other) == name_of(route) && *theirs == rule;
        let comes_between = (own..=last).contains(&priority(theirs));
        // What comes first and has a copy is ahead by the copy.
        let is_ahead = priority(theirs) > own && is_copied(theirs);
        !is_same
            && comes_between
            && !is_ahead
            && share_entry_point(route, other)
            && rule::may_meet(rule, theirs)
    };
    let obstacle = |theirs: &Value| {
        let problem = format!(
            "its route {} has priority {}, and the companion of IngressRoute {:?} for {} gets priorities up to {last}, so it could take its requests; give this route a priority of {} or more if it is to come first, or else one below {own}",
            shown(theirs),
            priority(theirs),
            name_of(route),
            shown(rule),
            last.saturating_add(1),
        );
        Obstacle { field: "", name: name_of(other).to_owned(), problem }
    };
    items(other, "/spec/routes").filter(is_robbed).map(obstacle).collect()
}

/// Whether requests can arrive for both at one entry point; without any named it is every default one.
fn share_entry_point(one: &Value, other: &Value) -> bool {
    let points = |route| -> Vec<&Value> { items(route, "/spec/entryPoints").collect() };
    let (ours, theirs) = (points(one), points(other));
    ours.is_empty() || theirs.is_empty() || ours.iter().any(|point| theirs.contains(point))
}
