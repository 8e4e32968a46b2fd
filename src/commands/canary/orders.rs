//! Writes of a Deployment, first of all orders: the annotation `haldane.dev/do`, as `kubectl annotate` sets it.

use super::error::CanaryError;
use crate::domain::keys;
use http_body_util::BodyExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Client, Resource,
    api::{Patch, PatchParams, Request},
    client::Body,
    core::Status,
};
use serde_json::{Value, json};

/// Our name in `managedFields`.
const FIELD_MANAGER: &str = "kubectl-canary";

/// Gives an order, and returns the warnings of admission.
///
/// # Errors
/// See [`write`].
pub async fn give(
    client: &Client,
    namespace: &str,
    name: &str,
    order: &str,
) -> Result<Vec<String>, CanaryError> {
    let patch = json!({"metadata": {"annotations": {keys::DO: order}}});
    write(client, namespace, name, &Patch::Merge(patch)).await
}

/// Changes a Deployment, and returns the warnings of admission.
///
/// # Errors
/// The webhook's refusal, which says why and what is allowed; or the API server's.
pub async fn write(
    client: &Client,
    namespace: &str,
    name: &str,
    patch: &Patch<Value>,
) -> Result<Vec<String>, CanaryError> {
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let url = Deployment::url_path(&(), Some(namespace));
    let request = Request::new(url).patch(name, &params, patch);
    let request = request.map_err(kube::Error::BuildRequest)?;
    // The client's own methods do not return the warnings.
    let response = client.send(request.map(Body::from)).await?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    if !parts.status.is_success() {
        let status: Status = serde_json::from_slice(&body).map_err(kube::Error::SerdeError)?;
        return Err(kube::Error::Api(Box::new(status)).into());
    }
    let warnings = parts.headers.get_all(http::header::WARNING).iter();
    Ok(warnings.filter_map(|value| value.to_str().ok()).map(warning).collect())
}

/// The text of a warning header: `299 - "text"`.
fn warning(header: &str) -> String {
    let quoted = header.split_once('"').map_or(header, |(_, rest)| rest);
    quoted.strip_suffix('"').unwrap_or(quoted).replace("\\\"", "\"").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_its_text_alone() {
        assert_eq!(warning(r#"299 - "the plan \"a\"""#), r#"the plan "a""#);
        assert_eq!(warning("unquoted"), "unquoted");
    }
}
