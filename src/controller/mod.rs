//! L3: the controller: watches, looks, lets `decide` decide, records, and makes the world so.

mod backoff;
mod budget;
mod context;
pub mod membership;
mod owned;
mod queue;
mod reconcile;
mod resilient_watch;
mod run;
mod shell;

pub use backoff::Backoff;
pub use context::Context;
pub use owned::OwnedObjects;
pub use queue::Queue;
pub use run::run;
