//! What is recorded of the evidence that a rollout needs before the canary gets traffic, or more of it.

use crate::domain::metric::AnalysisRun;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An analysis and what it was started for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The step it belongs to; `None` for the background analysis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// The run.
    pub run: AnalysisRun,
}

/// The analyses' queries, asked about stable before the canary gets traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rehearsal {
    /// The questions, while they are under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<AnalysisRun>,
    /// What the queries cannot see, if there is anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Whether a person has said that the rollout must go on nevertheless.
    pub accepted: bool,
}

impl Rehearsal {
    /// Why the rollout waits for a person, if it does.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.problem.as_deref().filter(|_| !self.accepted)
    }
}

/// A step that must not begin, because a metric has had no data since the canary got traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unseen {
    /// Index of the step; the number of steps stands for the promotion.
    pub index: usize,
    /// Since when it waits.
    pub since: Timestamp,
    /// Whether a person has been asked.
    pub asked: bool,
    /// Whether a person has said that it must go on nevertheless.
    pub accepted: bool,
    /// Which metric, what came instead, and what mostly is the reason.
    pub message: String,
}
