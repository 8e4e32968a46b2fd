//! L3: admission over HTTPS. Reads reviews and writes verdicts.

pub mod admission;
mod decision_log;
pub mod facts;
mod memory_budget;
mod rehearsal;
pub mod review;
pub mod server;
mod trial;
