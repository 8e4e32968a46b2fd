//! Looking at the cluster: the one place where admission and a rollout's decision learn what is around a Deployment.

use super::objects::{api, every, list, list_kind, raw, replica_sets, resource};
use crate::{
    domain::{
        k8s::{
            json_pointer::part,
            label_rewrite::{CANARY_OF_LABEL, owner_label},
            pods::{self, Unavailable},
            selector::{self, Labels},
        },
        keys,
        observed::{Observed, ReplicaSetView},
    },
    objects::{
        canary_deployment::canary_name,
        manifest::{Kind, Owner, find},
        marks::{is_owned_by, marks, selector_for},
        separate::Separated,
    },
    routers,
};
use futures::future::try_join_all;
use k8s_openapi::api::{
    apps::v1::{Deployment, DeploymentStatus},
    core::v1::Pod,
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams},
};
use serde_json::Value;
use tracing::debug;

/// Pods that are looked at when some are not available: these show what is wrong with all.
const PODS: u32 = 25;

/// The cluster could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The API server's answer.
    #[error("cannot read the cluster: {0}")]
    Api(#[from] kube::Error),
    /// An object that is not what its kind promises.
    #[error("cannot read {0}: {1}")]
    Malformed(Kind, serde_json::Error),
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
    let found = api(client, Kind::DEPLOYMENT, namespace).get_opt(name).await?;
    found.map(read).transpose()
}

/// The managed Deployments of a namespace, or of all, each alone.
///
/// # Errors
/// See [`ObserveError`].
pub async fn managed(
    client: &Client,
    namespace: Option<&str>,
) -> Result<Vec<(Owner, Observed)>, ObserveError> {
    let resource = resource(Kind::DEPLOYMENT);
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    every(&api, &format!("{}=true", keys::MANAGED)).await?.into_iter().map(read).collect()
}

/// A Deployment as the API server sent it.
fn read(object: DynamicObject) -> Result<(Owner, Observed), ObserveError> {
    let owner = Owner {
        name: object.name_any(),
        namespace: object.namespace().unwrap_or_default(),
        uid: object.uid().unwrap_or_default(),
    };
    let object = raw(object, "Deployment");
    let template = object.pointer("/spec/template").cloned().unwrap_or_default().into();
    let malformed = |error| ObserveError::Malformed(Kind::DEPLOYMENT, error);
    let deployment = serde_json::from_value(object).map_err(malformed)?;
    Ok((owner, Observed { deployment, template, ..Observed::default() }))
}

/// What users have in a namespace around their Deployments, and what is ours there for the Deployment with `uid`, except
/// its canary Deployment.
///
/// # Errors
/// See [`ObserveError`].
pub async fn look_up(client: &Client, namespace: &str, uid: &str) -> Result<Separated, ObserveError> {
    let lists = routers::read_kinds().map(|kind| async move {
        Ok::<_, kube::Error>((kind, list_kind(client, kind, namespace, "").await?))
    });
    let mut found = Separated::default();
    for (kind, objects) in try_join_all(lists).await? {
        for object in objects {
            found.add(object, uid).map_err(|error| ObserveError::Malformed(kind, error))?;
        }
    }
    Ok(found)
}

/// Everything around the Deployment that a decision depends on, read at once. Endpoints only while
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
    let slices = async {
        let slices = Api::<EndpointSlice>::namespaced(client.clone(), &owner.namespace);
        Ok(if rolling { every(&slices, "").await? } else { Vec::new() })
    };
    let (around, sides, endpoints) = tokio::try_join!(
        look_up(client, &owner.namespace, &owner.uid),
        sides(client, owner, &seen.deployment),
        slices
    )?;
    seen.world = around.world;
    seen.ours = sides.canary.into_iter().chain(around.ours).collect();
    (seen.replica_sets, seen.canary_sets) = (sides.stable_sets, sides.canary_sets);
    seen.endpoints = endpoints;
    seen.unavailable = unavailable(client, owner, rolling, seen).await;
    Ok(())
}

/// What runs on both sides of a release.
#[derive(Debug, Default)]
pub struct Sides {
    /// The canary Deployment.
    pub canary: Vec<Value>,
    /// `ReplicaSets` of the user's Deployment.
    pub stable_sets: Vec<ReplicaSetView>,
    /// `ReplicaSets` of the canary Deployment.
    pub canary_sets: Vec<ReplicaSetView>,
}

