//! The part of a plan that is a router's: one table of fields, from which reader, schema and reference page are made.

use super::{Chosen, ROUTERS, TrafficRouter};
use crate::{document::fields::Node, domain::strategy::CanaryStrategy};
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

/// The routers that a plan may name.
pub fn nameable() -> impl Iterator<Item = &'static dyn TrafficRouter> {
    ROUTERS.iter().copied().filter(|router| router.chosen() != Chosen::Otherwise)
}

/// Reads the settings of a router.
pub fn read(router: &dyn TrafficRouter, node: Node<'_>, defaults: Option<&Value>) -> Option<Value> {
    node.object(|fields| {
        let mut given = Map::new();
        for field in router.fields() {
            let value = fields.doc(field.doc).optional(field.key, field.read);
            given.extend(value.map(|value| (field.key.to_owned(), value)));
        }
        Some(router.settings(given, defaults, fields))
    })
}

/// Gives a plan the settings that every router has by default.
pub fn with_defaults(strategy: &mut CanaryStrategy, annotation_prefix: &str) {
    for router in ROUTERS {
        let defaults = router.defaults(annotation_prefix);
        strategy.settings.extend(defaults.map(|settings| (router.key().to_owned(), settings)));
    }
}
