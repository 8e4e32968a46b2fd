//! L3: access to the Kubernetes API: what is read there, and every write.

pub mod api;
pub mod apply;
pub mod ca_bundle;
pub mod cert_store;
pub mod client;
pub mod discovery;
pub mod error;
pub mod events;
pub mod lease;
pub mod namespaces;
pub mod objects;
pub mod profiles;
pub mod records;
pub mod templates;
pub mod world;
