//! Whether a value is as a JSON Schema says, by the few words that the published schemas use.

use serde_json::Value;

/// Why a value is not as its schema says, by the few words that these schemas use.
pub fn fault(root: &Value, schema: &Value, value: &Value, path: &str) -> Option<String> {
    if schema == &Value::Bool(false) {
        return Some(format!("{path} is unknown"));
    }
    if let Some(reference) = schema["$ref"].as_str() {
        return fault(root, root.pointer(&reference[1..]).expect("a definition"), value, path);
    }
    let own = fault_of_value(schema, value, path).or_else(|| fault_inside(root, schema, value, path));
    own.or_else(|| fault_of_ways(root, schema, value, path))
}

fn fault_of_value(schema: &Value, value: &Value, path: &str) -> Option<String> {
    let fits = match schema["type"].as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64(),
        Some("string") => value.is_string(),
        Some(other) => panic!("type {other}"),
    };
    if !fits {
        return Some(format!("{path} is not a {}", schema["type"]));
    }
    let number = |key: &str| schema[key].as_i64();
    let is_out = value.as_i64().is_some_and(|value| {
        number("minimum").is_some_and(|least| value < least)
            || number("maximum").is_some_and(|most| value > most)
    });
    if is_out {
        return Some(format!("{path} is not from {} to {}", schema["minimum"], schema["maximum"]));
    }
    let pattern = schema["pattern"].as_str().map(|pattern| regex::Regex::new(pattern).unwrap());
    if pattern.zip(value.as_str()).is_some_and(|(pattern, text)| !pattern.is_match(text)) {
        return Some(format!("{path} is not as it must be written"));
    }
    let is_listed = schema["enum"].as_array().is_none_or(|words| words.contains(value));
    if !is_listed || schema.get("const").is_some_and(|only| only != value) {
        return Some(format!("{path} is not one of the allowed words"));
    }
    let mut required = schema["required"].as_array().into_iter().flatten();
    let missing = required.find(|field| value.get(field.as_str().unwrap()).is_none())?;
    Some(format!("{path} lacks {missing}"))
}

fn fault_inside(root: &Value, schema: &Value, value: &Value, path: &str) -> Option<String> {
    let rest = schema.get("additionalProperties");
    let of_field = |(key, value): (&String, &Value)| {
        let path = format!("{path}.{key}");
        match schema["properties"].get(key).or(rest) {
            Some(schema) => fault(root, schema, value, &path),
            None => None,
        }
    };
    let mut items = value.as_array().into_iter().flatten().enumerate();
    value.as_object().into_iter().flatten().find_map(of_field).or_else(|| {
        let item = schema.get("items")?;
        items.find_map(|(at, value)| fault(root, item, value, &format!("{path}[{at}]")))
    })
}

fn fault_of_ways(root: &Value, schema: &Value, value: &Value, path: &str) -> Option<String> {
    if let Some(ways) = schema["anyOf"].as_array() {
        let faults: Option<Vec<_>> = ways.iter().map(|way| fault(root, way, value, path)).collect();
        return faults.map(|faults| faults.join(", or "));
    }
    if let Some(not) = schema.get("not") {
        return fault(root, not, value, path).is_none().then(|| format!("{path} is what it must not be"));
    }
    let applies = fault(root, schema.get("if")?, value, path).is_none();
    fault(root, &schema["then"], value, path).filter(|_| applies)
}
