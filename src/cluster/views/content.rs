//! What is known of one namespace.

use crate::{
    cluster::objects::raw,
    domain::{observed::ReplicaSetView, world::World},
    objects::{
        manifest::Kind,
        marks::{canary_of_service, is_ours},
    },
    runtime::locked::lock,
};
use kube::{ResourceExt, api::DynamicObject, runtime::watcher::Event};
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::Notify;
use tracing::warn;

/// See the module.
#[derive(Default)]
pub(super) struct Content {
    users: Mutex<Users>,
    sets: Mutex<Sets>,
    watches_sets: AtomicBool,
    listed: Notify,
}

#[derive(Default)]
struct Users {
    world: Arc<World>,
    /// Kinds of which the first list is not complete; `None` while the kinds are not known.
    missing: Option<BTreeSet<Kind>>,
    /// Names in a list that is not complete.
    listing: HashMap<Kind, BTreeSet<String>>,
}

#[derive(Default)]
struct Sets {
    by_owner: HashMap<String, Vec<ReplicaSetView>>,
    listing: BTreeSet<String>,
    is_complete: bool,
}

impl Content {
    /// What users have, once it is known.
    pub(super) async fn world(&self) -> Arc<World> {
        loop {
            let listed = self.listed.notified();
            let known = {
                let users = lock(&self.users);
                let is_complete = users.missing.as_ref().is_some_and(BTreeSet::is_empty);
                is_complete.then(|| Arc::clone(&users.world))
            };
            match known {
                Some(world) => return world,
                None => listed.await,
            }
        }
    }

    /// The `ReplicaSets` of these owners, once they are known.
    pub(super) async fn sets<const N: usize>(&self, owners: [&str; N]) -> [Vec<ReplicaSetView>; N] {
        loop {
            let listed = self.listed.notified();
            let known = {
                let sets = lock(&self.sets);
                let of = |owner: &str| sets.by_owner.get(owner).cloned().unwrap_or_default();
                sets.is_complete.then(|| owners.map(of))
            };
            match known {
                Some(sets) => return sets,
                None => listed.await,
            }
        }
    }

    /// Whether the `ReplicaSets` are to be watched from now on.
    pub(super) fn begins_sets(&self) -> bool {
        !self.watches_sets.swap(true, Ordering::Relaxed)
    }

    /// These kinds are watched.
    pub(super) fn expects(&self, kinds: &[Kind]) {
        lock(&self.users).missing = Some(kinds.iter().copied().collect());
        self.listed.notify_waiters();
    }

    /// This kind is not watched any more: nobody waits for it. What is known of it is now known without it.
    pub(super) fn lacks(&self, kind: Kind) -> bool {
        let mut users = lock(&self.users);
        let Some(missing) = &mut users.missing else { return false };
        let completes = missing.remove(&kind) && missing.is_empty();
        self.listed.notify_waiters();
        completes
    }

    /// An event of a kind of users' objects. Whether what is known has changed.
    pub(super) fn users(&self, kind: Kind, event: Event<DynamicObject>) -> bool {
        let mut users = lock(&self.users);
        let Users { world, missing, listing } = &mut *users;
        let is_changed = match event {
            Event::Init => {
                listing.insert(kind, BTreeSet::new());
                false
            }
            Event::InitApply(object) => {
                listing.entry(kind).or_default().insert(object.name_any());
                put(world, kind, object)
            }
            Event::Apply(object) => put(world, kind, object),
            Event::Delete(object) => {
                let name = object.name_any();
                keep(world, kind, |known| known != name)
            }
            Event::InitDone => {
                let names = listing.remove(&kind).unwrap_or_default();
                let is_changed = keep(world, kind, |known| names.contains(known));
                missing.get_or_insert_default().remove(&kind);
                self.listed.notify_waiters();
                is_changed
            }
        };
        is_changed && missing.as_ref().is_some_and(BTreeSet::is_empty)
    }

