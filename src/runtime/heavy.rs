//! Work that may take long without waiting for anything: to parse and judge what others wrote.

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Semaphore,
    task::block_in_place,
};

/// Does such work a few at a time, and never on a thread that health, the lease or other requests need.
#[derive(Debug)]
pub struct Heavy(Semaphore);

impl Heavy {
    /// So many at once.
    #[must_use]
    pub const fn new(at_once: usize) -> Self {
        Self(Semaphore::const_new(at_once))
    }

    /// Waits for its turn, then does it. It is not cancelled once it has begun, so it must end by itself.
    pub async fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        // Never closed.
        let _turn = self.0.acquire().await;
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
            // There is no other thread that could go on meanwhile.
            _ => work(),
        }
    }
}
