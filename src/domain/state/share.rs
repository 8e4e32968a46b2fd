//! What is recorded of the canary's share, as the data plane counts it.

use super::Rollout;
use crate::domain::metric::AnalysisRun;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The questions about one traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// When that traffic was asked for.
    pub traffic: Timestamp,
    /// Questions of this attempt, so that an answer to an old one is not taken for a new one.
    pub questions: u32,
    /// When the last one was asked.
    pub asked_at: Timestamp,
    /// The seconds before that time which it is about.
    pub seconds: i64,
    /// The question, while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<AnalysisRun>,
    /// Set while the share clearly is another than the weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub astray: Option<Astray>,
    /// Whether a person has said that the rollout must go on nevertheless: then nothing more is asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepted: bool,
}

/// A share that is another than the weight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Astray {
    /// Since when.
    pub since: Timestamp,
    /// Whether a second answer, about another time, has said the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirmed: bool,
    /// What was counted, what was asked for, and what mostly is the reason.
    pub message: String,
}

impl Rollout {
    /// What is known of the share of the traffic that is in force.
    #[must_use]
    pub fn share_now(&self) -> Option<&Share> {
        self.share.as_ref().filter(|share| share.traffic == self.traffic.asked_at)
    }

    /// Why the traffic that is in force is not what was asked for, if it clearly is not.
    #[must_use]
    pub fn astray(&self) -> Option<&Astray> {
        let share = self.share_now().filter(|share| !share.accepted)?;
        share.astray.as_ref()
    }
}
