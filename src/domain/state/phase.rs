//! The present situation in one word.

use serde::Serialize;

/// Argo's phases, as users see them.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    strum::Display,
    strum::IntoStaticStr,
    strum::EnumIter,
    strum::EnumMessage,
)]
pub enum Phase {
    /// Nothing under way.
    Healthy,
    /// A changed template is held, the canary is being made.
    Held,
    /// Under way.
    Progressing,
    /// Waiting for time or for a person.
    Paused,
    /// Judged good; stable is being replaced.
    Promoting,
    /// Judged bad; traffic is being taken back.
    Aborting,
    /// Aborted; stable serves.
    Degraded,
}
