//! Versions of records: what was reported, and what this process has written itself.

use crate::{
    cluster::records::{StateError, state_name},
    decide::pass::{Stored, number},
    runtime::locked::lock,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{
    ResourceExt,
    core::PartialObjectMeta,
    runtime::{reflector::ObjectRef, watcher::Event},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Mutex,
};

type Key = ObjectRef<Deployment>;

/// See the module.
#[derive(Default)]
pub struct Records(Mutex<Known>);

#[derive(Default)]
struct Known {
    versions: HashMap<Key, Versions>,
    listing: HashSet<Key>,
    /// Records that were read before the watches began, by namespace and name, until they are asked for.
    read: HashMap<(String, String), Stored>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Versions {
    reported: u64,
    written: u64,
}

impl Records {
    /// Whether something else than this version, or a deletion, was reported.
    pub fn is_superseded(&self, key: &Key, version: Option<&str>) -> bool {
        lock(&self.0).versions.get(key).is_some_and(|versions| versions.reported > number(version))
    }

    /// These were read, by namespace and name, before the watches began.
    pub fn were_read(&self, records: BTreeMap<(String, String), Result<Stored, StateError>>) {
        let readable = records.into_iter().filter_map(|(id, record)| Some((id, record.ok()?)));
        lock(&self.0).read = readable.collect();
    }

    /// The record that was read before the watches began, once, unless it was changed since.
    pub fn first(&self, key: &Key) -> Option<Stored> {
        let id = (key.namespace.clone().unwrap_or_default(), state_name(&key.name));
        let stored = lock(&self.0).read.remove(&id)?;
        (!self.is_superseded(key, stored.version.as_deref())).then_some(stored)
    }

    /// The Deployment is not managed any more.
    pub fn forget(&self, key: &Key) {
        lock(&self.0).versions.remove(key);
    }

    /// This process has written this version.
    pub fn wrote(&self, key: &Key, version: Option<&str>) {
        lock(&self.0).versions.entry(key.clone()).or_default().written = number(version);
    }

    /// Keeps what an event reports; whether others than this process have changed a record since its last event.
    pub fn note(&self, event: &Event<PartialObjectMeta<ConfigMap>>) -> bool {
        let mut known = lock(&self.0);
        let Known { versions, listing, .. } = &mut *known;
        let record = match event {
            Event::Apply(record) | Event::InitApply(record) | Event::Delete(record) => record,
            Event::Init => {
                listing.clear();
                return true;
            }
            Event::InitDone => {
                let is_gone = |(key, _): &(&Key, &mut Versions)| !listing.contains(key);
                versions.iter_mut().filter(is_gone).for_each(|(_, versions)| {
                    versions.reported = versions.reported.max(versions.written).saturating_add(1);
                });
                return true;
            }
        };
        let Some(key) = owner_of(record) else { return true };
        let versions = versions.entry(key.clone()).or_default();
        let before = versions.reported;
        super::newer(&mut versions.reported, number(record.metadata.resource_version.as_deref()));
        let is_foreign = versions.reported > versions.written;
        match event {
            Event::Delete(_) => true,
            Event::InitApply(_) => {
                listing.insert(key);
                // When the first watch begins, every Deployment is looked at anyway.
                is_foreign && before > 0 && versions.reported > before
            }
            _ => is_foreign,
        }
    }
}

/// The Deployment that a record is of.
pub fn owner_of(record: &PartialObjectMeta<ConfigMap>) -> Option<Key> {
    let owner = record.owner_references().iter().find(|owner| owner.kind == "Deployment")?;
    Some(ObjectRef::new(&owner.name).within(record.namespace()?.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(version: u64) -> PartialObjectMeta<ConfigMap> {
        let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u"});
        let version = version.to_string();
        let metadata = json!({"name": "haldane-web", "namespace": "shop", "resourceVersion": version, "ownerReferences": [owner]});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    #[test]
    fn a_record_that_others_have_changed_or_deleted_is_superseded() {
        let (records, key) = (Records::default(), Key::new("web").within("shop"));
        assert!(!records.is_superseded(&key, Some("5")), "nothing was reported");
        assert!(records.note(&Event::Apply(record(5))), "this process has not written it");
        assert!(!records.is_superseded(&key, Some("5")));
        records.wrote(&key, Some("6"));
        assert!(!records.note(&Event::Apply(record(6))), "its own");
        assert!(!records.is_superseded(&key, Some("6")));
        assert!(records.note(&Event::Apply(record(7))));
        assert!(records.is_superseded(&key, Some("6")));
        assert!(records.note(&Event::Delete(record(8))));
        assert!(records.is_superseded(&key, Some("7")));
    }

    #[test]
    fn a_record_that_went_while_nobody_watched_is_superseded() {
        let (records, key) = (Records::default(), Key::new("web").within("shop"));
        records.note(&Event::Init);
        assert!(!records.note(&Event::InitApply(record(5))), "its Deployment is looked at anyway");
        records.note(&Event::InitDone);
        assert!(!records.is_superseded(&key, Some("5")));
        records.note(&Event::Init);
        assert!(records.note(&Event::InitApply(record(6))), "somebody has changed it meanwhile");
        records.note(&Event::InitDone);
        assert!(!records.is_superseded(&key, Some("6")));
        records.note(&Event::Init);
        records.note(&Event::InitDone);
        assert!(records.is_superseded(&key, Some("6")));
        records.wrote(&key, Some("9"));
        assert!(!records.is_superseded(&key, Some("9")), "it was written again");
    }
}
