//! What a process knows of a release from its own requests. A watch may be behind it, and what a pass sees must not be.

use super::{Look, Stored};
use crate::{
    decide::{Condition, Needs, Write},
    domain::{
        k8s::{json_pointer::part, pods::Unavailable},
        observed::Observed,
    },
    objects::manifest::{Kind, Owner, find},
    routers::named,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// See the module. A pass that fails forgets all of it, and the next one reads everything again; if only a write to the
/// Deployment has failed, it reads only that.
#[derive(Debug, Clone, Default)]
pub struct Known {
    record: Option<Stored>,
    deployment: Option<(Owner, Arc<Observed>)>,
    /// Objects of ours as they were written or read last, until a watch shows them.
    objects: Vec<Value>,
    /// UIDs of objects of ours that were deleted, while a watch still shows them.
    deleted: Vec<String>,
    /// A write to the Deployment with this version has failed: there is another, or the write is on its way.
    outdated: Option<u64>,
    /// What the last look at pods has shown.
    pods: Option<Pods>,
}

/// For so long pods are not looked at again: while they start, one change follows another.
const RECENT: SignedDuration = SignedDuration::from_secs(3);

/// A look at pods that are not available.
#[derive(Debug, Clone)]
pub(super) struct Pods {
    at: Timestamp,
    /// Whether stable is being replaced, so that these are pods of stable.
    rolls: bool,
    pub(super) unavailable: Option<Unavailable>,
    /// When they are to be looked at again, if anything has happened since.
    pub(super) until: Timestamp,
}

/// What the API server has made of a write.
#[derive(Debug, Clone, Default)]
pub enum Written {
    /// It says nothing more.
    #[default]
    Done,
    /// The record has this version.
    Record(Option<String>),
    /// An object of ours.
    Object(Value),
    /// The user's Deployment.
    Deployment(Owner, Arc<Observed>),
}

/// The user's Deployment, as a watch has it.
#[derive(Debug, Clone)]
pub enum WatchedDeployment {
    /// No watch has it.
    Unknown,
    /// A watch has seen this `resourceVersion`, and has not kept the object.
    Version(u64),
    /// The object.
    Whole(Owner, Arc<Observed>),
}

/// What is around a Deployment, as watches have it.
#[derive(Debug, Clone)]
pub struct Watched {
    /// All of it.
    pub seen: Arc<Observed>,
    /// For each kind of ours the greatest `resourceVersion` that its watch has reported.
    pub newest: BTreeMap<Kind, u64>,
}

impl Known {
    /// The record, if this process has written it last, as far as it knows. Versions that cannot be compared are never
    /// known.
    pub(super) fn record(&self) -> Option<&Stored> {
        self.record
            .as_ref()
            .filter(|stored| stored.version.as_deref().is_some_and(|v| v.parse::<u64>().is_ok()))
    }

    /// Whether this process has written or read the record, and knows it still.
    #[must_use]
    pub fn has_recorded(&self) -> bool {
        self.record().is_some()
    }

    pub(super) fn recorded(&mut self, stored: Stored) {
        self.record = Some(stored);
    }

    /// The Deployment, unless a watch reports a newer one that it has not kept.
    pub(super) fn deployment(&self, watched: WatchedDeployment) -> Option<(Owner, Arc<Observed>)> {
        if let Some(outdated) = self.outdated {
            return match watched {
                WatchedDeployment::Whole(owner, seen) if outdated < at(&seen) => Some((owner, seen)),
                _ => None,
            };
        }
        let known = self.deployment.as_ref();
        let since = known.map(|(_, seen)| at(seen));
        match watched {
            WatchedDeployment::Whole(owner, seen) if since.is_none_or(|since| since <= at(&seen)) => {
                Some((owner, seen))
            }
            WatchedDeployment::Version(version) if since.is_none_or(|since| since < version) => None,
            WatchedDeployment::Unknown => None,
            _ => known.cloned(),
        }
    }

    /// The Deployment to write these conditions to: the newest that is known, unless more has changed in it than its pods
    /// since it was looked at or written.
    pub(super) fn under(
        &self,
        conditions: &[Condition],
        watched: WatchedDeployment,
    ) -> Option<Arc<Observed>> {
        let (_, known) = self.deployment.as_ref()?;
        let generation =
            |seen: &Observed| (seen.deployment.metadata.uid.clone(), seen.deployment.metadata.generation);
        let is_same = |newer: &Arc<Observed>| {
            let mut kinds = conditions.iter().map(|condition| condition.kind);
            generation(newer) == generation(known)
                && kinds.all(|kind| newer.condition(kind) == known.condition(kind))
        };
        let newest = self.deployment(watched).map(|(_, seen)| seen).filter(is_same);
        Some(newest.unwrap_or_else(|| Arc::clone(known)))
    }

    pub(super) fn read_deployment(&mut self, owner: &Owner, seen: &Arc<Observed>) {
        self.deployment = Some((owner.clone(), Arc::clone(seen)));
        self.outdated = None;
    }

    /// A pass has ended, well or not.
    pub(super) fn ends(&mut self, well: bool) {
        if !well && self.outdated.is_none() {
            *self = Self::default();
        }
    }

    /// A write has failed, whatever has become of it; whether it `is_first` of its pass.
    pub(super) fn failed(&mut self, write: &Write<'_>, look: &Look, is_first: bool) {
        let is_of_deployment =
            matches!(write, Write::Conditions(_) | Write::ClearCondition | Write::Deployment(_));
        let is_only = is_of_deployment && (is_first || self.outdated.is_some());
        self.outdated = is_only.then(|| at(&look.seen));
    }

    /// The last look at the pods that are needed now, unless it was too long ago.
    pub(super) fn pods(&self, needs: Needs, now: Timestamp) -> Option<Pods> {
        let is_recent = |pods: &&Pods| pods.rolls == needs.rolls && (pods.at..pods.until).contains(&now);
        self.pods.as_ref().filter(|_| needs.pods).filter(is_recent).cloned()
    }

    /// Pods were looked at, if they were needed.
    pub(super) fn looked_at_pods(&mut self, needs: Needs, seen: &Observed, now: Timestamp) {
        let (rolls, unavailable) = (needs.rolls, seen.unavailable.clone());
        let until = now.saturating_add(RECENT).unwrap_or(now);
        self.pods = needs.pods.then_some(Pods { at: now, rolls, unavailable, until });
    }

    /// All objects of ours were read.
    pub(super) fn read(&mut self, ours: &[Value]) {
        (self.objects, self.deleted) = (ours.to_vec(), Vec::new());
    }

    /// What watches show, where they are not behind.
    pub(super) fn newer(&mut self, Watched { mut seen, newest }: Watched) -> Arc<Observed> {
        let ours = &mut Arc::make_mut(&mut seen).ours;
        self.deleted.retain(|uid| ours.iter().any(|object| text(object, "/metadata/uid") == Some(uid)));
        ours.retain(|object| {
            let uid = text(object, "/metadata/uid").unwrap_or_default();
            !self.deleted.iter().any(|deleted| deleted == uid)
        });
        self.objects.retain(|object| {
            let reported = named(object).and_then(|(kind, _)| newest.get(&kind));
            reported.is_none_or(|reported| *reported < version(object))
        });
        for object in &self.objects {
            let same = named(object).and_then(|id| ours.iter_mut().find(|other| named(other) == Some(id)));
            match same {
                Some(same) if version(same) < version(object) => same.clone_from(object),
                Some(_) => {}
                None => ours.push(object.clone()),
            }
        }
        seen
    }

    /// What was seen, with the canary Deployment as it was read now.
    pub(super) fn with_canary(&mut self, seen: &Arc<Observed>, canary: Option<&Value>) -> Arc<Observed> {
        let is_other = |object: &Value| named(object).is_none_or(|(kind, _)| kind != Kind::DEPLOYMENT);
        let mut seen = Arc::clone(seen);
        for ours in [&mut Arc::make_mut(&mut seen).ours, &mut self.objects] {
            ours.retain(is_other);
            ours.extend(canary.cloned());
        }
        seen
    }

    /// A write was accepted.
    pub(super) fn wrote(&mut self, write: &Write<'_>, written: Written, look: &Look) {
        match (write, written) {
            (Write::Delete(kind, name), _) => {
                let uid = find(&look.seen.ours, *kind, name).and_then(|object| text(object, "/metadata/uid"));
                self.deleted.extend(uid.map(str::to_owned));
                self.objects.retain(|object| named(object) != Some((*kind, name)));
            }
            (_, Written::Object(object)) => {
                let id = named(&object);
                self.objects.retain(|known| named(known) != id);
                self.objects.push(object);
            }
            (_, Written::Deployment(owner, seen)) => self.deployment = Some((owner, seen)),
            (_, Written::Done | Written::Record(_)) => {}
        }
    }
}

/// Version of the Deployment.
fn at(seen: &Observed) -> u64 {
    number(seen.deployment.metadata.resource_version.as_deref())
}

fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    part(object, pointer)?.as_str()
}

