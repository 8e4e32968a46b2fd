//! Rollouts that have ended, as they are remembered.

use crate::domain::names::TemplateHash;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::IntoStaticStr)]
pub enum Outcome {
    /// The new template is stable.
    Promoted,
    /// It was judged bad, or a person said so.
    Aborted,
    /// The stable template was applied again.
    RolledBack,
    /// Another template came before it was done.
    Superseded,
}

/// A rollout that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Its number.
    pub revision: u64,
    /// Its template.
    pub hash: TemplateHash,
    /// How it ended.
    pub outcome: Outcome,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Stable's size before the canary took traffic.
    #[serde(default)]
    pub baseline_replicas: i32,
    /// Why, in words.
    pub message: String,
}
