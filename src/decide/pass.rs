//! One pass over one Deployment: read, decide, record, write, publish, in the one order that survives a crash
//! between any two requests.
//!
//! The order is here and nowhere else. The controller and the model of `tests/model` each implement [`Shell`], which
//! carries out single requests and decides nothing.

mod known;
mod reading;
mod sending;

pub use known::{Known, Watched, WatchedDeployment, Written, number};

use super::{
    DeploymentWrite, DueMeasurement, Event, Input, Measurements, Needs, RELEASE, Refusal, Start, Wait, Write,
    bypass, decide, needs,
};
use crate::{
    config::{
        annotations::{Choice, choice, is_opted_in_or_marked, is_watched},
        namespace::{Namespace, Settings},
    },
    domain::{hosts::Hosts, observed::Observed, state::RolloutState, strategy::RolloutSpec, world::Canaries},
    objects::manifest::{Kind, Owner},
    routers::named,
};
use jiff::{SignedDuration, Timestamp};
use reading::{around, candidate};
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
    /// The record does not have all of it yet, see [`Plan::may_wait`](super::Plan::may_wait).
    pub is_ahead: bool,
}

impl Stored {
    /// The state of the Deployment with this UID. A record of a deleted Deployment of the same name, which garbage
    /// collection has not reached yet, holds no state, but it is the record to be replaced.
    #[must_use]
    pub fn of(self, uid: &str) -> Self {
        let is_its = self.owners.iter().any(|owner| owner == uid);
        if is_its { self } else { Self { state: Arc::default(), is_ahead: false, ..self } }
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

    /// Whether another writer was faster or another process leads: what was read does not hold any more.
    fn is_outdated(&self) -> bool;
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

    /// Whether a watch has reported another record than the one with this version.
    fn is_superseded(&self, version: Option<&str>) -> bool;

    /// The Deployment, as the watch has it.
    fn watched_deployment(&self) -> WatchedDeployment;

    /// Reads the Deployment; `None` when it does not exist.
    async fn deployment(&self) -> Result<Option<(Owner, Arc<Observed>)>, Self::Error>;

    /// Whether objects of this Deployment's canary exist, as far as the watches know.
    fn has_leftovers(&self, owner: &Owner) -> bool;

    /// Reads the Namespace.
    async fn namespace(&self) -> Result<Namespace, Self::Error>;

    /// What is needed of what is around a Deployment that was read before, as watches have it; what is not watched is
    /// read. `None` where no watch has it yet.
    async fn watched(
        &self,
        owner: &Owner,
        seen: &Arc<Observed>,
        needs: &Needs,
    ) -> Result<Option<Watched>, Self::Error>;

    /// Reads what is needed of what is around a Deployment that was read before: what is ours, and what runs. With
    /// `Source::Server` also what users have, which may otherwise come from watches.
    async fn surroundings(
        &self,
        owner: &Owner,
        seen: &Arc<Observed>,
        needs: &Needs,
        users: Source,
    ) -> Result<Arc<Observed>, Self::Error>;

    /// Reads the canary Deployment; `None` when there is none.
    async fn canary(&self, owner: &Owner) -> Result<Option<serde_json::Value>, Self::Error>;

    /// Reads the objects of ours that belong to a Deployment, those that route traffic first.
    async fn ours(&self, owner: &Owner) -> Result<Vec<serde_json::Value>, Self::Error>;

    /// Reads the plan that the annotations ask for, with its templates; the inner error says what is wrong with it.
    async fn plan(&self, settings: &Settings) -> Result<Result<RolloutSpec, String>, Self::Error>;

    /// Asks whether this rollout may start now.
    async fn room(&self, candidate: &Candidate<'_>) -> Result<Room<Self::Guard>, Self::Error>;

    /// Nothing of this Deployment waits for room any more.
    fn leave_queue(&self);

    /// Claims the turn of a rollout whose canary needs these Services, unless `must_wait` says why not. It is given
    /// what the other rollouts in this namespace need that this process has started, also where no watch has reported it yet.
    /// One claim is decided at a time.
    fn claim(
        &self,
        canaries: Canaries,
        must_wait: impl FnOnce(&Canaries) -> Option<String>,
    ) -> Option<String>;

    /// No rollout of this Deployment is under way, so nobody waits for one.
    fn end_claim(&self);

    /// A canary has ended: others may have room now.
    fn wake_queue(&self);

    /// What has been measured and not been judged, and what is being measured.
    fn measurements(&self) -> Measurements;

    /// The time.
    fn now(&self) -> Timestamp;

    /// Whether this process leads, as far as it knows.
    fn leads(&self) -> bool;

    /// Sends a write.
    async fn write(&self, write: &Write<'_>, look: &Look) -> Result<Written, Self::Error>;

    /// Forgets the answers that the recorded state has `judged`, and runs that are not `active`; starts what is `due`.
    fn measure(&self, judged: &Measurements, active: &BTreeSet<&str>, due: &[DueMeasurement]);

    /// The state is recorded over what was read: views of rollouts show this one.
    fn report(&self, look: &Look, state: &RolloutState);

    /// Publishes an Event on the Deployment, once the state is recorded.
    async fn publish(&self, look: &Look, state: &RolloutState, event: &Event);
}

/// Where objects are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// From what watches keep.
    Watches,
    /// From the API server.
    Server,
}

/// Another process leads: nothing more is written.
#[derive(Debug, thiserror::Error)]
#[error("not the leader")]
pub struct NotLeader;

/// How a pass ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The Deployment exists and is managed.
    pub is_managed: bool,
    /// A rollout is under way, or objects of a canary exist.
    pub is_active: bool,
    /// When to look again, if nothing happens before.
    pub wake_at: Option<Timestamp>,
    /// The write that was refused first. It is tried again by every pass.
    pub refused: Option<Refusal>,
}

/// A release that cannot start is looked at this often: no watch reports that a template, a profile or a time lets it.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// Reads, decides, and carries out what was decided. What the process knows already is not read again.
///
/// # Errors
/// The first request that failed. What was written before it is repeated or continued by the next pass.
pub async fn pass<S: Shell>(shell: &S, known: &mut Known) -> Result<Outcome, S::Error> {
    let outcome = look_and_act(shell, known).await;
    known.ends(outcome.as_ref().is_ok_and(|outcome| outcome.is_managed && outcome.refused.is_none()));
    outcome
}

async fn look_and_act<S: Shell>(shell: &S, known: &mut Known) -> Result<Outcome, S::Error> {
    // First: whatever is read later is at least as new, so another replica's decision in between is noticed. What this
    // process has recorded last holds until a write of it conflicts: nothing else is written before the record.
    let own = known.record().filter(|stored| !shell.is_superseded(stored.version.as_deref())).cloned();
    let is_own = own.is_some();
    let (recorded, in_memory) = match own {
        Some(stored) => (stored, known.deployment(shell.watched_deployment())),
        None => (shell.recorded().await?, None),
    };
    let found = if in_memory.is_some() { in_memory } else { shell.deployment().await? };
    let Some((owner, seen)) = found else {
        shell.leave_queue();
        shell.end_claim();
        return Ok(Outcome::default());
    };
    known.read_deployment(&owner, &seen);
    let mut look = Look { stored: recorded.of(&owner.uid), seen, owner };
    let leftovers = shell.has_leftovers(&look.owner);
    let mut needs = needs(&look.stored.state, &look.seen, leftovers, shell.now());
    let pods = known.pods(needs, shell.now());
    needs.pods &= pods.is_none();
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
        shell.end_claim();
        if clear_condition(shell, &look).await? {
            // What was read is outdated now.
            return Ok(Outcome { wake_at: Some(shell.now()), ..Outcome::default() });
        }
        send(shell, &Write::Deployment(DeploymentWrite::Leave), &look).await?;
        return Ok(Outcome::default());
    }
    let settings = namespace.settings(&look.seen.annotations());
    let restarts = settings.restarts();
    if look.seen.restarts != restarts {
        Arc::make_mut(&mut look.seen).restarts = restarts;
    }
    if needs.surroundings {
        // What another process has recorded may be newer than what watches have reported to this one.
        let trusts_watches = is_own || look.stored.state.rollout.is_none();
        look.seen = around(shell, &look, &needs, known, trusts_watches).await?;
    }
    let (next, room) = candidate(shell, &needs, &namespace, &settings, &mut look, known).await?;
    match &pods {
        Some(pods) => Arc::make_mut(&mut look.seen).unavailable.clone_from(&pods.unavailable),
        None => known.looked_at_pods(needs, &look.seen, shell.now()),
    }
    let (measurements, now) = (shell.measurements(), shell.now());
    let input = Input {
        seen: &look.seen,
        owner: &look.owner,
        next: &next,
        wait: room.as_ref().and_then(|room| room.wait.as_ref()),
        measurements: &measurements,
        now,
    };
    let mut plan = decide(look.stored.state.as_ref().clone(), &input);
    if plan.relies_on_canary(&look.stored.state) {
        // A watch that has lost its connection reports nothing: what requests will depend on is read.
        let seen = known.with_canary(&look.seen, shell.canary(&look.owner).await?.as_ref());
        plan = decide(look.stored.state.as_ref().clone(), &Input { seen: &seen, ..input });
        look.seen = seen;
    }
    // After a pass that has failed nothing is put off: what is only remembered is lost with the next one that fails.
    let record_by = plan.may_wait(&look.stored.state, now).filter(|_| is_own);
    let written = carry_out(shell, &look, &plan, record_by, &measurements, known).await;
    drop(room);
    let refused = written?;
    if !plan.state.is_running() {
        shell.end_claim();
    }
    if look.stored.state.is_running() && !plan.state.is_running() {
        shell.wake_queue();
    }
    let is_active = needs.surroundings || plan.state.rollout.is_some();
    let waits_to_start = needs.start != Start::Nothing && !plan.state.is_running();
    let again = waits_to_start.then(|| now.saturating_add(LOOK_AGAIN).unwrap_or(now));
    // A look that became due while this pass was reading is made by the next.
    let is_late =
        pods.is_none() && !needs.pods && super::needs(&look.stored.state, &look.seen, leftovers, now).pods;
    let look_by = pods.map(|pods| pods.until).or_else(|| is_late.then_some(now));
    let wake_at = plan.wake_at.into_iter().chain(again).chain(record_by).chain(look_by).min();
    Ok(Outcome { is_managed: true, is_active, wake_at, refused })
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
        if !is_watched(&seen.deployment.metadata) {
            // It is not watched without the label, and no webhook has been there to set it.
            let look = Look { owner, seen, stored: Stored::default() };
            send(shell, &Write::Deployment(DeploymentWrite::Return), &look).await?;
        }
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
