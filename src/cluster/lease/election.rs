//! The pure part of an election: a lease record and the time in, what to do out.

use jiff::Timestamp;
use k8s_openapi::{api::coordination::v1::LeaseSpec, apimachinery::pkg::apis::meta::v1::MicroTime};
use std::time::{Duration, Instant};

/// A lease record and when this process first saw it so.
///
/// Only the local monotonic clock decides when a lease has run out: the holder's timestamps are from
/// another machine, whose clock may be hours off. This is client-go's rule.
#[derive(Debug, Clone)]
pub(super) struct Sighting {
    record: LeaseSpec,
    since: Instant,
}

/// What to do about a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Choice {
    /// Write this record: it renews our lease or takes a free one.
    Write(LeaseSpec),
    /// Another holds it; look again after this long at the latest.
    Wait(Duration),
}

/// The candidate for the lease, and the duration that it asks for.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub identity: String,
    pub duration: Duration,
}

impl Sighting {
    /// `record` as read at `now`; one that has not changed since `before` keeps its first sighting.
    pub fn of(record: LeaseSpec, now: Instant, before: Option<&Self>) -> Self {
        match before {
            Some(before) if before.record == record => before.clone(),
            _ => Self { record, since: now },
        }
    }

    /// How long until the lease may be taken from its holder; zero when it is free.
    fn remaining(&self, now: Instant) -> Duration {
        let held = self.record.holder_identity.as_ref().is_some_and(|holder| !holder.is_empty());
        let seconds = self.record.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let granted = if held { Duration::from_secs(seconds.unwrap_or(0)) } else { Duration::ZERO };
        granted.saturating_sub(now.saturating_duration_since(self.since))
    }
}

impl Candidate {
    /// Whether to write the lease seen in `sighting` (none: it does not exist).
    ///
    /// A record that names us is ours, even if an earlier process of this pod wrote it.
    pub fn decide(&self, sighting: Option<&Sighting>, now: Instant, wall: Timestamp) -> Choice {
        let Some(sighting) = sighting else { return Choice::Write(self.claim(&LeaseSpec::default(), wall)) };
        let record = &sighting.record;
        if record.holder_identity.as_ref() == Some(&self.identity) {
            return Choice::Write(self.renewal(record, wall));
        }
        match sighting.remaining(now) {
            Duration::ZERO => Choice::Write(self.claim(record, wall)),
            rest => Choice::Wait(rest),
        }
    }

    /// The record that gives up `record` to the next candidate; none if it is not ours to give.
    pub fn release(&self, record: &LeaseSpec) -> Option<LeaseSpec> {
        let ours = record.holder_identity.as_ref() == Some(&self.identity);
        ours.then(|| LeaseSpec { holder_identity: None, ..record.clone() })
    }

    fn renewal(&self, record: &LeaseSpec, wall: Timestamp) -> LeaseSpec {
        LeaseSpec {
            lease_duration_seconds: i32::try_from(self.duration.as_secs()).ok(),
            renew_time: Some(MicroTime(wall)),
            ..record.clone()
        }
    }

    fn claim(&self, record: &LeaseSpec, wall: Timestamp) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            acquire_time: Some(MicroTime(wall)),
            lease_transitions: Some(record.lease_transitions.map_or(0, |n| n.saturating_add(1))),
            ..self.renewal(record, wall)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::clock;

    const LEASE: Duration = Duration::from_secs(15);

    fn candidate(identity: &str) -> Candidate {
        Candidate { identity: identity.to_owned(), duration: LEASE }
    }

    fn wall() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn written(choice: Choice) -> LeaseSpec {
        match choice {
            Choice::Write(record) => record,
            Choice::Wait(rest) => panic!("waits {rest:?} instead of writing"),
        }
    }

    /// The record of `identity` after its first claim.
    fn held_by(identity: &str, start: Instant) -> LeaseSpec {
        written(candidate(identity).decide(None, start, wall()))
    }

    #[test]
    fn a_lease_that_does_not_exist_is_claimed() {
        let record = held_by("a", clock::monotonic());
        assert_eq!(record.holder_identity.as_deref(), Some("a"));
        assert_eq!((record.lease_duration_seconds, record.lease_transitions), (Some(15), Some(0)));
        assert_eq!(record.acquire_time, record.renew_time);
    }

    #[test]
    fn anothers_lease_is_taken_only_a_whole_duration_after_its_last_change() {
        let start = clock::monotonic();
        let first = Sighting::of(held_by("a", start), start, None);
        let at = |seconds| start + Duration::from_secs(seconds);
        let unchanged = Sighting::of(held_by("a", start), at(10), Some(&first));
        let decide = |sighting: &Sighting, now| candidate("b").decide(Some(sighting), now, wall());
        assert_eq!(decide(&unchanged, at(10)), Choice::Wait(Duration::from_secs(5)));

        let renewed = LeaseSpec { renew_time: None, ..held_by("a", start) };
        let changed = Sighting::of(renewed, at(10), Some(&first));
        assert_eq!(decide(&changed, at(10)), Choice::Wait(LEASE));

        let taken = written(decide(&unchanged, at(15)));
        assert_eq!((taken.holder_identity.as_deref(), taken.lease_transitions), (Some("b"), Some(1)));
    }

    #[test]
    fn the_holders_clock_is_not_believed() {
        let start = clock::monotonic();
        for skew in ["2001-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
            let renew_time = Some(MicroTime(skew.parse().unwrap()));
            let sighting = Sighting::of(LeaseSpec { renew_time, ..held_by("a", start) }, start, None);
            assert_eq!(candidate("b").decide(Some(&sighting), start, wall()), Choice::Wait(LEASE), "{skew}");
            let taken = candidate("b").decide(Some(&sighting), start + LEASE, wall());
            assert_eq!(written(taken).holder_identity.as_deref(), Some("b"), "{skew}");
        }
    }

    #[test]
    fn our_own_lease_is_renewed_at_once_even_by_a_restarted_process() {
        let start = clock::monotonic();
        let before = held_by("a", start);
        let later: Timestamp = "2026-03-01T12:00:09Z".parse().unwrap();
        let choice = candidate("a").decide(Some(&Sighting::of(before.clone(), start, None)), start, later);
        let renewed = LeaseSpec { renew_time: Some(MicroTime(later)), ..before };
        assert_eq!(written(choice), renewed, "same term, same transitions");
    }

    #[test]
    fn a_released_lease_is_free_at_once_and_only_its_holder_releases_it() {
        let start = clock::monotonic();
        let held = held_by("a", start);
        assert_eq!(candidate("b").release(&held), None);
        let released = candidate("a").release(&held).unwrap();
        let choice = candidate("b").decide(Some(&Sighting::of(released, start, None)), start, wall());
        assert_eq!(written(choice).lease_transitions, Some(1));
    }

    #[test]
    fn a_record_without_a_duration_does_not_block_for_ever() {
        let start = clock::monotonic();
        for seconds in [None, Some(0), Some(-5)] {
            let record = LeaseSpec { lease_duration_seconds: seconds, ..held_by("a", start) };
            let choice = candidate("b").decide(Some(&Sighting::of(record, start, None)), start, wall());
            assert_eq!(written(choice).holder_identity.as_deref(), Some("b"), "{seconds:?}");
        }
    }
}
