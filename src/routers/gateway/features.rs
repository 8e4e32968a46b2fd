//! What the implementation behind a route can do, as far as its class or Haldane knows.

use super::GATEWAY_CLASS;
use crate::{
    domain::{
        k8s::json_pointer::part,
        strategy::{CanaryStrategy, MirrorRoute, Step},
        world::World,
    },
    routers::{
        Obstacle,
        raw::{items, name_of},
    },
};
use serde_json::Value;

/// Copies of all requests, and of a part of them.
const MIRROR: &str = "HTTPRouteRequestMirror";
const MIRROR_PART: &str = "HTTPRouteRequestPercentageMirror";

/// What implementations can do whose classes say nothing.
///
/// Source: Contour 1.33, `test/conformance/gatewayapi/gateway_conformance_test.go`.
const KNOWN: [(&str, &[&str]); 1] = [("projectcontour.io/gateway-controller", &[MIRROR])];

/// Why requests of a route cannot be copied, if the plan asks for that. `is_promised`: the plan says that they can be.
pub(super) fn without_mirror(
    route: &Value,
    strategy: &CanaryStrategy,
    is_promised: bool,
    world: &World,
) -> Option<Obstacle> {
    let mirrors = strategy.steps.iter().filter_map(|step| match step {
        Step::SetMirrorRoute(MirrorRoute { share, .. }) => *share,
        _ => None,
    });
    let is_part = mirrors.map(|share| share.percent() < 100).reduce(|one, other| one || other)?;
    let needed = if is_part { MIRROR_PART } else { MIRROR };
    let problem = match unknown_or_missing(route, needed, world) {
        Some(Missing::Unsupported(controller)) => format!(
            "setMirrorRoute needs the feature {needed}, which the controller {controller} of this HTTPRoute's Gateway does not have, so that it might answer with errors; remove the step"
        ),
        Some(Missing::Unknown) if !is_promised => format!(
            "setMirrorRoute needs the feature {needed}, and the class of this HTTPRoute's Gateway does not say whether its controller has it; if it has, set trafficRouting.gateway.requestMirror: true"
        ),
        _ => return None,
    };
    Some(Obstacle { field: "", name: name_of(route).to_owned(), problem })
}

/// Why a feature cannot be used.
enum Missing<'a> {
    /// This controller does not have it.
    Unsupported(&'a str),
    /// Nothing says whether one has it.
    Unknown,
}

fn unknown_or_missing<'a>(route: &'a Value, feature: &str, world: &World) -> Option<Missing<'a>> {
    let controllers: Vec<&str> = items(route, "/status/parents")
        .filter_map(|parent| parent.get("controllerName").and_then(Value::as_str))
        .collect();
    let mut is_unknown = controllers.is_empty();
    for controller in controllers {
        match supports(controller, feature, world) {
            Some(true) => {}
            Some(false) => return Some(Missing::Unsupported(controller)),
            None => is_unknown = true,
        }
    }
    is_unknown.then_some(Missing::Unknown)
}

/// Whether a controller has a feature, if that is known.
fn supports(controller: &str, feature: &str, world: &World) -> Option<bool> {
    let classes = world
        .routes(GATEWAY_CLASS.name())
        .iter()
        .filter(|class| part(class, "/spec/controllerName").is_some_and(|name| name == controller));
    // Before Gateway API 1.1 they were texts.
    let name = |feature: &Value| {
        let name = feature.as_str().or_else(|| feature.get("name")?.as_str())?;
        Some(name.to_owned())
    };
    let said: Vec<String> =
        classes.flat_map(|class| items(class, "/status/supportedFeatures").filter_map(name)).collect();
    if !said.is_empty() {
        return Some(said.iter().any(|said| said == feature));
    }
    let (_, known) = KNOWN.iter().find(|(known, _)| *known == controller)?;
    Some(known.contains(&feature))
}
