//! JSON Schemas of the annotations and of policy profiles, made by the code that reads them. They are for editors and
//! checks before `apply`: names of fields, what they mean and what they may be. The parser asks for more, never for less.

use crate::{files, root, schema_check::fault};
use haldane::{
    config::{
        annotations::KEYS,
        blue_green, declared_plan,
        settings::SETTINGS,
        steps::STEPS,
        strategy::{Defaults, read_strategy},
        template,
    },
    document::{
        fields,
        schema::{Field, Schema},
        yaml,
    },
    domain::keys,
    notify::{EXAMPLE, Routing},
    policy::{RULES, profile::Profile},
    providers::PROVIDERS,
};
use serde_json::{Map, Value, json};
use std::fs;

/// One or more numbers with units, or 0, as in Go.
const DURATION: &str = r"(\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+|[+-]?0+(\.0*)?(ns|us|µs|μs|ms|s|m|h)?|-(0+(ns|us|µs|μs|ms|s|m|h))+)";
/// Becomes something else when the arguments are known.
const ARGUMENT: &str = r"[\s\S]*\{\{[\s\S]*";

fn text_like(pattern: &str) -> Value {
    json!({"type": "string", "pattern": format!("^({pattern})$")})
}

fn any_of(ways: impl Into<Vec<Value>>) -> Value {
    json!({"anyOf": ways.into()})
}

