//! Orders of people: `haldane.dev/do` as given, `haldane.dev/request` as authorised and recorded.

use super::names::TemplateHash;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a person may order.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
    strum::EnumIter,
    strum::EnumMessage,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Verb {
    /// Leave the present step: past a pause, or skip what it waits for.
    Promote,
    /// Skip all remaining steps and analyses.
    PromoteFull,
    /// Take the traffic back; the revision stays out until `retry`.
    Abort,
    /// Try an aborted revision again from its first step.
    Retry,
    /// Hold the rollout where it is.
    Pause,
    /// Continue past a pause; never past an analysis.
    Resume,
}

/// An authorised order, written by the webhook only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Tells this order from a repetition of the same words.
    pub id: String,
    /// What.
    pub verb: Verb,
    /// Who, as the API server authenticated them.
    pub by: String,
    /// When it was admitted.
    pub at: Timestamp,
    /// The template it was given for: an order for another revision is stale.
    pub template: TemplateHash,
}
