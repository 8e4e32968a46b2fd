//! Looking at the cluster: the one place where admission and a rollout's decision learn what is around a Deployment.

use super::objects::{api, every, list, list_kind, raw, replica_sets, resource};
use crate::{
    decide::Needs,
    domain::{
        k8s::{
            json_pointer::part,
            label_rewrite::{CANARY_OF_LABEL, owner_label},
            pods::{self, Unavailable},
            selector::{self, Labels},
        },
        keys,
        observed::{Observed, ReplicaSetView, SERVICE_NAME_LABEL},
        world::World,
    },
    objects::{
        canary_deployment::canary_name,
        labels::service_selector,
        manifest::{Kind, Owner, find},
        marks::{is_ours_raw, is_owned_by, marks, selector_for},
        separate,
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
///
/// # Errors
/// When it is not what its kind promises.
pub fn read(object: DynamicObject) -> Result<(Owner, Observed), ObserveError> {
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

/// What users have in a namespace around their Deployments.
///
/// # Errors
/// See [`ObserveError`].
pub async fn look_up(client: &Client, namespace: &str) -> Result<World, ObserveError> {
    let lists = routers::read_kinds().map(|kind| async move {
        Ok::<_, kube::Error>((kind, list_kind(client, kind, namespace, "").await?))
    });
    let mut world = World::default();
    for (kind, objects) in try_join_all(lists).await? {
        for object in objects {
            separate::add(&mut world, object).map_err(|error| ObserveError::Malformed(kind, error))?;
        }
    }
    Ok(world)
}

/// What is ours for a Deployment, and what runs on both sides of its release, read now.
///
/// # Errors
/// See [`ObserveError`].
pub async fn pair(client: &Client, owner: &Owner, seen: &mut Observed) -> Result<(), ObserveError> {
    let (ours, sets) = tokio::try_join!(ours(client, owner), labelled(client, owner, &seen.deployment))?;
    (seen.replica_sets, seen.canary_sets) = sets.of(owner, &ours);
    seen.ours = ours;
    Ok(())
}

/// What of the surroundings no watch keeps, as far as it is needed.
///
/// # Errors
/// See [`ObserveError`].
pub async fn unwatched(
    client: &Client,
    owner: &Owner,
    needs: &Needs,
    seen: &mut Observed,
) -> Result<(), ObserveError> {
    seen.endpoints = if needs.endpoints {
        endpoints(client, &owner.namespace, &seen.pod_labels(), &seen.world).await?
    } else {
        Vec::new()
    };
    seen.unavailable = if needs.pods { unavailable(client, owner, needs.rolls, seen).await } else { None };
    Ok(())
}

/// The endpoints of the Services that select pods with these labels.
///
/// # Errors
/// The API server's.
pub async fn endpoints(
    client: &Client,
    namespace: &str,
    pods: &Labels,
    world: &World,
) -> kube::Result<Vec<EndpointSlice>> {
    let selecting = world.services.iter().filter(|service| {
        service_selector(service).is_some_and(|labels| selector::map_selects(labels, pods))
    });
    let names: Vec<&str> = selecting.filter_map(|service| service.metadata.name.as_deref()).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let slices = Api::<EndpointSlice>::namespaced(client.clone(), namespace);
    every(&slices, &format!("{SERVICE_NAME_LABEL} in ({})", names.join(","))).await
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
    let ours_by_label = selector_for(&owner_label(&owner.name));
    let deployments = api(client, Kind::DEPLOYMENT, &owner.namespace);
    let canaries = async { Ok(list(&deployments, Kind::DEPLOYMENT.name(), &ours_by_label).await?) };
    let (canaries, sets) = tokio::try_join!(canaries, labelled(client, owner, deployment))?;
    let canary: Vec<Value> = canaries.into_iter().filter(|object| owner.owns(object)).collect();
    let (stable_sets, canary_sets) = sets.of(owner, &canary);
    Ok(Sides { canary, stable_sets, canary_sets })
}

/// `ReplicaSets` that have the labels of each side. Anyone can set a label.
struct Labelled {
    stable: Vec<Value>,
    canary: Vec<Value>,
}

async fn labelled(client: &Client, owner: &Owner, deployment: &Deployment) -> Result<Labelled, ObserveError> {
    let canary_by_label = format!("{CANARY_OF_LABEL}={}", owner_label(&owner.name));
    let stable_by_label = selector::text(&deployment.spec.selector);
    let sets = replica_sets(client, &owner.namespace);
    let (stable, canary) = tokio::try_join!(
        list(&sets, "ReplicaSet", &stable_by_label),
        list(&sets, "ReplicaSet", &canary_by_label),
    )?;
    Ok(Labelled { stable, canary })
}

impl Labelled {
    /// The sets that the user's Deployment and the canary Deployment among `ours` own: they have the hash that metrics are
    /// queried for.
    fn of(&self, owner: &Owner, ours: &[Value]) -> (Vec<ReplicaSetView>, Vec<ReplicaSetView>) {
        let is_canary = |object: &&Value| Kind::DEPLOYMENT.is_of(object);
        let uid = |object: &'_ Value| Some(object.pointer("/metadata/uid")?.as_str()?.to_owned());
        let uids: Vec<String> = ours.iter().filter(is_canary).filter_map(uid).collect();
        let of_canary = |set: &&Value| uids.iter().any(|uid| is_owned_by(set, uid));
        let stable = self.stable.iter().filter(|set| owner.owns(set)).map(ReplicaSetView::of).collect();
        (stable, self.canary.iter().filter(of_canary).map(ReplicaSetView::of).collect())
    }
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

/// The canary Deployment.
///
/// # Errors
/// See [`ObserveError`].
pub async fn canary(client: &Client, owner: &Owner) -> Result<Option<Value>, ObserveError> {
    let found = api(client, Kind::DEPLOYMENT, &owner.namespace).get_opt(&canary_name(&owner.name)).await?;
    let object = found.map(|object| raw(object, Kind::DEPLOYMENT.name()));
    Ok(object.filter(|object| is_ours_raw(object) && owner.owns(object)))
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
