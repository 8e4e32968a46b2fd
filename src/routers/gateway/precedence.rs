//! Whom a companion outranks by its one header more, where the implementation does not rank the length of paths first.
//!
//! Source: traefik 3.7 `pkg/provider/kubernetes/gateway/httproute.go`, `buildMatchRule`: a path counts 10000 and 100 for
//! each character, a header 100.

use super::{
    HTTP_ROUTE,
    routes::{is_split, matches_of, meet, obstacle, path},
};
use crate::{
    domain::{strategy::CanaryStrategy, world::World},
    routers::{
        Obstacle,
        capabilities::header_routes,
        raw::{items, name_of, namespace_of},
    },
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The controller that ranks like this.
const TRAEFIK: &str = "traefik.io/gateway-controller";
/// What a header counts.
const OF_HEADER: usize = 100;
/// What the place of a rule in its route counts at most: as many rules as a route can have.
const OF_PLACE: usize = 16;

/// A match, with what its implementation goes by.
struct Ranked<'a> {
    kind: &'a str,
    path: &'a str,
    rank: usize,
}

impl<'a> Ranked<'a> {
    fn of(route: &Value, matching: &'a Value) -> Self {
        let (kind, path) = path(matching);
        let of_path = match (kind, path) {
            ("Exact", _) => 100_000,
            ("PathPrefix", "/") => 1,
            _ => 10_000 + path.len() * 100,
        };
        let of_method = if matching.get("method").is_some() { 1_000 } else { 0 };
        let count = |pointer| items(matching, pointer).count();
        let hosts = items(route, "/spec/hostnames").filter_map(|host| host.as_str().map(str::len));
        let rank = of_path
            + of_method
            + count("/headers") * OF_HEADER
            + count("/queryParams") * 10
            + hosts.max().unwrap_or_default();
        Self { kind, path, rank }
    }

    /// Whether a path of the other's is one of its own as well. A regular expression can match any.
    fn covers(&self, other: &Self) -> bool {
        let [own, path] = [self.path, other.path].map(|path| path.trim_end_matches('/'));
        match self.kind {
            "PathPrefix" => {
                path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            "Exact" => self.path == other.path,
            _ => true,
        }
    }
}

/// `HTTPRoute`s that would lose requests to the companion of `route`, which `route` itself does not take from them.
pub(super) fn outranked(
    route: &Value,
    services: &BTreeMap<String, String>,
    strategy: &CanaryStrategy,
    found: &[&Value],
    world: &World,
) -> Vec<Obstacle> {
    let is_traefik =
        |parent: &Value| parent.get("controllerName").is_some_and(|controller| controller == TRAEFIK);
    if !items(route, "/status/parents").any(is_traefik) {
        return Vec::new();
    }
    let others = world.routes(HTTP_ROUTE.name()).iter();
    let others = others
        .filter(|other| !found.iter().any(|found| name_of(found) == name_of(other)) && meet(route, other));
    others.filter_map(|other| outranks(route, other, services, strategy)).collect()
}

fn outranks(
    route: &Value,
    other: &Value,
    services: &BTreeMap<String, String>,
    strategy: &CanaryStrategy,
) -> Option<Obstacle> {
    let of_steps = header_routes(strategy).map(|(_, route)| route.matching.len());
    let of_steps = of_steps.max().unwrap_or_default();
    items(route, "/spec/rules").find_map(|rule| {
        let is_split = is_split(rule, namespace_of(route), services);
        let more = if is_split { of_steps + 1 } else { 1 };
        let ours = matches(route, rule);
        ours.iter().find_map(|own| {
            let rules = items(other, "/spec/rules").flat_map(|rule| matches(other, rule));
            let is_outranked = |their: &Ranked<'_>| {
                own.covers(their)
                    && own.rank <= their.rank + OF_PLACE
                    && their.rank <= own.rank + more * OF_HEADER + OF_PLACE
            };
            let their = { rules }.find(is_outranked)?;
            let problem = format!(
                "this HTTPRoute has path {:?}, which is below path {:?} of HTTPRoute {:?} on the same host: the companion of that has up to {more} more headers in its matches, and Traefik ranks a header as high as a character of a path, so it could take the requests; move the rule to HTTPRoute {:?}",
                their.path,
                own.path,
                name_of(route),
                name_of(route)
            );
            Some(obstacle(other, problem))
        })
    })
}