/// Looks at both sides of a release.
///
/// # Errors
/// See [`ObserveError`].
pub async fn sides(client: &Client, owner: &Owner, deployment: &Deployment) -> Result<Sides, ObserveError> {
    let namespace = owner.namespace.as_str();
    let canary_of = owner_label(&owner.name);
    let ours_by_label = selector_for(&canary_of);
    let canary_by_label = format!("{CANARY_OF_LABEL}={canary_of}");
    let stable_by_label = selector::text(&deployment.spec.selector);
    let sets = replica_sets(client, namespace);
    let deployments = api(client, Kind::DEPLOYMENT, namespace);
    let (canaries, stable_sets, canary_sets) = tokio::try_join!(
        list(&deployments, "Deployment", &ours_by_label),
        list(&sets, "ReplicaSet", &stable_by_label),
        list(&sets, "ReplicaSet", &canary_by_label),
    )?;
    let canary: Vec<Value> = canaries.into_iter().filter(|object| owner.owns(object)).collect();
    // Anyone can set a label, and the sets have the hash that metrics are queried for.
    let uids: Vec<&str> =
        canary.iter().filter_map(|object| object.pointer("/metadata/uid")?.as_str()).collect();
    let of_canary = |set: &&Value| uids.iter().any(|uid| is_owned_by(set, uid));
    let stable_sets = stable_sets.iter().filter(|set| owner.owns(set)).map(ReplicaSetView::of).collect();
    let canary_sets = canary_sets.iter().filter(of_canary).map(ReplicaSetView::of).collect();
    Ok(Sides { canary, stable_sets, canary_sets })
}

/// Why pods are not available: the canary's, or while stable is `rolling`, its pods of the new template. Pods are read only
/// while some are not, and nothing but this text depends on them: a rollout goes on without.
async fn unavailable(client: &Client, owner: &Owner, rolling: bool, seen: &Observed) -> Option<Unavailable> {
    let canary = || part(find(&seen.ours, Kind::DEPLOYMENT, &canary_name(&owner.name))?, "/status").cloned();
    let status: Option<DeploymentStatus> = if rolling {
        seen.deployment.status.clone()
    } else {
        canary().and_then(|status| serde_json::from_value(status).ok())
    };
    let status = status.filter(|status| status.unavailable_replicas.is_some_and(|count| count > 0))?;
    let is_new = |set: &&ReplicaSetView| set.template == seen.template_hash();
    let set = if rolling {
        seen.replica_sets.iter().find(is_new)
    } else {
        seen.canary_sets.iter().find(|set| set.wanted > 0)
    };
    let labels = if rolling {
        selector::text(&seen.deployment.spec.selector)
    } else {
        format!("{CANARY_OF_LABEL}={}", owner_label(&owner.name))
    };
    let mut pods = Vec::new();
    if let Some(set) = set {
        let selected = format!("{labels},pod-template-hash={}", set.pod_hash);
        let of_set = ListParams::default().labels(&selected).limit(PODS);
        match Api::<Pod>::namespaced(client.clone(), &owner.namespace).list(&of_set).await {
            Ok(found) => pods = found.items,
            Err(error) => debug!(%error, "cannot read the pods that are not available"),
        }
    }
    pods::unavailable(&pods, &status)
}

/// Every object of ours that belongs to a Deployment, the routing ones first.
///
/// # Errors
/// See [`ObserveError`].
pub async fn ours(client: &Client, owner: &Owner) -> Result<Vec<Value>, ObserveError> {
    let canary_of = owner_label(&owner.name);
    let ours_by_label = selector_for(&canary_of);
    let mut ours = Vec::new();
    for kind in routers::kinds().iter().rev() {
        let found = list_kind(client, *kind, &owner.namespace, &ours_by_label).await?;
        ours.extend(found.into_iter().filter(|object| owner.owns(object)));
    }
    Ok(ours)
}

/// Labels as they are on every object of ours for `deployment`.
#[must_use]
pub fn our_labels(deployment: &str) -> Labels {
    marks(&owner_label(deployment))
}
