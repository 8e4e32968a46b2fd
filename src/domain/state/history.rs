//! Rollouts that have ended, as they are remembered.

use super::RolloutState;
use crate::domain::names::TemplateHash;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Ended rollouts that are remembered, newest last.
pub(super) const HISTORY_LIMIT: usize = 20;

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

impl RolloutState {
    /// Adds an ended rollout, forgetting the oldest beyond the limit.
    pub fn remember(&mut self, entry: HistoryEntry) {
        self.history.push(entry);
        let excess = self.history.len().saturating_sub(HISTORY_LIMIT);
        self.history.drain(..excess);
    }

    /// Until when a former stable template was stable; `None` where the rollout of the next one is not remembered.
    #[must_use]
    pub fn stable_until(&self, template: &TemplateHash) -> Option<Timestamp> {
        let stables = || self.served.iter().chain(&self.stable);
        let (_, successor) = stables().zip(stables().skip(1)).find(|(served, _)| *served == template)?;
        let promoted = |entry: &&HistoryEntry| entry.outcome == Outcome::Promoted && entry.hash == *successor;
        self.history.iter().rev().find(promoted).map(|entry| entry.ended_at)
    }
}
