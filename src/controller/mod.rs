//! L3: the controller: watches, looks, lets `decide` decide, records, and makes the world so.

pub mod apply;
mod backoff;
mod budget;
mod control;
pub mod events;
pub mod measure;
pub mod membership;
pub mod metric_http;
mod metric_job;
pub mod metric_secrets;
pub mod namespaces;
pub mod objects;
pub mod observe;
mod ours;
pub mod policies;
mod queue;
mod reconcile;
mod run;
pub mod state;
pub mod templates;
mod turns;
mod watches;

pub use backoff::Backoff;
pub use ours::Ours;
pub use queue::Queue;
pub use reconcile::Context;
pub use run::run;
