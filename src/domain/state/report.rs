//! What is remembered of an abort, for the people who look into it.

use super::RolloutState;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// Reports that are remembered, newest last.
const REPORT_LIMIT: usize = 5;

/// What an abort was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AbortReport {
    /// Number of the revision that was aborted.
    pub revision: u64,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The metrics that failed, each with its last values and its limits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<String>,
    /// Why pods were not available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<String>,
    /// In what the aborted template differs from stable's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// Seconds from the decision until all traffic was seen to be on stable, at least 1; 0 if it was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_after_seconds: Option<i64>,
}

impl RolloutState {
    /// The newest report about a revision.
    #[must_use]
    pub fn report(&self, revision: u64) -> Option<&AbortReport> {
        self.reports.iter().rfind(|report| report.revision == revision)
    }

    /// Adds a report, forgetting the oldest beyond the limit.
    pub fn add_report(&mut self, report: AbortReport) {
        self.reports.push(report);
        let excess = self.reports.len().saturating_sub(REPORT_LIMIT);
        self.reports.drain(..excess);
    }

    /// All traffic of this revision's abort was seen on stable after so long, or before it.
    pub fn traffic_is_back(&mut self, revision: u64, after: SignedDuration) {
        let report = self.reports.iter_mut().rfind(|report| report.revision == revision);
        if let Some(report) = report {
            let seconds = if after.is_positive() { after.as_secs().max(1) } else { 0 };
            report.back_after_seconds.get_or_insert(seconds);
        }
    }
}
