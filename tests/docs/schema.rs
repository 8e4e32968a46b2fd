//! JSON Schema of the annotations, made from the same tables as the reference. It is for editors and checks
//! before `apply`: names of fields and what they mean. What a value must be is the parser's to say.

use crate::{files, root};
use haldane::{
    config::{
        annotations::KEYS,
        blue_green, settings,
        steps::{ANALYSIS_FIELDS, STEPS},
        template::{METRIC_FIELDS, TEMPLATE_FIELDS},
        yaml,
    },
    domain::keys,
    providers::{Field, PROVIDERS},
};
use serde_json::{Map, Value, json};
use std::fs;

const SCHEMA: &str = "docs/schema/annotations.json";

/// A closed object: what it does not list is refused, as at admission.
fn object(properties: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let properties: Map<String, Value> =
        properties.into_iter().map(|(key, schema)| (key.to_owned(), schema)).collect();
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

/// The kind of value that an example `{key: …}` has.
fn kind_of(key: &str, example: &str) -> Value {
    let document = yaml::parse(&format!("{{{example}}}")).unwrap();
    match &document[key] {
        Value::Array(_) => json!({"type": "array"}),
        Value::Object(_) => json!({"type": "object"}),
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(_) => json!({"type": "integer"}),
        Value::String(_) => json!({"type": "string"}),
        Value::Null => panic!("{key}: {example}"),
    }
}

fn described(mut schema: Value, doc: &str) -> Value {
    schema["description"] = doc.into();
    schema
}

/// Fields with their meaning; `a.b` is a field of `a`, which may have others.
fn fields(table: &'static [Field], special: impl Fn(&str) -> Option<Value>) -> Value {
    let own = table.iter().filter(|field| !field.name.contains('.'));
    let mut properties: Vec<_> = own
        .map(|field| (field.name, described(special(field.name).unwrap_or_else(|| json!({})), field.doc)))
        .collect();
    for parent in table.iter().filter_map(|field| Some(field.name.split_once('.')?.0)) {
        if properties.iter().all(|(known, _)| *known != parent) {
            properties.push((parent, json!({"type": "object"})));
        }
    }
    object(properties)
}

fn list_of(definition: &str) -> Value {
    json!({"type": "array", "items": {"$ref": format!("#/$defs/{definition}")}})
}

fn analysis(more: &[(&'static str, Value)]) -> Value {
    let mut schema = fields(ANALYSIS_FIELDS, |_| Some(json!({"type": "array"})));
    schema["properties"]["analysisRunMetadata"]["type"] = "object".into();
    for (key, value) in more {
        schema["properties"][*key] = value.clone();
    }
    schema
}

/// A field of a plan by its key; most are told by their example.
fn setting(key: &'static str, doc: &str, example: &str) -> (&'static str, Value) {
    let schema = match key {
        "steps" => list_of("step"),
        "analysis" => json!({"$ref": "#/$defs/backgroundAnalysis"}),
        "prePromotionAnalysis" | "postPromotionAnalysis" => json!({"$ref": "#/$defs/analysis"}),
        _ => kind_of(key, example),
    };
    (key, described(schema, doc))
}

fn schema() -> Value {
    let step = STEPS.iter().map(|step| {
        let schema = if step.key == "analysis" {
            json!({"$ref": "#/$defs/analysis"})
        } else {
            kind_of(step.key, step.example)
        };
        (step.key, described(schema, step.doc))
    });
    let provider = PROVIDERS.iter().map(|provider| {
        let config = fields(provider.fields(), |_| None);
        (provider.key(), described(config, provider.doc()))
    });
    let canary = settings::SETTINGS.iter().map(|known| setting(known.key, known.doc, known.example));
    let blue_green = blue_green::SETTINGS.iter().map(|known| setting(known.key, known.doc, known.example));
    let definitions = json!({
        "canary": object(canary),
        "blueGreen": object(blue_green),
        "step": object(step),
        "analysis": analysis(&[]),
        "backgroundAnalysis": analysis(&[("startingStep", json!({"type": "integer"}))]),
        "analysisTemplate": fields(TEMPLATE_FIELDS, |name| Some(if name == "metrics" { list_of("metric") } else { json!({"type": "array"}) })),
        "metric": fields(METRIC_FIELDS, |name| (name == "provider").then(|| json!({"$ref": "#/$defs/provider"}))),
        "provider": object(provider),
    });
    let annotation = |name: &str| match name {
        keys::CANARY => json!({"anyOf": [{"const": "enabled"}, {"$ref": "#/$defs/canary"}]}),
        keys::BLUE_GREEN => json!({"$ref": "#/$defs/blueGreen"}),
        keys::ANALYSIS => json!({"$ref": "#/$defs/analysisTemplate"}),
        _ => json!({"type": "string"}),
    };
    let annotations = KEYS.iter().map(|key| (key.name, described(annotation(key.name), key.doc)));
    let mut schema = object(annotations);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "Haldane's annotations of a Deployment, each value read as YAML".into();
    schema["$defs"] = definitions;
    schema
}

/// Whether a value is as its schema says, by the few words that these schemas use.
fn fault(root: &Value, schema: &Value, value: &Value, path: &str) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return fault(root, root.pointer(&reference[1..]).expect("a definition"), value, path);
    }
    if let Some(ways) = schema["anyOf"].as_array() {
        let faults: Option<Vec<_>> = ways.iter().map(|way| fault(root, way, value, path)).collect();
        return faults.map(|faults| faults.join(", or "));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        return Some(format!("{path} is not {}", schema["const"]));
    }
    let fits = match schema["type"].as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("boolean") => value.is_boolean(),
        // Numbers in quotes are numbers to people.
        Some("integer") => value.is_i64(),
        Some("string") => value.is_string(),
        Some(other) => panic!("type {other}"),
    };
    if !fits {
        return Some(format!("{path} is no {}", schema["type"]));
    }
    let open = schema["additionalProperties"] != false;
    let inside = value.as_object().into_iter().flatten().find_map(|(key, value)| match schema["properties"]
        .get(key)
    {
        Some(schema) => fault(root, schema, value, &format!("{path}.{key}")),
        None => (!open).then(|| format!("{path}.{key} is unknown")),
    });
    let items = value.as_array().into_iter().flatten().enumerate();
    inside.or_else(|| {
        let item = schema.get("items")?;
        items.into_iter().find_map(|(at, value)| fault(root, item, value, &format!("{path}[{at}]")))
    })
}

