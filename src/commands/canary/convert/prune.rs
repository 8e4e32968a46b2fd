//! Removing the fields of Argo's that Haldane does not have.

use super::Notes;
use crate::{
    commands::canary::explain::refused,
    document::schema::Schema,
    providers::PROVIDERS,
    routers::{self, TrafficRouter},
};
use serde_json::Value;

/// Removes from `value`, which is at `path`, every field that `schema` does not have, and notes each. `field` is the path
/// that [`refused`] knows.
pub fn prune(value: &mut Value, schema: &Schema, path: &str, field: &[&str], notes: &mut Notes<'_>) {
    match (schema, value) {
        (Schema::Named(_, inner) | Schema::Either(_, inner), value) => {
            prune(value, inner, path, field, notes);
        }
        (Schema::List(item), Value::Array(values)) => {
            for (index, value) in values.iter_mut().enumerate() {
                prune(value, item, &format!("{path}[{index}]"), field, notes);
            }
        }
        (Schema::Map(inner), Value::Object(values)) => {
            for (key, value) in values {
                prune(value, inner, &format!("{path}.{key}"), field, notes);
            }
        }
        (Schema::Object(fields), Value::Object(values)) => {
            let known = |key: &str| fields.iter().find(|field| field.key == key);
            values.retain(|key, value| {
                let (path, field): (String, Vec<&str>) =
                    (format!("{path}.{key}"), field.iter().copied().chain([key.as_str()]).collect());
                if let Some(known) = known(key) {
                    prune(value, &known.schema, &path, &field, notes);
                    return true;
                }
                let (is_kept, why) = unknown(&field);
                notes.lost(&path, why);
                is_kept
            });
        }
        _ => {}
    }
}

/// Whether an unknown field stays, and what to do about it.
fn unknown(field: &[&str]) -> (bool, String) {
    if let Some(why) = refused(field) {
        return (false, why.to_owned());
    }
    match field {
        [.., "provider", key] => {
            let known: Vec<&str> = PROVIDERS.iter().map(|provider| provider.key()).collect();
            let why = format!(
                "there is no provider {key:?}, supported are {}; replace the metric, e.g. by provider web with the product's HTTP API. Until then admission refuses the Deployment",
                known.join(", ")
            );
            (true, why)
        }
        [.., "trafficRouting" | "plugins", key] => {
            let known: Vec<&str> = routers::nameable().map(TrafficRouter::key).collect();
            let why = format!(
                "there is no router {key:?}, supported are {}; without one, the router that finds a route to the Service splits the traffic, or else the number of pods does",
                known.join(", ")
            );
            (false, why)
        }
        _ => (false, "Haldane has no such field; it is left out".to_owned()),
    }
}
