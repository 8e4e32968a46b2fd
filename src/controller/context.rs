//! What every pass of the controller needs, and why one can fail.

use super::{
    active::Active, backoff::Backoff, claims::Claims, metrics::Metrics, notifications::Notifier,
    queue::Queue, watched::Watches,
};
use crate::{
    cluster::{
        apply::ApplyError,
        error::{self, Categorized, Category},
        events::Publisher,
        lease::Leadership,
        records::StateError,
        world::ObserveError,
    },
    config::strategy::Defaults,
    decide::{
        Refusal,
        pass::{Failure, NotLeader},
    },
    measure::Measurer,
};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Client, runtime::reflector::ObjectRef};
use std::sync::Arc;

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
    /// Sends notifications about Events, if this process does.
    pub notifier: Option<Notifier>,
    /// Whether this replica may write.
    pub leadership: Leadership,
    /// What the watches have reported.
    pub watches: Watches,
    /// Releases under way.
    pub active: Active,
    /// Releases that wait for their turn.
    pub queue: Queue,
    /// Turns behind one Service or route.
    pub claims: Claims,
    /// Passes that have failed.
    pub failures: Backoff,
    /// What is counted.
    pub metrics: Metrics,
}

impl Context {
    /// The rollout of this Deployment has ended, or does not start: who waited for it looks again.
    pub(super) fn end_claim(&self, key: &ObjectRef<Deployment>) {
        for waiting in self.claims.end(key) {
            self.queue.look_at(waiting);
        }
    }
}

/// Why a pass ended early; it is repeated.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Another replica leads: nothing was written.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// See [`ObserveError`].
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// See [`StateError`].
    #[error(transparent)]
    State(#[from] StateError),
    /// See [`ApplyError`].
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A write was refused, and the record says so.
    #[error("{}: {}", .refusal.object, .refusal.message)]
    Refused {
        /// What was refused.
        refusal: Refusal,
        /// When the pass must be repeated at the latest.
        wake_at: Option<Timestamp>,
    },
    /// Templates cannot be read.
    #[error("analysis templates: {0}")]
    Templates(#[from] kube::Error),
    /// Policy or what it counts cannot be read.
    #[error("policy: {0}")]
    Policy(kube::Error),
    /// The Namespace cannot be read.
    #[error("membership: {0}")]
    Membership(kube::Error),
}

impl Failure for ReconcileError {
    fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Apply(error) => error::refusal(error),
            Self::State(StateError::Api(name, answer)) => {
                error::refused(format!("ConfigMap {name:?}"), answer)
            }
            _ => None,
        }
    }

    fn is_outdated(&self) -> bool {
        matches!(self.category(), Category::Conflict | Category::NotLeader)
    }
}

impl Categorized for ReconcileError {
    fn category(&self) -> Category {
        match self {
            Self::NotLeader(_) => Category::NotLeader,
            Self::Observe(error) => error.category(),
            Self::State(error) => error.category(),
            Self::Apply(error) => error.category(),
            Self::Refused { .. } => Category::Invalid,
            Self::Templates(error) | Self::Policy(error) | Self::Membership(error) => error.category(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_pass_means_what_its_cause_does() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let cases: [(ReconcileError, Category); 4] = [
            (NotLeader.into(), Category::NotLeader),
            (ApplyError::Conflict("Ingress".into()).into(), Category::Conflict),
            (StateError::Foreign("haldane-web".into()).into(), Category::Invalid),
            (ReconcileError::Policy(kube::Error::Service(refused.into())), Category::Transient),
        ];
        for (error, expected) in cases {
            assert_eq!(error.category(), expected, "{error}");
        }
    }
}
