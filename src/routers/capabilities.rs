//! What routers can do, and what of a plan is refused because of it.

use super::{TrafficRouter, choice};
use crate::{
    domain::strategy::{CanaryStrategy, HeaderRoute, Step},
    gocompat::duration::GoDuration,
};
use std::fmt;

/// What a router can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Header routes that it holds at once.
    pub header_routes: usize,
    /// Headers that one route may look at.
    pub headers_of_route: usize,
    /// Whether it copies requests to the canary.
    pub mirrors: bool,
    /// Whether the number of canary pods is its share of the traffic, so that none may be there without.
    pub by_pods: bool,
}

/// What of a plan a router refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The field, from the plan's beginning.
    pub field: String,
    /// What is wrong with it, to be read after the field.
    pub problem: String,
}

impl Refusal {
    /// A refusal of `field`.
    #[must_use]
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.problem)
    }
}

/// What the plan's router refuses; for a plan that does not name one, what no router would carry. Then it is what the
/// first that is tried has to say.
#[must_use]
pub fn refusals(strategy: &CanaryStrategy) -> Vec<Refusal> {
    let mut of_each = choice::candidates(strategy).map(|router| refused_by(router, strategy));
    let first = of_each.next().unwrap_or_default();
    if of_each.any(|refused| refused.is_empty()) { Vec::new() } else { first }
}

/// What this router refuses.
#[must_use]
pub fn refused_by(router: &dyn TrafficRouter, strategy: &CanaryStrategy) -> Vec<Refusal> {
    let settings = strategy.settings_of(router.key());
    let of = router.capabilities(settings);
    let mut refused = if of.by_pods { needs_route(router, strategy) } else { Vec::new() };
    if !of.by_pods {
        refused.extend(by_header(router, of, strategy));
    }
    if !of.mirrors {
        let mirrors =
            strategy.steps.iter().enumerate().filter(|(_, step)| matches!(step, Step::SetMirrorRoute(_)));
        refused.extend(mirrors.map(|(index, _)| {
            let problem =
                format!("is not possible: the router {} cannot mirror requests to a canary", router.key());
            Refusal::new(format!("steps[{index}].setMirrorRoute"), problem)
        }));
    }
    refused.extend(router.refused(strategy, settings));
    refused
}

/// What a plan asks for that needs a route, where pods are the split.
fn needs_route(router: &dyn TrafficRouter, strategy: &CanaryStrategy) -> Vec<Refusal> {
    let step = strategy.steps.iter().enumerate().find_map(|(index, step)| match step {
        Step::SetCanaryScale(_) => Some(format!("steps[{index}].setCanaryScale")),
        Step::SetHeaderRoute(_) => Some(format!("steps[{index}].setHeaderRoute")),
        _ => None,
    });
    let delay = || (strategy.scale_down_delay > GoDuration::ZERO).then(|| "scaleDownDelaySeconds".to_owned());
    let problem = format!(
        "needs an {} that routes to a Service of the Deployment: without one the router {} splits the traffic by the number of pods",
        choice::routes(None),
        router.key()
    );
    step.or_else(delay).map(|field| Refusal::new(field, problem)).into_iter().collect()
}

/// The header routes that steps set or remove, with the indices of these steps.
pub(super) fn header_routes(strategy: &CanaryStrategy) -> impl Iterator<Item = (usize, &HeaderRoute)> {
    strategy.steps.iter().enumerate().filter_map(|(index, step)| match step {
        Step::SetHeaderRoute(route) => Some((index, route)),
        _ => None,
    })
}

/// Header routes that are too many at once, or look at too much.
fn by_header(router: &dyn TrafficRouter, of: Capabilities, strategy: &CanaryStrategy) -> Vec<Refusal> {
    let key = router.key();
    let mut refused = Vec::new();
    for (index, route) in header_routes(strategy) {
        let field = format!("steps[{index}].setHeaderRoute");
        if route.matching.len() > of.headers_of_route {
            let problem = format!(
                "has {} matches, but the router {key} can look at {} only",
                route.matching.len(),
                plural(of.headers_of_route, "header")
            );
            refused.push(Refusal::new(&field, problem));
        }
        let on = strategy.headers_at(index);
        let others: Vec<String> = on
            .iter()
            .filter(|other| **other != index)
            .filter_map(|other| Some(format!("{:?}", strategy.header_route(*other)?.name)))
            .collect();
        if on.contains(&index) && on.len() > of.header_routes {
            let problem = format!(
                "sets {:?} in addition to {}, but the router {key} can hold {}: remove one first, by a setHeaderRoute of its name without match",
                route.name,
                others.join(", "),
                plural(of.header_routes, "header route")
            );
            refused.push(Refusal::new(field, problem));
        }
    }
    refused
}

fn plural(count: usize, noun: &str) -> String {
    match count {
        1 => format!("one {noun}"),
        count => format!("{count} {noun}s"),
    }
}
