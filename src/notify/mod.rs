//! Notifications: who is sent what about a release.
//!
//! Pure: the shell reads the `ConfigMap` and the Secrets, and sends what [`Destination::request`] makes of an Event.

mod destination;
mod formats;
mod notice;
mod occasion;
mod placeholders;
mod routing;

pub use destination::{Destination, Text};
pub use formats::{Format, accepted};
pub use notice::Notice;
pub use occasion::{Occasion, REASONS};
pub use placeholders::PLACEHOLDERS;
pub use routing::{EXAMPLE, Routing};

/// Name of the `ConfigMap` with the routing.
pub const CONFIG_MAP: &str = "haldane-notifications";