fn version(object: &Value) -> u64 {
    number(text(object, "/metadata/resourceVersion"))
}

/// A `resourceVersion` as a number. Versions of one kind can be compared.
///
/// Source: Kubernetes API concepts, "Resource versions", since 1.35; etcd's revision before that.
#[must_use]
pub fn number(version: Option<&str>) -> u64 {
    version.and_then(|version| version.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(version: u64, port: u16) -> Value {
        json!({"kind": "Service", "metadata": {"name": "web-canary", "uid": "s", "resourceVersion": version.to_string()},
            "spec": {"port": port}})
    }

    fn watched(ours: Vec<Value>, newest: u64) -> Watched {
        let seen = Arc::new(Observed { ours, ..Observed::default() });
        Watched { seen, newest: BTreeMap::from([(Kind::SERVICE, newest)]) }
    }

    fn ports(known: &mut Known, ours: Vec<Value>, newest: u64) -> Vec<i64> {
        let seen = known.newer(watched(ours, newest));
        seen.ours.iter().filter_map(|object| object["spec"]["port"].as_i64()).collect()
    }

    fn look(ours: Vec<Value>) -> Look {
        let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
        let seen = Arc::new(Observed { ours, ..Observed::default() });
        Look { owner, seen, stored: Stored::default() }
    }

    #[test]
    fn what_was_written_is_seen_until_the_watch_reports_it_or_what_came_later() {
        let mut known = Known::default();
        known.read(&[service(5, 80)]);
        assert_eq!(ports(&mut known, vec![service(4, 79)], 4), [80], "the watch is behind");
        assert_eq!(ports(&mut known, Vec::new(), 4), [80], "also where it shows nothing yet");
        assert_eq!(ports(&mut known, vec![service(6, 81)], 6), [81], "somebody has changed it since");
        assert_eq!(ports(&mut known, Vec::new(), 7), [] as [i64; 0], "somebody has deleted it since");
    }

    #[test]
    fn what_somebody_has_deleted_before_the_watch_showed_it_is_gone() {
        let mut known = Known::default();
        known.read(&[service(5, 80)]);
        assert_eq!(ports(&mut known, Vec::new(), 6), [] as [i64; 0]);
    }

    #[test]
    fn what_was_deleted_is_not_seen_while_the_watch_still_shows_it() {
        let mut known = Known::default();
        let write = Write::Delete(Kind::SERVICE, "web-canary");
        known.wrote(&write, Written::Done, &look(vec![service(5, 80)]));
        assert_eq!(ports(&mut known, vec![service(5, 80)], 5), [] as [i64; 0]);
        let mut again = service(7, 80);
        again["metadata"]["uid"] = json!("t");
        assert_eq!(ports(&mut known, vec![again], 7), [80], "another of that name");
    }

    fn web(version: u64) -> (Owner, Arc<Observed>) {
        let mut seen = Observed::default();
        seen.deployment.metadata.resource_version = Some(version.to_string());
        (look(Vec::new()).owner, Arc::new(seen))
    }

    #[test]
    fn a_deployment_is_read_unless_it_is_known_to_be_the_newest() {
        let mut known = Known::default();
        let version = |known: &Known, watched| {
            let found = known.deployment(watched)?;
            Some(number(found.1.deployment.metadata.resource_version.as_deref()))
        };
        let whole = |at| {
            let (owner, seen) = web(at);
            WatchedDeployment::Whole(owner, seen)
        };
        assert_eq!(version(&known, WatchedDeployment::Unknown), None);
        assert_eq!(version(&known, WatchedDeployment::Version(3)), None);
        assert_eq!(version(&known, whole(3)), Some(3));
        let (owner, seen) = web(5);
        known.read_deployment(&owner, &seen);
        assert_eq!(version(&known, WatchedDeployment::Version(4)), Some(5));
        assert_eq!(version(&known, WatchedDeployment::Version(6)), None);
        assert_eq!(version(&known, whole(4)), Some(5));
        assert_eq!(version(&known, whole(6)), Some(6));
        assert_eq!(version(&known, WatchedDeployment::Unknown), None, "it may be gone");
    }

    #[test]
    fn after_a_race_that_was_lost_the_deployment_is_read_unless_the_watch_has_reported_what_won() {
        let mut known = Known::default();
        let (owner, seen) = web(5);
        known.read_deployment(&owner, &seen);
        known.failed(&Write::ClearCondition, &Look { seen, ..look(Vec::new()) }, true);
        known.ends(false);
        let found = |known: &Known, version| {
            let (owner, seen) = web(version);
            Some(at(&known.deployment(WatchedDeployment::Whole(owner, seen))?.1))
        };
        assert_eq!(found(&known, 5), None);
        assert_eq!(found(&known, 6), Some(6));
        known.read_deployment(&owner, &web(7).1);
        assert_eq!(found(&known, 6), Some(7), "it was read");
    }

    #[test]
    fn a_condition_is_written_to_the_newest_deployment_if_only_its_pods_have_changed() {
        let mut known = Known::default();
        let (owner, seen) = web(5);
        known.read_deployment(&owner, &seen);
        let under = |newer: &Arc<Observed>| {
            let watched = WatchedDeployment::Whole(owner.clone(), Arc::clone(newer));
            at(&known.under(&[Condition::held()], watched).unwrap())
        };
        let (_, mut newer) = web(6);
        assert_eq!(under(&newer), 6);
        let status = json!({"conditions": [Condition::held().json(Timestamp::UNIX_EPOCH)]});
        Arc::make_mut(&mut newer).deployment.status = serde_json::from_value(status).unwrap();
        assert_eq!(under(&newer), 5, "somebody else has written it");
        let (_, mut newer) = web(6);
        Arc::make_mut(&mut newer).deployment.metadata.generation = Some(2);
        assert_eq!(under(&newer), 5, "another template");
    }

    #[test]
    fn pods_that_start_are_not_looked_at_again_for_some_seconds() {
        let after = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        let mut needs = Needs {
            surroundings: true,
            endpoints: false,
            rolls: false,
            pods: true,
            start: crate::decide::Start::Nothing,
        };
        let mut known = Known::default();
        assert!(known.pods(needs, after(0)).is_none());
        known.looked_at_pods(needs, &Observed::default(), after(0));
        assert_eq!(known.pods(needs, after(2)).map(|pods| pods.until), Some(after(3)));
        assert!(known.pods(needs, after(3)).is_none());
        assert!(known.pods(needs, after(-1)).is_none(), "a clock that was put back");
        needs.rolls = true;
        assert!(known.pods(needs, after(2)).is_none(), "pods of stable");
    }

    #[test]
    fn a_record_whose_versions_cannot_be_compared_is_read_every_time() {
        let stored = |version: &str| Stored { version: Some(version.to_owned()), ..Stored::default() };
        let mut known = Known::default();
        known.recorded(stored("17"));
        assert!(known.record().is_some());
        known.recorded(stored("v-17"));
        assert!(known.record().is_none());
    }
}