/// Types with a name go to `definitions`.
fn of(schema: &Schema, definitions: &mut Map<String, Value>) -> Value {
    match schema {
        Schema::Never => panic!("a reader does not say what it accepts"),
        Schema::Any => json!({}),
        Schema::Text => json!({"type": "string"}),
        Schema::Bool => json!({"type": "boolean"}),
        Schema::False => json!({"const": false}),
        Schema::Word(words) => json!({"enum": words}),
        Schema::Whole(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
        Schema::Count => any_of([json!({"type": "integer"}), text_like(&format!("[+-]?[0-9]+|{ARGUMENT}"))]),
        Schema::Duration => text_like(DURATION),
        Schema::Span => text_like(&format!("{DURATION}|{ARGUMENT}|")),
        Schema::PauseTime => {
            let seconds = json!({"type": "integer", "minimum": 0, "maximum": i32::MAX});
            any_of([seconds, text_like(&format!(r"\+?[0-9]+|-0+|{DURATION}"))])
        }
        Schema::Queries => {
            any_of([of(&Schema::Text, definitions), of(&Schema::Map(Box::new(Schema::Text)), definitions)])
        }
        Schema::Either(words, other) => any_of([json!({"enum": words}), of(other, definitions)]),
        Schema::List(item) => json!({"type": "array", "items": of(item, definitions)}),
        Schema::Map(value) => json!({"type": "object", "additionalProperties": of(value, definitions)}),
        Schema::Object(fields) => object(fields, definitions),
        Schema::Named(name, schema) => {
            let definition = of(schema, definitions);
            definitions.insert((*name).to_owned(), definition);
            json!({"$ref": format!("#/$defs/{name}")})
        }
    }
}

/// A closed object: what it does not list is refused, as at admission.
fn object(fields: &[Field], definitions: &mut Map<String, Value>) -> Value {
    let property = |field: &Field| {
        assert_ne!(field.schema, Schema::Never, "the reader of {} does not say what it accepts", field.key);
        let mut schema = of(&field.schema, definitions);
        if !field.doc.is_empty() {
            schema["description"] = field.doc.into();
        }
        (field.key.to_owned(), schema)
    };
    let properties: Map<String, Value> = fields.iter().map(property).collect();
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

/// Weights are percents unless a total says otherwise.
fn percents_by_default(canary: &mut Value) {
    let total = json!({"properties": {"trafficRouting": {"required": ["maxTrafficWeight"]}}, "required": ["trafficRouting"]});
    let at_most = json!({"maximum": 100});
    let scale = json!({"properties": {"weight": at_most}});
    let step = json!({"properties": {"setWeight": at_most, "setCanaryScale": scale}});
    canary["if"] = json!({"not": total});
    canary["then"] = json!({"properties": {"steps": {"items": step}}});
}

fn defaults() -> Defaults {
    Defaults { settle: "6s".parse().unwrap(), annotation_prefix: "nginx".into() }
}

fn document(schema: &Schema, title: &str) -> Value {
    let mut definitions = Map::new();
    let mut document = of(schema, &mut definitions);
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    document["title"] = title.into();
    if !definitions.is_empty() {
        document["$defs"] = definitions.into();
    }
    document
}

fn annotations_schema() -> Value {
    let title = "Haldane's annotations of a Deployment, each value read as YAML";
    let mut schema = document(&declared_plan::schema(&defaults()), title);
    percents_by_default(&mut schema["$defs"]["canary"]);
    schema
}

fn profile_schema() -> Value {
    document(&Profile::schema(), "A policy profile of Haldane's, the value of the only key of its ConfigMap")
}

fn notifications_schema() -> Value {
    let title = "A routing of notifications, the value of the only key of a ConfigMap haldane-notifications";
    document(&Routing::schema(), title)
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

/// The document in the only key of a `ConfigMap`.
fn stored(object: &Value) -> Value {
    let text = object["data"].as_object().unwrap().values().next().unwrap().as_str().unwrap();
    yaml::parse(text).unwrap()
}

#[test]
fn every_schema_is_fresh() {
    for (file, schema) in [
        ("annotations.json", annotations_schema()),
        ("notifications.json", notifications_schema()),
        ("profile.json", profile_schema()),
    ] {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path = root().join("docs/schema").join(file);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(written == text, "docs/schema/{file} is not what the code says; run `make docs`");
    }
}

#[test]
fn every_example_is_as_the_schemas_say() {
    let (schema, profile) = (annotations_schema(), profile_schema());
    let (mut plans, mut templates, mut profiles) = (0, 0, 0);
    for file in files(".yaml")
        .iter()
        .filter(|file| file.starts_with(root().join("examples")) || file.starts_with(root().join("deploy")))
        // Helm makes YAML of them.
        .filter(|file| !file.starts_with(root().join("deploy/chart/templates")))
    {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&fs::read_to_string(file).unwrap()).unwrap();
        for document in documents {
            let ours = annotations(&document);
            plans += ours.as_object().unwrap().len();
            assert_eq!(fault(&schema, &schema, &ours, "annotations"), None, "{}", file.display());
            let labels = &document["metadata"]["labels"];
            if labels[keys::TEMPLATE_LABEL] == "true" {
                let template = stored(&document);
                let spec = template.get("spec").unwrap_or(&template);
                let fault = fault(&schema, &schema["$defs"]["analysisTemplate"], spec, "template");
                assert_eq!(fault, None, "{}", file.display());
                templates += 1;
            }
            if labels[keys::POLICY] == "true" {
                let fault = fault(&profile, &profile, &stored(&document), "profile");
                assert_eq!(fault, None, "{}", file.display());
                profiles += 1;
            }
        }
    }
    assert!(
        plans > 5 && templates > 1 && profiles > 1,
        "{plans} plans, {templates} templates, {profiles} profiles"
    );
}

#[test]
fn every_example_of_the_reference_is_as_the_schema_says() {
    let schema = annotations_schema();
    let of_keys = KEYS.iter().map(|key| (key.name, key.example.to_owned()));
    let in_canary = |text: String| (keys::CANARY, format!("{{{text}}}"));
    let of_settings = SETTINGS.iter().map(|setting| in_canary(setting.example.to_owned()));
    let of_steps = STEPS.iter().map(|step| in_canary(format!("steps: [{{{}}}]", step.example)));
    let of_blue_green =
        blue_green::SETTINGS.iter().map(|setting| (keys::BLUE_GREEN, format!("{{{}}}", setting.example)));
    let of_providers = PROVIDERS.iter().map(|provider| {
        let config = json!({provider.key(): yaml::parse(provider.example()).unwrap()});
        (keys::ANALYSIS, json!({"metrics": [{"name": "m", "provider": config}]}).to_string())
    });
    for (key, text) in of_keys.chain(of_settings).chain(of_steps).chain(of_blue_green).chain(of_providers) {
        let object = json!({"metadata": {"annotations": {key: text}}});
        assert_eq!(fault(&schema, &schema, &annotations(&object), "annotations"), None, "{key}: {text}");
    }
    let schema = profile_schema();
    for rule in RULES {
        let profile = json!({"rules": {rule.id: yaml::parse(rule.example).unwrap()}});
        assert_eq!(fault(&schema, &schema, &profile, "profile"), None, "{}", rule.id);
    }
    let (schema, routing) = (notifications_schema(), yaml::parse(EXAMPLE).unwrap());
    assert_eq!(fault(&schema, &schema, &routing, "routing"), None);
}

#[test]
fn a_slip_is_one_to_the_schema_too() {
    let schema = annotations_schema();
    let told = |canary: Value| fault(&schema, &schema, &json!({keys::CANARY: canary}), "annotations");
    for (slip, place) in [
        (json!({"setps": []}), ".setps is unknown"),
        (json!({"steps": [{"setWeihgt": 5}]}), ".steps[0].setWeihgt is unknown"),
        (json!({"steps": [{"setWeight": "5"}]}), ".steps[0].setWeight is not a \"integer\""),
        (json!({"steps": [{"setWeight": 101}]}), ".steps[0].setWeight is not from"),
        (json!({"analysis": {"startingStep": 0, "template": []}}), ".analysis.template is unknown"),
        (json!("on"), "is not a \"object\""),
    ] {
        let said = told(slip.clone()).unwrap_or_default();
        assert!(said.contains(place), "{slip}: {said}");
    }
    assert_eq!(told(json!("enabled")), None);
}

/// Every kind of value, good and bad ones, within a whole plan or template. Fields of the same kind are read alike.
const VALUES: &[(&str, &str, &[&str], &[&str])] = &[
    (
        keys::CANARY,
        "{steps: [{setWeight: VALUE}]}",
        &["0", "1", "100"],
        &["-1", "101", "1.5", "'5'", "true", "[]", "{}"],
    ),
    (
        keys::CANARY,
        "{trafficRouting: {nginx: {}, maxTrafficWeight: 1000}, steps: [{setWeight: VALUE}]}",
        &["0", "101", "1000"],
        &["-1", "1000001", "'5'"],
    ),
    (
        keys::CANARY,
        "{steps: [{pause: {duration: VALUE}}]}",
        &["0", "30", "'30'", "5m", "1h30m", "1.5s", ".5s", "'0'"],
        &["-1", "'-1'", "1d", "soon", "5 m", "-5s", "''", "1.5", "[]", "2147483648"],
    ),
    (keys::CANARY, "{steps: [{setCanaryScale: {weight: VALUE}}]}", &["0", "100"], &["-1", "101", "'7'"]),
    (keys::CANARY, "{steps: [{setCanaryScale: {matchTrafficWeight: VALUE}}]}", &["true"], &["'yes'", "1"]),
    (
        keys::CANARY,
        "{steps: [{setHeaderRoute: {name: a, match: [{headerName: X, headerValue: VALUE}]}}]}",
        &["{exact: a}", "{prefix: a}", "{regex: a.*}"],
        &["a", "{exact: 1}", "{suffix: a}", "[]"],
    ),
    (
        keys::CANARY,
        "{steps: [{analysis: {args: [{name: a, valueFrom: {podTemplateHashValue: VALUE}}]}}]}",
        &["Stable", "Latest", "Canary"],
        &["stable", "New", "1"],
    ),
    (keys::CANARY, "{dynamicStableScale: VALUE}", &["false"], &["true", "'false'"]),
    (
        keys::CANARY,
        "{canaryMetadata: VALUE}",
        &["{labels: {a: b}}", "{annotations: {a: 'true'}}"],
        &["{labels: {a: true}}", "{label: {a: b}}", "[]"],
    ),
    (
        keys::ANALYSIS,
        "{metrics: [{name: m, interval: VALUE, provider: {prometheus: {query: q}}}]}",
        &["30s", "1h", "'0'", "''", "'{{args.i}}'"],
        &["30", "1d", "-5s", "soon", "5 m"],
    ),
    (
        keys::ANALYSIS,
        "{metrics: [{name: m, count: VALUE, interval: 1m, provider: {prometheus: {query: q}}}]}",
        &["1", "'3'", "'{{args.n}}'", "'+2'"],
        &["three", "'1.5'", "1.5", "''", "25%", "[]", "true"],
    ),
    (
        keys::ANALYSIS,
        "{metrics: [{name: m, successCondition: VALUE, provider: {prometheus: {query: q}}}]}",
        &["result > 1", "''"],
        &["1", "true", "[]"],
    ),
    (
        keys::ANALYSIS,
        "{metrics: [{name: m, provider: {prometheus: {query: VALUE}}}]}",
        &["up", "{a: up, b: down}"],
        &["1", "[up]", "{a: 1}"],
    ),
    (
        keys::ANALYSIS,
        "{metrics: [{name: m, provider: {web: {url: 'http://a.example', headers: VALUE}}}]}",
        &["[]", "[{key: a, value: b}]"],
        &["{a: b}", "[{name: a, value: b}]", "[{key: a, value: 1}]"],
    ),
];

#[test]
fn a_value_is_good_to_the_schema_as_it_is_to_the_parser() {
    let schema = annotations_schema();
    let defaults = defaults();
    let parsed = |key: &str, document: &Value| match key {
        keys::CANARY => read_strategy(document, "canary", &defaults).map(|_| ()),
        _ => fields::read(document, "spec", template::template).map(|_| ()),
    };
    for (key, plan, good, bad) in VALUES {
        let values = good.iter().map(|value| (value, true)).chain(bad.iter().map(|value| (value, false)));
        for (value, is_good) in values {
            let document = yaml::parse(&plan.replace("VALUE", value)).unwrap();
            let parser = parsed(key, &document);
            assert_eq!(parser.is_ok(), is_good, "the parser on {document}: {parser:?}");
            let told = fault(&schema, &schema, &json!({*key: document}), "annotations");
            assert_eq!(told.is_none(), is_good, "the schema on {document}: {told:?}");
        }
    }
}
