//! What is recorded of pods that a rollout waits for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Since when, and at how many available pods, the canary has been too small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// Available pods when last looked at.
    pub available: i32,
    /// When that number was reached.
    pub since: Timestamp,
}

/// Why pods are not available.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The reason in one line; absent while none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Kinds of reason that an Event has reported since all pods were available.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reported: Vec<String>,
}
