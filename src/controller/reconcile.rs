//! One pass over one Deployment: look, decide, record, act.

use super::{
    apply::{self, ApplyError},
    events::Publisher,
    measure::Measurer,
    observe::{self, ObserveError},
    state::{self, StateError, Stored},
    templates,
};
use crate::{
    build::{labels::choose, manifest::Owner, pair::find},
    config::{
        annotations::{is_opted_in, read_annotations},
        strategy::Defaults,
    },
    decide::{Event, Input, Next, Plan, decide},
    domain::{
        finding::Finding,
        observed::Observed,
        selector::Labels,
        state::{Rollout, Stage},
    },
    runtime::{clock, lease::Leadership},
};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Client,
    runtime::{controller::Action, reflector::ObjectRef},
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tracing::{debug, warn};

/// An active rollout is looked at this often even if nothing seems to happen: Services and Ingresses
/// of users are not watched.
const RESYNC: Duration = Duration::from_secs(30);
/// Delay after a failure that may pass by itself.
const RETRY: Duration = Duration::from_secs(1);
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
}

/// Looks at one Deployment and does what its rollout needs next.
///
/// # Errors
/// See [`ReconcileError`]. Whatever was written before an error is repeated or continued by the next pass.
pub async fn reconcile(object: Arc<Deployment>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let key = ObjectRef::from_obj(object.as_ref());
    let (name, namespace) = (key.name.clone(), key.namespace.clone().unwrap_or_default());
    let Some((owner, mut seen)) = observe::deployment(&context.client, &namespace, &name).await? else {
        return Ok(Action::await_change());
    };
    if !is_opted_in(seen.deployment.metadata.annotations.as_ref().unwrap_or(&Labels::new())) {
        return Ok(Action::await_change());
    }
    let stored = state::load(&context.client, &namespace, &name).await?;
    let rolling = stored.state.rollout.as_ref().is_some_and(|rollout| rollout.stage == Stage::PromoteRoll);
    if stored.state.rollout.is_some() || seen.is_held() {
        observe::surroundings(&context.client, &owner, rolling, &mut seen).await?;
    }
    let next = next(&context, &owner, &seen, &stored).await?;
    let measurements = context.measurer.seen(&key);
    let now = clock::now();
    let input = Input { seen: &seen, owner: &owner, next: &next, measurements: &measurements, now };
    let plan = decide(stored.state.clone(), &input);
    carry_out(&context, &owner, &seen, &stored, &plan).await?;
    let active: BTreeSet<&str> =
        plan.state.rollout.iter().flat_map(|r| &r.runs).map(|r| r.run.name.as_str()).collect();
    context.measurer.judged(&key, &measurements.answers, &active);
    for due in plan.measure {
        context.measurer.start(&key, due);
    }
    Ok(action(plan.state.rollout.is_some() || seen.is_held(), plan.wake_at, now))
}

/// The plan that a rollout starting now would follow. Read only when one may start.
async fn next(
    context: &Context,
    owner: &Owner,
    seen: &Observed,
    stored: &Stored,
) -> Result<Result<Next, String>, ReconcileError> {
    if !seen.is_held() {
        return Ok(Err("nothing is held".to_owned()));
    }
    let frozen = |rollout: &Rollout| {
        rollout.hash == seen.template_hash() && !matches!(rollout.stage, Stage::Retreat { .. })
    };
    if stored.state.rollout.as_ref().is_some_and(frozen) {
        return Ok(Err("its plan is frozen".to_owned()));
    }
    let annotations = seen.deployment.metadata.annotations.clone().unwrap_or_default();
    let words =
        |findings: Vec<Finding>| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let wish = match read_annotations(&annotations, &context.defaults) {
        Ok(wish) => wish,
        Err(findings) => return Ok(Err(words(findings))),
    };
    let references = wish.references();
    let lookups =
        templates::look_up(&context.client, &owner.namespace, &context.own_namespace, &references).await?;
    let spec = match wish.complete(&lookups) {
        Ok(spec) => spec,
        Err(findings) => return Ok(Err(words(findings))),
    };
    let selector = &seen.deployment.spec.selector;
    let rewrite = choose(&owner.name, selector, &seen.pod_labels(), &seen.services, &seen.policies);
    Ok(rewrite.map(|rewrite| Next { spec, rewrite }).map_err(|error| error.to_string()))
}

/// State first, then the world, then words. Each write is under the lease.
async fn carry_out(
    context: &Context,
    owner: &Owner,
    seen: &Observed,
    stored: &Stored,
    plan: &Plan,
) -> Result<(), ReconcileError> {
    let client = &context.client;
    let lead = || if context.leadership.is_leader() { Ok(()) } else { Err(ReconcileError::NotLeader) };
    lead()?;
    if plan.state != stored.state {
        state::store(client, owner, stored, &plan.state).await?;
    }
    for manifest in &plan.apply {
        lead()?;
        let known = find(&seen.ours, manifest.kind, &manifest.name);
        apply::apply(client, owner, manifest, known).await?;
    }
    if let Some(condition) = &plan.condition {
        lead()?;
        apply::write_condition(client, owner, condition, clock::now()).await?;
    }
    if let Some(write) = plan.deployment {
        lead()?;
        apply::write_deployment(client, owner, seen, write).await?;
    }
    for (kind, name) in &plan.delete {
        lead()?;
        apply::delete(client, owner, seen, *kind, name).await?;
    }
    for event in &plan.events {
        context.publisher.publish(owner, event).await;
    }
    Ok(())
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
        ReconcileError::State(StateError::Api(_, error)) => crate::runtime::api::lost_race(error),
        _ => false,
    };
    if is_race {
        debug!(%key, %error, "looking again");
        return Action::requeue(AT_ONCE);
    }
    warn!(%key, %error, "reconcile failed, trying again");
    if let ReconcileError::Apply(ApplyError::Foreign(_))
    | ReconcileError::State(
        StateError::Foreign(_) | StateError::Unreadable(..) | StateError::Newer(..),
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
    Action::requeue(RETRY)
}
