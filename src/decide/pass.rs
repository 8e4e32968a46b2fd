//! One pass over one Deployment: read, decide, record, write, publish, in the one order that survives a crash
//! between any two requests.
//!
//! The order is here and nowhere else. The controller and the model of `tests/model` each implement [`Shell`], which
//! carries out single requests and decides nothing.

mod sending;

use super::{
    DeploymentWrite, DueMeasurement, Event, Frozen, Input, Measurements, RELEASE, Refusal, Start, Wait,
    Write, bypass, decide, freeze, needs,
};
use crate::{
    config::{
        annotations::{Choice, choice, is_opted_in_or_marked},
        namespace::{Namespace, Settings},
    },
    domain::{hosts::Hosts, observed::Observed, state::RolloutState, strategy::RolloutSpec},
    objects::manifest::{Kind, Owner},
    routers::named,
};
use jiff::Timestamp;
use sending::{carry_out, send};
use std::{collections::BTreeSet, sync::Arc};

/// A recorded state, and what is needed to replace exactly this one.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// The state; the default where nothing is recorded.
    pub state: Arc<RolloutState>,
    /// Version of the record; `None` where there is none.
    pub version: Option<String>,
    /// UIDs of the record's owners.
    pub owners: Vec<String>,
}

impl Stored {
    /// The state of the Deployment with this UID. A record of a deleted Deployment of the same name, which garbage
    /// collection has not reached yet, holds no state, but it is the record to be replaced.
    #[must_use]
    pub fn of(self, uid: &str) -> Self {
        let is_its = self.owners.iter().any(|owner| owner == uid);
        Self { state: if is_its { self.state } else { Arc::default() }, ..self }
    }
}

/// What a pass has read, and every write depends on.
#[derive(Debug, Clone)]
pub struct Look {
    /// The user's Deployment.
    pub owner: Owner,
    /// The cluster.
    pub seen: Arc<Observed>,
    /// The record.
    pub stored: Stored,
}

/// A rollout that could start now.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its Namespace.
    pub namespace: &'a Namespace,
    /// What its plan is read from.
    pub settings: &'a Settings,
    /// Its plan; `None` for a retry, whose plan is in the record.
    pub spec: Option<&'a RolloutSpec>,
    /// What was read.
    pub look: &'a Look,
}

/// Whether a rollout may start now.
#[derive(Debug)]
pub struct Room<G> {
    /// Why it must wait. The text stays the same while it waits, because each change is an Event.
    pub wait: Option<Wait>,
    /// The only hosts that its metrics may be queried from, if a profile names some.
    pub metric_hosts: Option<Vec<Hosts>>,
    /// Kept until the state is recorded: nobody else counts canaries in between.
    pub guard: G,
}

/// Why a request failed.
pub trait Failure: From<NotLeader> {
    /// The answer, if it was one that does not accept a write: of the API server, a quota, a policy or a webhook. Not a
    /// lost race, and nothing that may not have arrived.
    fn refusal(&self) -> Option<Refusal>;
}

/// The requests of a pass. Each is one request to the API server, or something that this process keeps in memory.
#[expect(
    async_fn_in_trait,
    reason = "used with concrete types only, whose futures are Send where that matters"
)]
pub trait Shell {
    /// Why a request failed.
    type Error: Failure;
    /// See [`Room::guard`].
    type Guard;

    /// Reads the record of the Deployment's name.
    async fn recorded(&self) -> Result<Stored, Self::Error>;

    /// Reads the Deployment; `None` when it does not exist.
    async fn deployment(&self) -> Result<Option<(Owner, Arc<Observed>)>, Self::Error>;

    /// Whether objects of this Deployment's canary exist, as far as the watches know.
    fn has_leftovers(&self, owner: &Owner) -> bool;

    /// Reads the Namespace.
    async fn namespace(&self) -> Result<Namespace, Self::Error>;

