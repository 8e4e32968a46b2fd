//! Objects of ours, as the watches report them.

use super::newer;
use crate::{
    cluster::{
        objects::{raw, resource, slim},
        served::Served,
    },
    decide::pass::number,
    objects::{
        manifest::{Kind, Owner},
        marks::{DEPLOYMENT_ANNOTATION, deployment},
    },
    runtime::locked::lock,
};
use futures::{Stream, StreamExt, TryStreamExt, future::ready};
use kube::{
    Api, Client, ResourceExt,
    api::DynamicObject,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};
use tokio::sync::Notify;

/// See the module. Only releases under way have any.
#[derive(Default)]
pub struct Objects(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    by_owner: HashMap<By, BTreeMap<Id, Arc<Value>>>,
    owners: HashMap<Id, Vec<By>>,
    newest: BTreeMap<Kind, u64>,
    listing: BTreeMap<Kind, BTreeSet<Id>>,
}

/// Kind, namespace and name.
type Id = (Kind, String, String);

/// By what an object belongs to something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum By {
    /// By reference to this UID.
    Uid(String),
    /// By the annotation that names the Deployment, in this namespace.
    Name(String, String),
}

impl Objects {
    /// Watches a kind, from when the cluster has it. The stream must be polled: it reports which object changed. `listed`
    /// hears of each complete list.
    pub fn watch(
        &self,
        client: &Client,
        served: &Arc<Served>,
        kind: Kind,
        selection: watcher::Config,
        listed: Arc<Notify>,
    ) -> impl Stream<Item = DynamicObject> + Send + 'static + use<> {
        let known = Arc::clone(&self.0);
        let api = Api::all_with(client.clone(), &resource(kind));
        let begin = move || {
            let (known, listed) = (Arc::clone(&known), Arc::clone(&listed));
            let noted = watcher(api.clone(), selection.clone()).inspect_ok(move |event| {
                lock(&known).note(kind, event);
                if matches!(event, Event::InitDone) {
                    listed.notify_one();
                }
            });
            noted.touched_objects()
        };
        served.watch(kind, begin).filter_map(ready)
    }

    /// Whether anything that belongs to this Deployment exists.
    #[must_use]
    pub fn has_any(&self, owner: &Owner) -> bool {
        lock(&self.0).of(owner).next().is_some()
    }

    /// What belongs to this Deployment, and for each kind the greatest version that was reported.
    #[must_use]
    pub fn of(&self, owner: &Owner) -> (Vec<Value>, BTreeMap<Kind, u64>) {
        let known = lock(&self.0);
        (known.of(owner).map(|object| object.as_ref().clone()).collect(), known.newest.clone())
    }

    /// The user's Deployment whose canary has this name; else the name itself.
    #[must_use]
    pub fn deployment_of(&self, namespace: &str, name: String) -> String {
        let known = lock(&self.0);
        let canary = (Kind::DEPLOYMENT, namespace.to_owned(), name);
        let owner = known.owners.get(&canary).and_then(|owners| {
            let object = known.by_owner.get(owners.first()?)?.get(&canary)?;
            Some(object.pointer("/metadata/ownerReferences/0/name")?.as_str()?.to_owned())
        });
        owner.unwrap_or(canary.2)
    }
}

impl Known {
    fn of<'a>(&'a self, owner: &'a Owner) -> impl Iterator<Item = &'a Arc<Value>> {
        let by = [By::Uid(owner.uid.clone()), By::Name(owner.namespace.clone(), owner.name.clone())];
        let all: BTreeMap<_, _> = by.iter().filter_map(|by| self.by_owner.get(by)).flatten().collect();
        all.into_iter()
            .filter(|((_, namespace, _), _)| *namespace == owner.namespace)
            .map(|(_, object)| object)
    }

    fn note(&mut self, kind: Kind, event: &Event<DynamicObject>) {
        match event {
            Event::Init => drop(self.listing.insert(kind, BTreeSet::new())),
            Event::InitApply(object) => {
                self.listing.entry(kind).or_default().insert(id(kind, object));
                self.put(kind, object);
            }
            Event::Apply(object) => self.put(kind, object),
            Event::Delete(object) => {
                self.reported(kind, object);
                self.remove(&id(kind, object));
            }
            Event::InitDone => {
                let listed = self.listing.remove(&kind).unwrap_or_default();
                let is_gone = |id: &&Id| id.0 == kind && !listed.contains(id);
                let gone: Vec<Id> = self.owners.keys().filter(is_gone).cloned().collect();
                for id in &gone {
                    self.remove(id);
                }
            }
        }
    }

