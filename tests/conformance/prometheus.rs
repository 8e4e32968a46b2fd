//! `prometheus.jsonl`: an HTTP answer, read and judged.

use crate::{
    differences::{ADMISSION, AS_SPELT, TIME_UNREAD, UNKNOWN_RANGE},
    evaluate::judged,
    provider::exchange,
    report::{Outcome, passed_if},
};
use haldane::{
    document::fields,
    domain::value::Reading,
    providers::{MetricProvider, Sample, prometheus::Prometheus},
};
use serde_json::{Value, json};

pub fn check(line: &Value) -> Outcome {
    let mut config = json!({"address": "http://prometheus:9090/", "query": "q"});
    if line["range_query"] == true {
        // The recording says of the range only what is wrong with it.
        config["rangeQuery"] = json!({"start": "now() - duration(\"5m\")", "end": "now()", "step": "1m"});
        let why = line["why"].as_str().unwrap();
        match ["start", "end", "step"].into_iter().find(|field| why.ends_with(&format!("an empty {field}"))) {
            Some(field) => config["rangeQuery"][field] = "".into(),
            None if line["error_contains"].as_str().is_some_and(|said| said.contains("rangeQuery.")) => {
                return Outcome::Different(&UNKNOWN_RANGE);
            }
            None => {}
        }
    }
    if let Err(findings) = fields::read(&config, "prometheus", |node| Prometheus.check(node)) {
        let argos = line["error_contains"].as_str().unwrap_or_default();
        let is_field = |path: &str| argos.contains(path.strip_prefix("prometheus.").unwrap_or(path));
        return if line["phase"] == "Error" && findings.iter().any(|finding| is_field(&finding.path)) {
            Outcome::Different(&ADMISSION)
        } else {
            Outcome::Failed(format!("refused: {findings:?}"))
        };
    }
    let (request, outcome) = exchange(&Prometheus, &config, line);
    let endpoint = if line["range_query"] == true { "query_range" } else { "query" };
    assert_eq!(request.unwrap().url.as_str(), format!("http://prometheus:9090/api/v1/{endpoint}"));
    let compared = match outcome {
        Err(said) => failed(line, &said),
        Ok(_) if line["phase"] == "Error" && has_exponent_time(line) => Outcome::Different(&TIME_UNREAD),
        Ok(sample) => read(line, &sample),
    };
    match compared {
        Outcome::Failed(_) if !is_as_spelt(line) => Outcome::Different(&AS_SPELT),
        compared => compared,
    }
}

fn read(line: &Value, sample: &Sample) -> Outcome {
    let Reading::Value { value, text } = &sample.reading else { panic!("a verdict of Prometheus") };
    let outcome = judged(line, value);
    let metadata = json!(sample.metadata);
    if line["phase"] != "Error" && line["value"] != *text {
        return Outcome::Failed(format!("value {text} instead of {}", line["value"]));
    }
    // Argo drops it when a condition fails.
    if line["phase"] != "Error" && *line.get("metadata").unwrap_or(&json!({})) != metadata {
        return Outcome::Failed(format!("metadata {metadata}"));
    }
    outcome
}

fn body(line: &Value) -> &str {
    line["body"].as_str().unwrap_or_default()
}

/// Whether every field of the answer is written as Prometheus does.
fn is_as_spelt(line: &Value) -> bool {
    const FIELDS: [&str; 7] = ["status", "data", "resultType", "result", "metric", "value", "values"];
    let lower = body(line).to_lowercase();
    let quoted = |field: &str| format!("\"{field}\":");
    FIELDS.iter().all(|field| {
        lower.matches(&quoted(&field.to_lowercase())).count() == body(line).matches(&quoted(field)).count()
    })
}

/// Whether the time of a sample is written as `1e3`.
fn has_exponent_time(line: &Value) -> bool {
    body(line).split('[').any(|rest| {
        let time = rest.split(',').next().unwrap_or_default().trim();
        time.contains(['e', 'E']) && time.parse::<f64>().is_ok()
    })
}

fn failed(line: &Value, said: &str) -> Outcome {
    // Without a recorded part that does not depend on the JSON library, any error will do.
    let argos = line["error_contains"].as_str().unwrap_or_default();
    if line["phase"] == "Error" {
        return passed_if(said.contains(argos), said);
    }
    Outcome::Failed(format!("error {said:?} instead of {} {argos:?}", line["phase"]))
}
