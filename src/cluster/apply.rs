//! Making the world so: each function is one kind of write, safe to repeat.

use super::objects::{api, raw};
use crate::{
    cluster::api::{FIELD_MANAGER, lost_race},
    decide::{Condition, DeploymentWrite, RELEASE},
    domain::{keys, observed::Observed},
    objects::{
        manifest::{Kind, Manifest, Owner},
        marks::is_ours_raw,
    },
};
use jiff::Timestamp;
use json_patch::{
    AddOperation, Patch as JsonPatch, PatchOperation, RemoveOperation, TestOperation, jsonptr::PointerBuf,
};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::{Value, json};

/// A write failed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The object changed meanwhile: look and decide again.
    #[error("{0} changed meanwhile")]
    Conflict(String),
    /// An object that is not Haldane's has the name.
    #[error("{0} exists and is not Haldane's; rename or delete it")]
    Foreign(String),
    /// An object of ours for a Deployment that is gone has the name: garbage collection removes it.
    #[error(
        "{0} is Haldane's for a deleted Deployment of the same name; waiting until it is collected, or delete it"
    )]
    Predecessor(String),
    /// The API server's answer.
    #[error("{0}: {1}")]
    Api(String, Box<kube::Error>),
}

pub(super) fn failed(what: String) -> impl FnOnce(kube::Error) -> ApplyError {
    move |error| {
        if lost_race(&error) { ApplyError::Conflict(what) } else { ApplyError::Api(what, Box::new(error)) }
    }
}

/// Makes an object of ours, or changes the one that was `seen`.
///
/// It holds for exactly the object that was looked at: a replica that no longer leads, and does not know
/// it, cannot bring back traffic that the leader has removed since.
///
/// # Errors
/// See [`ApplyError`]. An object that is not ours is never overwritten.
pub async fn apply(
    client: &Client,
    owner: &Owner,
    manifest: &Manifest,
    seen: Option<&Value>,
) -> Result<(), ApplyError> {
    let api = api(client, manifest.kind, &owner.namespace);
    let what = || format!("{} {:?}", manifest.kind, manifest.name);
    if seen.is_none()
        && let Some(found) = api.get_opt(&manifest.name).await.map_err(failed(what()))?
    {
        let found = raw(found, &manifest.kind.to_string());
        return Err(match (is_ours_raw(&found), owner.owns(&found)) {
            (true, true) => ApplyError::Conflict(what()),
            (true, false) => ApplyError::Predecessor(what()),
            (false, _) => ApplyError::Foreign(what()),
        });
    }
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let body = manifest.for_update_of(seen);
    api.patch(&manifest.name, &params, &Patch::Apply(&body)).await.map_err(failed(what()))?;
    Ok(())
}

/// Removes an object of ours, as it was seen; one that is gone already is fine.
///
/// # Errors
/// See [`ApplyError`].
pub async fn delete(
    client: &Client,
    owner: &Owner,
    seen: &Observed,
    kind: Kind,
    name: &str,
) -> Result<(), ApplyError> {
    let object = crate::objects::manifest::find(&seen.ours, kind, name);
    let text = |pointer| object?.pointer(pointer)?.as_str().map(str::to_owned);
    let (uid, resource_version) = (text("/metadata/uid"), text("/metadata/resourceVersion"));
    let params = DeleteParams {
        preconditions: Some(Preconditions { uid, resource_version }),
        ..DeleteParams::background()
    };
    match api(client, kind, &owner.namespace).delete(name, &params).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        result => result.map(drop).map_err(failed(format!("{kind} {name:?}"))),
    }
}

/// The one write to the user's spec. It holds for exactly the Deployment that was looked at.
///
/// # Errors
/// See [`ApplyError`].
pub async fn write_deployment(
    client: &Client,
    owner: &Owner,
    seen: &Observed,
    write: DeploymentWrite,
) -> Result<(), ApplyError> {
    let patch = Patch::Json::<()>(deployment_patch(seen, write));
    deployments(client, owner).patch(&owner.name, &params(), &patch).await.map_err(failed(format!(
        "{} {:?}",
        Kind::DEPLOYMENT,
        owner.name
    )))?;
    Ok(())
}

/// Removes the pods of a `ReplicaSet` that Kubernetes made before its template was held. None is ready.
///
/// # Errors
/// See [`ApplyError`].
pub async fn empty(client: &Client, owner: &Owner, name: &str) -> Result<(), ApplyError> {
    let patch = Patch::Merge(json!({"spec": {"replicas": 0}}));
    let sets = Api::<ReplicaSet>::namespaced(client.clone(), &owner.namespace);
    sets.patch_scale(name, &params(), &patch).await.map_err(failed(format!("ReplicaSet {name:?}")))?;
    Ok(())
}

