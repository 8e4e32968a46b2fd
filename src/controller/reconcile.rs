//! Passes of the controller, and what follows when one fails.

use super::{
    context::{Context, ReconcileError},
    shell::Requests,
};
use crate::{
    cluster::{api::lost_race, apply::ApplyError, records::StateError},
    decide::{
        Event,
        pass::{self, Outcome},
    },
    objects::manifest::Owner,
    runtime::clock,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::{controller::Action, reflector::ObjectRef};
use std::{sync::Arc, time::Duration};
use tracing::{debug, warn};

/// An active rollout is looked at this often even if nothing seems to happen: Services and Ingresses
/// of users are not watched.
const RESYNC: Duration = Duration::from_secs(30);
/// After a lost race the world is looked at again at once.
const AT_ONCE: Duration = Duration::from_millis(20);

/// Makes one [pass](pass::pass).
///
/// # Errors
/// See [`ReconcileError`]. Whatever was written before an error is repeated or continued by the next pass.
pub async fn reconcile(object: Arc<Deployment>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let key = ObjectRef::from_obj(object.as_ref());
    let outcome = pass::pass(&Requests { context: &context, key: &key }).await?;
    Ok(action(outcome, clock::now()))
}

fn action(outcome: Outcome, now: Timestamp) -> Action {
    let until = outcome
        .wake_at
        .map(|at| at.duration_since(now).max(SignedDuration::ZERO).unsigned_abs().max(AT_ONCE));
    match (until, outcome.is_active) {
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
        ReconcileError::NotLeader(_) => return Action::await_change(),
        ReconcileError::Apply(ApplyError::Conflict(_)) => true,
        ReconcileError::State(StateError::Api(_, error)) => lost_race(error),
        ReconcileError::Membership(error) => lost_race(error),
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
