//! L3: the commands of the binary.

pub mod canary;
pub mod cli;
pub mod eject;
pub mod run;