/// `test` first: a template that arrived after the look must not be released with it.
#[must_use]
pub fn deployment_patch(seen: &Observed, write: DeploymentWrite) -> JsonPatch {
    let at = |tokens: &[&str]| PointerBuf::from_tokens(tokens.iter().copied());
    let version = json!(seen.deployment.metadata.resource_version);
    let mut patch = vec![PatchOperation::Test(TestOperation {
        path: at(&["metadata", "resourceVersion"]),
        value: version,
    })];
    let held = at(&["metadata", "annotations", keys::HELD]);
    let managed = at(&["metadata", "labels", keys::MANAGED]);
    match write {
        DeploymentWrite::Leave => {
            let left = [keys::REQUEST, keys::EXEMPT].into_iter().filter(|key| seen.annotation(key).is_some());
            let left = left.map(|key| at(&["metadata", "annotations", key]));
            let is_marked =
                seen.deployment.metadata.labels.iter().flatten().any(|(key, _)| key == keys::MANAGED);
            let removed = left.chain(is_marked.then_some(managed));
            patch.extend(removed.map(|path| PatchOperation::Remove(RemoveOperation { path })));
        }
        DeploymentWrite::Return => {
            if seen.deployment.metadata.labels.is_none() {
                let labels = at(&["metadata", "labels"]);
                patch.push(PatchOperation::Add(AddOperation { path: labels, value: json!({}) }));
            }
            patch.push(PatchOperation::Add(AddOperation { path: managed, value: json!("true") }));
        }
        DeploymentWrite::Hold => {
            let value = json!(seen.template_hash().as_str());
            patch.push(PatchOperation::Add(AddOperation { path: held, value }));
            patch.push(PatchOperation::Add(AddOperation {
                path: at(&["spec", "paused"]),
                value: json!(true),
            }));
        }
        DeploymentWrite::Release => {
            patch.push(PatchOperation::Remove(RemoveOperation { path: held }));
            if seen.annotation(keys::EXEMPT).is_some() {
                let exempt = at(&["metadata", "annotations", keys::EXEMPT]);
                patch.push(PatchOperation::Remove(RemoveOperation { path: exempt }));
            }
            if seen.deployment.spec.paused.is_some() {
                patch.push(PatchOperation::Remove(RemoveOperation { path: at(&["spec", "paused"]) }));
            }
        }
    }
    JsonPatch(patch)
}

/// Sets conditions on exactly the Deployment that was looked at; all others stay.
///
/// # Errors
/// See [`ApplyError`].
pub async fn write_conditions(
    client: &Client,
    owner: &Owner,
    seen: &Observed,
    conditions: &[Condition],
    now: Timestamp,
) -> Result<(), ApplyError> {
    let json = |condition: &Condition| {
        let mut json = condition.json(now);
        let known = seen.condition(condition.kind).and_then(|known| known.status.as_deref());
        if let (true, Some(fields)) = (known == Some(condition.status), json.as_object_mut()) {
            fields.remove("lastTransitionTime");
        }
        json
    };
    patch_conditions(client, owner, seen, conditions.iter().map(json).collect()).await
}

/// Removes Haldane's own condition from exactly the Deployment that was looked at.
///
/// # Errors
/// See [`ApplyError`].
pub async fn clear_condition(client: &Client, owner: &Owner, seen: &Observed) -> Result<(), ApplyError> {
    patch_conditions(client, owner, seen, without_release()).await
}

/// Haldane's own condition, as a strategic merge removes it.
#[must_use]
pub fn without_release() -> Value {
    json!([{"$patch": "delete", "type": RELEASE}])
}

async fn patch_conditions(
    client: &Client,
    owner: &Owner,
    seen: &Observed,
    conditions: Value,
) -> Result<(), ApplyError> {
    // Conditions are merged by their types.
    let patch = Patch::Strategic(json!({
        "metadata": {"resourceVersion": seen.deployment.metadata.resource_version},
        "status": {"conditions": conditions},
    }));
    let what = format!("status of {} {:?}", Kind::DEPLOYMENT, owner.name);
    deployments(client, owner).patch_status(&owner.name, &params(), &patch).await.map_err(failed(what))?;
    Ok(())
}

fn deployments(client: &Client, owner: &Owner) -> Api<Deployment> {
    Api::namespaced(client.clone(), &owner.namespace)
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}
