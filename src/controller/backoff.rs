//! How long to wait after a pass that failed: the longer, the more often it has failed in a row.

use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::reflector::ObjectRef;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// After the first failure, which may pass by itself.
const FIRST: Duration = Duration::from_secs(1);
/// After many: what has not passed by then needs a person.
const MAX_DELAY: Duration = Duration::from_mins(1);

/// Failures in a row of each Deployment.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<HashMap<ObjectRef<Deployment>, u32>>);

impl Backoff {
    /// One more failure; how long to wait now.
    pub(super) fn failed(&self, object: &ObjectRef<Deployment>) -> Duration {
        let mut failures = self.lock();
        let before = failures.entry(object.clone()).or_default();
        let pause = FIRST.saturating_mul(2_u32.saturating_pow(*before)).min(MAX_DELAY);
        *before = before.saturating_add(1);
        pause
    }

    /// A pass went well, or the Deployment is gone.
    pub(super) fn passed(&self, object: &ObjectRef<Deployment>) {
        self.lock().remove(object);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectRef<Deployment>, u32>> {
        // A map cannot be left half-written by what is done with it here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_a_minute_and_ends_with_a_success() {
        let (backoff, web) = (Backoff::default(), ObjectRef::new("web").within("shop"));
        let pauses: Vec<_> = (0..40).map(|_| backoff.failed(&web).as_secs()).collect();
        assert_eq!(pauses.get(..8).unwrap(), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pauses.last(), Some(&60));
        assert_eq!(backoff.failed(&ObjectRef::new("web").within("other")), FIRST);
        backoff.passed(&web);
        assert_eq!(backoff.failed(&web), FIRST);
    }
}
