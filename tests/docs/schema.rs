//! JSON Schema of the annotations, made from the same tables as the reference. It is for editors and checks
//! before `apply`: names of fields, what they mean and what they may be. The parser asks for more, never for less.

use crate::{files, root, schema_check::fault};
use haldane::{
    config::{
        annotations::KEYS,
        blue_green,
        metric::METRIC_FIELDS,
        settings,
        steps::{ANALYSIS_FIELDS, STEPS},
        strategy::{Defaults, read_strategy},
        template::{self, TEMPLATE_FIELDS},
    },
    document::{fields, schema::Schema, yaml},
    domain::keys,
    providers::{Field, PROVIDERS},
    routers,
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

/// One or more numbers with units, or 0, as in Go.
const DURATION: &str = r"(\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+|[+-]?0+(\.0*)?(ns|us|µs|μs|ms|s|m|h)?|-(0+(ns|us|µs|μs|ms|s|m|h))+)";
/// Becomes something else when the arguments are known.
const ARGUMENT: &str = r"[\s\S]*\{\{[\s\S]*";

fn text_like(pattern: &str) -> Value {
    json!({"type": "string", "pattern": format!("^({pattern})$")})
}

fn of(kind: &Schema) -> Value {
    match kind {
        Schema::Any => json!({}),
        Schema::Text => json!({"type": "string"}),
        Schema::Bool => json!({"type": "boolean"}),
        Schema::False => json!({"const": false}),
        Schema::Word(words) => json!({"enum": words}),
        Schema::Whole(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Schema::Count => {
            json!({"anyOf": [{"type": "integer"}, text_like(&format!("[+-]?[0-9]+|{ARGUMENT}"))]})
        }
        Schema::Duration => text_like(DURATION),
        Schema::Span => text_like(&format!("{DURATION}|{ARGUMENT}|")),
        Schema::PauseTime => {
            let seconds = json!({"type": "integer", "minimum": 0, "maximum": i32::MAX});
            json!({"anyOf": [seconds, text_like(&format!(r"\+?[0-9]+|-0+|{DURATION}"))]})
        }
        Schema::Queries => {
            json!({"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}]})
        }
        Schema::List(item) => json!({"type": "array", "items": of(item)}),
        Schema::Map(value) => json!({"type": "object", "additionalProperties": of(value)}),
        Schema::Object(fields) => object(fields.iter().map(|(name, kind)| (*name, of(kind)))),
        Schema::Named(name) => json!({"$ref": format!("#/$defs/{name}")}),
    }
}

fn described(mut schema: Value, doc: &str) -> Value {
    schema["description"] = doc.into();
    schema
}

/// Fields with their meaning.
fn fields(table: &'static [Field]) -> Vec<(&'static str, Value)> {
    table.iter().map(|field| (field.name, described(of(&field.kind), field.doc))).collect()
}

/// Weights are percents unless a total says otherwise.
fn percents_by_default(mut canary: Value) -> Value {
    let total = json!({"properties": {"trafficRouting": {"required": ["maxTrafficWeight"]}}, "required": ["trafficRouting"]});
    let at_most = json!({"maximum": 100});
    let scale = json!({"properties": {"weight": at_most}});
    let step = json!({"properties": {"setWeight": at_most, "setCanaryScale": scale}});
    canary["if"] = json!({"not": total});
    canary["then"] = json!({"properties": {"steps": {"items": step}}});
    canary
}

fn schema() -> Value {
    let step = STEPS.iter().map(|step| (step.key, described(of(&step.kind), step.doc)));
    let provider = PROVIDERS
        .iter()
        .map(|provider| (provider.key(), described(object(fields(provider.fields())), provider.doc())));
    let canary = settings::SETTINGS.iter().map(|known| (known.key, described(of(&known.kind), known.doc)));
    let blue_green =
        blue_green::SETTINGS.iter().map(|known| (known.key, described(of(&known.kind), known.doc)));
    let routing = routers::nameable().map(|router| {
        let fields = router.fields().iter().map(|field| (field.key, described(of(&field.kind), field.doc)));
        (router.key(), described(object(fields), router.doc()))
    });
    let routing = routing.chain(settings::ROUTING.iter().map(|(key, kind)| (*key, of(kind))));
    let starting_step = ("startingStep", of(&Schema::Whole(0, 100)));
    let definitions = json!({
        "canary": percents_by_default(object(canary)),
        "blueGreen": object(blue_green),
        "step": object(step),
        "analysis": object(fields(ANALYSIS_FIELDS)),
        "backgroundAnalysis": object(fields(ANALYSIS_FIELDS).into_iter().chain([starting_step])),
        "analysisTemplate": object(fields(TEMPLATE_FIELDS)),
        "metric": object(fields(METRIC_FIELDS)),
        "provider": object(provider),
        "trafficRouting": object(routing),
    });
    let annotation = |name: &str| match name {
        keys::CANARY => json!({"anyOf": [{"enum": ["enabled", "disabled"]}, {"$ref": "#/$defs/canary"}]}),
        keys::BLUE_GREEN => json!({"$ref": "#/$defs/blueGreen"}),
        keys::ANALYSIS => json!({"$ref": "#/$defs/analysisTemplate"}),
        keys::SETTLE => of(&Schema::Duration),
        keys::RESTART => of(&Schema::Word(&["canary"])),
        _ => of(&Schema::Text),
    };
    let annotations = KEYS.iter().map(|key| (key.name, described(annotation(key.name), key.doc)));
    let mut schema = object(annotations);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "Haldane's annotations of a Deployment, each value read as YAML".into();
    schema["$defs"] = definitions;
    schema
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

/// Every kind of value, good and bad ones, within a whole plan or template.
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
    (
        keys::CANARY,
        "{steps: [{setCanaryScale: {replicas: VALUE}}]}",
        &["0", "7"],
        &["-1", "100001", "'7'", "x"],
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
    (
        keys::CANARY,
        "{steps: [{pause: {}}], analysis: {startingStep: VALUE}}",
        &["0"],
        &["-1", "101", "'0'", "first"],
    ),
    (keys::CANARY, "{minPodsPerReplicaSet: VALUE}", &["0", "3"], &["-3", "'3'", "many"]),
    (keys::CANARY, "{scaleDownDelaySeconds: VALUE}", &["0", "604800"], &["-1", "604801", "30s", "'30'"]),
    (keys::CANARY, "{abortScaleDownDelaySeconds: VALUE}", &["0", "30"], &["-1", "30s"]),
    (keys::CANARY, "{progressDeadlineAbort: VALUE}", &["true", "false"], &["'true'", "1"]),
    (keys::CANARY, "{dynamicStableScale: VALUE}", &["false"], &["true", "'false'"]),
    (keys::CANARY, "{rollbackWindow: {revisions: VALUE}}", &["0", "20"], &["-1", "21", "'3'"]),
    (
        keys::CANARY,
        "{replicaProgressThreshold: {type: VALUE, value: 90}}",
        &["Percent", "Pods"],
        &["percent", "1"],
    ),
    (
        keys::CANARY,
        "{antiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: {weight: VALUE}}}",
        &["1", "100"],
        &["0", "101", "'5'"],
    ),
    (
        keys::CANARY,
        "{canaryMetadata: VALUE}",
        &["{labels: {a: b}}", "{annotations: {a: 'true'}}"],
        &["{labels: {a: true}}", "{label: {a: b}}", "[]"],
    ),
    (
        keys::CANARY,
        "{trafficRouting: {nginx: {}, maxTrafficWeight: VALUE}}",
        &["100", "1000"],
        &["99", "'1000'"],
    ),
    (keys::CANARY, "{stableService: VALUE}", &["web"], &["1", "[]", "{}"]),
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
        "{metrics: [{name: m, provider: {prometheus: {query: q, timeout: VALUE}}}]}",
        &["0", "300"],
        &["-1", "301", "20s", "'20'"],
    ),
    (
        keys::ANALYSIS,
        "{metrics: [{name: m, provider: {web: {url: 'http://a.example', method: VALUE}}}]}",
        &["GET", "POST", "PUT"],
        &["get", "DELETE", "1"],
    ),
    (
        keys::ANALYSIS,
        "{metrics: [{name: m, provider: {web: {url: 'http://a.example', headers: VALUE}}}]}",
        &["[]", "[{key: a, value: b}]"],
        &["{a: b}", "[{name: a, value: b}]", "[{key: a, value: 1}]"],
    ),
    (
        keys::ANALYSIS,
        "{measurementRetention: [{metricName: m, limit: VALUE}], metrics: [{name: m, provider: {prometheus: {query: q}}}]}",
        &["0", "100"],
        &["-1", "101", "'5'"],
    ),
    (
        keys::ANALYSIS,
        "{metrics: [{name: m, minSamples: {query: q, count: 5, extendUpTo: VALUE}, provider: {prometheus: {query: q}}}]}",
        &["10m"],
        &["10", "1d"],
    ),
];

#[test]
fn a_value_is_good_to_the_schema_as_it_is_to_the_parser() {
    let schema = schema();
    let defaults = Defaults { settle: "6s".parse().unwrap(), annotation_prefix: "nginx".into() };
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
