//! L3: the process around the two decisions: clock, certificates, leadership, signals.

pub mod admin;
pub mod certs;
pub mod clock;
pub mod fair;
pub mod heavy;
pub mod http;
pub mod metrics;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
