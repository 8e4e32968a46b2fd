//! The traffic of a canary, as it is recorded.

use crate::domain::{names::Weight, one_or_many};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Traffic that must be in force, and since when the data plane knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// Share of the canary.
    pub weight: Weight,
    /// Whether header and cookie routes to the canary are on.
    pub routes: bool,
    /// Indices of the steps whose header routes are on; only with `routes`.
    #[serde(rename = "header", default, skip_serializing_if = "BTreeSet::is_empty", with = "one_or_many")]
    pub headers: BTreeSet<usize>,
    /// Index of the step whose mirror route is on; only with `routes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<usize>,
    /// When it was asked for. The routing objects carry it, so each new desired traffic changes them, and
    /// an older write that is still on its way is refused.
    pub asked_at: Timestamp,
    /// When the routing objects were first seen to carry this; `None` = not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
    /// The weight that was seen last, until this one is, if that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Weight>,
    /// The greatest weight that was asked for since then, if that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Weight>,
    /// It is written, but the data plane does not follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfollowed: Option<Unfollowed>,
}

/// Traffic that is written, and that a data plane does not follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfollowed {
    /// Since when.
    pub since: Timestamp,
    /// What is awaited; absent in the first moment, which is usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaited: Option<String>,
}

impl Traffic {
    /// None for the canary.
    #[must_use]
    pub const fn none(asked_at: Timestamp) -> Self {
        Self {
            weight: Weight::ZERO,
            routes: false,
            headers: BTreeSet::new(),
            mirror: None,
            asked_at,
            seen_at: None,
            last: None,
            before: None,
            unfollowed: None,
        }
    }

    /// What is awaited of a data plane that does not follow, and since when.
    #[must_use]
    pub fn awaited(&self) -> Option<(Timestamp, &str)> {
        let unfollowed = self.unfollowed.as_ref()?;
        Some((unfollowed.since, unfollowed.awaited.as_deref()?))
    }

    /// The greatest weight that may be in force.
    #[must_use]
    pub fn at_most(&self) -> Weight {
        self.before.map_or(self.weight, |before| before.max(self.weight))
    }

    /// Whether requests are sent to the canary by it that are not by `before`.
    #[must_use]
    pub fn is_more_than(&self, before: Option<&Self>) -> bool {
        let Some(before) = before else { return self.weight > Weight::ZERO || self.routes };
        (self.routes && !before.routes) || before.is_less_than(self.weight, &self.headers, self.mirror)
    }

    /// Whether this weight, header routes or mirror route send requests to the canary that this traffic does not.
    #[must_use]
    pub fn is_less_than(&self, weight: Weight, headers: &BTreeSet<usize>, mirror: Option<usize>) -> bool {
        weight > self.weight
            || !headers.is_subset(&self.headers)
            || (mirror.is_some() && mirror != self.mirror)
    }

    /// Asks for this traffic; what was already asked for keeps its times. Without `routes` header and mirror routes go
    /// as well.
    pub fn ask(&mut self, weight: Weight, routes: bool, now: Timestamp) {
        let routes_now = if routes { self.clone() } else { Self::none(now) };
        let (seen_at, unfollowed) = (None, None);
        self.become_wanted(Self { weight, routes, asked_at: now, seen_at, unfollowed, ..routes_now });
    }

    /// As [`Traffic::ask`] with routes, also for these header routes and this mirror route, by the indices of their steps.
    pub fn ask_all(
        &mut self,
        weight: Weight,
        headers: BTreeSet<usize>,
        mirror: Option<usize>,
        now: Timestamp,
    ) {
        self.become_wanted(Self { weight, routes: true, headers, mirror, ..Self::none(now) });
    }

    fn become_wanted(&mut self, wanted: Self) {
        let is_same = self.weight == wanted.weight
            && self.routes == wanted.routes
            && self.headers == wanted.headers
            && self.mirror == wanted.mirror;
        if !is_same {
            let before = Some(self.at_most()).filter(|before| *before != wanted.weight);
            let last = Some(self.last.unwrap_or(self.weight)).filter(|last| *last != wanted.weight);
            *self = Self { last, before, ..wanted };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_header_route_is_recorded_as_before_there_were_several() {
        let mut recorded =
            json!({"weight": 5, "routes": true, "header": 2, "askedAt": "2026-01-01T00:00:00Z"});
        let mut traffic: Traffic = serde_json::from_value(recorded.clone()).unwrap();
        assert_eq!(traffic.headers, BTreeSet::from([2]));
        assert_eq!(serde_json::to_value(&traffic).unwrap(), recorded);
        traffic.headers.insert(4);
        recorded["header"] = json!([2, 4]);
        assert_eq!(serde_json::to_value(&traffic).unwrap(), recorded);
        assert_eq!(serde_json::from_value::<Traffic>(recorded).unwrap(), traffic);
    }

    #[test]
    fn only_what_sends_requests_to_the_canary_is_more() {
        let none = Traffic::none(Timestamp::UNIX_EPOCH);
        let some = Traffic { weight: Weight::FULL, ..none.clone() };
        let open = Traffic { routes: true, ..none.clone() };
        let header = Traffic { headers: BTreeSet::from([1]), ..open.clone() };
        let mirror = Traffic { mirror: Some(2), ..open.clone() };
        for more in [&some, &open, &header, &mirror] {
            assert!(more.is_more_than(Some(&none)) && more.is_more_than(None), "{more:?}");
            assert!(!none.is_more_than(Some(more)) && !more.is_more_than(Some(more)), "{more:?}");
        }
        assert!(!none.is_more_than(None));
    }

    #[test]
    fn routes_that_are_off_leave_no_header_and_no_mirror() {
        let (then, now) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let mut traffic = Traffic::none(then);
        traffic.ask_all(Weight::FULL, BTreeSet::from([1]), Some(2), then);
        let before = traffic.clone();
        traffic.ask(Weight::FULL, true, now);
        assert_eq!(traffic, before, "what was asked for keeps its time");
        traffic.ask(Weight::ZERO, false, now);
        assert_eq!(traffic, Traffic { before: Some(Weight::FULL), ..Traffic::none(now) });
        assert_eq!(traffic.at_most(), Weight::FULL, "nobody has seen yet that less is in force");
    }
}
