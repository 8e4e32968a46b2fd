//! `web.jsonl`: an HTTP answer of any service, read and judged; and what was sent for it.

use crate::{
    differences::{ADMISSION, CONSTANT_PATH, HALF_A_CHARACTER, NO_BYTES, NOT_JSON, PANICS},
    evaluate::judged,
    provider::exchange,
    report::Outcome,
};
use haldane::{
    document::{fields, finding::Finding},
    domain::value::Reading,
    providers::{MetricProvider, http::HttpRequest, web::Web},
};
use serde_json::{Value, json};

pub fn check(line: &Value) -> Outcome {
    let config = config(line);
    let argos = line["error_contains"].as_str();
    if let Err(findings) = fields::read(&config, "web", |node| Web.check(node)) {
        return match argos {
            _ if line["jsonPath"].as_str().is_some_and(|path| !path.contains('{')) && is_path(&findings) => {
                Outcome::Different(&CONSTANT_PATH)
            }
            Some(argos) if findings.iter().any(|finding| argos.contains(&finding.problem)) => Outcome::Passed,
            Some(argos) if findings.iter().any(|finding| is_same_field(finding, argos)) => {
                Outcome::Different(&ADMISSION)
            }
            _ => Outcome::Failed(format!("refused: {findings:?}")),
        };
    }
    let (request, outcome) = exchange(&Web, &config, line);
    if let Err(wrong) = compare_request(line, &request.unwrap()) {
        return Outcome::Failed(wrong);
    }
    match (outcome, line["phase"].as_str().unwrap()) {
        (Err(_), "panic") => Outcome::Different(&PANICS),
        (Err(said), "Error") if argos.is_some_and(|argos| said.contains(argos)) => Outcome::Passed,
        (Err(said), "Successful") if said.starts_with("the answer is not JSON") => {
            Outcome::Different(&NOT_JSON)
        }
        (Err(said), _) if said.starts_with("the answer is not JSON") && has_half_a_character(line) => {
            Outcome::Different(&HALF_A_CHARACTER)
        }
        (Err(said), _) if said == "result of web metric produced no value" && asks_for_bytes(line) => {
            Outcome::Different(&NO_BYTES)
        }
        (Err(said), phase) => Outcome::Failed(format!("error {said:?} instead of {phase} {argos:?}")),
        (Ok(sample), phase) => {
            let Reading::Value { value, text } = &sample.reading else { panic!("a verdict of a web metric") };
            if phase != "Error" && line["value"] != *text {
                return Outcome::Failed(format!("value {text} instead of {}", line["value"]));
            }
            judged(line, value)
        }
    }
}

/// Whether the path is all that is refused.
fn is_path(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.path == "web.jsonPath")
}

/// Whether an escape stands for the half of a pair.
fn has_half_a_character(line: &Value) -> bool {
    let body = line["body"].as_str().unwrap().to_lowercase();
    ["\\ud8", "\\ud9", "\\uda", "\\udb", "\\udc", "\\udd", "\\ude", "\\udf"]
        .iter()
        .any(|half| body.contains(half))
}

/// Whether all parts are asked for of what is a text.
fn asks_for_bytes(line: &Value) -> bool {
    line["jsonPath"].as_str().is_some_and(|path| path.contains('*'))
        && line["value"].as_str().is_some_and(|value| value.parse::<u8>().is_ok())
        && line["body"].as_str().is_some_and(|body| body.contains('"'))
}

/// Whether both complain of the bodies that are to be sent.
fn is_same_field(finding: &Finding, argos: &str) -> bool {
    let bodies = |text: &str| text.to_lowercase().matches("body").count();
    finding.path == "web" && bodies(&finding.problem) > 0 && bodies(argos) > 0
}

fn config(line: &Value) -> Value {
    let mut config = json!({"url": "http://metrics.example/x", "jsonPath": line["jsonPath"]});
    let names = [
        ("method", "method"),
        ("request_body", "body"),
        ("request_jsonBody", "jsonBody"),
        ("request_headers", "headers"),
        ("headers", "headers"),
        ("timeoutSeconds", "timeoutSeconds"),
    ];
    for (recorded, field) in names {
        if let Some(value) = line.get(recorded).filter(|value| **value != "") {
            // JSON is recorded as its text.
            let json = value.as_str().filter(|_| field == "jsonBody");
            config[field] = json.map_or_else(|| value.clone(), |text| serde_json::from_str(text).unwrap());
        }
    }
    config
}

/// `sent_*` is what the server saw.
fn compare_request(line: &Value, request: &HttpRequest) -> Result<(), String> {
    let header = |name: &str| {
        request
            .headers
            .iter()
            .rfind(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    };
    let seen = [
        ("sent_method", request.method.as_str()),
        ("sent_body", request.body.as_str()),
        ("sent_content_type", header("content-type").unwrap_or_default()),
    ];
    for (recorded, sent) in seen {
        match line.get(recorded) {
            Some(expected) if *expected != sent && !is_same_json(expected, sent) => {
                return Err(format!("{recorded} {sent:?} instead of {expected}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A jsonBody goes out as the same JSON, whatever its spaces.
fn is_same_json(expected: &Value, sent: &str) -> bool {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    expected.as_str().and_then(parsed).is_some_and(|expected| parsed(sent) == Some(expected))
}
