//! L3: the controller: watches, looks, lets `decide` decide, records, and makes the world so.

mod backoff;
mod budget;
mod context;
pub mod membership;
mod metrics;
mod owned;
mod queue;
mod reconcile;
mod resilient_watch;
mod rollout_metrics;
mod run;
mod shell;
mod span;

pub use backoff::Backoff;
pub use context::Context;
pub use metrics::Metrics;
pub use owned::OwnedObjects;
pub use queue::Queue;
pub use run::run;
