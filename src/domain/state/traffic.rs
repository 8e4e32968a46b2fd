//! The traffic of a canary, as it is recorded.

use crate::domain::names::Weight;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Traffic that shall be in force, and since when the data plane has been told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// Share of the canary.
    pub weight: Weight,
    /// Whether header and cookie routes to the canary are on.
    pub routes: bool,
    /// Index of the step whose header route is on; only with `routes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<usize>,
    /// When it was asked for. The routing objects carry it, so every new wish changes them, and a write
    /// of an older wish that is still on its way is refused.
    pub asked_at: Timestamp,
    /// When the routing objects were first seen to carry this; `None` = not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
}

impl Traffic {
    /// None for the canary.
    #[must_use]
    pub const fn none(asked_at: Timestamp) -> Self {
        Self { weight: Weight::ZERO, routes: false, header: None, asked_at, seen_at: None }
    }

    /// Asks for this traffic; what was already asked for keeps its times. Without `routes` the header route
    /// goes as well.
    pub fn ask(&mut self, weight: Weight, routes: bool, now: Timestamp) {
        self.ask_all(weight, routes, self.header, now);
    }

    /// As [`Traffic::ask`], also for the header route of the step at index `header`.
    pub fn ask_all(&mut self, weight: Weight, routes: bool, header: Option<usize>, now: Timestamp) {
        let wanted = (weight, routes, header.filter(|_| routes));
        if (self.weight, self.routes, self.header) != wanted {
            *self = Self { weight, routes, header: wanted.2, asked_at: now, seen_at: None };
        }
    }
}
