//! The part of a plan that is a router's: one table of fields, from which reader, schema and reference page are made.

use super::{Chosen, ROUTERS, TrafficRouter};
use crate::{
    document::fields::{Fields, Node},
    domain::strategy::CanaryStrategy,
};
use serde_json::{Map, Value};

/// A field of a router's settings.
#[derive(Debug)]
pub struct RouterField {
    /// The field's name.
    pub key: &'static str,
    /// One or two sentences for the reference page.
    pub doc: &'static str,
    /// Reads it; leaves a finding for what is wrong.
    pub read: fn(Node<'_>) -> Option<Value>,
}

/// A plugin of Argo's `trafficRouting.plugins` that a router stands for.
#[derive(Debug)]
pub struct Plugin {
    /// Its name.
    pub key: &'static str,
    /// Its fields.
    pub fields: &'static [RouterField],
    /// Fields that are refused, and why.
    pub refused: &'static [(&'static str, &'static str)],
}

/// The routers that a plan may name.
pub fn nameable() -> impl Iterator<Item = &'static dyn TrafficRouter> {
    ROUTERS.iter().copied().filter(|router| router.chosen() != Chosen::Otherwise)
}

/// The routers that stand for plugins of Argo.
pub fn plugins() -> impl Iterator<Item = (&'static dyn TrafficRouter, &'static Plugin)> {
    ROUTERS.iter().filter_map(|router| Some((*router, router.plugin()?)))
}

/// Reads the settings of a router.
pub fn read(router: &dyn TrafficRouter, node: Node<'_>, defaults: Option<&Value>) -> Option<Value> {
    node.object(|fields| Some(settings(router, router.fields(), fields, defaults)))
}

/// Reads Argo's `trafficRouting.plugins`: the routers that are asked for by them, with their settings.
#[must_use]
pub fn read_plugins(node: Node<'_>) -> Option<Vec<(&'static dyn TrafficRouter, Value)>> {
    node.object(|fields| {
        let mut named = Vec::new();
        for (router, plugin) in plugins() {
            let read = |fields: &mut Fields<'_>| {
                let settings = settings(router, plugin.fields, fields, None);
                for (key, why) in plugin.refused {
                    fields.unsupported(key, why);
                }
                Some(settings)
            };
            let settings = fields.doc(router.doc()).optional(plugin.key, |node| node.object(read));
            named.extend(settings.map(|settings| (router, settings)));
        }
        Some(named)
    })
}

fn settings(
    router: &dyn TrafficRouter,
    known: &[RouterField],
    fields: &mut Fields<'_>,
    defaults: Option<&Value>,
) -> Value {
    let mut given = Map::new();
    for field in known {
        let value = fields.doc(field.doc).optional(field.key, field.read);
        given.extend(value.map(|value| (field.key.to_owned(), value)));
    }
    router.settings(given, defaults, fields)
}

/// Gives a plan the settings that every router has by default.
pub fn with_defaults(strategy: &mut CanaryStrategy, annotation_prefix: &str) {
    for router in ROUTERS {
        let defaults = router.defaults(annotation_prefix);
        strategy.settings.extend(defaults.map(|settings| (router.key().to_owned(), settings)));
    }
}
