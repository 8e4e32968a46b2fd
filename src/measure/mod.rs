//! L3: asking metric providers, within bounds on memory, time and number.

mod control_plane;
pub mod http;
mod job;
mod measurer;
mod quota;
pub mod secrets;

pub use measurer::{Means, Measurer};
pub use quota::Quota;
