//! L3: what the process needs: clock, certificates, HTTP server, signals, logs, metrics.

pub mod admin;
pub mod certs;
pub mod clock;
pub mod fair;
pub mod heavy;
pub mod http;
pub mod locked;
pub mod metrics;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
