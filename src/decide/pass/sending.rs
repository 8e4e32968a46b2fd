//! The writes of a pass: the record, everything else, and what was refused.

use super::{Failure, Look, NotLeader, Shell, Stored};
use crate::{
    decide::{Attempt, Event, Measurements, Plan, Refusal, Write, refusal},
    domain::state::Rollout,
};
use jiff::Timestamp;
use std::sync::Arc;

/// State first, then the world. From the moment the state is recorded, measurements and Events follow whatever becomes
/// of the other writes: the next pass would not repeat them. Returns the first refusal.
pub(super) async fn carry_out<S: Shell>(
    shell: &S,
    look: &Look,
    plan: &Plan,
    judged: &Measurements,
    now: Timestamp,
) -> Result<Option<Refusal>, S::Error> {
    let mut sent = Sent { shell, look, accepted: Vec::new(), refused: None };
    let mut attempts = plan.attempts();
    let version = match plan.record(&look.stored.state) {
        None => look.stored.version.clone(),
        Some(state) => match send(shell, &state, look).await {
            Err(error) if plan.retreats && error.refusal().is_some() => {
                // Traffic does not wait for the record: to take it back once more does no harm.
                attempts.retain(Attempt::takes_traffic);
                sent.send_all(&attempts, None).await?;
                return Err(error);
            }
            answer => answer?,
        },
    };
    let active = plan.state.rollout.iter().flat_map(Rollout::runs_under_way).collect();
    shell.measure(judged, &active, &plan.measure);
    shell.report(look, &plan.state);
    let written = sent.send_all(&attempts, plan.held_late.as_ref()).await;
    let refused = sent.refused;
    for event in &plan.events {
        shell.publish(&look.owner, event).await;
    }
    if refused.is_some() || written.is_ok() {
        let stored = Stored { state: Arc::new(plan.state.clone()), version, ..look.stored.clone() };
        state_refusal(shell, &Look { stored, ..look.clone() }, refused.clone(), now).await?;
    }
    written.map(|()| refused)
}

/// Every write, under the lease.
pub(super) async fn send<S: Shell>(
    shell: &S,
    write: &Write<'_>,
    look: &Look,
) -> Result<Option<String>, S::Error> {
    if shell.leads() { shell.write(write, look).await } else { Err(NotLeader.into()) }
}

/// What has become of the writes so far.
struct Sent<'a, S> {
    shell: &'a S,
    look: &'a Look,
    accepted: Vec<Write<'a>>,
    refused: Option<Refusal>,
}

impl<'a, S: Shell> Sent<'a, S> {
    /// Makes each attempt; `Err` with the first failure that is not a refusal.
    async fn send_all(
        &mut self,
        attempts: &[Attempt<'a>],
        held_late: Option<&Event>,
    ) -> Result<(), S::Error> {
        let mut is_open = true;
        for Attempt { ways, in_order } in attempts {
            if *in_order && !is_open {
                continue;
            }
            let is_done = self.send_one(ways).await?;
            is_open &= is_done || !in_order;
            if let ([Write::Deployment(_)], Some(event), true) = (ways.as_slice(), held_late, is_done) {
                self.shell.publish(&self.look.owner, event).await;
            }
        }
        Ok(())
    }

    /// The first of these that is accepted, if any is.
    async fn send_one(&mut self, ways: &[Write<'a>]) -> Result<bool, S::Error> {
        for way in ways {
            // Several routes have one last resort.
            if self.accepted.contains(way) {
                return Ok(true);
            }
            match send(self.shell, way, self.look).await {
                Ok(_) => {
                    self.accepted.push(*way);
                    return Ok(true);
                }
                Err(error) => match error.refusal() {
                    Some(refusal) => drop(self.refused.get_or_insert(refusal)),
                    None => return Err(error),
                },
            }
        }
        Ok(false)
    }
}

/// Records what is refused, or that nothing is any more.
async fn state_refusal<S: Shell>(
    shell: &S,
    look: &Look,
    refused: Option<Refusal>,
    now: Timestamp,
) -> Result<(), S::Error> {
    let Some((state, event)) = refusal::stated(&look.stored.state, refused, now) else { return Ok(()) };
    send(shell, &Write::State(&state), look).await?;
    shell.report(look, &state);
    if let Some(event) = &event {
        shell.publish(&look.owner, event).await;
    }
    Ok(())
}
