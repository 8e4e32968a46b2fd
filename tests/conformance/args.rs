//! `args.jsonl`: arguments and templates on their way to a run.

use crate::{
    differences::{
        CONTROL_CHARACTERS, DEPLOYMENT_FIELDS, MERGED_ARGS, NO_METRICS, OBJECTS_OF_ARGO, SECRETS_STAY,
    },
    report::Outcome,
};
use haldane::{
    analysis::{self, args},
    config::template,
    domain::{
        fields,
        metric::{AnalysisTemplate, Arg, MetricRule, ResolvedArg, SecretKeyRef},
    },
};
use serde_json::{Value, json};

pub fn check(line: &Value) -> Outcome {
    let input = &line["input"];
    match line["kind"].as_str().unwrap() {
        "resolve" | "resolveQuoted" => resolve(line, input),
        "metric" => metric(line, input),
        "merge" => merge(line, input),
        "flatten" => flatten(line, input),
        "newRun" => new_run(line, input),
        "secret" => secret(line, input),
        "build" => Outcome::Different(&DEPLOYMENT_FIELDS),
        _ => Outcome::Different(&OBJECTS_OF_ARGO),
    }
}

/// The same value or the same error as recorded.
#[expect(clippy::needless_pass_by_value, reason = "every caller has made the value for this")]
fn compare<T: PartialEq + std::fmt::Debug>(line: &Value, expected: T, got: Result<T, String>) -> Outcome {
    match (got, line["error_contains"].as_str()) {
        (Ok(got), None) if got == expected => Outcome::Passed,
        (Err(said), Some(argos)) if said.contains(argos) => Outcome::Passed,
        (got, argos) => Outcome::Failed(format!("{got:?} instead of {expected:?} {argos:?}")),
    }
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

fn resolve(line: &Value, input: &Value) -> Outcome {
    let Some(args) = resolved(&input["args"]) else { return Outcome::Different(&MERGED_ARGS) };
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
                'n' => '\n',
                't' => '\t',
                'x' => {
                    let code: String = chars.by_ref().take(2).collect();
                    char::from(u8::from_str_radix(&code, 16).unwrap())
                }
                other => other,
            },
            c => c,
        });
    }
    unquoted
}

fn metric(line: &Value, input: &Value) -> Outcome {
    let Some(args) = resolved(&input["args"]) else { return Outcome::Different(&MERGED_ARGS) };
    let got = args::substitute_json(&input["metric"], &args);
    if got.is_ok()
        && line["outcome"] == "error"
        && args.iter().any(|arg| arg.value.contains(char::is_control))
    {
        return Outcome::Different(&CONTROL_CHARACTERS);
    }
    compare(line, line["result"].clone(), got)
}

fn declared(arg: &Value) -> Arg {
    let key = &arg["valueFrom"]["secretKeyRef"];
    let secret = key.is_object().then(|| SecretKeyRef { name: text(&key["name"]), key: text(&key["key"]) });
    Arg { name: text(&arg["name"]), value: arg["value"].as_str().map(str::to_owned), field: None, secret }
}

/// Merged arguments, seen in a run whose only query names them all.
fn merge(line: &Value, input: &Value) -> Outcome {
    let Some(given) = resolved(&input["incoming"]) else { return Outcome::Different(&SECRETS_STAY) };
    let args: Vec<_> = items(&input["template"]).map(declared).collect();
    let terms: Vec<String> =
        args.iter().map(|arg| format!("{}={{{{args.{}}}}};", arg.name, arg.name)).collect();
    let query = terms.concat();
    let expected: String = items(&line["result"])
        .map(declared)
        .map(|arg| match (arg.secret, arg.value) {
            (None, Some(value)) => format!("{}={value};", arg.name),
            _ => format!("{}={{{{args.{}}}}};", arg.name, arg.name),
        })
        .collect();
    let template = AnalysisTemplate {
        args,
        ..templates(&json!([{"spec": {"metrics": [query_metric(&query)]}}])).remove(0)
    };
    let run = analysis::start("run", &[template], &given);
    compare(line, format!("q{expected}"), run.map(|run| text(&run.specs[0].provider.config["query"])))
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
    let expected = line.get("result").map(|spec| templates(&json!([{"spec": spec}])).remove(0));
    compare(line, expected.unwrap_or_default(), analysis::flatten(&all_templates(input)))
}

fn new_run(line: &Value, input: &Value) -> Outcome {
    if line["result"]["metrics"].is_null() && line["outcome"] == "ok" {
        return Outcome::Different(&NO_METRICS);
    }
    let rule = |rule: &Value| MetricRule {
        metric_name: text(&rule["metricName"]),
        limit: u32::try_from(rule["limit"].as_u64().unwrap_or_default()).unwrap(),
    };
    let own = AnalysisTemplate {
        dry_run: items(&input["dryRun"]).map(rule).collect(),
        measurement_retention: items(&input["measurementRetention"]).map(rule).collect(),
        ..AnalysisTemplate::default()
    };
    let templates: Vec<_> = std::iter::once(own).chain(all_templates(input)).collect();
    let started = analysis::start("run", &templates, &resolved(&input["args"]).unwrap());
    let expected: Vec<_> = items(&line["result"]["dryRun"]).map(rule).collect();
    compare(line, expected, started.and_then(|_| analysis::flatten(&templates)).map(|plan| plan.dry_run))
}

fn secret(line: &Value, input: &Value) -> Outcome {
    if items(&input["args"]).any(|arg| arg["valueFrom"]["fieldRef"].is_object()) {
        return Outcome::Different(&DEPLOYMENT_FIELDS);
    }
    let metric = json!([{"spec": {"metrics": [query_metric("")]}}]);
    let mut template = templates(&metric).remove(0);
    template.args = items(&input["args"]).map(declared).collect();
    template.metrics[0].provider.config["query"] = input["query"].clone();
    let run = analysis::start("run", &[template], &[]).unwrap();
    let stored = text(&run.specs[0].provider.config["query"]);
    let secrets: Option<Vec<_>> = run
        .secrets
        .iter()
        .map(|(name, at)| {
            let value = input["secrets"][&at.name][&at.key].as_str()?.to_owned();
            Some(ResolvedArg { name: name.clone(), value })
        })
        .collect();
    let Some(secrets) = secrets else { return Outcome::Different(&SECRETS_STAY) };
    assert!(
        secrets.iter().all(|secret| !stored.contains(&secret.value) || secret.value.len() < 2),
        "{stored}"
    );
    let sent = args::substitute(&stored, &secrets).unwrap();
    let told = text(&input["provider_message"]).replace("<resolved query>", &sent);
    let expected =
        (&line["result"]["metadata"]["ResolvedPrometheusQuery"], &line["result"]["measurement_message"]);
    let got = (&json!(sent), &json!(args::redact(&told, &secrets)));
    if got == expected {
        Outcome::Passed
    } else {
        Outcome::Failed(format!("{got:?} instead of {expected:?}"))
    }
}
