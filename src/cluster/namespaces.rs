//! Namespaces, read when a decision depends on what they say; webhook and controller look them up alike.

use crate::config::namespace::Namespace;
use k8s_openapi::api::core::v1;
use kube::{Api, Client};

/// Looks one up, as metadata.
///
/// # Errors
/// The API server's; also when it does not exist.
pub async fn look_up(client: &Client, name: &str, own_namespace: &str) -> kube::Result<Namespace> {
    let found = Api::<v1::Namespace>::all(client.clone()).get_metadata(name).await?.metadata;
    let (labels, annotations) = (found.labels.unwrap_or_default(), found.annotations.unwrap_or_default());
    Ok(Namespace::new(name, own_namespace, labels, annotations))
}
