//! CPU-bound work that can take long: parsing and checking user input.

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Semaphore,
    task::block_in_place,
};

/// Limits how much of this work runs at the same time, and keeps it off the threads that health checks, the lease
/// and other requests need.
#[derive(Debug)]
pub struct Heavy(Semaphore);

impl Heavy {
    /// Allows `at_once` to run at the same time.
    #[must_use]
    pub const fn new(at_once: usize) -> Self {
        Self(Semaphore::const_new(at_once))
    }

    /// Waits for its turn, then runs the work. The work cannot be cancelled, so it must end by itself.
    pub async fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        // Never closed.
        let _turn = self.0.acquire().await;
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
            // There is no other thread that could continue meanwhile.
            _ => work(),
        }
    }
}
