//! L3: the controller: watches, looks, lets `decide` decide, records, and makes the world so.

mod active;
mod backoff;
mod budget;
mod chores;
mod claims;
mod context;
pub mod membership;
mod merged;
mod metrics;
mod notifications;
mod queue;
mod reconcile;
mod rollout_metrics;
mod run;
mod shell;
mod span;
mod watched;

pub use active::Active;
pub use backoff::Backoff;
pub use claims::Claims;
pub use context::Context;
pub use metrics::Metrics;
pub use notifications::{Means as NotifierMeans, Notifier, Patience};
pub use queue::Queue;
pub use run::run;
pub use watched::Watches;
