//! One pass over one Deployment: look, decide, record, act.

use super::{backoff::Backoff, budget, membership, owned::OwnedObjects, queue::Queue};
use crate::{
    admit::frozen,
    cluster::lease::Leadership,
    config::{
        annotations::{Choice, choice},
        namespace::Namespace,
        strategy::Defaults,
    },
    decide::{Event, Frozen, Input, Measurements, Plan, Start, Write, bypass, decide, freeze, needs},
    document::finding::Finding,
    domain::{keys, observed::Observed, state::Rollout},
    objects::{manifest::Owner, pair::find},
    runtime::clock,
};
use crate::{
    cluster::{
        apply::{self, ApplyError},
        events::Publisher,
        namespaces,
        records::{self, StateError, Stored},
        templates,
        world::{self, ObserveError},
    },
    measure::Measurer,
};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Client,
    runtime::{controller::Action, reflector::ObjectRef},
};
use std::{sync::Arc, time::Duration};
use tracing::{debug, warn};

/// An active rollout is looked at this often even if nothing seems to happen: Services and Ingresses
/// of users are not watched.
const RESYNC: Duration = Duration::from_secs(30);
/// After a lost race the world is looked at again at once.
const AT_ONCE: Duration = Duration::from_millis(20);

/// What every reconcile needs.
pub struct Context {
    /// The cluster.
    pub client: Client,
    /// Haldane's own namespace, where templates of cluster scope live.
    pub own_namespace: String,
    /// What applies where the user says nothing.
    pub defaults: Defaults,
    /// Asks metric providers.
    pub measurer: Arc<Measurer>,
    /// Publishes Events.
    pub publisher: Publisher,
    /// Whether this replica may write.
    pub leadership: Leadership,
    /// What of ours exists, as the watches tell.
    pub ours: OwnedObjects,
    /// Releases that wait for their turn.
    pub queue: Queue,
    /// Passes that have failed.
    pub failures: Backoff,
}

/// Why a pass ended early; it is repeated.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Another replica leads: nothing was written.
    #[error("not the leader")]
    NotLeader,
    /// See [`ObserveError`].
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// See [`StateError`].
    #[error(transparent)]
    State(#[from] StateError),
    /// See [`ApplyError`].
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Templates cannot be read.
    #[error("analysis templates: {0}")]
    Templates(#[from] kube::Error),
    /// Policy or what it counts cannot be read.
    #[error("policy: {0}")]
    Policy(kube::Error),
    /// Whether the Deployment takes part cannot be told, or not be written down.
    #[error("membership: {0}")]
    Membership(kube::Error),
}

/// Looks at one Deployment and does what its rollout needs next.
///
/// # Errors
/// See [`ReconcileError`]. Whatever was written before an error is repeated or continued by the next pass.
pub async fn reconcile(object: Arc<Deployment>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let key = ObjectRef::from_obj(object.as_ref());
    let (name, namespace) = (key.name.clone(), key.namespace.clone().unwrap_or_default());
    // First of all: whatever is seen later is at least as new, and whoever decides from here on is noticed.
    let recorded = records::load(&context.client, &namespace, &name).await?;
    let Some((owner, mut seen)) = world::deployment(&context.client, &namespace, &name).await? else {
        context.queue.leaves(&key);
        return Ok(Action::await_change());
    };
    let stored = recorded.of(&owner.uid);
    let leftovers = context.ours.has_any(&owner);
    let needs = needs(&stored.state, &seen, leftovers);
    let choice = choice(&seen.annotations());
    // One that has opted in by itself and is idle depends on nothing else, and costs no request.
    let namespace = if choice != Choice::In
        || needs.start != Start::Nothing
        || bypass::is_suspected(&stored.state, &seen)
    {
        let found = namespaces::look_up(&context.client, &namespace, &context.own_namespace).await;
        found.map_err(ReconcileError::Membership)?
    } else {
        Namespace::default()
    };
    seen.restart_is_canary = namespace.settings(&seen.annotations()).restart_is_canary();
    let is_busy = stored.state.rollout.is_some() || seen.is_held() || leftovers;
    let is_in = choice == Choice::In || (choice == Choice::Silent && namespace.opts_in());
    if !is_in && !is_busy {
        if !context.leadership.is_leader() {
            return Err(ReconcileError::NotLeader);
        }
        context.queue.leaves(&key);
        membership::release(&context.client, &seen).await.map_err(ReconcileError::Membership)?;
        return Ok(Action::await_change());
    }
    if needs.surroundings {
        world::surroundings(&context.client, &owner, needs.endpoints, &mut seen).await?;
    }
    let mut next = if needs.start == Start::Rollout {
        next(&context, &owner, &namespace, &seen).await?
    } else {
        Err("no rollout can start now".to_owned())
    };
    // Until the state is recorded: whoever counts next shall see this one.
    let room = if next.is_ok() || needs.start == Start::Retry {
        let start = frozen::Start {
            spec: next.as_ref().ok().map(|next| &next.spec),
            template: seen.template.body(),
            settings: &namespace.settings(&seen.annotations()),
            providers: context.measurer.defaults(),
            exemption: seen.annotation(keys::EXEMPT),
            now: clock::now(),
        };
        let room = budget::room(&context, &owner, &namespace, &start, &stored).await;
        let mut room = room.map_err(ReconcileError::Policy)?;
        if let Ok(next) = &mut next {
            next.metric_hosts = room.metric_hosts.take();
        }
        Some(room)
    } else {
        context.queue.leaves(&key);
        None
    };
    let after_death = context.leadership.after_death();
    let measurements = Measurements { after_death, ..context.measurer.seen(&key) };
    let now = clock::now();
    let wait = room.as_ref().and_then(|room| room.wait.as_ref());
    let input = Input { seen: &seen, owner: &owner, next: &next, wait, measurements: &measurements, now };
    let plan = decide(stored.state.clone(), &input);
    let pass = Pass { context: &context, key: &key, owner: &owner, seen: &seen, stored: &stored };
    pass.carry_out(&plan, &measurements).await?;
    drop(room);
    if records::is_running(&stored.state) && !records::is_running(&plan.state) {
        context.queue.wake();
    }
    Ok(action(needs.surroundings || plan.state.rollout.is_some(), plan.wake_at, now))
}

/// The plan that a rollout starting now would follow.
async fn next(
    context: &Context,
    owner: &Owner,
    namespace: &Namespace,
    seen: &Observed,
) -> Result<Result<Frozen, String>, ReconcileError> {
    let settings = namespace.settings(&seen.annotations());
    let words = |findings: Vec<Finding>| {
        let located = settings.located(findings);
        located.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let declared = match settings.read(&context.defaults) {
        Ok(declared) => declared,
        Err(findings) => return Ok(Err(words(findings))),
    };
    let references = declared.references();
    let lookups =
        templates::look_up(&context.client, &owner.namespace, &context.own_namespace, &references).await?;
    let spec = match declared.complete(&lookups) {
        Ok(spec) => spec,
        Err(findings) => return Ok(Err(words(findings))),
    };
    Ok(freeze(spec, &seen.workload(), &seen.world))
}

/// One pass that has made up its mind.
struct Pass<'a> {
    context: &'a Context,
    key: &'a ObjectRef<Deployment>,
    owner: &'a Owner,
    seen: &'a Observed,
    stored: &'a Stored,
}

impl Pass<'_> {
    /// State first, then the world. From the moment the state is recorded, measurements and Events follow
    /// whatever becomes of the other writes: the next pass would not tell them again.
    async fn carry_out(&self, plan: &Plan, judged: &Measurements) -> Result<(), ReconcileError> {
        let mut writes = plan.writes(&self.stored.state).into_iter().peekable();
        if let Some(state) = writes.next_if(|write| matches!(write, Write::State(_))) {
            self.write(&state).await?;
        }
        let measurer = &self.context.measurer;
        let active = plan.state.rollout.iter().flat_map(Rollout::runs_under_way).collect();
        measurer.judged(self.key, &judged.answers, &active);
        for due in &plan.measure {
            measurer.start(self.key, due.clone());
        }
        let mut written = Ok(());
        for write in writes {
            written = self.write(&write).await;
            if written.is_err() {
                break;
            }
            if let (Write::Deployment(_), Some(event)) = (&write, &plan.held_late) {
                self.context.publisher.publish(self.owner, event).await;
            }
        }
        for event in &plan.events {
            self.context.publisher.publish(self.owner, event).await;
        }
        written
    }

    /// One request, under the lease.
    async fn write(&self, write: &Write<'_>) -> Result<(), ReconcileError> {
        let Self { context: Context { client, leadership, .. }, owner, seen, stored, .. } = self;
        if !leadership.is_leader() {
            return Err(ReconcileError::NotLeader);
        }
        match write {
            Write::State(state) => records::store(client, owner, stored, state).await.map(drop)?,
            Write::Apply(manifest) => {
                let known = find(&seen.ours, manifest.kind, &manifest.name);
                apply::apply(client, owner, manifest, known).await?;
            }
            Write::Condition(condition) => {
                apply::write_condition(client, owner, seen, condition, clock::now()).await?;
            }
            Write::Deployment(write) => apply::write_deployment(client, owner, seen, *write).await?,
            Write::Empty(name) => apply::empty(client, owner, name).await?,
            Write::Delete(kind, name) => apply::delete(client, owner, seen, *kind, name).await?,
        }
        Ok(())
    }
}

