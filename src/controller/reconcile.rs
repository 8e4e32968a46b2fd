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
    notify::Notice,
    objects::manifest::Owner,
    runtime::clock,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::{controller::Action, reflector::ObjectRef};
use std::{sync::Arc, time::Duration};
use tracing::{Instrument, debug, error, warn};

/// What needs a person is tried again at least this often.
const RETRY: Duration = Duration::from_secs(30);
/// While there is a clean-up after the Deployment.
const BUSY: Duration = Duration::from_millis(100);
/// A time that has come is not waited for in a busy loop.
const AT_LEAST: Duration = Duration::from_millis(20);

/// Makes one [pass](pass::pass), within a span of its own, and counts it.
///
/// # Errors
/// See [`ReconcileError`]. Whatever was written before an error is repeated or continued by the next pass.
pub async fn reconcile(object: Arc<Deployment>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let (started, key) = (clock::monotonic(), ObjectRef::from_obj(object.as_ref()));
    let Some(_turn) = context.active.turn(&key) else { return Ok(Action::requeue(BUSY)) };
    let mut known = context.active.take(&key);
    let requests = Requests::new(&context, &key);
    let result = Box::pin(pass::pass(&requests, &mut known)).instrument(span(&object)).await;
    let view = || context.watches.views.view(key.namespace.as_deref().unwrap_or_default()).0;
    let mut rests_for = None;
    match &result {
        Ok(outcome) if outcome.is_active => context.active.keep(&key, known, view()),
        Ok(_) => {
            rests_for = context.active.rests(&key, known);
            if rests_for.is_none() {
                context.watches.deployments.rests(&key);
            }
        }
        // The first pass of a release, after it was recorded.
        Err(_) if known.has_recorded() && !context.active.has(&key) => {
            context.active.keep(&key, known, view());
        }
        Err(_) => context.active.failed(&key, known),
    }
    let result = result.and_then(|outcome| match outcome {
        Outcome { refused: Some(refusal), wake_at, .. } => Err(ReconcileError::Refused { refusal, wake_at }),
        outcome => Ok(action(&outcome, rests_for, clock::now())),
    });
    context.metrics.passed(started.elapsed(), result.as_ref().map_err(ReconcileError::category));
    result
}

fn action(outcome: &Outcome, rests_for: Option<Duration>, now: Timestamp) -> Action {
    let again = outcome.wake_at.map(|at| until(at, now)).into_iter().chain(rests_for).min();
    again.map_or_else(Action::await_change, Action::requeue)
}

/// How long to wait for `at`.
fn until(at: Timestamp, now: Timestamp) -> Duration {
    at.duration_since(now).max(SignedDuration::ZERO).unsigned_abs().max(AT_LEAST)
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
        Category::Conflict | Category::Transient | Category::Bug => {
            Action::requeue(context.failures.failed(&key, category).pause())
        }
        Category::Invalid => {
            if let ReconcileError::Refused { wake_at, .. } = failure {
                // The pass has stated it.
                let pause = context.failures.failed(&key, category).pause().min(RETRY);
                return Action::requeue(wake_at.map_or(pause, |at| pause.min(until(at, clock::now()))));
            }
            if context.failures.failed(&key, category).is_reported() {
                // Only a person can fix it, so it is reported where people look.
                let event = Event::warning("InvalidSpec", failure.to_string());
                let owner = owner(&object);
                if let Some(notifier) = &context.notifier {
                    notifier.notify(&owner, Notice::without_record(&owner, &event, clock::now()));
                }
                let publish = async move { context.publisher.publish(&owner, &event).await };
                tokio::spawn(publish.instrument(span));
            }
            Action::requeue(RETRY)
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
