//! Any service that answers with JSON.
//!
//! Source: argo-rollouts `metricproviders/webmetric`. One difference: an answer that is not JSON is an error; in
//! Argo 1.9 it is successful, even if the conditions are not satisfied.

use super::{
    MetricProvider, Question, Sample, Step, has_argument,
    http::{self, Authentication, BadAnswer, HttpRequest, HttpResponse},
};
use crate::{
    document::{
        fields::{Fields, Node, reread},
        schema::Schema,
    },
    domain::value::{MetricValue, Reading, ResultType},
    gocompat::jsonpath::{Item, JsonPath, Literal},
};
use ::http::Method;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// Default timeout, in seconds.
const DEFAULT_TIMEOUT: u32 = 10;

/// The provider for a request whose JSON answer contains the value.
#[derive(Debug)]
pub struct Web;

/// The configuration of one metric.
struct Config {
    url: String,
    method: Method,
    headers: Vec<(String, String)>,
    body: String,
    path: JsonPath,
    timeout: Duration,
    insecure: bool,
    authentication: Authentication,
}

impl MetricProvider for Web {
    fn key(&self) -> &'static str {
        "web"
    }

    fn doc(&self) -> &'static str {
        "A request to any service that answers with JSON."
    }

    fn example(&self) -> &'static str {
        "url: https://metrics.example.com/api/errors?service=web\n\
         headers: [{key: X-Team, value: shop}]\n\
         jsonPath: \"{$.data.error_rate}\"\n\
         timeoutSeconds: 20\n"
    }

    fn check(&self, config: Node<'_>) -> Option<()> {
        Config::read(config).map(|_| ())
    }

    fn asked(&self, config: &Value) -> Option<String> {
        let text = |key| config.get(key).and_then(Value::as_str);
        Some(format!("{} of {}", text("jsonPath").unwrap_or("{$}"), text("url")?))
    }

    fn result_type(&self, _: &Value) -> ResultType {
        ResultType::Any
    }

    fn may_write(&self, config: &Value) -> bool {
        config.get("method").and_then(Value::as_str).is_some_and(|method| !matches!(method, "" | "GET"))
    }

    fn measure(&self, question: &Question<'_>) -> Step {
        let config = match reread(question.config, "web", Config::read) {
            Ok(config) => config,
            Err(problem) => return Step::fail(problem),
        };
        let url = match http::checked_url(&config.url) {
            Ok(url) => url,
            Err(problem) => return Step::fail(problem),
        };
        let path = config.path;
        let request = HttpRequest {
            method: config.method,
            url,
            headers: config.headers,
            body: config.body,
            timeout: config.timeout,
            insecure: config.insecure,
        };
        config.authentication.send(request, Box::new(move |answer| Step::Done(read(&path, &answer))))
    }
}

fn read(path: &JsonPath, answer: &HttpResponse) -> Result<Sample, String> {
    if !answer.is_success() {
        return Err(format!("received non 2xx response code: {}", answer.status));
    }
    let body = answer.json().map_err(|error| match error {
        BadAnswer::TooMuch => error.to_string(),
        BadAnswer::Json(error) => format!("the answer is not JSON ({error}): {}", answer.beginning()),
    })?;
    let found = path.first(&body)?;
    let value = match found {
        Item::Body(json) => json.clone().into(),
        Item::Literal(Literal::Text(text)) => MetricValue::Text(text.clone()),
        Item::Literal(Literal::Int(number)) => MetricValue::Int(*number),
        Item::Literal(Literal::Float(number)) => MetricValue::Float(*number),
        Item::Literal(Literal::Bool(value)) => MetricValue::Bool(*value),
    };
    Ok(Sample { reading: Reading::Value { value, text: found.marshal() }, metadata: BTreeMap::new() })
}

impl Config {
    fn read(node: Node<'_>) -> Option<Self> {
        node.object(|fields| {
            let url = fields.doc("The URL of the request. Required.").required("url", http::url);
            let method = fields
                .doc("`GET` (the default), `POST` or `PUT`; the latter two only if `--metric-hosts-allowed` restricts the metric hosts.")
                .optional("method", method)
                .unwrap_or(Method::GET);
            let mut headers = http::headers(fields);
            let body = body(fields, &method, &mut headers);
            let path = fields
                .doc("The path of the value in the answer, as for `kubectl -o jsonpath`; the whole answer by default. In a filter, a number of the answer is a float: `[?(@.v>5.0)]`.")
                .optional("jsonPath", path);
            fields.doc("1 to 300; 10 by default.");
            let timeout = http::timeout(fields, "timeoutSeconds", DEFAULT_TIMEOUT);
            let insecure = http::insecure(fields);
            let authentication = Authentication::of(fields);
            let path = match path {
                Some(path) => path,
                None => JsonPath::parse("").ok()?,
            };
            Some(Self { url: url?, method, headers, body: body?, path, timeout, insecure, authentication })
        })
    }
}

fn method(node: Node<'_>) -> Option<Method> {
    let methods = [("GET", Method::GET), ("POST", Method::POST), ("PUT", Method::PUT), ("", Method::GET)];
    node.word(&methods, "must be GET, POST or PUT")
}

fn path(node: Node<'_>) -> Option<JsonPath> {
    match node.value().as_str() {
        // Arguments use braces like the path itself, so it is parsed when they are known.
        Some(text) if has_argument(text) => JsonPath::parse("").ok(),
        Some(text) => match JsonPath::parse(text) {
            Ok(path) if path.is_constant() => node.fail(format!(
                "is a text without braces, which would be the value whatever the answer is; write {}",
                braced(text)
            )),
            Ok(path) => Some(path),
            Err(problem) => node.fail(problem),
        },
        None => node.string().and(None),
    }
}

/// The path that was meant by a text without braces.
fn braced(text: &str) -> String {
    let text = text.trim();
    if text.starts_with(['.', '$', '[']) { format!("{{{text}}}") } else { format!("{{.{text}}}") }
}

fn body(fields: &mut Fields<'_>, method: &Method, headers: &mut Vec<(String, String)>) -> Option<String> {
    let text = fields
        .doc("The body of a `POST` or `PUT`.")
        .optional("body", Node::string)
        .filter(|text| !text.is_empty());
    let json = fields
        .doc("The body as YAML; it is sent as `application/json`.")
        .optional("jsonBody", |node| node.typed(Schema::Any, |node| Some(node.value().to_string())));
    match (text, json) {
        (Some(_), Some(_)) => {
            fields.fail("only one of body and jsonBody is allowed");
            None
        }
        (None, None) => Some(String::new()),
        _ if *method == Method::GET => {
            fields.fail("only the methods POST and PUT can have a body");
            None
        }
        (Some(text), None) => Some(text),
        (None, Some(json)) => {
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
            Some(json)
        }
    }
}
