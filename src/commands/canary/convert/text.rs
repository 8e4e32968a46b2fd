//! Objects as YAML in the order in which people write them.

use crate::commands::canary::error::CanaryError;
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::{Map, Value};

/// Keys that come first, in this order.
const FIRST: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "namespace",
    "type",
    "labels",
    "annotations",
    "activeService",
    "previewService",
    "stableService",
    "canaryService",
    "trafficRouting",
    "image",
    "imagePullPolicy",
    "command",
    "args",
    "interval",
    "initialDelay",
    "count",
    "replicas",
    "selector",
    "setWeight",
    "templateName",
];

/// Keys that come last, in this order.
const LAST: &[&str] = &["steps", "spec", "template", "containers", "provider", "data", "status"];

/// Objects as the documents of one YAML file.
pub fn documents<'a>(objects: impl Iterator<Item = &'a Value>) -> Result<String, CanaryError> {
    let texts: Vec<String> = objects.map(yaml).collect::<Result<_, _>>()?;
    Ok(texts.join("---\n"))
}

/// A value as YAML.
pub fn yaml(value: &Value) -> Result<String, CanaryError> {
    // A long line is one line: people paste it, and search for it.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(&Ordered(value), options)
        .map_err(|error| CanaryError::Format(error.to_string()))
}

/// The same value, with the keys of mappings in order.
struct Ordered<'a>(&'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => {
                let mut entries = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in sorted(map) {
                    entries.serialize_entry(key, &Ordered(value))?;
                }
                entries.end()
            }
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Ordered(item))?;
                }
                list.end()
            }
            scalar => scalar.serialize(serializer),
        }
    }
}

fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let position = |keys: &[&str], key: &str| keys.iter().position(|known| *known == key);
    let rank = |key: &str| match (position(FIRST, key), position(LAST, key)) {
        (Some(first), _) => (0, first),
        (None, None) => (1, 0),
        (None, Some(last)) => (2, last),
    };
    let mut entries: Vec<_> = map.iter().collect();
    // Stable: other keys stay in the order of the alphabet.
    entries.sort_by_key(|(key, _)| rank(key));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::yaml::parse;
    use serde_json::json;

    #[test]
    fn what_people_look_for_comes_first_and_what_is_long_last() {
        let plan = "steps:\n- setWeight: 20\n- pause: {}\n";
        let object = json!({
            "kind": "Deployment", "spec": {"template": {}, "replicas": 2}, "apiVersion": "apps/v1",
            "metadata": {"annotations": {"plan": plan, "on": "true"}, "name": "web"},
        });
        let text = documents([&object, &json!({"kind": "Service"})].into_iter()).unwrap();
        assert_eq!(
            text,
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  annotations:\n    \"on\": \"true\"\n    plan: |\n      steps:\n      - setWeight: 20\n      - pause: {}\nspec:\n  replicas: 2\n  template: {}\n---\nkind: Service\n"
        );
    }

    #[test]
    fn no_value_changes_on_the_way() {
        for value in [
            json!({"a": "0755", "b": "yes", "c": "1e3", "d": "null", "e": "", "f": " x ", "g": "a: b # c"}),
            json!({"query": format!("sum({})", "a ".repeat(80)), "multi": "a\n\n  b\n", "open": "a\nb"}),
            json!([[], {}, null, 1.5, -3, true, "- x", "{{args.a}}", "2026-01-01"]),
        ] {
            assert_eq!(parse(&yaml(&value).unwrap()).unwrap(), value, "{}", yaml(&value).unwrap());
        }
    }
}
