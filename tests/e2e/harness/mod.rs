//! What the tests are written with.

pub mod admissions;
pub mod answers;
pub mod app;
pub mod audit;
pub mod cluster;
pub mod document;
pub mod faults;
pub mod front;
pub mod haldane;
pub mod load;
pub mod provider;
pub mod recorder;
pub mod space;
pub mod wait;

pub use admissions::Admissions;
pub use app::App;
pub use cluster::Output;
pub use front::Front;
pub use load::Load;
pub use provider::Provider;
pub use recorder::Recorder;
pub use space::Space;
pub use wait::{eventually, within};

use std::time::Duration;

/// Long enough for anything that a rollout does between two waits for people or time.
pub const SOON: Duration = Duration::from_mins(2);
