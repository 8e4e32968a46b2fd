//! Passes that fail in a row: the more of them, the longer the pause before the next, and the rarer the reports.

use crate::{cluster::error::Category, runtime::locked::lock};
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::reflector::ObjectRef;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

/// After the first failure, which may pass by itself.
const FIRST: Duration = Duration::from_secs(1);
/// After the first lost race: a new look is enough. Where each one is lost, something else is wrong.
const LOST_RACE: Duration = Duration::from_millis(20);
/// After many: what has not passed by then needs a person.
const MAX_DELAY: Duration = Duration::from_mins(1);

/// Failures in a row of each Deployment, and what they mean.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<HashMap<ObjectRef<Deployment>, (Category, u32)>>);

impl Backoff {
    /// One more failure; how many of this category there have been in a row.
    pub(super) fn failed(&self, object: &ObjectRef<Deployment>, category: Category) -> Failures {
        let mut failures = self.lock();
        let known = failures.entry(object.clone()).or_insert((category, 0));
        let before = if known.0 == category { known.1 } else { 0 };
        *known = (category, before.saturating_add(1));
        Failures { category, count: known.1 }
    }

    /// A pass went well, or the Deployment is gone.
    pub(super) fn passed(&self, object: &ObjectRef<Deployment>) {
        self.lock().remove(object);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectRef<Deployment>, (Category, u32)>> {
        lock(&self.0)
    }
}

/// So many failures in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failures {
    category: Category,
    count: u32,
}

impl Failures {
    /// How long to wait for the next try.
    pub(super) fn pause(self) -> Duration {
        let first = if self.category == Category::Conflict { LOST_RACE } else { FIRST };
        let before = self.count.saturating_sub(1);
        first.saturating_mul(2_u32.saturating_pow(before)).min(MAX_DELAY)
    }

    /// Whether to report it once more: the first is, and then ever fewer, so that neither the first report is lost
    /// with time nor many say the same.
    pub(super) const fn is_reported(self) -> bool {
        self.count.is_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web(namespace: &str) -> ObjectRef<Deployment> {
        ObjectRef::new("web").within(namespace)
    }

    #[test]
    fn the_pause_doubles_up_to_a_minute_and_ends_with_a_success() {
        let backoff = Backoff::default();
        let failed = |namespace| backoff.failed(&web(namespace), Category::Transient).pause();
        let pauses: Vec<_> = (0..40).map(|_| failed("shop").as_secs()).collect();
        assert_eq!(pauses.get(..8).unwrap(), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pauses.last(), Some(&60));
        assert_eq!(failed("other"), FIRST);
        backoff.passed(&web("shop"));
        assert_eq!(failed("shop"), FIRST);
    }

    #[test]
    fn a_lost_race_is_tried_again_at_once_and_one_that_is_always_lost_ever_more_slowly() {
        let backoff = Backoff::default();
        let failed = || backoff.failed(&web("shop"), Category::Conflict).pause().as_millis();
        let pauses: Vec<_> = (0..20).map(|_| failed()).collect();
        assert_eq!(pauses.get(..5).unwrap(), [20, 40, 80, 160, 320]);
        assert_eq!(pauses.last(), Some(&60_000));
    }

    #[test]
    fn what_stays_is_reported_ever_more_rarely_and_what_is_new_at_once() {
        let backoff = Backoff::default();
        let failed = |category| backoff.failed(&web("shop"), category).is_reported();
        failed(Category::Transient);
        failed(Category::Transient);
        let reported: Vec<_> = (1..=64).filter(|_| failed(Category::Invalid)).collect();
        assert_eq!(reported, [1, 2, 4, 8, 16, 32, 64]);
    }
}
