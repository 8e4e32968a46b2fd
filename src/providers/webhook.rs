//! A gate: a service that says by the status of its answer whether the release may go on.
//!
//! Source: Flagger's `pkg/controller/webhook.go`; payload and meaning are the same, so that its load tester and other
//! services that were written for its webhooks work. One difference: a service that does not answer is an error, and
//! not a no.

use super::{
    MetricProvider, Question, Release, Sample, Step,
    http::{self, Authentication, HttpRequest, HttpResponse},
};
use crate::{
    document::fields::{Node, reread},
    domain::{
        metric::AnalysisPhase,
        value::{Reading, ResultType},
    },
};
use ::http::Method;
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// Default timeout, in seconds.
const DEFAULT_TIMEOUT: u32 = 10;

/// Statuses up to this one are a yes.
const LAST_YES: u16 = 202;

/// The provider whose measurement is a question to a gate.
#[derive(Debug)]
pub struct Webhook;

/// What a gate is sent.
#[derive(Debug, Serialize)]
struct Payload<'a> {
    name: &'a str,
    namespace: &'a str,
    /// Flagger's word for a canary under way.
    phase: &'static str,
    /// Identifies the template that is released.
    checksum: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
}

/// The configuration of one metric.
struct Config {
    url: String,
    metadata: BTreeMap<String, String>,
    /// A yes means that the release goes back.
    rollback: bool,
    headers: Vec<(String, String)>,
    timeout: Duration,
    insecure: bool,
    authentication: Authentication,
}

impl MetricProvider for Webhook {
    fn key(&self) -> &'static str {
        "webhook"
    }

    fn doc(&self) -> &'static str {
        "A gate, with the request and the meaning of Flagger's webhooks: a service that says by its status whether the release may go on."
    }

    fn example(&self) -> &'static str {
        "url: http://flagger-loadtester.test/gate/check\n\
         metadata: {team: shop}\n\
         timeoutSeconds: 30\n"
    }

    fn check(&self, config: Node<'_>) -> Option<()> {
        Config::read(config).map(|_| ())
    }

    fn asked(&self, config: &Value) -> Option<String> {
        config.get("url").and_then(Value::as_str).map(str::to_owned)
    }

    fn result_type(&self, _: &Value) -> ResultType {
        ResultType::Verdict
    }

    fn may_write(&self, _: &Value) -> bool {
        true
    }

    fn measure(&self, question: &Question<'_>) -> Step {
        let config = match reread(question.config, "webhook", Config::read) {
            Ok(config) => config,
            Err(problem) => return Step::fail(problem),
        };
        let url = match http::checked_url(&config.url) {
            Ok(url) => url,
            Err(problem) => return Step::fail(problem),
        };
        let Config { metadata, rollback, mut headers, timeout, insecure, authentication, .. } = config;
        let Release { name, namespace, template } = question.release;
        let payload = Payload { name, namespace, phase: "Progressing", checksum: template, metadata };
        let body = match serde_json::to_string(&payload) {
            Ok(body) => body,
            Err(problem) => return Step::fail(problem.to_string()),
        };
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        let gate = url.host_str().unwrap_or_default().to_owned();
        let request = HttpRequest { method: Method::POST, url, headers, body, timeout, insecure };
        authentication.send(request, Box::new(move |answer| Step::Done(Ok(sample(&gate, rollback, &answer)))))
    }
}

fn sample(gate: &str, rollback: bool, answer: &HttpResponse) -> Sample {
    let says_yes = answer.status <= LAST_YES;
    let said = || format!("{gate} answered {}: {}", answer.status, answer.beginning());
    let (phase, message) = match (says_yes, rollback) {
        (true, true) => (AnalysisPhase::Failed, format!("{}, which asks for a rollback", said())),
        (false, false) => (AnalysisPhase::Failed, said()),
        (true, false) | (false, true) => (AnalysisPhase::Successful, String::new()),
    };
    Sample { reading: Reading::Verdict { phase, message }, metadata: BTreeMap::new() }
}