    fn put(&mut self, kind: Kind, object: &DynamicObject) {
        self.reported(kind, object);
        let id = id(kind, object);
        self.remove(&id);
        let referred = object.owner_references().iter().map(|reference| By::Uid(reference.uid.clone()));
        let annotation = object.annotations().get(DEPLOYMENT_ANNOTATION);
        let annotated = annotation.and_then(|annotation| Some(deployment(annotation)?.0));
        let annotated = annotated.map(|name| By::Name(id.1.clone(), name.to_owned()));
        let owners: Vec<By> = referred.chain(annotated).collect();
        let object = Arc::new(raw(slim(object.clone()), kind.name()));
        for owner in &owners {
            self.by_owner.entry(owner.clone()).or_default().insert(id.clone(), Arc::clone(&object));
        }
        self.owners.insert(id, owners);
    }

    fn remove(&mut self, id: &Id) {
        for owner in self.owners.remove(id).into_iter().flatten() {
            let Some(objects) = self.by_owner.get_mut(&owner) else { continue };
            objects.remove(id);
            if objects.is_empty() {
                self.by_owner.remove(&owner);
            }
        }
    }

    fn reported(&mut self, kind: Kind, object: &DynamicObject) {
        let version = number(object.metadata.resource_version.as_deref());
        newer(self.newest.entry(kind).or_default(), version);
    }
}

fn id(kind: Kind, object: &DynamicObject) -> Id {
    (kind, object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn owner(uid: &str) -> Owner {
        Owner { name: "web".into(), namespace: "shop".into(), uid: uid.into() }
    }

    fn canary(version: u64, owner: Option<&str>) -> DynamicObject {
        let owners: Vec<Value> = owner
            .map(|uid| json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid}))
            .into_iter()
            .collect();
        let version = version.to_string();
        let metadata = json!({"name": "web-canary", "namespace": "shop", "resourceVersion": version, "ownerReferences": owners});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    #[test]
    fn objects_are_found_by_their_owner_until_they_go() {
        let objects = Objects::default();
        let note = |event| lock(&objects.0).note(Kind::DEPLOYMENT, &event);
        let versions = |uid: &str| {
            let (found, newest) = objects.of(&owner(uid));
            (found.len(), newest.get(&Kind::DEPLOYMENT).copied())
        };
        note(Event::Apply(canary(5, Some("u"))));
        assert_eq!((versions("u"), versions("v").0), ((1, Some(5)), 0));
        assert_eq!(objects.deployment_of("shop", "web-canary".into()), "web");
        assert_eq!(objects.deployment_of("shop", "other".into()), "other");
        note(Event::Apply(canary(6, None)));
        assert_eq!(versions("u"), (0, Some(6)), "it has no owner any more");
        note(Event::Apply(canary(7, Some("u"))));
        note(Event::Delete(canary(8, Some("u"))));
        assert_eq!(versions("u"), (0, Some(8)));
        note(Event::Apply(canary(9, Some("u"))));
        assert_eq!(versions("u").0, 1);
        note(Event::Init);
        assert!(objects.has_any(&owner("u")), "the list is not complete");
        note(Event::InitDone);
        assert!(!objects.has_any(&owner("u")), "it went while nobody watched");
    }

    #[test]
    fn what_a_route_owns_is_found_by_the_name_of_its_deployment_also_when_that_was_made_again() {
        let objects = Objects::default();
        let owners = json!([{"apiVersion": "v1", "kind": "HTTPRoute", "name": "web", "uid": "r"}]);
        let metadata = json!({"name": "web-canary-web", "namespace": "shop", "resourceVersion": "5",
            "annotations": {DEPLOYMENT_ANNOTATION: "web/u"}, "ownerReferences": owners});
        let companion = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        lock(&objects.0).note(Kind::SERVICE, &Event::Apply(companion));
        assert!(objects.has_any(&owner("u")));
        assert!(objects.has_any(&owner("v")), "nobody else removes what the one before has left behind");
        assert!(!objects.has_any(&Owner { name: "other".into(), ..owner("u") }));
        assert!(!objects.has_any(&Owner { namespace: "other".into(), ..owner("u") }));
    }
}
