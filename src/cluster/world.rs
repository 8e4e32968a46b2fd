//! Looking at the cluster: the one place where a rollout's decision gets its input.

use super::objects::{api, every, list, raw, replica_sets};
use crate::{
    domain::{
        k8s::{
            label_rewrite::{CANARY_OF_LABEL, owner_label},
            selector::{self, Labels},
        },
        observed::{Observed, ReplicaSetView},
    },
    objects::{
        manifest::{Kind, Owner},
        marks::{is_ours_raw, is_owned_by, marks, selector_for},
    },
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::Value;
use strum::IntoEnumIterator;

/// The cluster could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The API server's answer.
    #[error("cannot read the cluster: {0}")]
    Api(#[from] kube::Error),
    /// An object that is not what its kind promises.
    #[error("cannot read {0}: {1}")]
    Malformed(&'static str, serde_json::Error),
}

/// The Deployment alone: enough while nothing is under way. `None` when it is gone.
///
/// # Errors
/// See [`ObserveError`].
pub async fn deployment(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<(Owner, Observed)>, ObserveError> {
    let Some(object) = api(client, Kind::Deployment, namespace).get_opt(name).await? else { return Ok(None) };
    let owner = Owner {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
    };
    let object = raw(object, "Deployment");
    let template = object.pointer("/spec/template").cloned().unwrap_or_default().into();
    let deployment = typed(object, "Deployment")?;
    Ok(Some((owner, Observed { deployment, template, ..Observed::default() })))
}

/// Everything beside the Deployment that a decision depends on, read at once. Endpoints only while
/// stable is `rolling`, because nothing else asks for them.
///
/// # Errors
/// See [`ObserveError`].
pub async fn surroundings(
    client: &Client,
    owner: &Owner,
    rolling: bool,
    seen: &mut Observed,
) -> Result<(), ObserveError> {
    let namespace = owner.namespace.as_str();
    let canary_of = owner_label(&owner.name);
    let ours_by_label = selector_for(&canary_of);
    let canary_by_label = format!("{CANARY_OF_LABEL}={canary_of}");
    let stable_by_label = selector::text(&seen.deployment.spec.selector);
    let all = |kind: Kind| async move { list(&api(client, kind, namespace), &kind.to_string(), "").await };
    let sets = replica_sets(client, namespace);
    let deployments = api(client, Kind::Deployment, namespace);
    let slices = async {
        let slices = Api::<EndpointSlice>::namespaced(client.clone(), namespace);
        if rolling { every(&slices, "").await } else { Ok(Vec::new()) }
    };
    let (services, ingresses, policies, autoscalers, canaries, stable_sets, canary_sets, endpoints) = tokio::try_join!(
        all(Kind::Service),
        all(Kind::Ingress),
        all(Kind::NetworkPolicy),
        all(Kind::HorizontalPodAutoscaler),
        list(&deployments, "Deployment", &ours_by_label),
        list(&sets, "ReplicaSet", &stable_by_label),
        list(&sets, "ReplicaSet", &canary_by_label),
        slices,
    )?;
    seen.ours = canaries.into_iter().filter(|object| owner.owns(object)).collect();
    seen.services = typed_users(services, "Service", owner, &mut seen.ours)?;
    seen.ingresses = typed_users(ingresses, "Ingress", owner, &mut seen.ours)?;
    seen.policies = typed_users(policies, "NetworkPolicy", owner, &mut seen.ours)?;
    seen.autoscalers = typed_users(autoscalers, "HorizontalPodAutoscaler", owner, &mut seen.ours)?;
    seen.replica_sets = stable_sets.iter().filter(|set| owner.owns(set)).map(ReplicaSetView::of).collect();
    // A label alone can be anybody's, and the sets tell the hash that metrics are asked for.
    let canary_uids: Vec<&str> =
        seen.ours.iter().filter_map(|object| object.pointer("/metadata/uid")?.as_str()).collect();
    let of_canary = |set: &&Value| canary_uids.iter().any(|uid| is_owned_by(set, uid));
    seen.canary_sets = canary_sets.iter().filter(of_canary).map(ReplicaSetView::of).collect();
    seen.endpoints = endpoints;
    Ok(())
}

/// Every object of ours that belongs to a Deployment, the routing ones first.
///
/// # Errors
/// See [`ObserveError`].
pub async fn ours(client: &Client, owner: &Owner) -> Result<Vec<Value>, ObserveError> {
    let canary_of = owner_label(&owner.name);
    let ours_by_label = selector_for(&canary_of);
    let mut ours = Vec::new();
    for kind in Kind::iter().rev() {
        let found = list(&api(client, kind, &owner.namespace), &kind.to_string(), &ours_by_label).await?;
        ours.extend(found.into_iter().filter(|object| owner.owns(object)));
    }
    Ok(ours)
}

/// Splits objects into those of users, typed, and those of ours for this Deployment, raw.
fn typed_users<T: DeserializeOwned>(
    objects: Vec<Value>,
    kind: &'static str,
    owner: &Owner,
    ours: &mut Vec<Value>,
) -> Result<Vec<T>, ObserveError> {
    let (managed, users): (Vec<Value>, Vec<Value>) = objects.into_iter().partition(is_ours_raw);
    ours.extend(managed.into_iter().filter(|object| owner.owns(object)));
    users.into_iter().map(|object| typed(object, kind)).collect()
}

fn typed<T: DeserializeOwned>(object: Value, kind: &'static str) -> Result<T, ObserveError> {
    serde_json::from_value(object).map_err(|error| ObserveError::Malformed(kind, error))
}

/// Labels as they are on every object of ours for `deployment`.
#[must_use]
pub fn our_labels(deployment: &str) -> Labels {
    marks(&owner_label(deployment))
}
