//! Objects as a watch has reported them.

use kube::{Resource, ResourceExt, runtime::watcher::Event};
use std::collections::{BTreeMap, BTreeSet};

/// Namespace and name.
pub type Key = (String, String);

/// What is kept of the objects of one watch.
#[derive(Debug)]
pub struct Kept<V> {
    known: BTreeMap<Key, V>,
    /// Objects of a list that is not complete.
    listing: BTreeSet<Key>,
    /// A list was complete.
    pub is_listed: bool,
}

impl<V> Default for Kept<V> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), listing: BTreeSet::new(), is_listed: false }
    }
}

impl<V> Kept<V> {
    /// What is kept of an object.
    pub fn get(&self, key: &Key) -> Option<&V> {
        self.known.get(key)
    }

    /// The keys of all objects.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.known.keys()
    }

    /// What is kept of all objects.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.known.values()
    }

    /// Applies an event: of an object, what `keep` makes of it.
    pub fn apply<K: Resource>(&mut self, event: Event<K>, keep: impl FnOnce(K) -> Option<V>) {
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(object) => {
                self.listing.insert(key(&object));
                self.put(object, keep);
            }
            Event::Apply(object) => self.put(object, keep),
            Event::Delete(object) => drop(self.known.remove(&key(&object))),
            Event::InitDone => {
                let listing = std::mem::take(&mut self.listing);
                self.known.retain(|key, _| listing.contains(key));
                self.is_listed = true;
            }
        }
    }

    fn put<K: Resource>(&mut self, object: K, keep: impl FnOnce(K) -> Option<V>) {
        let key = key(&object);
        match keep(object) {
            Some(kept) => drop(self.known.insert(key, kept)),
            None => drop(self.known.remove(&key)),
        }
    }
}

fn key(object: &impl Resource) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// The trouble of a watch is over when it reports something. That it begins a list says nothing: it does so before each try.
pub fn works<K, T>(troubles: &mut BTreeMap<&'static str, T>, what: &'static str, event: &Event<K>) {
    if !matches!(event, Event::Init) {
        troubles.remove(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    #[test]
    fn a_new_list_replaces_the_old_one_when_it_is_complete() {
        let map = |name: &str| -> ConfigMap {
            serde_json::from_value(serde_json::json!({"metadata": {"name": name, "namespace": "shop"}}))
                .unwrap()
        };
        let mut kept = Kept::default();
        let mut after = |event| {
            kept.apply(event, |map: ConfigMap| Some(map.name_any()));
            (kept.values().cloned().collect::<Vec<_>>().join(" "), kept.is_listed)
        };
        assert_eq!(after(Event::InitApply(map("a"))), ("a".into(), false));
        after(Event::InitDone);
        assert_eq!(after(Event::Apply(map("b"))), ("a b".into(), true));
        after(Event::Init);
        assert_eq!(after(Event::InitApply(map("b"))), ("a b".into(), true), "the list is not complete");
        assert_eq!(after(Event::InitDone), ("b".into(), true));
        assert_eq!(after(Event::Delete(map("b"))), (String::new(), true));
    }
}
