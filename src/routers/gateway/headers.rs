//! Header routes that no match can carry: it has a header once, and implementations that are given it twice take the
//! first. Names of headers are the same in any case.

use super::{
    companion::HEADER,
    routes::{is_split, obstacle},
};
use crate::{
    domain::strategy::CanaryStrategy,
    routers::{
        Obstacle, Refusal,
        capabilities::header_routes,
        raw::{items, namespace_of},
    },
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Header routes that look at a header that their own rule has already.
pub(super) fn refused(strategy: &CanaryStrategy) -> Vec<Refusal> {
    let mut refused = Vec::new();
    for (index, route) in header_routes(strategy) {
        for (at, matching) in route.matching.iter().enumerate() {
            let is_same = |name: &str| name.eq_ignore_ascii_case(&matching.header);
            let mut before = route.matching.iter().take(at);
            let why = if is_same(HEADER) {
                "by which the router gateway distinguishes its companion"
            } else if before.any(|other| is_same(&other.header)) {
                "twice, and an HTTPRoute can look at each header once"
            } else {
                continue;
            };
            let field = format!("steps[{index}].setHeaderRoute.match[{at}].headerName");
            let problem = format!("looks at {:?}, {why}; use another header", matching.header);
            refused.push(Refusal::new(field, problem));
        }
    }
    refused
}

/// Header routes that look at a header that a split rule of the user looks at.
pub(super) fn known(
    route: &Value,
    services: &BTreeMap<String, String>,
    strategy: &CanaryStrategy,
) -> Vec<Obstacle> {
    let mut found = Vec::new();
    for (index, header_route) in header_routes(strategy) {
        for (place, name) in split_headers(route, services) {
            if header_route.matching.iter().any(|matching| matching.header.eq_ignore_ascii_case(name)) {
                let problem = format!(
                    "{place} of this HTTPRoute looks at header {name:?}, and so does steps[{index}].setHeaderRoute: one match cannot look at a header twice; use another header in the step"
                );
                found.push(obstacle(route, problem));
            }
        }
    }
    found
}

/// The headers that rules look at which route to a split Service, with their places.
fn split_headers<'a>(route: &'a Value, services: &BTreeMap<String, String>) -> Vec<(String, &'a str)> {
    let rules = items(route, "/spec/rules").enumerate();
    let split = rules.filter(|(_, rule)| is_split(rule, namespace_of(route), services));
    let of_match = |(rule, index, matching): (usize, usize, &'a Value)| {
        let names = items(matching, "/headers").enumerate();
        names.filter_map(move |(at, header)| {
            let place = format!("spec.rules[{rule}].matches[{index}].headers[{at}]");
            Some((place, header.get("name")?.as_str()?))
        })
    };
    split
        .flat_map(|(at, rule)| {
            items(rule, "/matches").enumerate().map(move |(index, found)| (at, index, found))
        })
        .flat_map(of_match)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::world::World,
        routers::{TrafficRouter, gateway::Gateway},
    };
    use insta::assert_snapshot;
    use serde_json::json;

    /// A plan with a header route by these headers.
    fn plan(headers: &[&str]) -> CanaryStrategy {
        let matching = |header: &&str| json!({"header": header, "value": {"exact": "1"}});
        let route = json!({"name": "testers", "matching": headers.iter().map(matching).collect::<Value>()});
        let steps = json!([{"setWeight": 20}, {"setHeaderRoute": route}]);
        let plan = json!({"gateway": {}, "steps": steps, "progressDeadlineAbort": true, "settle": "6s"});
        serde_json::from_value(plan).unwrap()
    }

    /// Why a route whose requests with `X-Debug` go to `backend` cannot carry the plan.
    fn unfit(strategy: &CanaryStrategy, backend: &str) -> String {
        let to = |name: &str| json!([{"name": name, "port": 80}]);
        let by_header =
            json!([{"headers": [{"name": "X-A", "value": "1"}, {"name": "X-Debug", "value": "1"}]}]);
        let rules = json!([{"backendRefs": to("web")}, {"matches": by_header, "backendRefs": to(backend)}]);
        let mut world = World::default();
        world
            .add(json!({"kind": "HTTPRoute", "metadata": {"name": "shop"}, "spec": {"rules": rules}}))
            .unwrap();
        let services = BTreeMap::from([("web".to_owned(), "web-canary".to_owned())]);
        let routes = Gateway.survey(&services, &Value::Null, &world);
        let found = Gateway.unfit(&services, strategy, &routes, &world);
        found
            .into_iter()
            .map(|found| format!("{}: {}", found.name, found.problem))
            .collect::<Vec<_>>()
            .join("; ")
    }

    #[test]
    fn a_header_that_a_split_rule_looks_at_cannot_choose_the_canary() {
        assert_snapshot!(unfit(&plan(&["X-Other", "x-debug"]), "web"), @r#"shop: spec.rules[1].matches[0].headers[1] of this HTTPRoute looks at header "X-Debug", and so does steps[1].setHeaderRoute: one match cannot look at a header twice; use another header in the step"#);
        assert_eq!(unfit(&plan(&["x-debug"]), "debug"), "", "its copy has no header route");
        assert_eq!(unfit(&plan(&["X-Other"]), "web"), "");
    }

    #[test]
    fn a_header_route_looks_at_each_header_once_and_never_at_the_companions() {
        let refused = |headers: &[&str]| {
            let refused = Gateway.refused(&plan(headers), &Value::Null);
            refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_snapshot!(refused(&["x-forwarded-proto"]), @r#"steps[1].setHeaderRoute.match[0].headerName looks at "x-forwarded-proto", by which the router gateway distinguishes its companion; use another header"#);
        assert_snapshot!(refused(&["X-A", "x-a"]), @r#"steps[1].setHeaderRoute.match[1].headerName looks at "x-a", twice, and an HTTPRoute can look at each header once; use another header"#);
        assert_eq!(refused(&["X-A", "X-B"]), "");
    }
}
