//! The requests of a pass, against the cluster.

use super::{
    budget,
    context::{Context, ReconcileError},
    span,
};
use crate::{
    admit::rollout_start::RolloutStart,
    cluster::{apply, namespaces, records, templates, world},
    config::namespace::{Namespace, Settings},
    decide::{
        DueMeasurement, Event, Measurements, Write,
        pass::{Candidate, Look, Room, Shell, Stored},
    },
    document::finding::Finding,
    domain::{keys, observed::Observed, state::RolloutState, strategy::RolloutSpec},
    objects::manifest::{Owner, find},
    runtime::clock,
};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::reflector::ObjectRef;
use serde_json::Value;
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::MutexGuard;

/// The requests of passes over one Deployment.
pub struct Requests<'a> {
    /// What every pass needs.
    pub context: &'a Context,
    /// The Deployment.
    pub key: &'a ObjectRef<Deployment>,
}

impl Requests<'_> {
    fn namespace_name(&self) -> &str {
        self.key.namespace.as_deref().unwrap_or_default()
    }
}

impl<'a> Shell for Requests<'a> {
    type Error = ReconcileError;
    type Guard = Option<MutexGuard<'a, ()>>;

    async fn recorded(&self) -> Result<Stored, ReconcileError> {
        let stored = records::load(&self.context.client, self.namespace_name(), &self.key.name).await?;
        span::at_stage(&stored.state);
        Ok(stored)
    }

    async fn deployment(&self) -> Result<Option<(Owner, Arc<Observed>)>, ReconcileError> {
        let found = world::deployment(&self.context.client, self.namespace_name(), &self.key.name).await?;
        Ok(found.map(|(owner, seen)| (owner, Arc::new(seen))))
    }

    fn has_leftovers(&self, owner: &Owner) -> bool {
        self.context.ours.has_any(owner)
    }

    async fn namespace(&self) -> Result<Namespace, ReconcileError> {
        let Context { client, own_namespace, .. } = self.context;
        let found = namespaces::look_up(client, self.namespace_name(), own_namespace).await;
        found.map_err(ReconcileError::Membership)
    }

    async fn surroundings(
        &self,
        owner: &Owner,
        mut seen: Arc<Observed>,
        endpoints: bool,
    ) -> Result<Arc<Observed>, ReconcileError> {
        world::surroundings(&self.context.client, owner, endpoints, Arc::make_mut(&mut seen)).await?;
        Ok(seen)
    }

    async fn ours(&self, owner: &Owner) -> Result<Vec<Value>, ReconcileError> {
        Ok(world::ours(&self.context.client, owner).await?)
    }

    async fn plan(&self, settings: &Settings) -> Result<Result<RolloutSpec, String>, ReconcileError> {
        let Context { client, own_namespace, defaults, .. } = self.context;
        let words = |findings: Vec<Finding>| {
            let located = settings.located(findings);
            located.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        let declared = match settings.read(defaults) {
            Ok(declared) => declared,
            Err(findings) => return Ok(Err(words(findings))),
        };
        let references = declared.references();
        let lookups = templates::look_up(client, self.namespace_name(), own_namespace, &references).await?;
        Ok(declared.complete(&lookups).map_err(words))
    }

    async fn room(&self, candidate: &Candidate<'_>) -> Result<Room<Self::Guard>, ReconcileError> {
        let seen = &candidate.look.seen;
        let start = RolloutStart {
            spec: candidate.spec,
            template: seen.template.body(),
            settings: candidate.settings,
            providers: self.context.measurer.defaults(),
            exemption: seen.annotation(keys::EXEMPT),
            now: clock::now(),
        };
        budget::room(self.context, candidate, &start).await.map_err(ReconcileError::Policy)
    }

    fn leave_queue(&self) {
        self.context.queue.leaves(self.key);
    }

    fn wake_queue(&self) {
        self.context.queue.wake();
    }

    fn measurements(&self) -> Measurements {
        let after_death = self.context.leadership.after_death();
        Measurements { after_death, ..self.context.measurer.seen(self.key) }
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn leads(&self) -> bool {
        self.context.leadership.is_leader()
    }

    async fn write(&self, write: &Write<'_>, look: &Look) -> Result<Option<String>, ReconcileError> {
        let Context { client, .. } = self.context;
        let Look { owner, seen, stored } = look;
        match write {
            Write::State(state) => return Ok(records::store(client, look, state).await?),
            Write::Apply(manifest) => {
                let known = find(&seen.ours, manifest.kind, &manifest.name);
                apply::apply(client, owner, manifest, known).await?;
            }
            Write::Conditions(conditions) => {
                apply::write_conditions(client, owner, seen, conditions, clock::now()).await?;
            }
            Write::ClearCondition => apply::clear_condition(client, owner, seen).await?,
            Write::Deployment(write) => apply::write_deployment(client, owner, seen, *write).await?,
            Write::Empty(name) => apply::empty(client, owner, name).await?,
            Write::Delete(kind, name) => apply::delete(client, owner, seen, *kind, name).await?,
            Write::Forget => records::forget(client, owner, stored.version.as_deref()).await?,
        }
        Ok(None)
    }

    fn measure(&self, judged: &Measurements, active: &BTreeSet<&str>, due: &[DueMeasurement]) {
        let measurer = &self.context.measurer;
        measurer.judged(self.key, judged, active);
        for due in due {
            measurer.start(self.key, due.clone());
        }
    }

    fn report(&self, look: &Look, state: &RolloutState) {
        self.context.metrics.rollouts.recorded(self.key, &look.stored.state, state, &look.seen);
    }

    async fn publish(&self, owner: &Owner, event: &Event) {
        self.context.publisher.publish(owner, event).await;
    }
}