    /// Reads everything around a Deployment that was read before; `endpoints` as well.
    async fn surroundings(
        &self,
        owner: &Owner,
        seen: Arc<Observed>,
        endpoints: bool,
    ) -> Result<Arc<Observed>, Self::Error>;

    /// Reads the objects of ours that belong to a Deployment, those that route traffic first.
    async fn ours(&self, owner: &Owner) -> Result<Vec<serde_json::Value>, Self::Error>;

    /// Reads the plan that the annotations ask for, with its templates; the inner error says what is wrong with it.
    async fn plan(&self, settings: &Settings) -> Result<Result<RolloutSpec, String>, Self::Error>;

    /// Asks whether this rollout may start now.
    async fn room(&self, candidate: &Candidate<'_>) -> Result<Room<Self::Guard>, Self::Error>;

    /// Nothing of this Deployment waits for room any more.
    fn leave_queue(&self);

    /// A canary has ended: others may have room now.
    fn wake_queue(&self);

    /// What has been measured and not been judged, and what is being measured.
    fn measurements(&self) -> Measurements;

    /// The time.
    fn now(&self) -> Timestamp;

    /// Whether this process leads, as far as it knows.
    fn leads(&self) -> bool;

    /// Sends a write. The new version of the record, if it was that.
    async fn write(&self, write: &Write<'_>, look: &Look) -> Result<Option<String>, Self::Error>;

    /// Forgets the answers that the recorded state has `judged`, and runs that are not `active`; starts what is `due`.
    fn measure(&self, judged: &Measurements, active: &BTreeSet<&str>, due: &[DueMeasurement]);

    /// The state is recorded over what was read: views of rollouts show this one.
    fn report(&self, look: &Look, state: &RolloutState);

    /// Publishes an Event on the Deployment.
    async fn publish(&self, owner: &Owner, event: &Event);
}

/// Another process leads: nothing more is written.
#[derive(Debug, thiserror::Error)]
#[error("not the leader")]
pub struct NotLeader;

/// How a pass ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// A rollout is under way, or objects of a canary exist.
    pub is_active: bool,
    /// When to look again, if nothing happens before.
    pub wake_at: Option<Timestamp>,
    /// The write that was refused first. It is tried again by every pass.
    pub refused: Option<Refusal>,
}

/// Reads, decides, and carries out what was decided.
///
/// # Errors
/// The first request that failed. What was written before it is repeated or continued by the next pass.
pub async fn pass<S: Shell>(shell: &S) -> Result<Outcome, S::Error> {
    // First: whatever is read later is at least as new, so another replica's decision in between is noticed.
    let recorded = shell.recorded().await?;
    let Some((owner, seen)) = shell.deployment().await? else {
        shell.leave_queue();
        return Ok(Outcome::default());
    };
    let mut look = Look { stored: recorded.of(&owner.uid), seen, owner };
    let leftovers = shell.has_leftovers(&look.owner);
    let needs = needs(&look.stored.state, &look.seen, leftovers);
    let choice = choice(&look.seen.annotations());
    // One that has opted in by itself and is idle depends on nothing else, and costs no request.
    let asks_namespace = choice != Choice::In
        || needs.start != Start::Nothing
        || bypass::is_suspected(&look.stored.state, &look.seen);
    let namespace = if asks_namespace { shell.namespace().await? } else { Namespace::default() };
    let is_managed = choice == Choice::In || (choice == Choice::Silent && namespace.opts_in());
    let is_busy = look.stored.state.rollout.is_some() || look.seen.is_held() || leftovers;
    if !is_managed && !is_busy {
        shell.leave_queue();
        if clear_condition(shell, &look).await? {
            // What was read is outdated now.
            return Ok(Outcome { wake_at: Some(shell.now()), ..Outcome::default() });
        }
        send(shell, &Write::Deployment(DeploymentWrite::Leave), &look).await?;
        return Ok(Outcome::default());
    }
    let settings = namespace.settings(&look.seen.annotations());
    if settings.restart_is_canary() {
        Arc::make_mut(&mut look.seen).restart_is_canary = true;
    }
    if needs.surroundings {
        look.seen = shell.surroundings(&look.owner, look.seen, needs.endpoints).await?;
    }
    let (next, room) = candidate(shell, needs.start, &namespace, &settings, &look).await?;
    let (measurements, now) = (shell.measurements(), shell.now());
    let input = Input {
        seen: &look.seen,
        owner: &look.owner,
        next: &next,
        wait: room.as_ref().and_then(|room| room.wait.as_ref()),
        measurements: &measurements,
        now,
    };
    let plan = decide(look.stored.state.as_ref().clone(), &input);
    let written = carry_out(shell, &look, &plan, &measurements, now).await;
    drop(room);
    let refused = written?;
    if look.stored.state.is_running() && !plan.state.is_running() {
        shell.wake_queue();
    }
    let is_active = needs.surroundings || plan.state.rollout.is_some();
    Ok(Outcome { is_active, wake_at: plan.wake_at, refused })
}

/// The plan of a rollout that starts now, or why none can, and whether there is room for it.
async fn candidate<S: Shell>(
    shell: &S,
    start: Start,
    namespace: &Namespace,
    settings: &Settings,
    look: &Look,
) -> Result<(Result<Frozen, String>, Option<Room<S::Guard>>), S::Error> {
    let mut next = match start {
        Start::Rollout => {
            let spec = shell.plan(settings).await?;
            spec.and_then(|spec| freeze(spec, &look.seen.workload(), &look.seen.world))
        }
        Start::Retry | Start::Nothing => Err("no rollout can start now".to_owned()),
    };
    if next.is_err() && start != Start::Retry {
        shell.leave_queue();
        return Ok((next, None));
    }
    let spec = next.as_ref().ok().map(|next| &next.spec);
    let mut room = shell.room(&Candidate { namespace, settings, spec, look }).await?;
    if let Ok(next) = &mut next {
        next.metric_hosts = room.metric_hosts.take();
    }
    Ok((next, Some(room)))
}

/// What has become of a Deployment that lost the label by which it is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// It does not exist any more.
    Deleted,
    /// It is managed all the same.
    Stays,
    /// It has opted out; nothing of its canary is left.
    Left,
}

