//! A limited resource of which each holder can get only a share.

use super::locked::lock;
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, Weak},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A total amount, and the maximum that each holder gets of it.
#[derive(Debug)]
pub struct Fair<K> {
    all: Arc<Semaphore>,
    each: u32,
    /// Holders, and those that wait.
    taken: Mutex<HashMap<K, Weak<Semaphore>>>,
}

/// An amount that a holder has; dropping it returns the amount.
#[derive(Debug)]
pub struct Share {
    _of_each: Option<OwnedSemaphorePermit>,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl<K: Hash + Eq> Fair<K> {
    /// `all` is the total, and `each` the maximum of one holder.
    #[must_use]
    pub fn new(all: u32, each: u32) -> Self {
        let all = Arc::new(Semaphore::new(usize::try_from(all).unwrap_or(Semaphore::MAX_PERMITS)));
        Self { all, each, taken: Mutex::default() }
    }

    /// Waits for `amount`, first come, first served. A request for more than the maximum of one holder waits for
    /// its whole share. A request for more than the total never completes.
    pub async fn share(&self, of: K, amount: u32) -> Share {
        // Neither semaphore is ever closed. The holder's own share comes first: waiting for it does not block others.
        let of_each = self.of(of).acquire_many_owned(amount.min(self.each)).await.ok();
        let of_all = Arc::clone(&self.all).acquire_many_owned(amount).await.ok();
        Share { _of_each: of_each, _of_all: of_all }
    }

    fn of(&self, key: K) -> Arc<Semaphore> {
        let mut taken = lock(&self.taken);
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
    fn no_holder_gets_more_than_its_share_and_dropping_it_returns_it() {
        let fair = Fair::new(10, 4);
        let share = |of, amount| fair.share(of, amount).now_or_never();
        let first = share("a", 3).unwrap();
        assert!(share("a", 2).is_none(), "its share is four");
        let other = share("b", 4).unwrap();
        assert!(share("c", 4).is_none(), "only three are left");
        drop(other);
        let whole = share("c", 9);
        assert!(whole.is_none(), "seven are left");
        drop(first);
        assert!(share("a", 9).is_some(), "a request for more than its share counts as the whole share");
    }

    #[test]
    fn holders_without_a_share_are_removed() {
        let fair = Fair::new(10, 4);
        for name in 0..1000 {
            drop(fair.share(name, 1).now_or_never());
        }
        assert_eq!(fair.taken.lock().unwrap().len(), 1);
    }
}
