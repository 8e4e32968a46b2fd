//! Paths of `fieldRef`, as Argo Rollouts and Kubernetes read them.
//!
//! Source: argo-rollouts `utils/analysis/factory.go`, `BuildArgumentsForRolloutAnalysisRun`, and Kubernetes
//! `pkg/fieldpath`, `ExtractFieldPathAsString`, for everything below `metadata`. Unlike there, a missing label or
//! annotation is an error: with an empty string a query would find nothing.

use crate::gocompat::validation::is_qualified_name;
use serde_json::{Map, Value};

/// What a path refers to.
enum Place<'a> {
    /// A part of the object's metadata.
    Part(&'a str),
    /// One of its labels or annotations.
    Entry(&'a str, &'a str),
    /// Anything else.
    Below,
}

/// Checks whether `path` is valid.
///
/// # Errors
/// What is wrong with it.
pub fn check(path: &str) -> Result<(), String> {
    place(path).map(|_| ())
}

/// The text at `path` of an object, such as `metadata.labels['app']` or `spec.template.spec.containers[0].image`.
///
/// # Errors
/// A path that refers to nothing, or to something other than a string, number or boolean.
pub fn read(object: &Value, path: &str) -> Result<String, String> {
    let part = |name: &str| object.get("metadata").and_then(|metadata| metadata.get(name));
    match place(path)? {
        Place::Below => descend(object, path),
        Place::Entry(map, key) => {
            let value = part(map).and_then(|entries| entries.get(key)?.as_str());
            value.map(str::to_owned).ok_or_else(|| format!("{path} is not set"))
        }
        Place::Part(name) => Ok(match part(name) {
            Some(Value::Object(entries)) => lines(entries),
            found => found.and_then(Value::as_str).unwrap_or_default().to_owned(),
        }),
    }
}

fn place(path: &str) -> Result<Place<'_>, String> {
    if !path.starts_with("metadata") {
        return Ok(Place::Below);
    }
    let keyed = path.strip_suffix("']").and_then(|path| path.split_once("['"));
    if let Some((map, key)) = keyed {
        let checked = match map {
            "metadata.annotations" => is_qualified_name(&key.to_lowercase()),
            "metadata.labels" => is_qualified_name(key),
            _ => return Err(format!("fieldPath {path:?} does not support subscript")),
        };
        let map = map.trim_start_matches("metadata.");
        return if checked {
            Ok(Place::Entry(map, key))
        } else {
            Err(format!("invalid key subscript in {path}"))
        };
    }
    match path.strip_prefix("metadata.") {
        Some(part @ ("annotations" | "labels" | "name" | "namespace" | "uid")) => Ok(Place::Part(part)),
        _ => Err(format!("unsupported fieldPath: {path}")),
    }
}

/// `key="value"`, one per line, sorted.
fn lines(entries: &Map<String, Value>) -> String {
    let mut lines: Vec<_> =
        entries.iter().filter_map(|(key, value)| Some(format!("{key}={:?}", value.as_str()?))).collect();
    lines.sort_unstable();
    lines.join("\n")
}

fn descend(object: &Value, path: &str) -> Result<String, String> {
    let nothing = || format!("invalid path {path} in the Deployment");
    let mut inside = object;
    for section in path.split(['.', '[', ']']).filter(|section| !section.is_empty()) {
        inside = match inside {
            Value::Array(items) => {
                let index: usize = section.parse().map_err(|_| format!("invalid index '{section}'"))?;
                items.get(index).ok_or_else(|| format!("index {index} out of range"))?
            }
            Value::Object(fields) => fields.get(section).unwrap_or(&Value::Null),
            _ => return Err(nothing()),
        };
    }
    match inside {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Null => Err(nothing()),
        Value::Array(_) | Value::Object(_) => {
            Err(format!("path {path} in the Deployment must terminate in a primitive value"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_are_read_as_argo_reads_them() {
        let object = json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "u-1", "labels": {"app": "web", "team.io/x": "y\"z"}},
            "spec": {"replicas": 5, "paused": true, "template": {"spec": {"containers": [{"image": "img:1"}, {"image": "img:2"}]}}},
        });
        let read = |path: &str| read(&object, path);
        for (path, value) in [
            ("metadata.name", "web"),
            ("metadata.uid", "u-1"),
            ("metadata.labels['app']", "web"),
            ("metadata.labels['team.io/x']", "y\"z"),
            ("metadata.labels", "app=\"web\"\nteam.io/x=\"y\\\"z\""),
            ("metadata.annotations", ""),
            ("spec.replicas", "5"),
            ("spec.paused", "true"),
            ("spec.template.spec.containers[1].image", "img:2"),
            ("spec.template.spec.containers.0.image", "img:1"),
        ] {
            assert_eq!(read(path).as_deref(), Ok(value), "{path}");
        }
        for (path, problem) in [
            ("metadata", "unsupported fieldPath: metadata"),
            ("metadata.finalizers['x']", "fieldPath \"metadata.finalizers['x']\" does not support subscript"),
            ("metadata.labels['a b']", "invalid key subscript in metadata.labels['a b']"),
            ("metadata.labels['none']", "metadata.labels['none'] is not set"),
            ("spec.none", "invalid path spec.none in the Deployment"),
            ("spec.replicas.x", "invalid path spec.replicas.x in the Deployment"),
            ("spec.template", "path spec.template in the Deployment must terminate in a primitive value"),
            ("spec.template.spec.containers[-1].image", "invalid index '-1'"),
            ("spec.template.spec.containers[2].image", "index 2 out of range"),
            ("", "path  in the Deployment must terminate in a primitive value"),
        ] {
            assert_eq!(read(path).unwrap_err(), problem, "{path}");
        }
    }
}
