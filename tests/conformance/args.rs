//! `args.jsonl`: arguments and templates on their way to a run.

use crate::{
    differences::{
        CANARY_HASH, CONTROL_CHARACTERS, DEPLOYMENT_FIELDS, FIELD_THERE, MERGED_ARGS, NO_METRICS,
        OBJECTS_OF_ARGO, PANICS, SAID_IN_FULL, SECRETS_STAY, WORDS,
    },
    refusals,
    report::Outcome,
};
use haldane::{
    analysis::{
        self, RunPlan,
        args::{self, RunArgs},
    },
    config::{steps, template},
    document::fields,
    domain::{
        k8s::field_path,
        metric::{AnalysisTemplate, Arg, MetricRule, MetricRules, ResolvedArg, SecretKeyRef},
        strategy::Side,
    },
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub fn check(line: &Value) -> Outcome {
    let input = &line["input"];
    match line["kind"].as_str().unwrap() {
        "resolve" | "resolveQuoted" => resolve(line, input),
        "metric" => metric(line, input),
        "merge" => merge(line, input),
        "flatten" => flatten(line, input),
        "newRun" => new_run(line, input),
        "secret" => secret(line, input),
        "build" => build(line, input),
        _ => Outcome::Different(&OBJECTS_OF_ARGO),
    }
}

/// The same value or the same error as recorded.
#[expect(clippy::needless_pass_by_value, reason = "every caller has made the value for this")]
fn compare<T: PartialEq + std::fmt::Debug>(line: &Value, expected: T, got: Result<T, String>) -> Outcome {
    match (got, line["error_contains"].as_str()) {
        (Ok(got), None) if got == expected => Outcome::Passed,
        (Err(said), Some(argos)) if said.contains(argos) => Outcome::Passed,
        (Err(said), Some(argos)) if says_the_same(&said, argos) => Outcome::Different(&WORDS),
        (got, argos) => Outcome::Failed(format!("{got:?} instead of {expected:?} {argos:?}")),
    }
}

/// The same cause, reported for a Deployment or for the text itself where Argo shows it as JSON.
fn says_the_same(said: &str, argos: &str) -> bool {
    said.replace("in the Deployment", "in rollout").contains(argos)
        || argos.replace("\\\"", "\"") == said
        || (said.starts_with("Cannot find end tag") && argos.starts_with("failed to resolve {{"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Arguments with values; none if one of them has no value, which cannot be said here.
fn resolved(args: &Value) -> Option<Vec<ResolvedArg>> {
    let arg = |arg: &Value| {
        Some(ResolvedArg { name: text(&arg["name"]), value: arg["value"].as_str()?.to_owned() })
    };
    items(args).map(arg).collect()
}

/// An argument without a value never gets so far here.
fn valueless(line: &Value) -> Outcome {
    let argos = line["error_contains"].as_str().unwrap_or_default();
    if argos.contains(" was not supplied") {
        Outcome::Different(&MERGED_ARGS)
    } else {
        Outcome::Failed(format!("an argument has no value, and Argo says {argos:?}"))
    }
}

fn resolve(line: &Value, input: &Value) -> Outcome {
    let Some(args) = resolved(&input["args"]) else { return valueless(line) };
    let got = args::substitute(input["template"].as_str().unwrap(), &args);
    let quoted = line["kind"] == "resolveQuoted";
    let expected = text(&line["result"]);
    compare(line, if quoted { unquoted(&expected) } else { expected }, got)
}

/// Argo puts values into JSON text, quoted as Go does; Haldane puts them into the strings themselves.
fn unquoted(text: &str) -> String {
    let mut unquoted = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        unquoted.push(match c {
            '\\' => match chars.next().unwrap() {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                'x' => coded(&mut chars, 2),
                'u' => coded(&mut chars, 4),
                'U' => coded(&mut chars, 8),
                other => other,
            },
            c => c,
        });
    }
    unquoted
}

/// A character by its hexadecimal number of so many digits.
fn coded(chars: &mut impl Iterator<Item = char>, digits: usize) -> char {
    let code: String = chars.take(digits).collect();
    char::from_u32(u32::from_str_radix(&code, 16).unwrap()).unwrap()
}

fn metric(line: &Value, input: &Value) -> Outcome {
    let Some(args) = resolved(&input["args"]) else { return valueless(line) };
    let got = args::substitute_json(&input["metric"], &args);
    let mut texts =
        args.iter().map(|arg| arg.value.clone()).chain([input["metric"].to_string().replace("\\n", "\n")]);
    // In JSON they are escaped, also within the braces.
    let refusal = line["error_contains"].as_str().unwrap_or_default();
    let is_bad_json = refusal.contains("invalid character") || refusal.starts_with("failed to resolve {{\\");
    if got.is_ok() && is_bad_json && texts.any(|text| text.contains(char::is_control)) {
        return Outcome::Different(&CONTROL_CHARACTERS);
    }
    compare(line, sparse(&line["result"]), got.map(|metric| sparse(&metric)))
}

/// Without what Go leaves out when it is empty.
fn sparse(value: &Value) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    let kept = fields.iter().map(|(key, value)| (key.clone(), sparse(value)));
    Value::Object(kept.filter(|(_, value)| *value != json!("") && *value != json!({})).collect())
}

fn secret_key(arg: &Value) -> Option<SecretKeyRef> {
    let key = &arg["valueFrom"]["secretKeyRef"];
    key.is_object().then(|| SecretKeyRef { name: text(&key["name"]), key: text(&key["key"]) })
}

fn field_of(arg: &Value) -> Option<String> {
    arg["valueFrom"]["fieldRef"]["fieldPath"].as_str().map(str::to_owned)
}

fn declared(arg: &Value) -> Arg {
    Arg {
        name: text(&arg["name"]),
        value: arg["value"].as_str().map(str::to_owned),
        field: field_of(arg),
        secret: secret_key(arg),
    }
}

/// Merged arguments: each with its value, unless a secret holds it.
fn merge(line: &Value, input: &Value) -> Outcome {
    let incoming = || items(&input["incoming"]);
    if incoming().any(|arg| arg.get("valueFrom").is_some()) {
        return Outcome::Different(&SECRETS_STAY);
    }
    // One without a value says nothing.
    let given: Vec<_> = incoming()
        .filter_map(|arg| {
            Some(ResolvedArg { name: text(&arg["name"]), value: arg["value"].as_str()?.into() })
        })
        .collect();
    let declares: Vec<_> = items(&input["template"]).map(declared).collect();
    if declares
        .iter()
        .enumerate()
        .any(|(at, arg)| declares.iter().take(at).any(|other| other.name == arg.name))
    {
        return Outcome::Different(&MERGED_ARGS);
    }
    if declares.iter().any(|arg| arg.field.is_some()) {
        return Outcome::Different(&DEPLOYMENT_FIELDS);
    }
    let merged = RunArgs::merge(&given, &declares);
    let expected: Vec<_> = items(&line["result"]).map(declared).collect();
    let values = expected.iter().filter(|arg| arg.secret.is_none());
    let values = values.map(|arg| ResolvedArg { name: arg.name.clone(), value: arg.value.clone().unwrap() });
    let secrets = expected.iter().filter_map(|arg| Some((arg.name.clone(), arg.secret.clone()?)));
    compare(
        line,
        (values.collect::<Vec<_>>(), secrets.collect::<BTreeMap<_, _>>()),
        merged.map(|args| (args.values, args.secrets)),
    )
}

/// Arguments of a step, read and bound to the two sides and the fields of an object.
fn build(line: &Value, input: &Value) -> Outcome {
    let document = json!({"templates": [{"templateName": "t"}], "args": input["args"]});
    let analysis = match fields::read(&document, "analysis", steps::analysis) {
        Ok(analysis) => analysis,
        Err(findings) => match refusals::rule(&findings) {
            Some(rule) => return Outcome::Different(rule),
            None => return Outcome::Failed(format!("refused: {findings:?}")),
        },
    };
    let hash = |side| {
        let hash = &input[if side == Side::Stable { "stableHash" } else { "latestHash" }];
        hash.as_str().filter(|hash| !hash.is_empty()).map(str::to_owned)
    };
    let got = args::bind(&analysis.args, hash, |path| field_path::read(&input["rollout"], path));
    let expected = resolved(&line["result"]).unwrap_or_default();
    let argos = expected.first().map(|arg| arg.value.as_str());
    match &got {
        Ok(_) if items(&input["args"]).any(|arg| arg["valueFrom"]["podTemplateHashValue"] == "Canary") => {
            Outcome::Different(&CANARY_HASH)
        }
        Ok(bound) if bound.iter().any(|arg| is_said_in_full(&arg.value, argos)) => {
            Outcome::Different(&SAID_IN_FULL)
        }
        Err(_) if line["outcome"] == "panic" => Outcome::Different(&PANICS),
        Err(_) if line["outcome"] == "ok" && expected.iter().any(|arg| arg.value.is_empty()) => {
            Outcome::Different(&FIELD_THERE)
        }
        _ => compare(line, expected, got),
    }
}

fn is_said_in_full(ours: &str, argos: Option<&str>) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    match argos {
        None => ours == "false",
        Some(argos) => argos != ours && argos.contains("e+") && number(argos) == number(ours),
    }
}

fn query_metric(query: &str) -> Value {
    json!({"name": "m", "provider": {"prometheus": {"address": "http://p", "query": format!("q{query}")}}})
}

fn templates(recorded: &Value) -> Vec<AnalysisTemplate> {
    let read = |object: &Value| fields::read(&object["spec"], "spec", template::template).unwrap();
    items(recorded).map(read).collect()
}

fn all_templates(input: &Value) -> Vec<AnalysisTemplate> {
    let namespaced = templates(&input["templates"]);
    namespaced.into_iter().chain(templates(&input["clusterTemplates"])).collect()
}

fn flatten(line: &Value, input: &Value) -> Outcome {
    if line["result"]["metrics"].is_null() && line["outcome"] == "ok" {
        return Outcome::Different(&NO_METRICS);
    }
    let expected = line.get("result").map(|spec| templates(&json!([{"spec": spec}])).remove(0));
    compare(line, expected.unwrap_or_default(), analysis::flatten(&all_templates(input)))
}

fn rules(of: &Value) -> MetricRules {
    let rule = |rule: &Value| MetricRule {
        metric_name: text(&rule["metricName"]),
        limit: u32::try_from(rule["limit"].as_u64().unwrap_or_default()).unwrap(),
    };
    MetricRules {
        dry_run: items(&of["dryRun"]).map(rule).collect(),
        measurement_retention: items(&of["measurementRetention"]).map(rule).collect(),
    }
}

/// What a run is made of, before its metrics are resolved.
fn new_run(line: &Value, input: &Value) -> Outcome {
    if line["result"]["metrics"].is_null() && line["outcome"] == "ok" {
        return Outcome::Different(&NO_METRICS);
    }
    if items(&input["args"]).any(|arg| arg.get("valueFrom").is_some()) {
        return Outcome::Different(&SECRETS_STAY);
    }
    let Some(given) = resolved(&input["args"]) else { return valueless(line) };
    if items(&line["result"]["args"]).any(|arg| field_of(arg).is_some()) {
        return Outcome::Different(&DEPLOYMENT_FIELDS);
    }
    let result = &line["result"];
    let metrics = line.get("result").map(|_| templates(&json!([{"spec": {"metrics": result["metrics"]}}])));
    let metrics = metrics.map(|mut template| template.remove(0).metrics).unwrap_or_default();
    let values: Vec<_> = items(&result["args"]).filter(|arg| secret_key(arg).is_none()).cloned().collect();
    let values = resolved(&values.into()).unwrap_or_default();
    let plan = RunPlan::new(&all_templates(input), &rules(input), &given);
    compare(
        line,
        (metrics, rules(result), values),
        plan.map(|plan| (plan.metrics, plan.rules, plan.args.values)),
    )
}

fn secret(line: &Value, input: &Value) -> Outcome {
    if items(&input["args"]).any(|arg| field_of(arg).is_some()) {
        return Outcome::Different(&DEPLOYMENT_FIELDS);
    }
    let metric = json!([{"spec": {"metrics": [query_metric("")]}}]);
    let mut template = templates(&metric).remove(0);
    template.args = items(&input["args"]).map(declared).collect();
    template.metrics[0].provider.config["query"] = input["query"].clone();
    let run = analysis::start("run", &[template], &MetricRules::default(), &[]).unwrap();
    let stored = text(&run.specs[0].provider.config["query"]);
    let secrets: Option<Vec<_>> = run
        .secrets
        .iter()
        .map(|(name, at)| {
            let value = input["secrets"][&at.name][&at.key].as_str()?.to_owned();
            Some(ResolvedArg { name: name.clone(), value })
        })
        .collect();
    let Some(secrets) = secrets else {
        let is_missed = line["result"]["phase"] == "Error";
        return if is_missed {
            Outcome::Different(&SECRETS_STAY)
        } else {
            Outcome::Failed("a secret".into())
        };
    };
    assert!(
        secrets.iter().all(|secret| !stored.contains(&secret.value) || secret.value.len() < 2),
        "{stored}"
    );
    let sent = args::substitute(&stored, &secrets).unwrap();
    let told = text(&input["provider_message"]).replace("<resolved query>", &sent);
    let expected =
        (&line["result"]["metadata"]["ResolvedPrometheusQuery"], &line["result"]["measurement_message"]);
    let got = (&json!(sent), &json!(analysis::secrets::redact(&told, &secrets)));
    if got == expected {
        Outcome::Passed
    } else {
        Outcome::Failed(format!("{got:?} instead of {expected:?}"))
    }
}