/// The matches of a rule.
fn matches<'a>(route: &Value, rule: &'a Value) -> Vec<Ranked<'a>> {
    matches_of(rule).into_iter().map(|matching| Ranked::of(route, matching)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routers::{TrafficRouter, gateway::Gateway};
    use insta::assert_snapshot;
    use serde_json::json;

    fn route(name: &str, at: &Value, controller: &str) -> Value {
        let rule = json!({"matches": [at], "backendRefs": [{"name": name, "port": 80}]});
        json!({
            "kind": "HTTPRoute",
            "metadata": {"name": name},
            "spec": {"parentRefs": [{"name": "edge"}], "hostnames": ["shop.example"], "rules": [rule]},
            "status": {"parents": [{"controllerName": controller}]},
        })
    }

    fn prefix(path: &str) -> Value {
        json!({"path": {"type": "PathPrefix", "value": path}})
    }

    /// Why a release of `web`, whose route has this path, is refused next to another route, by a plan with so many headers
    /// in a header route.
    fn refused(path: &str, other: &Value, headers: usize, controller: &str) -> String {
        let matching = |n: usize| json!({"header": format!("X-{n}"), "value": {"exact": "1"}});
        let header_route =
            json!({"name": "testers", "matching": (0..headers).map(matching).collect::<Value>()});
        let steps = json!([{"setHeaderRoute": header_route}]);
        let plan = json!({"gateway": {}, "steps": steps, "progressDeadlineAbort": true, "settle": "6s"});
        let strategy = serde_json::from_value(plan).unwrap();
        let mut world = World::default();
        for route in [route("web", &prefix(path), controller), route("other", other, controller)] {
            world.add(route).unwrap();
        }
        let services = BTreeMap::from([("web".to_owned(), "web-canary".to_owned())]);
        let routes = Gateway.survey(&services, &Value::Null, &world);
        assert_eq!(routes.conflicts, []);
        let unfit = Gateway.unfit(&services, &strategy, &routes, &world);
        unfit.iter().map(|found| format!("{}: {}", found.name, found.problem)).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn traefik_ranks_a_header_as_high_as_a_character() {
        assert_snapshot!(refused("/a", &prefix("/a/b"), 1, TRAEFIK), @r#"other: this HTTPRoute has path "/a/b", which is below path "/a" of HTTPRoute "web" on the same host: the companion of that has up to 2 more headers in its matches, and Traefik ranks a header as high as a character of a path, so it could take the requests; move the rule to HTTPRoute "web""#);
        let is_refused = |path: &str, other: &str, headers: usize| {
            !refused(path, &prefix(other), headers, TRAEFIK).is_empty()
        };
        assert!(!is_refused("/a", "/a/b", 0), "two characters more, one header more");
        assert!(is_refused("/a", "/a/", 0), "one each");
        assert!(!is_refused("/a", "/abc", 8), "not below it");
        assert!(!is_refused("/a/b", "/a", 8), "the shorter path lost its requests before");
        assert!(!is_refused("/", "/a", 8), "whatever the headers, / comes last");
        assert_eq!(refused("/a", &prefix("/a/b"), 8, "example.com/gateway"), "", "others rank paths first");
        let with_method = json!({"path": prefix("/a/b")["path"], "method": "POST"});
        assert_eq!(refused("/a", &with_method, 2, TRAEFIK), "", "a method counts as much as ten headers");
        let exact = json!({"path": {"type": "Exact", "value": "/a/b"}});
        assert_eq!(refused("/a", &exact, 8, TRAEFIK), "");
    }
}
