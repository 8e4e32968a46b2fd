//! Orders of people: `haldane.dev/do` as given, `haldane.dev/request` as authorised and recorded.

use super::names::TemplateHash;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use strum::VariantNames;

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
    /// Leave the present step whatever it waits for, also an inconclusive analysis.
    SkipStep,
}

/// What a person orders: a verb, and for `promote` perhaps how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// What; RBAC grants it under this name.
    pub verb: Verb,
    /// Index of the step to go on with, counted from 0; only with [`Verb::Promote`].
    pub step: Option<usize>,
}

/// The text is not an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown order, allowed are {}, promote --step N", Verb::VARIANTS.join(", "))]
pub struct UnknownOrder;

impl From<Verb> for Order {
    fn from(verb: Verb) -> Self {
        Self { verb, step: None }
    }
}

impl FromStr for Order {
    type Err = UnknownOrder;

    /// A verb, or `promote --step N`.
    fn from_str(text: &str) -> Result<Self, UnknownOrder> {
        let words: Vec<&str> = text.split([' ', '=']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [verb] => verb.parse::<Verb>().map(Self::from).map_err(|_| UnknownOrder),
            ["promote", "--step", step] => {
                let step = step.parse().map_err(|_| UnknownOrder)?;
                Ok(Self { verb: Verb::Promote, step: Some(step) })
            }
            _ => Err(UnknownOrder),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => write!(f, "{} --step {step}", self.verb),
            None => self.verb.fmt(f),
        }
    }
}

/// An authorised order, written by the webhook only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Distinguishes this order from a repetition of the same text.
    pub id: String,
    /// What.
    pub verb: Verb,
    /// See [`Order::step`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// The user who asked, as the API server authenticated them.
    pub by: String,
    /// When it was admitted.
    pub at: Timestamp,
    /// The template it was given for: an order for another revision is stale.
    pub template: TemplateHash,
}

impl Request {
    /// What was ordered.
    #[must_use]
    pub fn order(&self) -> Order {
        Order { verb: self.verb, step: self.step }
    }
}
