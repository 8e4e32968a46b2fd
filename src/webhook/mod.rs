//! L3: admission over HTTPS: bytes to a review, a verdict to bytes.

pub mod decision;
pub mod facts;
pub mod installed;
mod record;
mod rehearsal;
pub mod review;
pub mod room;
pub mod server;
