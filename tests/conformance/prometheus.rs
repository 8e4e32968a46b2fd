//! `prometheus.jsonl`: an HTTP answer, read and judged.

use crate::{differences::RANGE_QUERY, evaluate::judged, report::Outcome};
use haldane::providers::{Defaults, MetricProvider, prometheus::Prometheus};
use serde_json::{Value, json};

pub fn check(line: &Value) -> Outcome {
    let config = json!({"address": "http://prometheus:9090/", "query": "q"});
    let request = Prometheus.request(&config, &Defaults::default()).unwrap();
    assert_eq!(request.url.as_str(), "http://prometheus:9090/api/v1/query");
    exchange(line, &config)
}

fn exchange(line: &Value, config: &Value) -> Outcome {
    let status = u16::try_from(line["http_status"].as_u64().unwrap()).unwrap();
    match Prometheus.parse(config, status, line["body"].as_str().unwrap().as_bytes()) {
        Err(said) => failed(line, &said),
        Ok(sample) => {
            let outcome = judged(line, &sample.value);
            let is_error = line["phase"] == "Error";
            let metadata = json!(sample.metadata);
            if matches!(outcome, Outcome::Failed(_)) && line["range_query"] == true {
                return Outcome::Different(&RANGE_QUERY);
            }
            if !is_error && line["value"] != sample.value.to_string() {
                return Outcome::Failed(format!("value {} instead of {}", sample.value, line["value"]));
            }
            if *line.get("metadata").unwrap_or(&json!({})) != metadata {
                return Outcome::Failed(format!("metadata {metadata}"));
            }
            outcome
        }
    }
}

fn failed(line: &Value, said: &str) -> Outcome {
    // Without a recorded part that does not depend on the JSON library, any error will do.
    let argos = line["error_contains"].as_str().unwrap_or_default();
    if line["phase"] == "Error" && said.contains(argos) {
        return Outcome::Passed;
    }
    Outcome::Failed(format!("error {said:?} instead of {} {argos:?}", line["phase"]))
}