    /// An event of a `ReplicaSet`; the Deployment whose `ReplicaSets` have changed by it.
    pub(super) fn set(&self, event: Event<DynamicObject>) -> Option<String> {
        let mut sets = lock(&self.sets);
        match event {
            Event::Init => sets.listing.clear(),
            Event::InitApply(object) => {
                sets.listing.insert(object.name_any());
                let changed = sets.put(object);
                return changed.filter(|_| sets.is_complete);
            }
            Event::Apply(object) => return sets.put(object),
            Event::Delete(object) => {
                let (uid, name) = owner(&object)?;
                let name_of_set = object.name_any();
                if let Some(known) = sets.by_owner.get_mut(&uid) {
                    known.retain(|set| set.name != name_of_set);
                    if known.is_empty() {
                        sets.by_owner.remove(&uid);
                    }
                }
                return Some(name);
            }
            Event::InitDone => {
                let Sets { by_owner, listing, is_complete } = &mut *sets;
                by_owner.retain(|_, known| {
                    known.retain(|set| listing.contains(&set.name));
                    !known.is_empty()
                });
                listing.clear();
                *is_complete = true;
                self.listed.notify_waiters();
            }
        }
        None
    }
}

impl Sets {
    fn put(&mut self, object: DynamicObject) -> Option<String> {
        let (uid, name) = owner(&object)?;
        let set = ReplicaSetView::of(&raw(object, "ReplicaSet"));
        let known = self.by_owner.entry(uid).or_default();
        let Some(known) = known.iter_mut().find(|known| known.name == set.name) else {
            known.push(set);
            return Some(name);
        };
        // Another version of the same says nothing, and is the one that a write must name.
        known.version.clone_from(&set.version);
        let is_changed = *known != set;
        *known = set;
        is_changed.then_some(name)
    }
}

/// Removes what is gone; whether anything was.
fn keep(world: &mut Arc<World>, kind: Kind, keeps: impl Fn(&str) -> bool) -> bool {
    let world = Arc::make_mut(world);
    let count = world.canaries.len();
    if kind == Kind::SERVICE {
        world.canaries.retain(|name, _| keeps(name));
    }
    world.retain(kind.name(), &keeps) || world.canaries.len() != count
}

/// UID and name of the owner.
fn owner(object: &DynamicObject) -> Option<(String, String)> {
    let owner = object.owner_references().iter().find(|owner| owner.controller == Some(true))?;
    Some((owner.uid.clone(), owner.name.clone()))
}

