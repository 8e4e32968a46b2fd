//! Something scarce that nobody can take from all others: each has a share of it at most.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So much for all, of which each has at most a part.
#[derive(Debug)]
pub struct Fair<K> {
    all: Arc<Semaphore>,
    each: u32,
    /// Those who have or want some.
    taken: Mutex<HashMap<K, Weak<Semaphore>>>,
}

/// What somebody has of it, given back when dropped.
#[derive(Debug)]
pub struct Share {
    _of_each: Option<OwnedSemaphorePermit>,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl<K: Hash + Eq> Fair<K> {
    /// `all` in all, of which nobody gets more than `each`.
    #[must_use]
    pub fn new(all: u32, each: u32) -> Self {
        let all = Arc::new(Semaphore::new(usize::try_from(all).unwrap_or(Semaphore::MAX_PERMITS)));
        Self { all, each, taken: Mutex::default() }
    }

    /// Waits for so much, in the order of asking. Whoever wants more than a part waits for the whole part.
    /// More than there is in all never comes.
    pub async fn share(&self, of: K, amount: u32) -> Share {
        // Neither semaphore is ever closed. Of one's own first: who waits for that keeps nobody else waiting.
        let of_each = self.of(of).acquire_many_owned(amount.min(self.each)).await.ok();
        let of_all = Arc::clone(&self.all).acquire_many_owned(amount).await.ok();
        Share { _of_each: of_each, _of_all: of_all }
    }

    fn of(&self, key: K) -> Arc<Semaphore> {
        // A map cannot be left half-written by what is done with it here.
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = taken.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        taken.retain(|_, one| one.strong_count() > 0);
        let each = usize::try_from(self.each).unwrap_or(Semaphore::MAX_PERMITS);
        let own = Arc::new(Semaphore::new(each));
        taken.insert(key, Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn nobody_takes_more_than_a_part_and_gives_back_what_it_took() {
        let fair = Fair::new(10, 4);
        let share = |of, amount| fair.share(of, amount).now_or_never();
        let first = share("a", 3).unwrap();
        assert!(share("a", 2).is_none(), "its part is four");
        let other = share("b", 4).unwrap();
        assert!(share("c", 4).is_none(), "only three are left");
        drop(other);
        let whole = share("c", 9);
        assert!(whole.is_none(), "seven are left");
        drop(first);
        assert!(share("a", 9).is_some(), "more than a part counts as all of it");
    }

    #[test]
    fn who_has_nothing_is_forgotten() {
        let fair = Fair::new(10, 4);
        for name in 0..1000 {
            drop(fair.share(name, 1).now_or_never());
        }
        assert_eq!(fair.taken.lock().unwrap().len(), 1);
    }
}
