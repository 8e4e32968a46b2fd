//! L3: queries metric providers, with limits on memory, time and number.

mod control_plane;
pub mod http;
mod job;
mod measurer;
mod quota;
pub mod secrets;

pub use measurer::{Means, Measurer};
pub use quota::Quota;
