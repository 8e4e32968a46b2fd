//! The writes of a pass: the record, everything else, and what was refused.

use super::{Failure, Known, Look, NotLeader, Shell, Stored, Written};
use crate::{
    decide::{Attempt, Measurements, Plan, Refusal, Write, refusal},
    domain::state::Rollout,
};
use jiff::Timestamp;
use std::{borrow::Cow, sync::Arc};

/// State first, then the world. From the moment the state is recorded, measurements and Events follow whatever becomes
/// of the other writes: the next pass would not repeat them. What need not be recorded before `record_by` is remembered.
/// Returns the first refusal.
pub(super) async fn carry_out<S: Shell>(
    shell: &S,
    look: &Look,
    plan: &Plan,
    record_by: Option<Timestamp>,
    judged: &Measurements,
    known: &mut Known,
) -> Result<Option<Refusal>, S::Error> {
    let now = shell.now();
    let mut sent = Sent { shell, look, plan, known, accepted: Vec::new(), refused: None, failed: None };
    let mut attempts = plan.attempts();
    let is_ahead = look.stored.is_ahead || plan.state != *look.stored.state;
    let missing = || is_ahead.then_some(Write::State(&plan.state));
    let version = match plan.record(&look.stored.state).or_else(missing).filter(|_| record_by.is_none()) {
        None => look.stored.version.clone(),
        Some(state) => match record(shell, &state, look).await {
            Err(error) if plan.retreats && !error.is_outdated() => {
                // Traffic does not wait for the record: to take it back once more does no harm.
                attempts.retain(Attempt::takes_traffic);
                sent.send_all(&attempts).await;
                return Err(error);
            }
            answer => answer?,
        },
    };
    let stored = Stored {
        state: Arc::new(plan.state.clone()),
        version,
        owners: vec![look.owner.uid.clone()],
        is_ahead: is_ahead && record_by.is_some(),
    };
    sent.known.recorded(stored.clone());
    let active = plan.state.rollout.iter().flat_map(Rollout::runs_under_way).collect();
    shell.measure(judged, &active, &plan.measure);
    shell.report(look, &plan.state);
    sent.send_all(&attempts).await;
    let Sent { refused, failed, .. } = sent;
    for event in &plan.events {
        shell.publish(look, &plan.state, event).await;
    }
    if refused.is_some() || failed.is_none() {
        let stored = state_refusal(shell, &Look { stored, ..look.clone() }, refused.clone(), now).await?;
        known.recorded(stored);
    }
    failed.map_or(Ok(refused), Err)
}

/// Every write, under the lease.
pub(super) async fn send<S: Shell>(shell: &S, write: &Write<'_>, look: &Look) -> Result<Written, S::Error> {
    if shell.leads() { shell.write(write, look).await } else { Err(NotLeader.into()) }
}

/// The record; its new version.
async fn record<S: Shell>(shell: &S, state: &Write<'_>, look: &Look) -> Result<Option<String>, S::Error> {
    match send(shell, state, look).await? {
        Written::Record(version) => Ok(version),
        _ => Ok(None),
    }
}

/// What has become of the writes so far.
struct Sent<'a, S: Shell> {
    shell: &'a S,
    look: &'a Look,
    plan: &'a Plan,
    known: &'a mut Known,
    accepted: Vec<Write<'a>>,
    refused: Option<Refusal>,
    /// The first failure that is not a refusal.
    failed: Option<S::Error>,
}

impl<'a, S: Shell> Sent<'a, S> {
    /// Makes each attempt. The first failure that is not a refusal ends it, unless traffic is taken back.
    async fn send_all(&mut self, attempts: &[Attempt<'a>]) {
        let mut is_open = true;
        for Attempt { ways, in_order } in attempts {
            if *in_order && !is_open {
                continue;
            }
            let is_done = self.send_one(ways).await;
            if self.failed.is_some() && !self.plan.retreats {
                return;
            }
            is_open &= is_done || !in_order;
            let held_late = self.plan.held_late.as_ref();
            if let ([Write::Deployment(_)], Some(event), true) = (ways.as_slice(), held_late, is_done) {
                self.shell.publish(self.look, &self.plan.state, event).await;
            }
        }
    }

    /// Whether one of these is accepted. None is sent after it.
    async fn send_one(&mut self, ways: &[Write<'a>]) -> bool {
        for way in ways {
            // Several routes have one last resort.
            if self.accepted.contains(way) {
                return true;
            }
            let look = self.basis(way);
            match send(self.shell, way, &look).await {
                Ok(written) => {
                    self.known.wrote(way, written, &look);
                    self.accepted.push(*way);
                    return true;
                }
                Err(error) => {
                    if let Some(refusal) = error.refusal() {
                        self.refused.get_or_insert(refusal);
                        continue;
                    }
                    self.known.failed(way, &look, self.failed.is_none());
                    // What follows a lost race would lose it, too, or be too much: the next pass sees the object as it is.
                    let goes_on = self.plan.retreats && !error.is_outdated();
                    self.failed.get_or_insert(error);
                    if !goes_on {
                        return false;
                    }
                }
            }
        }
        false
    }

    /// What a write depends on: what was looked at, but for conditions the Deployment as it is known by now.
    fn basis(&self, write: &Write<'_>) -> Cow<'a, Look> {
        let Write::Conditions(conditions) = write else { return Cow::Borrowed(self.look) };
        let Some(seen) = self.known.under(conditions, self.shell.watched_deployment()) else {
            return Cow::Borrowed(self.look);
        };
        Cow::Owned(Look { seen, ..self.look.clone() })
    }
}

/// Records what is refused, or that nothing is any more. Returns what is recorded then.
async fn state_refusal<S: Shell>(
    shell: &S,
    look: &Look,
    refused: Option<Refusal>,
    now: Timestamp,
) -> Result<Stored, S::Error> {
    let stored = look.stored.clone();
    let Some((state, event)) = refusal::stated(&stored.state, refused, now) else { return Ok(stored) };
    let version = record(shell, &Write::State(&state), look).await?;
    shell.report(look, &state);
    if let Some(event) = &event {
        shell.publish(look, &state, event).await;
    }
    Ok(Stored { state: Arc::new(state), version, is_ahead: false, ..stored })
}
