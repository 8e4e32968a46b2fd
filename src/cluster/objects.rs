//! Access to objects by kind, as raw JSON.

use super::api::is_absent;
use crate::{objects::manifest::Kind, routers};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;

/// Objects read at once. Each may be as large as an object can be, although hardly any is.
const PAGE: u32 = 25;

/// Longest annotation that is kept, in bytes: those that say anything here are words.
const MAX_ANNOTATION: usize = 4 << 10;

/// The API of one of Haldane's kinds, in a namespace if it has any.
#[must_use]
pub fn api(client: &Client, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    if routers::is_cluster_wide(kind) {
        Api::all_with(client.clone(), &resource(kind))
    } else {
        Api::namespaced_with(client.clone(), namespace, &resource(kind))
    }
}

/// Where the API server has a kind of ours.
#[must_use]
pub fn resource(kind: Kind) -> ApiResource {
    resource_of(kind.api_version(), kind.name())
}

/// The objects of one of Haldane's kinds that `labels` selects, whether Haldane made them or not; none where the cluster
/// lacks an API that is optional.
///
/// # Errors
/// The API server's.
pub async fn list_kind(
    client: &Client,
    kind: Kind,
    namespace: &str,
    labels: &str,
) -> kube::Result<Vec<Value>> {
    match list(&api(client, kind, namespace), kind.name(), labels).await {
        Err(error) if routers::is_optional(kind) && is_absent(&error) => Ok(Vec::new()),
        found => found,
    }
}

/// Whether the cluster has the API of one of Haldane's kinds, and lets Haldane read it.
///
/// # Errors
/// An answer that says neither yes nor no.
pub async fn is_served(client: &Client, kind: Kind) -> kube::Result<bool> {
    if !routers::is_optional(kind) {
        return Ok(true);
    }
    let api = Api::<DynamicObject>::all_with(client.clone(), &resource(kind));
    match api.list_metadata(&ListParams::default().limit(1)).await {
        Err(error) if is_absent(&error) => Ok(false),
        answer => answer.map(|_| true),
    }
}

/// The API of `ReplicaSets`, in a namespace.
#[must_use]
pub fn replica_sets(client: &Client, namespace: &str) -> Api<DynamicObject> {
    api_of(client, "apps/v1", "ReplicaSet", namespace)
}

/// The API of any namespaced kind whose plural is regular.
#[must_use]
pub fn api_of(client: &Client, api_version: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource_of(api_version, kind))
}

fn resource_of(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// The objects that `labels` selects, each with its `kind`, which the API server leaves out of lists.
///
/// # Errors
/// The API server's.
pub async fn list(api: &Api<DynamicObject>, kind: &str, labels: &str) -> kube::Result<Vec<Value>> {
    Ok(every(api, labels).await?.into_iter().map(|object| raw(object, kind)).collect())
}

/// The objects that `labels` selects, read page by page, without what is long and not looked at.
///
/// # Errors
/// The API server's.
pub async fn every<K>(api: &Api<K>, labels: &str) -> kube::Result<Vec<K>>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let mut all = Vec::new();
    let mut params = ListParams::default().labels(labels).limit(PAGE);
    loop {
        let page = api.list(&params).await?;
        all.extend(page.items.into_iter().map(slim));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

/// An object without what is long and not looked at.
pub fn slim<K: Resource>(mut object: K) -> K {
    object.managed_fields_mut().clear();
    object.annotations_mut().retain(|_, value| value.len() <= MAX_ANNOTATION);
    object
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

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::{api::core::v1::Service, apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry};

    #[test]
    fn what_is_long_and_not_looked_at_is_not_kept() {
        let mut service = Service::default();
        service.annotations_mut().insert("a".into(), "word".into());
        service.annotations_mut().insert("b".into(), "x".repeat(MAX_ANNOTATION + 1));
        service.managed_fields_mut().push(ManagedFieldsEntry::default());
        let kept = slim(service);
        assert_eq!(kept.annotations().keys().collect::<Vec<_>>(), ["a"]);
        assert!(kept.managed_fields().is_empty());
    }
}
