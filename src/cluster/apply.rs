//! Making the world so: each function is one kind of write, safe to repeat.

use super::{
    objects::{api, raw},
    world::read,
};
use crate::{
    cluster::api::{FIELD_MANAGER, lost_race},
    decide::{Condition, DeploymentWrite, RELEASE},
    domain::{keys, observed::Observed},
    objects::{
        manifest::{Kind, Manifest, Owner},
        marks::{is_ours_raw, owner_name},
    },
};
use jiff::Timestamp;
use json_patch::{
    AddOperation, Patch as JsonPatch, PatchOperation, RemoveOperation, ReplaceOperation, TestOperation,
    jsonptr::PointerBuf,
};
use k8s_openapi::api::apps::v1::ReplicaSet;
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
    /// An object of ours for another Deployment has the name.
    #[error("{0} belongs to the canary of Deployment {1:?}; waiting until that release has ended")]
    Other(String, String),
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
/// Returns the object as it is then.
///
/// # Errors
/// See [`ApplyError`]. An object that is not ours is never overwritten.
pub async fn apply(
    client: &Client,
    owner: &Owner,
    manifest: &Manifest,
    seen: Option<&Value>,
) -> Result<Value, ApplyError> {
    let api = api(client, manifest.kind, &owner.namespace);
    let what = || format!("{} {:?}", manifest.kind, manifest.name);
    if seen.is_none()
        && let Some(found) = api.get_opt(&manifest.name).await.map_err(failed(what()))?
    {
        let found = raw(found, &manifest.kind.to_string());
        return Err(match (is_ours_raw(&found), owner_name(&found)) {
            (true, _) if owner.owns(&found) => ApplyError::Conflict(what()),
            (true, Some(other)) if other != owner.name => ApplyError::Other(what(), other.to_owned()),
            (true, _) => ApplyError::Predecessor(what()),
            (false, _) => ApplyError::Foreign(what()),
        });
    }
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let body = manifest.for_update_of(seen);
    let patched = api.patch(&manifest.name, &params, &Patch::Apply(&body)).await.map_err(failed(what()))?;
    Ok(raw(patched, manifest.kind.name()))
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

/// The one write to the user's spec. It holds for exactly the Deployment that was looked at. Returns what it is then.
///
/// # Errors
/// See [`ApplyError`].
pub async fn write_deployment(
    client: &Client,
    owner: &Owner,
    seen: &Observed,
    write: DeploymentWrite,
) -> Result<Patched, ApplyError> {
    let patch = Patch::Json::<()>(deployment_patch(seen, write));
    let patched = api(client, Kind::DEPLOYMENT, &owner.namespace).patch(&owner.name, &params(), &patch).await;
    Ok(read(patched.map_err(failed(format!("{} {:?}", Kind::DEPLOYMENT, owner.name)))?).ok())
}

/// The Deployment as the API server has answered a patch of it; `None` if the answer cannot be read.
pub type Patched = Option<(Owner, Observed)>;

/// Removes the pods of a `ReplicaSet` that Kubernetes made before its template was held. None is ready. It holds for
/// exactly the `ReplicaSet` that was looked at: it may be promoted since.
///
/// # Errors
/// See [`ApplyError`].
pub async fn empty(client: &Client, owner: &Owner, seen: &Observed, name: &str) -> Result<(), ApplyError> {
    let patch = Patch::Merge(empty_patch(seen, name));
    let sets = Api::<ReplicaSet>::namespaced(client.clone(), &owner.namespace);
    sets.patch_scale(name, &params(), &patch).await.map_err(failed(format!("ReplicaSet {name:?}")))?;
    Ok(())
}

fn empty_patch(seen: &Observed, name: &str) -> Value {
    let set = seen.replica_sets.iter().find(|set| set.name == name);
    json!({"metadata": {"resourceVersion": set.map(|set| &set.version)}, "spec": {"replicas": 0}})
}

/// `test` first: a template that arrived after the look must not be released with it.
#[must_use]
pub fn deployment_patch(seen: &Observed, write: DeploymentWrite) -> JsonPatch {
    let version = json!(seen.deployment.metadata.resource_version);
    let mut patch = vec![test(&["metadata", "resourceVersion"], version)];
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

/// Sets conditions of the Deployment that was looked at; all others stay.
///
/// # Errors
/// See [`ApplyError`].
pub async fn write_conditions(
    client: &Client,
    owner: &Owner,
    seen: &Observed,
    conditions: &[Condition],
    now: Timestamp,
) -> Result<Patched, ApplyError> {
    let merged = || conditions.iter().map(|condition| dated(condition, seen, now)).collect();
    let patch = match conditions_patch(seen, conditions, now) {
        Some(patch) => Patch::Json(patch),
        None => merge_patch(seen, &merged()),
    };
    patch_status(client, owner, &patch).await
}

/// A condition as it is written: while its status stays, so does the time since when it has it.
fn dated(condition: &Condition, seen: &Observed, now: Timestamp) -> Value {
    let mut value = condition.json(now);
    let known = seen.condition(condition.kind);
    let same = known.filter(|known| known.status.as_deref() == Some(condition.status));
    let since = same.and_then(|known| known.last_transition_time.as_ref());
    if let (Some(since), Some(fields)) = (since, value.as_object_mut()) {
        fields.insert("lastTransitionTime".to_owned(), json!(since));
    }
    value
}

/// Replaces conditions where they are, if they are what they were, on the same Deployment with the same spec. Everything else
/// of its status changes many times while pods roll, and does not matter. `None` where a condition is new.
///
/// The API server compares JSON as it is written, and writes `<`, `>` and `&` in another way. So no message is compared.
#[must_use]
pub fn conditions_patch(seen: &Observed, conditions: &[Condition], now: Timestamp) -> Option<JsonPatch> {
    let metadata = &seen.deployment.metadata;
    let mut patch = vec![
        test(&["metadata", "uid"], json!(metadata.uid)),
        test(&["metadata", "generation"], json!(metadata.generation)),
    ];
    let known = seen.deployment.status.as_ref()?.conditions.as_deref()?;
    for condition in conditions {
        let mut places = known.iter().enumerate();
        let (place, known) = places.find(|(_, known)| known.type_.as_deref() == Some(condition.kind))?;
        let (place, known) = (place.to_string(), json!(known));
        let fields = ["type", "status", "reason", "lastUpdateTime"].into_iter();
        let tests = fields.filter_map(|field| Some((field, known.get(field)?)));
        patch.extend(tests.map(|(field, is)| test(&["status", "conditions", &place, field], is.clone())));
        patch.push(PatchOperation::Replace(ReplaceOperation {
            path: at(&["status", "conditions", &place]),
            value: dated(condition, seen, now),
        }));
    }
    Some(JsonPatch(patch))
}

/// Removes Haldane's own condition from exactly the Deployment that was looked at.
///
/// # Errors
/// See [`ApplyError`].
pub async fn clear_condition(client: &Client, owner: &Owner, seen: &Observed) -> Result<Patched, ApplyError> {
    patch_status(client, owner, &merge_patch(seen, &without_release())).await
}

/// Haldane's own condition, as a strategic merge removes it.
#[must_use]
pub fn without_release() -> Value {
    json!([{"$patch": "delete", "type": RELEASE}])
}

/// Conditions are merged by their types, into exactly the Deployment that was looked at.
fn merge_patch(seen: &Observed, conditions: &Value) -> Patch<Value> {
    Patch::Strategic(json!({
        "metadata": {"resourceVersion": seen.deployment.metadata.resource_version},
        "status": {"conditions": conditions},
    }))
}

async fn patch_status(client: &Client, owner: &Owner, patch: &Patch<Value>) -> Result<Patched, ApplyError> {
    let what = format!("status of {} {:?}", Kind::DEPLOYMENT, owner.name);
    let deployments = api(client, Kind::DEPLOYMENT, &owner.namespace);
    let patched = deployments.patch_status(&owner.name, &params(), patch).await;
    Ok(read(patched.map_err(failed(what))?).ok())
}

fn at(tokens: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(tokens.iter().copied())
}

fn test(tokens: &[&str], value: Value) -> PatchOperation {
    PatchOperation::Test(TestOperation { path: at(tokens), value })
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::observed::ReplicaSetView;

    fn deployment() -> Value {
        json!({
            "metadata": {"name": "web", "uid": "u", "generation": 3},
            "spec": {"selector": {}, "template": {}},
            "status": {"readyReplicas": 1, "conditions": [
                {"type": "Available", "status": "True"},
                {"type": RELEASE, "status": "Unknown", "reason": "Progressing", "message": "traffic weight 20",
                    "lastUpdateTime": "2026-11-28T10:00:00Z", "lastTransitionTime": "2026-11-28T09:00:00Z"},
            ]},
        })
    }

    fn patch(kind: &'static str, status: &'static str) -> Option<JsonPatch> {
        let deployment = serde_json::from_value(deployment()).unwrap();
        let seen = Observed { deployment, ..Observed::default() };
        let condition =
            Condition { kind, status, reason: "Progressing", message: "traffic weight 50".to_owned() };
        conditions_patch(&seen, &[condition], "2026-11-28T11:00:00Z".parse().unwrap())
    }

    /// The Deployment after the patch, if it is changed like this before it arrives.
    fn patched(status: &'static str, pointer: &str, value: Value) -> Option<Value> {
        let mut meanwhile = deployment();
        *meanwhile.pointer_mut(pointer).unwrap() = value;
        json_patch::patch(&mut meanwhile, &patch(RELEASE, status).unwrap()).ok()?;
        Some(meanwhile)
    }

    #[test]
    fn pods_that_become_ready_do_not_prevent_a_condition() {
        let after = patched("Unknown", "/status/readyReplicas", json!(2)).unwrap();
        assert_eq!(after["status"]["readyReplicas"], 2);
        assert_eq!(after["status"]["conditions"][0], json!({"type": "Available", "status": "True"}));
        let written = after["status"]["conditions"][1].clone();
        assert_eq!(written["message"], "traffic weight 50");
        assert_eq!(written["lastUpdateTime"], "2026-11-28T11:00:00Z");
        assert_eq!(written["lastTransitionTime"], "2026-11-28T09:00:00Z", "its status is the same");
        let ended = patched("True", "/status/readyReplicas", json!(2)).unwrap();
        assert_eq!(ended["status"]["conditions"][1]["lastTransitionTime"], "2026-11-28T11:00:00Z");
    }

    #[test]
    fn a_newer_template_another_deployment_or_another_writer_prevents_it() {
        let own = "/status/conditions/1";
        for (pointer, value) in [
            ("/metadata/generation", json!(4)),
            ("/metadata/uid", json!("v")),
            (own, json!({"type": "Progressing", "status": "True"})),
            (&format!("{own}/lastUpdateTime"), json!("2026-11-28T10:30:00Z")),
        ] {
            assert_eq!(patched("Unknown", pointer, value), None, "{pointer}");
        }
    }

    #[test]
    fn a_replica_set_is_emptied_as_it_was_seen() {
        let set = json!({"metadata": {"name": "web-1", "resourceVersion": "7"}, "spec": {"replicas": 2}});
        let seen = Observed { replica_sets: vec![ReplicaSetView::of(&set)], ..Observed::default() };
        let expected = json!({"metadata": {"resourceVersion": "7"}, "spec": {"replicas": 0}});
        assert_eq!(empty_patch(&seen, "web-1"), expected);
    }

    #[test]
    fn a_new_condition_has_no_place_yet() {
        assert_eq!(patch("Progressing", "False"), None);
    }
}
