//! The state `ConfigMap`: the only record of a Deployment's rollouts.

use super::world::our_labels;
use crate::{
    cluster::{api, objects::every},
    decide::{
        RolloutView,
        pass::{Look, Stored},
        state_validation,
        summary::summary,
    },
    document::finding::Finding,
    domain::{
        k8s::selector::Labels,
        names::suffixed,
        state::{Phase, RolloutState, STATE_VERSION, bounded},
    },
    objects::{manifest::Owner, marks},
};
use jiff::Timestamp;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Preconditions},
    core::PartialObjectMeta,
};
use std::{collections::BTreeMap, sync::Arc};

/// Key of the whole state; the others are for people.
const STATE_KEY: &str = "state";
/// Says of a record whether its release is `running` or `queued`.
const PROGRESS_LABEL: &str = "haldane.dev/progress";
/// Since when a queued release waits.
const QUEUED_SINCE: &str = "haldane.dev/queued-since";
/// Since when a release is paused.
const PAUSED_SINCE: &str = "haldane.dev/paused-since";
/// Kubernetes' limit for names of `ConfigMaps`.
const NAME_MAX: usize = 253;

/// The state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The API server's answer.
    #[error("ConfigMap {0:?}: {answer}", answer = api::message(.1))]
    Api(String, Box<kube::Error>),
    /// An object that is not Haldane's has the name.
    #[error("ConfigMap {0:?} exists and is not Haldane's; rename or delete it")]
    Foreign(String),
    /// The content is not a state.
    #[error("ConfigMap {0:?}, key {STATE_KEY:?}: {1}; delete the ConfigMap to start from what is running")]
    Unreadable(String, serde_json::Error),
    /// The content is not a state that Haldane writes.
    #[error(
        "ConfigMap {0:?}, key {STATE_KEY:?}: {1}; Haldane does not act on it; undo the edit, or delete the ConfigMap to start from what is running"
    )]
    Edited(String, Finding),
    /// Written by a newer program.
    #[error("ConfigMap {0:?} has version {1}, this Haldane reads {STATE_VERSION}; upgrade it")]
    Newer(String, u32),
}

/// Name of the `ConfigMap`.
#[must_use]
pub fn state_name(deployment: &str) -> String {
    format!("haldane-{}", suffixed(deployment, "", NAME_MAX - "haldane-".len()))
}

/// Reads what is recorded for a Deployment of this name.
///
/// # Errors
/// See [`StateError`].
pub async fn load(client: &Client, namespace: &str, deployment: &str) -> Result<Stored, StateError> {
    let name = state_name(deployment);
    let found = maps(client, namespace).get_opt(&name).await;
    let Some(map) = found.map_err(|error| StateError::Api(name.clone(), Box::new(error)))? else {
        return Ok(Stored::default());
    };
    read(map, name)
}

/// The records of a namespace, or of all, by namespace and name of the record.
///
/// # Errors
/// The API server's.
pub async fn all(
    client: &Client,
    namespace: Option<&str>,
) -> kube::Result<BTreeMap<(String, String), Result<Stored, StateError>>> {
    let api = match namespace {
        Some(namespace) => maps(client, namespace),
        None => Api::all(client.clone()),
    };
    let maps = every(&api, &marks::selector()).await?;
    let record = |map: ConfigMap| {
        let (namespace, name) = (map.namespace().unwrap_or_default(), map.name_any());
        ((namespace, name.clone()), read(map, name))
    };
    Ok(maps.into_iter().map(record).collect())
}

/// What a `ConfigMap` of this name records.
///
/// # Errors
/// See [`StateError`].
pub fn read(map: ConfigMap, name: String) -> Result<Stored, StateError> {
    if !marks::is_ours(&map.metadata) {
        return Err(StateError::Foreign(name));
    }
    let text = map.data.and_then(|mut data| data.remove(STATE_KEY)).unwrap_or_default();
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| StateError::Unreadable(name.clone(), e))?;
    let version = value.get("version").and_then(serde_json::Value::as_u64).unwrap_or_default();
    match u32::try_from(version) {
        Ok(version) if version <= STATE_VERSION => {}
        _ => return Err(StateError::Newer(name, u32::try_from(version).unwrap_or(u32::MAX))),
    }
    let state = serde_json::from_value(value).map_err(|error| StateError::Unreadable(name.clone(), error))?;
    state_validation::check(&state).map_err(|finding| StateError::Edited(name, finding))?;
    let owners = map.metadata.owner_references.unwrap_or_default();
    Ok(Stored {
        state: Arc::new(state),
        version: map.metadata.resource_version,
        owners: owners.into_iter().map(|reference| reference.uid).collect(),
        is_ahead: false,
    })
}

/// Replaces what was `look`ed at by `state`, unless another writer was faster. Returns the new version.
///
/// # Errors
/// See [`StateError`]; a lost race is [`StateError::Api`] with code 409.
pub async fn store(client: &Client, look: &Look, state: &RolloutState) -> Result<Option<String>, StateError> {
    let name = state_name(&look.owner.name);
    let failed = |error| StateError::Api(name.clone(), Box::new(error));
    let map = config_map(look, state).map_err(|error| StateError::Unreadable(name.clone(), error))?;
    let maps = maps(client, &look.owner.namespace);
    let written = match look.stored.version {
        Some(_) => maps.replace(&name, &api::post(), &map).await,
        None => maps.create(&api::post(), &map).await,
    };
    written.map(|map| map.metadata.resource_version).map_err(failed)
}