fn action(is_active: bool, wake_at: Option<Timestamp>, now: Timestamp) -> Action {
    let until = wake_at.map(|at| at.duration_since(now).unsigned_abs().max(AT_ONCE));
    match (until, is_active) {
        (Some(until), _) => Action::requeue(until.min(RESYNC)),
        (None, true) => Action::requeue(RESYNC),
        (None, false) => Action::await_change(),
    }
}

/// What follows a failed pass: races are looked at again at once, all else after a pause.
#[must_use]
pub fn on_error(object: Arc<Deployment>, error: &ReconcileError, context: Arc<Context>) -> Action {
    let key = ObjectRef::from_obj(object.as_ref());
    let is_race = match error {
        ReconcileError::NotLeader => return Action::await_change(),
        ReconcileError::Apply(ApplyError::Conflict(_)) => true,
        ReconcileError::State(StateError::Api(_, error)) => crate::cluster::api::lost_race(error),
        ReconcileError::Membership(error) => crate::cluster::api::lost_race(error),
        _ => false,
    };
    if is_race {
        debug!(%key, %error, "looking again");
        return Action::requeue(AT_ONCE);
    }
    warn!(%key, %error, "reconcile failed, trying again");
    if let ReconcileError::Apply(ApplyError::Foreign(_))
    | ReconcileError::State(
        StateError::Foreign(_) | StateError::Unreadable(..) | StateError::Edited(..) | StateError::Newer(..),
    ) = error
    {
        // Only a person can mend these, so they are told where they look.
        let event = Event::warning("InvalidSpec", error.to_string());
        tokio::spawn(async move {
            let owner = Owner {
                name: key.name,
                namespace: key.namespace.unwrap_or_default(),
                uid: object.metadata.uid.clone().unwrap_or_default(),
            };
            context.publisher.publish(&owner, &event).await;
        });
        return Action::requeue(RESYNC);
    }
    Action::requeue(context.failures.failed(&key))
}
