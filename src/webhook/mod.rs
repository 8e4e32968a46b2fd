//! L3: admission over HTTPS: bytes to a review, a verdict to bytes.

pub mod admission;
mod decision_log;
pub mod facts;
mod memory_budget;
mod rehearsal;
pub mod review;
pub mod server;