/// Keeps an object of users without what changes all the time and says nothing. A pass may hold what is known, so that
/// each change costs a copy of it: what changes nothing is left out before.
fn put(world: &mut Arc<World>, kind: Kind, mut object: DynamicObject) -> bool {
    let name = object.name_any();
    let is_ours = is_ours(&object.metadata);
    object.metadata.resource_version = None;
    let mut object = raw(object, kind.name());
    if is_ours {
        let owner = canary_of_service(&object).filter(|_| kind == Kind::SERVICE);
        let is_new = owner.filter(|owner| world.canaries.get(&name) != Some(owner));
        let was_users = world.has(kind.name(), &name);
        if is_new.is_some() || was_users {
            let world = Arc::make_mut(world);
            world.retain(kind.name(), |known| known != name);
            world.canaries.extend(is_new.map(|owner| (name, owner)));
            return true;
        }
        return false;
    }
    if kind == Kind::AUTOSCALER {
        object.as_object_mut().and_then(|fields| fields.remove("status"));
        if world.autoscalers.contains(&object) {
            return false;
        }
    }
    Arc::make_mut(world).put(object).unwrap_or_else(|error| {
        let kind: Value = kind.name().into();
        warn!(%kind, name, %error, "an object is not what its kind promises, and is left out");
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routers::nginx;
    use futures::FutureExt;
    use serde_json::json;

    fn object(name: &str, more: &Value) -> DynamicObject {
        let mut object = json!({"metadata": {"name": name, "resourceVersion": "7"}});
        json_patch::merge(&mut object, more);
        serde_json::from_value(object).unwrap()
    }

    /// A namespace of which these Ingresses were listed, and nothing else is watched.
    fn listed(names: &[&str]) -> Content {
        let content = Content::default();
        content.expects(&[nginx::INGRESS]);
        list(&content, names);
        content
    }

    fn list(content: &Content, names: &[&str]) -> bool {
        content.users(nginx::INGRESS, Event::Init);
        let apply = |name: &&str| content.users(nginx::INGRESS, Event::InitApply(object(name, &json!({}))));
        let changed: Vec<bool> = names.iter().map(apply).collect();
        content.users(nginx::INGRESS, Event::InitDone) || changed.contains(&true)
    }

    fn names(content: &Content) -> Option<Vec<String>> {
        let world = content.world().now_or_never()?;
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
        Some(world.routes("Ingress").iter().map(name).collect())
    }

    #[test]
    fn nothing_is_known_before_every_kind_was_listed() {
        let content = Content::default();
        assert_eq!(names(&content), None);
        content.expects(&[nginx::INGRESS, Kind::SERVICE]);
        list(&content, &["a"]);
        assert_eq!(names(&content), None, "Services are missing");
        content.users(Kind::SERVICE, Event::Init);
        content.users(Kind::SERVICE, Event::InitDone);
        assert_eq!(names(&content).unwrap(), ["a"]);
    }

    #[test]
    fn only_what_changes_is_reported() {
        let content = listed(&["a", "b"]);
        let apply =
            |name: &str, more: &Value| content.users(nginx::INGRESS, Event::Apply(object(name, more)));
        assert!(!apply("a", &json!({"metadata": {"resourceVersion": "8"}})));
        assert!(apply("a", &json!({"spec": {"ingressClassName": "nginx"}})));
        assert!(content.users(nginx::INGRESS, Event::Delete(object("a", &json!({})))));
        assert_eq!(names(&content).unwrap(), ["b"]);
        assert!(!list(&content, &["b"]), "a watch that begins again, and nothing was missed");
        assert!(list(&content, &["c"]), "b was deleted meanwhile");
        assert_eq!(names(&content).unwrap(), ["c"]);
    }

    #[test]
    fn the_status_of_an_autoscaler_is_not_kept() {
        let content = Content::default();
        content.expects(&[Kind::AUTOSCALER]);
        content.users(Kind::AUTOSCALER, Event::Init);
        content.users(Kind::AUTOSCALER, Event::InitDone);
        let apply = |replicas: i32| {
            let status = json!({"status": {"currentReplicas": replicas}});
            content.users(Kind::AUTOSCALER, Event::Apply(object("web", &status)))
        };
        assert!(apply(1));
        assert!(!apply(2));
    }

    #[test]
    fn what_is_ours_is_left_out_also_when_it_becomes_so() {
        let content = listed(&["a"]);
        let marks = json!({"metadata": {"labels": crate::objects::marks::marks("web")}});
        assert!(!content.users(nginx::INGRESS, Event::Apply(object("web-canary", &marks))));
        assert!(content.users(nginx::INGRESS, Event::Apply(object("a", &marks))));
        assert_eq!(names(&content).unwrap(), [] as [String; 0]);
    }

    #[test]
    fn replica_sets_are_found_by_their_owner() {
        let content = Content::default();
        let set = |name: &str, ready: i32| {
            let owner = json!({"uid": "u", "name": "web", "kind": "Deployment", "apiVersion": "apps/v1", "controller": true});
            object(
                name,
                &json!({"metadata": {"ownerReferences": [owner]}, "status": {"readyReplicas": ready}}),
            )
        };
        assert_eq!(content.set(Event::Init), None);
        assert_eq!(content.set(Event::InitApply(set("web-1", 1))), None, "not while it begins");
        assert!(content.sets(["u"]).now_or_never().is_none());
        assert_eq!(content.set(Event::InitDone), None);
        let ready = || {
            let [of_web, of_other] = content.sets(["u", "v"]).now_or_never().unwrap();
            assert!(of_other.is_empty());
            of_web.iter().map(|set| set.ready).collect::<Vec<_>>()
        };
        assert_eq!(ready(), [1]);
        assert_eq!(content.set(Event::Apply(set("web-1", 1))), None, "nothing has changed");
        assert_eq!(content.set(Event::Apply(set("web-1", 2))).as_deref(), Some("web"));
        assert_eq!(ready(), [2]);
        assert_eq!(content.set(Event::Delete(set("web-1", 2))).as_deref(), Some("web"));
        assert_eq!(ready(), [] as [i32; 0]);
    }
}
