//! Users' Deployments: the whole object until it was looked at first, and while a release of it waits or is under way, else
//! only its version.

use crate::{
    cluster::world,
    decide::pass::{WatchedDeployment, number},
    domain::{keys, observed::Observed},
    objects::manifest::Owner,
    runtime::locked::lock,
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    ResourceExt,
    api::DynamicObject,
    runtime::{reflector::ObjectRef, watcher::Event},
};
use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::{Arc, Mutex},
};

type Key = ObjectRef<Deployment>;

/// See the module.
#[derive(Default)]
pub struct Deployments(Mutex<Known>);

#[derive(Default)]
struct Known {
    kept: HashMap<Key, Kept>,
    /// Those in a list that is not complete.
    listing: HashSet<Key>,
}

enum Kept {
    Version(u64),
    Whole(Owner, Arc<Observed>),
}

impl Deployments {
    /// The Deployment, as it was reported last.
    pub fn get(&self, key: &Key) -> WatchedDeployment {
        match lock(&self.0).kept.get(key) {
            None => WatchedDeployment::Unknown,
            Some(Kept::Version(version)) => WatchedDeployment::Version(*version),
            Some(Kept::Whole(owner, seen)) => WatchedDeployment::Whole(owner.clone(), Arc::clone(seen)),
        }
    }

    /// A pass has ended, and nothing is under way: the whole object is not needed any more.
    pub fn rests(&self, key: &Key) {
        if let Some(kept) = lock(&self.0).kept.get_mut(key)
            && let Kept::Whole(_, seen) = kept
        {
            *kept = Kept::Version(number(seen.deployment.metadata.resource_version.as_deref()));
        }
    }

    /// Keeps what an event reports. The whole object where `is_active` says so, or its template is held. Those that went
    /// while nobody watched, which no event reports, are returned when the list is complete.
    pub fn note(&self, event: &Event<DynamicObject>, is_active: impl Fn(&Key) -> bool) -> Vec<Key> {
        match event {
            Event::Apply(object) => self.put(object, false, is_active),
            Event::InitApply(object) => self.put(object, true, is_active),
            Event::Delete(object) => drop(lock(&self.0).kept.remove(&key_of(object))),
            Event::Init => lock(&self.0).listing.clear(),
            Event::InitDone => {
                let mut known = lock(&self.0);
                let listed = mem::take(&mut known.listing);
                return known.kept.extract_if(|key, _| !listed.contains(key)).map(|(key, _)| key).collect();
            }
        }
        Vec::new()
    }

    fn put(&self, object: &DynamicObject, is_listed: bool, is_active: impl Fn(&Key) -> bool) {
        let key = key_of(object);
        let is_first = is_listed && !lock(&self.0).kept.contains_key(&key);
        let wants_whole = is_first || object.annotations().contains_key(keys::HELD) || is_active(&key);
        let whole = wants_whole.then(|| world::read(object.clone()).ok()).flatten();
        let version = || Kept::Version(number(object.metadata.resource_version.as_deref()));
        let kept = whole.map_or_else(version, |(owner, seen)| Kept::Whole(owner, Arc::new(seen)));
        let mut known = lock(&self.0);
        if is_listed {
            known.listing.insert(key.clone());
        }
        known.kept.insert(key, kept);
    }
}

fn key_of(object: &DynamicObject) -> Key {
    ObjectRef::new(&object.name_any()).within(&object.namespace().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn those_that_went_while_nobody_watched_are_reported_when_the_list_is_complete() {
        let deployments = Deployments::default();
        let note = |event| deployments.note(&event, |_| false);
        let web = |name: &str| -> DynamicObject {
            let metadata = json!({"name": name, "namespace": "shop", "resourceVersion": "5"});
            serde_json::from_value(json!({"metadata": metadata})).unwrap()
        };
        for event in [Event::Init, Event::InitApply(web("a")), Event::InitApply(web("b")), Event::InitDone] {
            assert!(note(event).is_empty());
        }
        assert!(note(Event::Apply(web("c"))).is_empty());
        assert!(note(Event::Init).is_empty() && note(Event::InitApply(web("b"))).is_empty());
        let mut gone = note(Event::InitDone);
        gone.sort_by(|a, b| a.name.cmp(&b.name));
        let key = |name: &str| Key::new(name).within("shop");
        assert_eq!(gone, [key("a"), key("c")]);
        assert!(matches!(deployments.get(&key("a")), WatchedDeployment::Unknown));
        assert!(matches!(deployments.get(&key("b")), WatchedDeployment::Version(5)));
    }
}
