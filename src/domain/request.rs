//! Orders of people: `haldane.dev/do` as given, `haldane.dev/request` as authorised and recorded.

use super::names::TemplateHash;
use crate::document::fields;
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
    /// Index of the step to go on with; people count from 1. Only with [`Verb::Promote`].
    pub step: Option<usize>,
}

/// The text is not an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown order{} allowed are {}, promote --step N", meant(*.nearest), Verb::VARIANTS.join(", "))]
pub struct UnknownOrder {
    /// What was most likely meant.
    pub nearest: Option<&'static str>,
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(|| ",".to_owned(), |order| format!(", did you mean {order:?}?;"))
}

impl UnknownOrder {
    /// Flags of `kubectl argo rollouts` become part of a verb: `promote --full` is `promote-full`.
    fn new(text: &str) -> Self {
        let nearest = match text.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["promote", "--skip-current-step"] => Some("skip-step"),
            ["promote", "--step", ..] => Some("promote --step N"),
            words => fields::nearest(&words.join("-").replace("---", "-"), Verb::VARIANTS),
        };
        Self { nearest }
    }
}

impl From<Verb> for Order {
    fn from(verb: Verb) -> Self {
        Self { verb, step: None }
    }
}

impl FromStr for Order {
    type Err = UnknownOrder;

    /// A verb, or `promote --step N` with N from 1.
    fn from_str(text: &str) -> Result<Self, UnknownOrder> {
        let words: Vec<&str> = text.split([' ', '=']).filter(|word| !word.is_empty()).collect();
        let order = match words.as_slice() {
            [verb] => verb.parse::<Verb>().ok().map(Self::from),
            ["promote", "--step", number] => {
                let index = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
                index.map(|index| Self { verb: Verb::Promote, step: Some(index) })
            }
            _ => None,
        };
        order.ok_or_else(|| UnknownOrder::new(text))
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(index) => write!(f, "{} --step {}", self.verb, index.saturating_add(1)),
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
