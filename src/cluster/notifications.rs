//! The routing of notifications: of the namespace itself, or the default in Haldane's own.

use crate::{domain::k8s::selector::Labels, notify::CONFIG_MAP, objects::marks::is_ours};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};

/// The data of a routing's `ConfigMap`, and the namespace that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Secrets that the routing names are in this namespace, too.
    pub namespace: String,
    /// The data.
    pub data: Labels,
}

/// Reads the routing that applies in a namespace; `None` if there is none.
///
/// # Errors
/// The API server's.
pub async fn look_up(client: &Client, namespace: &str, own_namespace: &str) -> kube::Result<Option<Stored>> {
    for place in [namespace, own_namespace] {
        let map = Api::<ConfigMap>::namespaced(client.clone(), place).get_opt(CONFIG_MAP).await?;
        // The record of a Deployment `notifications` has the same name.
        if let Some(map) = map.filter(|map| !is_ours(&map.metadata)) {
            let data = map.data.unwrap_or_default();
            return Ok(Some(Stored { namespace: place.to_owned(), data }));
        }
    }
    Ok(None)
}
