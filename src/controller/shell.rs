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
        DueMeasurement, Event, Measurements, Needs, Write,
        pass::{Candidate, Look, Room, Shell, Source, Stored, Watched, WatchedDeployment, Written},
    },
    document::finding::Finding,
    domain::{keys, observed::Observed, state::RolloutState, strategy::RolloutSpec, world::Canaries},
    notify::Notice,
    objects::{
        canary_deployment::canary_name,
        manifest::{Kind, Owner, find},
    },
    runtime::clock,
};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::reflector::ObjectRef;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::MutexGuard;

/// The requests of passes over one Deployment.
pub struct Requests<'a> {
    context: &'a Context,
    key: &'a ObjectRef<Deployment>,
    /// The record was read before the watches began, so what they report is at least as new.
    is_first: AtomicBool,
}

impl<'a> Requests<'a> {
    /// What every pass needs, and the Deployment.
    pub const fn new(context: &'a Context, key: &'a ObjectRef<Deployment>) -> Self {
        Self { context, key, is_first: AtomicBool::new(false) }
    }

    fn namespace_name(&self) -> &str {
        self.key.namespace.as_deref().unwrap_or_default()
    }
}

impl<'a> Shell for Requests<'a> {
    type Error = ReconcileError;
    type Guard = Option<MutexGuard<'a, ()>>;

    async fn recorded(&self) -> Result<Stored, ReconcileError> {
        let first = self.context.watches.records.first(self.key);
        self.is_first.store(first.is_some(), Ordering::Relaxed);
        let stored = match first {
            Some(stored) => stored,
            None => records::load(&self.context.client, self.namespace_name(), &self.key.name).await?,
        };
        span::at_stage(&stored.state);
        Ok(stored)
    }

    fn is_superseded(&self, version: Option<&str>) -> bool {
        self.context.watches.records.is_superseded(self.key, version)
    }

    fn watched_deployment(&self) -> WatchedDeployment {
        self.context.watches.deployments.get(self.key)
    }

    async fn deployment(&self) -> Result<Option<(Owner, Arc<Observed>)>, ReconcileError> {
        if let (true, WatchedDeployment::Whole(owner, seen)) =
            (self.is_first.load(Ordering::Relaxed), self.watched_deployment())
        {
            return Ok(Some((owner, seen)));
        }
        let found = world::deployment(&self.context.client, self.namespace_name(), &self.key.name).await?;
        Ok(found.map(|(owner, seen)| (owner, Arc::new(seen))))
    }

    fn has_leftovers(&self, owner: &Owner) -> bool {
        self.context.watches.ours.has_any(owner)
    }

    async fn namespace(&self) -> Result<Namespace, ReconcileError> {
        let Context { client, own_namespace, .. } = self.context;
        let found = namespaces::look_up(client, self.namespace_name(), own_namespace).await;
        found.map_err(ReconcileError::Membership)
    }

    async fn watched(
        &self,
        owner: &Owner,
        seen: &Arc<Observed>,
        needs: &Needs,
    ) -> Result<Option<Watched>, ReconcileError> {
        let Context { client, watches, .. } = self.context;
        let (ours, newest) = watches.ours.of(owner);
        let canary = find(&ours, Kind::DEPLOYMENT, &canary_name(&owner.name));
        let canary = canary.and_then(|canary| canary.pointer("/metadata/uid")?.as_str()).unwrap_or_default();
        let sets = watches.views.sets(&owner.namespace, [&owner.uid, canary]).await;
        let Some([stable, canary]) = sets else { return Ok(None) };
        let mut seen = Observed::clone(seen);
        (seen.ours, seen.replica_sets, seen.canary_sets) = (ours, stable, canary);
        (seen.world, _) = watches.views.world(&owner.namespace).await?;
        world::unwatched(client, owner, needs, &mut seen).await?;
        Ok(Some(Watched { seen: Arc::new(seen), newest }))
    }

    async fn surroundings(
        &self,
        owner: &Owner,
        seen: &Arc<Observed>,
        needs: &Needs,
        users: Source,
    ) -> Result<Arc<Observed>, ReconcileError> {
        let Context { client, watches, .. } = self.context;
        let mut seen = Observed::clone(seen);
        world::pair(client, owner, &mut seen).await?;
        seen.world = match users {
            Source::Watches => watches.views.world(&owner.namespace).await?.0,
            Source::Server => watches.views.read(&owner.namespace).await?,
        };
        world::unwatched(client, owner, needs, &mut seen).await?;
        Ok(Arc::new(seen))
    }

    async fn canary(&self, owner: &Owner) -> Result<Option<Value>, ReconcileError> {
        Ok(world::canary(&self.context.client, owner).await?)
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

    fn claim(
        &self,
        canaries: Canaries,
        must_wait: impl FnOnce(&Canaries) -> Option<String>,
    ) -> Option<String> {
        self.context.claims.claim(self.key, canaries, must_wait)
    }

    fn end_claim(&self) {
        self.context.end_claim(self.key);
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

    async fn write(&self, write: &Write<'_>, look: &Look) -> Result<Written, ReconcileError> {
        let Context { client, watches, .. } = self.context;
        let Look { owner, seen, stored } = look;
        let patched = match write {
            Write::State(state) => {
                let version = records::store(client, look, state).await?;
                watches.records.wrote(self.key, version.as_deref());
                return Ok(Written::Record(version));
            }
            Write::Apply(manifest) => {
                let known = find(&seen.ours, manifest.kind, &manifest.name);
                return Ok(Written::Object(apply::apply(client, owner, manifest, known).await?));
            }
            Write::Conditions(conditions) => {
                apply::write_conditions(client, owner, seen, conditions, clock::now()).await?
            }
            Write::ClearCondition => apply::clear_condition(client, owner, seen).await?,
            Write::Deployment(write) => apply::write_deployment(client, owner, seen, *write).await?,
            Write::Empty(name) => {
                apply::empty(client, owner, seen, name).await?;
                None
            }
            Write::Delete(kind, name) => {
                apply::delete(client, owner, seen, *kind, name).await?;
                None
            }
            Write::Forget => {
                records::forget(client, owner, stored.version.as_deref()).await?;
                None
            }
        };
        Ok(patched.map_or(Written::Done, |(owner, seen)| Written::Deployment(owner, Arc::new(seen))))
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

    async fn publish(&self, look: &Look, state: &RolloutState, event: &Event) {
        let (Context { publisher, notifier, .. }, Look { owner, seen, .. }) = (self.context, look);
        if let Some(notifier) = notifier {
            notifier.notify(owner, Notice::of(owner, state, seen, event, clock::now()));
        }
        publisher.publish(owner, event).await;
    }
}