/// Removes the record of a Deployment that has opted out; only this `version` of it, if one is given.
///
/// # Errors
/// See [`StateError`].
pub async fn forget(client: &Client, owner: &Owner, version: Option<&str>) -> Result<(), StateError> {
    let name = state_name(&owner.name);
    let preconditions =
        version.map(|version| Preconditions { uid: None, resource_version: Some(version.to_owned()) });
    let params = DeleteParams { preconditions, ..DeleteParams::default() };
    match maps(client, &owner.namespace).delete(&name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(StateError::Api(name, Box::new(error))),
    }
}

fn maps(client: &Client, namespace: &str) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), namespace)
}

fn config_map(look: &Look, state: &RolloutState) -> serde_json::Result<ConfigMap> {
    let Look { owner, seen, stored } = look;
    let view = RolloutView::recorded(state).with_pods(state, seen);
    let mut data = summary(&view);
    data.insert(STATE_KEY.to_owned(), bounded::text(state)?);
    Ok(ConfigMap {
        metadata: ObjectMeta {
            name: Some(state_name(&owner.name)),
            namespace: Some(owner.namespace.clone()),
            labels: Some(our_labels(&owner.name).into_iter().chain(progress(state)).collect()),
            annotations: waits_since(state, &view)
                .map(|(key, since)| Labels::from([(key.to_owned(), since.to_string())])),
            owner_references: Some(vec![serde_json::from_value(owner.reference())?]),
            resource_version: stored.version.clone(),
            ..ObjectMeta::default()
        },
        data: Some(data),
        ..ConfigMap::default()
    })
}

/// Label by which canaries are counted, on records of what runs or waits; metadata is enough to count.
fn progress(state: &RolloutState) -> Option<(String, String)> {
    let value = if state.is_running() { Some("running") } else { state.queued_since.map(|_| "queued") };
    value.map(|value| (PROGRESS_LABEL.to_owned(), value.to_owned()))
}

/// What a release waits for, as the key of an annotation, and since when: its turn, or the end of a pause.
fn waits_since(state: &RolloutState, view: &RolloutView) -> Option<(&'static str, Timestamp)> {
    if !state.is_running() {
        return state.queued_since.map(|since| (QUEUED_SINCE, since));
    }
    let since = view.since.filter(|_| view.phase == Phase::Paused);
    since.map(|since| (PAUSED_SINCE, since))
}

/// A release that is under way or waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Its namespace.
    pub namespace: String,
    /// Name of its record.
    pub record: String,
    /// Since when it waits; `None` when it is under way.
    pub queued_since: Option<Timestamp>,
    /// Since when it is paused.
    pub paused_since: Option<Timestamp>,
}

/// Every release of the cluster that is under way or waits for its turn.
///
/// # Errors
/// The API server's.
pub async fn unfinished(client: &Client) -> kube::Result<Vec<Unfinished>> {
    let ours = ListParams::default().labels(&format!("{},{PROGRESS_LABEL}", marks::selector()));
    let records = Api::<ConfigMap>::all(client.clone()).list_metadata(&ours).await?;
    let time = |record: &PartialObjectMeta<ConfigMap>, key: &str| record.annotations().get(key)?.parse().ok();
    let other = |record: PartialObjectMeta<ConfigMap>| Unfinished {
        queued_since: time(&record, QUEUED_SINCE),
        paused_since: time(&record, PAUSED_SINCE),
        namespace: record.namespace().unwrap_or_default(),
        record: record.name_any(),
    };
    Ok(records.items.into_iter().map(other).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn owner(uid: &str) -> Owner {
        Owner { name: "web".into(), namespace: "shop".into(), uid: uid.into() }
    }

    /// A record with this state, of the Deployment with this UID.
    fn record(state: &str, uid: &str) -> ConfigMap {
        let look = Look { owner: owner(uid), seen: Arc::default(), stored: Stored::default() };
        let mut map = config_map(&look, &RolloutState::default()).unwrap();
        map.metadata.resource_version = Some("7".to_owned());
        map.data.as_mut().unwrap().insert(STATE_KEY.to_owned(), state.to_owned());
        map
    }

    fn read_text(state: &str) -> Result<Arc<RolloutState>, String> {
        let stored = read(record(state, "u"), "haldane-web".into());
        stored.map(|stored| stored.state).map_err(|error| error.to_string())
    }

    #[test]
    fn a_state_of_another_version_or_none_is_reported_and_never_guessed() {
        let written =
            serde_json::to_string(&RolloutState { revision: 3, ..RolloutState::default() }).unwrap();
        assert_eq!(read_text(&written).unwrap().revision, 3);
        let newer = json!({"version": STATE_VERSION + 1, "revision": 3}).to_string();
        assert_eq!(
            read_text(&newer).unwrap_err(),
            r#"ConfigMap "haldane-web" has version 2, this Haldane reads 1; upgrade it"#
        );
        for broken in ["", "{", "[]", r#"{"revision": 3}"#, r#"{"version": "1", "revision": 3}"#] {
            let message = read_text(broken).unwrap_err();
            assert!(
                message.ends_with("delete the ConfigMap to start from what is running"),
                "{broken}: {message}"
            );
        }
    }

    #[test]
    fn a_config_map_of_a_user_is_not_a_record() {
        let mut map = record("{}", "u");
        map.metadata.labels = None;
        let message = read(map, "haldane-web".into()).unwrap_err().to_string();
        assert_eq!(message, r#"ConfigMap "haldane-web" exists and is not Haldane's; rename or delete it"#);
    }

    #[test]
    fn the_record_of_an_earlier_deployment_of_the_same_name_is_replaced() {
        let state = RolloutState { revision: 3, ..RolloutState::default() };
        let stored =
            read(record(&serde_json::to_string(&state).unwrap(), "old"), "haldane-web".into()).unwrap();
        assert_eq!(*stored.clone().of("old").state, state);
        let other = stored.of("new");
        assert_eq!((&*other.state, other.version.as_deref()), (&RolloutState::default(), Some("7")));
    }
}
