//! Traffic that is written, and that the data plane does not follow: what is recorded of it, and how long it is awaited.

use super::{Event, decision::Decision};
use crate::domain::state::{Rollout, Unfollowed};
use jiff::{SignedDuration, Timestamp};

/// Data planes are often behind for so long.
const MOMENT: SignedDuration = SignedDuration::from_secs(5);
/// Characters of a data plane's words that are kept.
const MAX_MESSAGE: usize = 700;

impl Decision<'_> {
    /// Whether the traffic is in force, by what its router says of it, and writes down what it awaits.
    ///
    /// A canary that gets no more traffic is kept until the data plane knows that, but not for ever: what is gone
    /// follows nothing.
    pub(super) fn is_followed(
        &mut self,
        rollout: &mut Rollout,
        found: Result<bool, String>,
        retreats: bool,
    ) -> bool {
        let known = rollout.traffic.unfollowed.take();
        let awaited = match found {
            Ok(is_in_force) => return is_in_force,
            Err(awaited) => awaited,
        };
        if known.is_none() && !self.is_over(rollout.traffic.asked_at, MOMENT) {
            return false;
        }
        let since = known.as_ref().map_or(self.now(), |known| known.since);
        let awaited: Option<String> =
            self.is_over(since, MOMENT).then(|| awaited.chars().take(MAX_MESSAGE).collect());
        if let Some(awaited) = awaited.as_ref().filter(|_| known.is_none_or(|known| known.awaited.is_none()))
        {
            let message =
                format!("Traffic weight {} is written, and waits for {awaited}", rollout.traffic.weight);
            self.events.push(Event::warning("WeightNotFollowed", message));
        }
        rollout.traffic.unfollowed = Some(Unfollowed { since, awaited });
        let deadline = SignedDuration::from_secs(self.seen().progress_deadline_seconds().into());
        retreats && self.is_over(since, deadline)
    }

    /// Whether `span` has passed since `since`; if not, looks again when it has, whatever the steps wait for.
    fn is_over(&mut self, since: Timestamp, span: SignedDuration) -> bool {
        self.is_time_to_measure(since.saturating_add(span).unwrap_or(Timestamp::MAX))
    }
}

#[cfg(test)]
mod tests;
