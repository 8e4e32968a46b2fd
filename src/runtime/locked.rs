//! Locks of values that a panic cannot leave half-written, because each change of them is one insertion or removal.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks the value, also after whoever had locked it before has panicked.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
