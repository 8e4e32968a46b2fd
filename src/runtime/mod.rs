//! L3: the process around the two decisions: clock, certificates, leadership, signals.

pub mod admin;
pub mod api;
pub mod ca_bundle;
pub mod cert_store;
pub mod certs;
pub mod clock;
pub mod eject;
pub mod fair;
pub mod heavy;
pub mod http;
pub mod lease;
pub mod metrics;
mod run;
pub mod shutdown;
pub mod telemetry;
pub mod tls;

pub use run::{RunError, run};
