//! L3: access to the Kubernetes API: what is read there, and every write.

pub mod api;
pub mod apply;
pub mod ca_bundle;
pub mod cert_store;
pub mod client;
mod deadline;
pub mod discovery;
pub mod error;
pub mod events;
pub mod lease;
pub mod namespaces;
pub mod notifications;
pub mod objects;
pub mod profiles;
pub mod records;
pub mod resilient_watch;
pub mod served;
pub mod templates;
pub mod views;
pub mod world;
