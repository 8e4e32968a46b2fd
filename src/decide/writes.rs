//! A plan as single requests, in the one order that survives a crash between any two of them.

use super::{Condition, DeploymentWrite, Plan};
use crate::{
    domain::state::{Rollout, RolloutState, Stage, Traffic},
    objects::manifest::{Kind, Manifest},
};
use jiff::Timestamp;

/// One request that changes the cluster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Write<'a> {
    /// The state `ConfigMap`, over exactly the one that was read.
    State(&'a RolloutState),
    /// An object of ours is made or changed.
    Apply(&'a Manifest),
    /// Conditions of the user's Deployment.
    Conditions(&'a [Condition]),
    /// Haldane's own condition of the user's Deployment goes.
    ClearCondition,
    /// `spec.paused` and keys of ours on the user's Deployment.
    Deployment(DeploymentWrite),
    /// A `ReplicaSet` of the user's Deployment loses its pods, see [`Plan::empty`].
    Empty(&'a str),
    /// An object of ours goes.
    Delete(Kind, &'a str),
    /// The state `ConfigMap` goes.
    Forget,
}

/// What is to be done to one object, and what serves the same end where that is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt<'a> {
    /// In order of preference; the first that is accepted is enough.
    pub ways: Vec<Write<'a>>,
    /// Whether it must not be done before all others of these that come before it.
    pub in_order: bool,
}

impl Attempt<'_> {
    /// Whether it is made for traffic that is taken back.
    #[must_use]
    pub fn takes_traffic(&self) -> bool {
        !self.in_order && matches!(self.ways.first(), Some(Write::Apply(_) | Write::Delete(..)))
    }
}

impl Plan {
    /// Whether more requests depend on the canary by it than by the state `stored`: they are sent there, or stable is
    /// replaced behind it. The first stage asks for the same whatever the canary is like.
    #[must_use]
    pub fn relies_on_canary(&self, stored: &RolloutState) -> bool {
        let before = stored.rollout.as_ref().map(|rollout| &rollout.traffic);
        let opens = |rollout: &Rollout| rollout.stage != Stage::Start && rollout.traffic.is_more_than(before);
        let opens = self.state.rollout.as_ref().is_some_and(opens);
        let replaces = self.deployment == Some(DeploymentWrite::Release) && self.state.is_running();
        !self.retreats && (opens || replaces)
    }

    /// What is to be recorded over the state `stored`, before anything else.
    ///
    /// Also unchanged, where something else is to be written: the API server then does nothing, or it reports that
    /// somebody else has decided since, and nothing follows.
    #[must_use]
    pub fn record(&self, stored: &RolloutState) -> Option<Write<'_>> {
        (self.state != *stored || !self.attempts().is_empty()).then_some(Write::State(&self.state))
    }

    /// Until when this need not be recorded over the state `stored`: nothing has been concluded but that traffic is in
    /// force, and the next record, which comes when it has reached every proxy, says so too. A leader that decides
    /// without it waits for the proxies once more.
    #[must_use]
    pub fn may_wait(&self, stored: &RolloutState, now: Timestamp) -> Option<Timestamp> {
        let (rollout, known) = self.state.rollout.as_ref().zip(stored.rollout.as_ref())?;
        let due = rollout.traffic.seen_at?.saturating_add(rollout.strategy().settle.signed()).ok()?;
        let does_nothing = self.attempts().is_empty() && self.measure.is_empty() && stored.refused.is_none();
        if !does_nothing || due <= now {
            return None;
        }
        let mut rest = self.state.clone();
        if let Some(rest) = &mut rest.rollout {
            rest.exposed_at = known.exposed_at;
            let Traffic { seen_at, last, before, .. } = known.traffic;
            (rest.traffic.seen_at, rest.traffic.last, rest.traffic.before) = (seen_at, last, before);
        }
        (rest == *stored).then_some(due)
    }

    /// What is to be written then. Traffic goes before anything that carries it does. Conditions come last: what the
    /// Deployment is after the write to it is known then.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt<'_>> {
        let in_order = !self.retreats;
        let objects = self.apply.iter().map(|manifest| self.ways_to_apply(manifest));
        let deletions = self.delete.iter().map(|(kind, name)| self.ways_to_delete(*kind, name));
        let alone = |write| Attempt { ways: vec![write], in_order: false };
        let conditions = (!self.conditions.is_empty()).then(|| alone(Write::Conditions(&self.conditions)));
        let deployment = self.deployment.map(Write::Deployment).map(alone);
        let empty = self.empty.as_deref().map(Write::Empty).map(alone);
        let objects = objects.map(|ways| Attempt { ways, in_order });
        let deletions = deletions.map(|ways| Attempt { ways, in_order });
        objects.chain(deployment).chain(empty).chain(deletions).chain(conditions).collect()
    }

    fn ways_to_apply<'a>(&'a self, manifest: &'a Manifest) -> Vec<Write<'a>> {
        let mut ways = vec![Write::Apply(manifest)];
        if self.retreats {
            ways.extend(self.ways_to_delete(manifest.kind, &manifest.name));
        }
        ways
    }

    fn ways_to_delete<'a>(&'a self, kind: Kind, name: &'a str) -> Vec<Write<'a>> {
        let mut ways = vec![Write::Delete(kind, name)];
        let last_resort = self.last_resort.iter().filter(|_| kind.is_route());
        for canary in last_resort {
            ways.extend([Write::Apply(canary), Write::Delete(canary.kind, &canary.name)]);
        }
        ways
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decide::fixtures::{decided, now, seen, state},
        domain::{names::Weight, state::Refused},
    };
    use jiff::SignedDuration;

    /// The plan that has just found the traffic of this state in force, and nothing else.
    fn found(change: impl FnOnce(&mut RolloutState)) -> (Plan, RolloutState) {
        let mut known = state(&seen(4, "b", true), Stage::PromoteShift);
        if let Some(rollout) = &mut known.rollout {
            rollout.traffic.last = Some(Weight::ZERO);
            rollout.traffic.before = Some(Weight::FULL);
            rollout.traffic.seen_at = None;
        }
        let mut plan = decided(known.clone(), &seen(4, "b", true));
        plan.state.clone_from(&known);
        (plan.apply, plan.delete, plan.conditions, plan.deployment) = (vec![], vec![], vec![], None);
        if let Some(rollout) = &mut plan.state.rollout {
            (rollout.traffic.last, rollout.traffic.before) = (None, None);
            (rollout.traffic.seen_at, rollout.exposed_at) = (Some(now()), Some(now()));
        }
        change(&mut plan.state);
        (plan, known)
    }

    #[test]
    fn that_traffic_is_in_force_is_recorded_with_what_follows_when_it_has_reached_the_proxies() {
        let (plan, known) = found(|_| {});
        let (later, settled) = (now() + SignedDuration::from_secs(5), now() + SignedDuration::from_secs(6));
        assert_eq!(plan.may_wait(&known, now()), Some(settled));
        assert_eq!(plan.may_wait(&known, later), Some(settled));
        assert_eq!(plan.may_wait(&known, settled), None);
    }

    #[test]
    fn whatever_else_is_concluded_or_written_is_recorded_at_once() {
        let (plan, known) = found(|state| state.rollout.as_mut().unwrap().stage = Stage::PromoteRoll);
        assert_eq!(plan.may_wait(&known, now()), None, "another stage");
        let (plan, known) = found(|state| state.rollout.as_mut().unwrap().traffic.weight = Weight::FULL);
        assert_eq!(plan.may_wait(&known, now()), None, "another weight");
        let (plan, known) = found(|state| state.rollout.as_mut().unwrap().traffic.seen_at = None);
        assert_eq!(plan.may_wait(&known, now()), None, "it is not in force");
        let (mut plan, known) = found(|_| {});
        plan.conditions = vec![Condition::paused()];
        assert_eq!(plan.may_wait(&known, now()), None, "a write comes after the record");
        let (plan, mut known) = found(|_| {});
        known.refused = Some(Refused { object: "Ingress".into(), message: "no".into(), since: now() });
        assert_eq!(plan.may_wait(&known, now()), None, "it is recorded that nothing is refused any more");
    }
}
