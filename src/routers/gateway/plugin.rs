//! Argo's plugin for the Gateway API, whose settings are the router's in other words.
//!
//! Source: rollouts-plugin-trafficrouter-gatewayapi 0.15, `pkg/plugin/types.go`.

use super::HTTP_ROUTE_FIELD;
use crate::{
    document::fields::Node,
    routers::{Plugin, RouterField, raw::items},
};
use serde_json::{Map, Value, json};

/// Its name.
const NAME: &str = "argoproj-labs/gatewayAPI";
/// Its fields about the label that it puts on routes.
const LABELS: [&str; 3] = ["disableInProgressLabel", "inProgressLabelKey", "inProgressLabelValue"];

const OTHER_ROUTES: &str = "the router gateway splits by HTTPRoutes only; for other routes leave trafficRouting out, which splits by pods";
const OTHER_SELECTORS: &str = "the router gateway splits by HTTPRoutes only; remove it";

/// See the module.
pub(super) static PLUGIN: Plugin = Plugin {
    key: NAME,
    fields: &[
        HTTP_ROUTE_FIELD,
        RouterField {
            key: "httpRoutes",
            doc: "The same for several, `[{name: NAME, useHeaderRoutes: true}]`. A `setHeaderRoute` applies to all of them.",
            read: |node| node.list(named_route).map(Value::from),
        },
        RouterField {
            key: "namespace",
            doc: "The namespace of the HTTPRoutes; it must be the Deployment's, which is the default.",
            read: |node| node.object_name().map(Value::from),
        },
        RouterField { key: LABELS[0], doc: IGNORED, read: |node| node.bool().map(Value::from) },
        RouterField { key: LABELS[1], doc: IGNORED, read: |node| node.string().map(Value::from) },
        RouterField { key: LABELS[2], doc: IGNORED, read: |node| node.string().map(Value::from) },
    ],
    refused: &[
        (
            "httpRouteSelector",
            "name the HTTPRoutes in httpRoutes, or leave both out: every HTTPRoute that routes to the Service is split",
        ),
        ("grpcRoute", OTHER_ROUTES),
        ("grpcRoutes", OTHER_ROUTES),
        ("tcpRoute", OTHER_ROUTES),
        ("tcpRoutes", OTHER_ROUTES),
        ("tlsRoute", OTHER_ROUTES),
        ("tlsRoutes", OTHER_ROUTES),
        ("grpcRouteSelector", OTHER_SELECTORS),
        ("tcpRouteSelector", OTHER_SELECTORS),
        ("tlsRouteSelector", OTHER_SELECTORS),
    ],
};

const IGNORED: &str = "Ignored, with a warning: Haldane sets no label on the user's HTTPRoute.";

fn named_route(node: Node<'_>) -> Option<String> {
    node.object(|fields| {
        let name = fields.required("name", Node::object_name);
        fields.optional("useHeaderRoutes", |node| match node.value().as_bool() {
            Some(false) => {
                node.fail("must be true or left out: a setHeaderRoute applies to every HTTPRoute of the plan")
            }
            _ => node.bool(),
        });
        name
    })
}

/// The settings that only the plugin has.
pub(super) fn own(given: &Map<String, Value>) -> impl Iterator<Item = (String, Value)> {
    let namespace = given.get("namespace").map(|namespace| ("namespace".to_owned(), namespace.clone()));
    let ignored: Vec<&str> = LABELS.into_iter().filter(|key| given.contains_key(*key)).collect();
    let ignored = (!ignored.is_empty()).then(|| ("ignored".to_owned(), json!(ignored)));
    namespace.into_iter().chain(ignored)
}

/// Warnings about fields without effect.
pub(super) fn ignored(settings: &Value) -> impl Iterator<Item = String> {
    let ignored = items(settings, "/ignored").filter_map(Value::as_str);
    ignored.map(|key| {
        format!(
            "trafficRouting.plugins[{NAME}].{key} is ignored: Haldane does not write the user's HTTPRoute, so GitOps tools see no change in it and need no label to leave it alone"
        )
    })
}
