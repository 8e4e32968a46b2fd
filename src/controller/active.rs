//! Releases under way: what passes know of them already, and the watches that they need. What is known is kept a little
//! longer, because a Deployment changes some more when its release has ended.

use crate::{
    cluster::views::View,
    decide::pass::Known,
    runtime::{clock, locked::lock},
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::reflector::ObjectRef;
use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

type Key = ObjectRef<Deployment>;

/// How long what is known of a release is kept after its end.
const LINGER: Duration = Duration::from_mins(2);

/// See the module.
#[derive(Default)]
pub struct Active {
    releases: Mutex<HashMap<Key, Release>>,
    busy: Mutex<HashSet<Key>>,
}

/// Nobody else looks at this Deployment, or cleans up after it, while this is kept.
pub struct Turn<'a> {
    active: &'a Active,
    key: Key,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(&self.active.busy).remove(&self.key);
    }
}

struct Release {
    known: Known,
    is: Is,
}

enum Is {
    /// The namespace is watched meanwhile.
    UnderWay {
        _view: Arc<View>,
    },
    EndedAt(Instant),
}

impl Active {
    /// The turn to look at a Deployment; `None` while somebody else does.
    pub fn turn(&self, key: &Key) -> Option<Turn<'_>> {
        let is_free = lock(&self.busy).insert(key.clone());
        is_free.then(|| Turn { active: self, key: key.clone() })
    }

    /// What is known of a release. Only one pass at a time is made over a Deployment.
    pub fn take(&self, key: &Key) -> Known {
        self.lock().get_mut(key).map(|release| mem::take(&mut release.known)).unwrap_or_default()
    }

    /// A pass has ended, and the release is under way.
    pub fn keep(&self, key: &Key, known: Known, view: Arc<View>) {
        self.lock().insert(key.clone(), Release { known, is: Is::UnderWay { _view: view } });
    }

    /// A pass has failed.
    pub fn failed(&self, key: &Key, known: Known) {
        if let Some(release) = self.lock().get_mut(key) {
            release.known = known;
        }
    }

    /// A pass has ended, and nothing is under way. For how much longer what is known is kept; `None` if it is not.
    pub fn rests(&self, key: &Key, known: Known) -> Option<Duration> {
        let (mut releases, now) = (self.lock(), clock::monotonic());
        let release = releases.get_mut(key)?;
        let ended_at = match release.is {
            Is::UnderWay { .. } => now,
            Is::EndedAt(at) => at,
        };
        let rest = LINGER.checked_sub(now.saturating_duration_since(ended_at)).filter(|rest| !rest.is_zero());
        match rest {
            Some(_) => *release = Release { known, is: Is::EndedAt(ended_at) },
            None => drop(releases.remove(key)),
        }
        rest
    }

    /// The Deployment is gone, or not managed any more.
    pub fn left(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// Whether something is known of it.
    pub fn has(&self, key: &Key) -> bool {
        self.lock().contains_key(key)
    }

    /// All releases under way.
    pub fn all(&self) -> Vec<Key> {
        self.under_way(|_| true)
    }

    /// Releases under way in a namespace.
    pub fn of(&self, namespace: &str) -> Vec<Key> {
        self.under_way(|key| key.namespace.as_deref() == Some(namespace))
    }

    fn under_way(&self, is_wanted: impl Fn(&Key) -> bool) -> Vec<Key> {
        let releases = self.lock();
        let is_under_way = |release: &Release| matches!(release.is, Is::UnderWay { .. });
        let wanted = releases.iter().filter(|(key, release)| is_wanted(key) && is_under_way(release));
        wanted.map(|(key, _)| key.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Release>> {
        lock(&self.releases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_looks_at_a_deployment() {
        let (active, web) = (Active::default(), Key::new("web").within("shop"));
        let turn = active.turn(&web);
        assert!(turn.is_some() && active.turn(&web).is_none());
        assert!(active.turn(&Key::new("web").within("other")).is_some());
        drop(turn);
        assert!(active.turn(&web).is_some());
    }
}