impl Config {
    fn read(node: Node<'_>) -> Option<Self> {
        node.object(|fields| {
            let url = fields
                .doc("The URL that gets a `POST` of `{name, namespace, phase, checksum, metadata}` with the Deployment's name. A status up to 202 is a successful measurement, any other a failed one. Required; only if `--metric-hosts-allowed` restricts the metric hosts.")
                .required("url", http::url);
            let metadata = fields
                .doc("Texts for the gate, such as `type` and `cmd` of Flagger's load tester.")
                .optional("metadata", |node| node.map(Node::string))
                .unwrap_or_default();
            let rollback = fields
                .doc("`true` for a gate that asks for a rollback: a status up to 202 is a failed measurement, any other a successful one.")
                .optional("rollback", Node::bool)
                .unwrap_or_default();
            let mut headers = http::headers(fields);
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
            fields.doc("1 to 300; 10 by default.");
            let timeout = http::timeout(fields, "timeoutSeconds", DEFAULT_TIMEOUT);
            let insecure = http::insecure(fields);
            let authentication = Authentication::of(fields);
            Some(Self { url: url?, metadata, rollback, headers, timeout, insecure, authentication })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{document::fields, providers::Defaults};
    use serde_json::json;

    fn asked(config: &Value) -> (HttpRequest, crate::providers::Then<HttpResponse>) {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let release = Release { name: "web", namespace: "shop", template: "75f8c6d9" };
        let defaults = Defaults::default();
        match Webhook.measure(&Question { config, defaults: &defaults, now, name: "run-m-1", release }) {
            Step::Http(request, then) => (*request, then),
            other => panic!("{other:?}"),
        }
    }

    fn verdict(config: &Value, status: u16, body: &str) -> (AnalysisPhase, String) {
        let (_, then) = asked(config);
        match then(HttpResponse { status, body: body.as_bytes().to_vec() }) {
            Step::Done(Ok(Sample { reading: Reading::Verdict { phase, message }, .. })) => (phase, message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_gate_gets_what_flagger_sends() {
        let config = json!({
            "url": "http://gate.test/check", "metadata": {"cmd": "hey -z 1m"}, "timeoutSeconds": 5,
            "headers": [{"key": "content-type", "value": "text/plain"}, {"key": "X-Team", "value": "shop"}],
        });
        let (request, _) = asked(&config);
        assert_eq!((request.method, request.timeout), (Method::POST, Duration::from_secs(5)));
        let body: Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(
            body,
            json!({
                "name": "web", "namespace": "shop", "phase": "Progressing", "checksum": "75f8c6d9",
                "metadata": {"cmd": "hey -z 1m"},
            })
        );
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(request.headers, [header("X-Team", "shop"), header("Content-Type", "application/json")]);
        let (request, _) = asked(&json!({"url": "http://gate.test/check"}));
        assert!(!request.body.contains("metadata"), "{}", request.body);
    }

    #[test]
    fn a_status_above_202_is_a_no() {
        let gate = json!({"url": "http://gate.test/check"});
        for status in [200, 201, 202] {
            assert_eq!(verdict(&gate, status, "OK"), (AnalysisPhase::Successful, String::new()));
        }
        for status in [204, 302, 403, 500] {
            let no = format!("gate.test answered {status}: \"Forbidden\"");
            assert_eq!(verdict(&gate, status, "Forbidden"), (AnalysisPhase::Failed, no));
        }
    }

    #[test]
    fn a_yes_of_a_gate_for_rollbacks_is_a_failure() {
        let gate = json!({"url": "http://gate.test/rollback/check", "rollback": true});
        assert_eq!(verdict(&gate, 403, "Forbidden"), (AnalysisPhase::Successful, String::new()));
        let (phase, message) = verdict(&gate, 200, "Rollback");
        assert_eq!(phase, AnalysisPhase::Failed);
        assert_eq!(message, "gate.test answered 200: \"Rollback\", which asks for a rollback");
    }

    #[test]
    fn what_a_gate_cannot_have_is_refused() {
        let config = json!({"url": "gate.test/check", "type": "rollout", "metadata": {"a": 1}});
        let findings = fields::read(&config, "webhook", |node| Webhook.check(node)).unwrap_err();
        let findings: Vec<_> = findings.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(findings.join("\n"), @r#"
        webhook.url: "gate.test/check": "gate.test/check" is not an http or https URL
        webhook.metadata[a]: "1": must be a string: put it in quotes
        webhook.type: unknown field, allowed are url, metadata, rollback, headers, timeoutSeconds, insecure, authentication
        "#);
    }
}