/// The annotations of Haldane's that an object has, read as YAML.
fn annotations(object: &Value) -> Value {
    let all = object["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    let ours = all.into_iter().filter(|(key, _)| key.starts_with(keys::PREFIX));
    ours.map(|(key, text)| {
        let value = match key.as_str() {
            keys::CANARY | keys::BLUE_GREEN | keys::ANALYSIS => yaml::parse(text.as_str().unwrap()).unwrap(),
            _ => text,
        };
        (key, value)
    })
    .collect()
}

#[test]
fn the_schema_is_fresh() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    let path = root().join(SCHEMA);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == text,
        "{SCHEMA} is not what the code says; run `make docs`"
    );
}

#[test]
fn every_example_is_as_the_schema_says() {
    let schema = schema();
    let mut seen = 0;
    for file in files(".yaml").iter().filter(|file| file.starts_with(root().join("examples"))) {
        let text = fs::read_to_string(file).unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        for document in documents {
            let ours = annotations(&document);
            seen += ours.as_object().unwrap().len();
            assert_eq!(fault(&schema, &schema, &ours, "annotations"), None, "{}", file.display());
            let labels = &document["metadata"]["labels"];
            if labels[keys::TEMPLATE_LABEL] == "true" {
                let text = document["data"].as_object().unwrap().values().next().unwrap().as_str().unwrap();
                let template = yaml::parse(text).unwrap();
                let spec = template.get("spec").unwrap_or(&template);
                let fault = fault(&schema, &schema["$defs"]["analysisTemplate"], spec, "template");
                assert_eq!(fault, None, "{}", file.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen} annotations and templates");
    for key in KEYS {
        let text = json!({"metadata": {"annotations": {key.name: key.example}}});
        assert_eq!(fault(&schema, &schema, &annotations(&text), "annotations"), None, "{}", key.name);
    }
}

#[test]
fn a_slip_is_one_to_the_schema_too() {
    let schema = schema();
    let told = |canary: Value| fault(&schema, &schema, &json!({keys::CANARY: canary}), "annotations");
    for (slip, place) in [
        (json!({"setps": []}), ".setps is unknown"),
        (json!({"steps": [{"setWeihgt": 5}]}), ".steps[0].setWeihgt is unknown"),
        (json!({"steps": [{"setWeight": "5"}]}), ".steps[0].setWeight is no \"integer\""),
        (json!({"analysis": {"startingStep": 0, "template": []}}), ".analysis.template is unknown"),
        (json!("on"), "is no \"object\""),
    ] {
        let said = told(slip.clone()).unwrap_or_default();
        assert!(said.contains(place), "{slip}: {said}");
    }
    assert_eq!(told(json!("enabled")), None);
}