/// Cleans up after a Deployment that lost the label by which it is watched.
///
/// # Errors
/// The first request that failed. To repeat it continues the clean-up.
pub async fn leave<S: Shell>(shell: &S) -> Result<Departure, S::Error> {
    let Some((owner, seen)) = shell.deployment().await? else { return Ok(Departure::Deleted) };
    if is_opted_in_or_marked(&seen.deployment.metadata) {
        return Ok(Departure::Stays);
    }
    // The label was removed while no webhook was running: the rollout continues, and ends as any other. A record
    // that cannot be read must not keep the template held for ever.
    let recorded = if seen.is_held() { Stored::default() } else { shell.recorded().await? };
    let mut look = Look { stored: recorded.of(&owner.uid), seen, owner };
    if look.seen.is_held() || look.stored.state.rollout.is_some() {
        send(shell, &Write::Deployment(DeploymentWrite::Return), &look).await?;
        return Ok(Departure::Stays);
    }
    // Nothing is left of a rollout that has ended, unless a replica that led before has made it late.
    Arc::make_mut(&mut look.seen).ours = shell.ours(&look.owner).await?;
    let late: Vec<(Kind, &str)> = look.seen.ours.iter().filter_map(named).collect();
    for (kind, name) in late {
        send(shell, &Write::Delete(kind, name), &look).await?;
    }
    clear_condition(shell, &look).await?;
    send(shell, &Write::Forget, &look).await?;
    Ok(Departure::Left)
}

/// Removes Haldane's own condition from a Deployment that is left alone; whether there was one.
async fn clear_condition<S: Shell>(shell: &S, look: &Look) -> Result<bool, S::Error> {
    let is_there = look.seen.condition(RELEASE).is_some();
    if is_there {
        send(shell, &Write::ClearCondition, look).await?;
    }
    Ok(is_there)
}
