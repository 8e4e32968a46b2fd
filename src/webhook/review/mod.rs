//! The wire format: `AdmissionReview` of `admission.k8s.io/v1`, and `Status` for errors.

use crate::{
    document::finding::Finding,
    domain::review::{Operation, Outcome, Review, Stage, User, Verdict},
    gocompat::validation::is_object_name,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::StatusCode;
use sent::Sent;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

mod sent;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// The API server cuts a warning to this length once all of them together are too long.
const WARNING_CHARS: usize = 256;

/// The API server drops warnings beyond this many characters in all.
const ALL_WARNINGS_CHARS: usize = 4096;

/// The most that keys and values of an object's annotations may have together, as in the API server.
///
/// Source: apimachinery `pkg/api/validation`, `TotalAnnotationSizeLimitB`.
const MAX_ANNOTATIONS_BYTES: usize = 256 << 10;

/// Why a body is not a review that can be answered.
#[derive(Debug, thiserror::Error)]
pub enum BadReview {
    /// Not JSON, too deep, or not of the right shape.
    #[error("the body is not an {KIND}: {0}")]
    Json(#[from] serde_json::Error),
    /// Not a v1 review.
    #[error("expected {API_VERSION} {KIND}, got {0:?} {1:?}")]
    Version(String, String),
    /// A review without a request, such as an answer.
    #[error("the {KIND} has no request")]
    NoRequest,
    /// Not the name of an object. Names become parts of request paths.
    #[error(
        "request.{0}: must be a name of an object: lower case letters, digits, '-' and '.', at most 253 characters"
    )]
    Name(&'static str),
    /// More annotations than the API server stores.
    #[error("request.{0}.metadata.annotations: must have no more than {MAX_ANNOTATIONS_BYTES} bytes in all")]
    Annotations(&'static str),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    request: Option<Request>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    kind: Kind,
    operation: Operation,
    sub_resource: Option<String>,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    user_info: User,
    options: Option<Options>,
    #[serde(default)]
    dry_run: Option<bool>,
    object: Option<Sent>,
    old_object: Option<Sent>,
}

impl Request {
    /// The API server always sends valid names and annotations, but any pod that reaches the port can send a review.
    fn check(&self) -> Result<(), BadReview> {
        for (field, name) in [("namespace", &self.namespace), ("name", &self.name)] {
            // Objects may have no namespace, and no name yet.
            if !name.is_empty() && !is_object_name(name) {
                return Err(BadReview::Name(field));
            }
        }
        for (field, object) in [("object", &self.object), ("oldObject", &self.old_object)] {
            if object.as_ref().is_some_and(|Sent(object)| annotations_bytes(object) > MAX_ANNOTATIONS_BYTES) {
                return Err(BadReview::Annotations(field));
            }
        }
        Ok(())
    }
}

fn annotations_bytes(object: &Value) -> usize {
    let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
    let bytes = |(key, value): (&String, &Value)| key.len() + value.as_str().map_or(0, str::len);
    annotations.into_iter().flatten().map(bytes).sum()
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    group: String,
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    field_manager: Option<String>,
}

/// Reads a review.
///
/// # Errors
/// When the body is not a v1 `AdmissionReview` with a request, is nested deeper than 128 levels, or has a key twice, and
/// when its names or annotations are not valid.
pub fn parse(body: &[u8]) -> Result<Review, BadReview> {
    let envelope: Envelope = serde_json::from_slice(body)?;
    if (envelope.api_version.as_str(), envelope.kind.as_str()) != (API_VERSION, KIND) {
        return Err(BadReview::Version(envelope.api_version, envelope.kind));
    }
    let request = envelope.request.ok_or(BadReview::NoRequest)?;
    request.check()?;
    Ok(Review {
        uid: request.uid,
        group: request.kind.group,
        kind: request.kind.kind,
        operation: request.operation,
        sub_resource: request.sub_resource.filter(|name| !name.is_empty()),
        namespace: request.namespace,
        name: request.name,
        user: request.user_info,
        field_manager: request
            .options
            .and_then(|options| options.field_manager)
            .filter(|name| !name.is_empty()),
        dry_run: request.dry_run.unwrap_or_default(),
        object: request.object.map(|Sent(object)| object),
        old_object: request.old_object.map(|Sent(object)| object),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: &'a BTreeMap<String, String>,
}

/// `metav1.Status`. Its type is written only if it is the whole body.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(rename = "status")]
    result: &'static str,
    code: u16,
    reason: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'a>>,
}

/// With kind and name kubectl prints: The Deployment "web" is invalid: …
#[derive(Serialize)]
struct Details<'a> {
    group: &'a str,
    kind: &'a str,
    name: &'a str,
    causes: Vec<Cause<'a>>,
}

#[derive(Serialize)]
struct Cause<'a> {
    reason: &'static str,
    field: &'a str,
    message: String,
}

/// The answer to `review` as the API server reads it.
///
/// Warnings are cut to the API server's limits. A patch in the validating phase is left out, because the API server
/// would treat the whole answer as a failure.
///
/// # Errors
/// Never, because every key is a text.
pub fn answer(stage: Stage, review: &Review, verdict: &Verdict) -> serde_json::Result<Vec<u8>> {
    let mut response = Response {
        uid: &review.uid,
        allowed: verdict.is_allowed(),
        patch_type: None,
        patch: None,
        status: None,
        warnings: fitted(&verdict.warnings),
        audit_annotations: &verdict.audit,
    };
    match &verdict.outcome {
        Outcome::Allow { patch } if patch.is_empty() || stage == Stage::Validate => {}
        Outcome::Allow { patch } => {
            response.patch_type = Some("JSONPatch");
            response.patch = Some(STANDARD.encode(serde_json::to_vec(patch)?));
        }
        Outcome::Deny { code, reason, message, causes } => {
            let causes: Vec<_> = causes.iter().map(cause).collect();
            let (group, kind, name) = (&review.group, &review.kind, &review.name);
            let details = (!causes.is_empty()).then_some(Details { group, kind, name, causes });
            response.status = Some(Status { details, ..status(*code, reason, message) });
        }
    }
    serde_json::to_vec(&Answer { api_version: API_VERSION, kind: KIND, response })
}

/// The body of an HTTP error: a Kubernetes `Status`, so that the API server can quote it.
///
/// # Errors
/// As [`answer`].
pub fn failure(code: StatusCode, message: &str) -> serde_json::Result<Vec<u8>> {
    // `Payload Too Large` is `PayloadTooLarge` in Kubernetes.
    let reason: String = code.canonical_reason().unwrap_or_default().split_whitespace().collect();
    let status = status(code.as_u16(), &reason, message);
    serde_json::to_vec(&Status { api_version: Some("v1"), kind: Some("Status"), ..status })
}

fn status<'a>(code: u16, reason: &'a str, message: &'a str) -> Status<'a> {
    Status { api_version: None, kind: None, result: "Failure", code, reason, message, details: None }
}

/// In the form of Kubernetes' own causes: with the value only if there is one.
fn cause(finding: &Finding) -> Cause<'_> {
    let Finding { path, value, problem } = finding;
    let message =
        if value.is_empty() { problem.clone() } else { format!("Invalid value: {value:?}: {problem}") };
    Cause { reason: "FieldValueInvalid", field: path, message }
}

/// Warnings without control characters, each and all together within the API server's limits.
///
/// A last warning counts those that do not fit.
fn fitted(warnings: &[String]) -> Vec<String> {
    let more = |left: usize| format!("… and {left} more warnings");
    let mut room = ALL_WARNINGS_CHARS - more(usize::MAX).chars().count();
    let mut fitted = Vec::new();
    for (index, warning) in warnings.iter().enumerate() {
        let line = one_line(warning);
        let Some(rest) = room.checked_sub(line.chars().count()) else {
            fitted.push(more(warnings.len() - index));
            break;
        };
        room = rest;
        fitted.push(line);
    }
    fitted
}

/// A header cannot hold control characters: the API server drops a warning that has one.
fn one_line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.trim();
    if text.chars().count() <= WARNING_CHARS {
        return text.to_owned();
    }
    text.chars().take(WARNING_CHARS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
