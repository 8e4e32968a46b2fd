//! Passes of the controller, and what follows when one fails.

use super::{
    context::{Context, ReconcileError},
    shell::Requests,
    span::span,
};
use crate::{
    cluster::error::{Categorized, Category},
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
use tracing::{Instrument, debug, error, warn};

/// An active rollout is looked at this often even if nothing seems to happen: Services and routes of
/// users are not watched.
const RESYNC: Duration = Duration::from_secs(30);
/// After a lost race the world is looked at again at once.
const AT_ONCE: Duration = Duration::from_millis(20);

/// Makes one [pass](pass::pass), within a span of its own, and counts it.
///
/// # Errors
/// See [`ReconcileError`]. Whatever was written before an error is repeated or continued by the next pass.
pub async fn reconcile(object: Arc<Deployment>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let (started, key) = (clock::monotonic(), ObjectRef::from_obj(object.as_ref()));
    let pass = async { pass::pass(&Requests { context: &context, key: &key }).await };
    let result = Box::pin(pass).instrument(span(&object)).await;
    let result = result.and_then(|outcome| match outcome {
        Outcome { refused: Some(refusal), wake_at, .. } => Err(ReconcileError::Refused { refusal, wake_at }),
        outcome => Ok(action(&outcome, clock::now())),
    });
    context.metrics.passed(started.elapsed(), result.as_ref().map_err(ReconcileError::category));
    result
}

fn action(outcome: &Outcome, now: Timestamp) -> Action {
    match (outcome.wake_at.map(|at| until(at, now)), outcome.is_active) {
        (Some(until), _) => Action::requeue(until.min(RESYNC)),
        (None, true) => Action::requeue(RESYNC),
        (None, false) => Action::await_change(),
    }
}

/// How long to wait for `at`.
fn until(at: Timestamp, now: Timestamp) -> Duration {
    at.duration_since(now).max(SignedDuration::ZERO).unsigned_abs().max(AT_ONCE)
}

/// What follows a failed pass: the error's category decides about Event, log level and the time of the next try.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "the controller gives it")]
pub fn on_error(object: Arc<Deployment>, failure: &ReconcileError, context: Arc<Context>) -> Action {
    let (key, span) = (ObjectRef::from_obj(object.as_ref()), span(&object));
    let category = failure.category();
    let word = <&str>::from(category);
    span.in_scope(|| match category {
        Category::NotLeader => debug!(error = %failure, "nothing more is written"),
        Category::Conflict => debug!(error = %failure, "looking again"),
        Category::Invalid | Category::Transient => {
            warn!(error = %failure, category = word, "reconcile failed, trying again");
        }
        Category::Bug => error!(error = %failure, category = word, "reconcile failed, trying again"),
    });
    match category {
        Category::NotLeader => Action::await_change(),
        Category::Conflict => Action::requeue(AT_ONCE),
        Category::Transient | Category::Bug => {
            Action::requeue(context.failures.failed(&key, category).pause())
        }
        Category::Invalid => {
            if let ReconcileError::Refused { wake_at, .. } = failure {
                // The pass has stated it.
                let pause = context.failures.failed(&key, category).pause().min(RESYNC);
                return Action::requeue(wake_at.map_or(pause, |at| pause.min(until(at, clock::now()))));
            }
            if context.failures.failed(&key, category).is_reported() {
                // Only a person can fix it, so it is reported where people look.
                let event = Event::warning("InvalidSpec", failure.to_string());
                let owner = owner(&object);
                let publish = async move { context.publisher.publish(&owner, &event).await };
                tokio::spawn(publish.instrument(span));
            }
            Action::requeue(RESYNC)
        }
    }
}

fn owner(object: &Deployment) -> Owner {
    let metadata = &object.metadata;
    Owner {
        name: metadata.name.clone().unwrap_or_default(),
        namespace: metadata.namespace.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
    }
}
