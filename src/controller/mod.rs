//! L3: the controller: watches, looks, lets `decide` decide, records, and makes the world so.

mod backoff;
mod budget;
pub mod membership;
mod owned;
mod queue;
mod reconcile;
mod resilient_watch;
mod run;

pub use backoff::Backoff;
pub use owned::OwnedObjects;
pub use queue::Queue;
pub use reconcile::Context;
pub use run::run;
