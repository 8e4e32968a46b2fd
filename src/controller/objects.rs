//! Access to objects by kind, as raw JSON.

use crate::build::manifest::Kind;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use serde_json::Value;

/// The API of a kind of ours, in a namespace.
#[must_use]
pub fn api(client: &Client, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    api_of(client, kind.api_version(), &kind.to_string(), namespace)
}

/// The API of `ReplicaSets`, in a namespace.
#[must_use]
pub fn replica_sets(client: &Client, namespace: &str) -> Api<DynamicObject> {
    api_of(client, "apps/v1", "ReplicaSet", namespace)
}

/// The API of any namespaced kind whose plural is regular.
#[must_use]
pub fn api_of(client: &Client, api_version: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// The objects that `labels` selects, each with its `kind`, which the API server leaves out of lists.
///
/// # Errors
/// The API server's.
pub async fn list(api: &Api<DynamicObject>, kind: &str, labels: &str) -> kube::Result<Vec<Value>> {
    let found = api.list(&ListParams::default().labels(labels)).await?;
    Ok(found.items.into_iter().map(|object| raw(object, kind)).collect())
}

/// An object as JSON, with its kind, without what only the API server reads.
#[must_use]
pub fn raw(mut object: DynamicObject, kind: &str) -> Value {
    object.metadata.managed_fields = None;
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("kind".to_owned(), kind.into());
    }
    value
}
