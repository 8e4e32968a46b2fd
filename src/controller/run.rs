//! The watches, and what happens around them: adoption at the start, clean-up after opting out.

use super::{
    context::{Context, ReconcileError},
    membership::{adopt, adopt_namespace, forget_if_out, forget_strays},
    reconcile::{on_error, reconcile},
    resilient_watch::steady,
};
use crate::cluster::{
    error::{Categorized, Category},
    objects::{is_served, resource},
};
use crate::{
    config::namespace::{ENABLED, reserved},
    domain::keys,
    objects::{manifest::Kind, marks},
    routers,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Namespace},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        Controller, WatchStreamExt,
        controller::{Config, Error as ControllerError},
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use std::sync::Arc;
use tokio::time::sleep;
use tracing::warn;

/// Deployments whose metadata is read at once when the watch begins.
const PAGE: u32 = 50;

/// Deployments reconciled at once.
const CONCURRENCY: u16 = 16;

/// Drives all managed Deployments while it is polled; `extra` names additional ones to look at.
pub async fn run(context: Arc<Context>, extra: impl Stream<Item = ObjectRef<Deployment>> + Send + 'static) {
    let client = context.client.clone();
    if let Err(error) = adopt(&client, &context.own_namespace).await {
        warn!(%error, "cannot look for Deployments that were annotated while no webhook was there");
    }
    if let Err(error) = forget_strays(&context).await {
        warn!(%error, "cannot look for records of Deployments that opted out meanwhile");
    }
    let managed = watcher::Config::default().labels(&format!("{}=true", keys::MANAGED)).page_size(PAGE);
    let marked = watcher::Config::default().labels(&marks::selector());
    let (reader, writer) = reflector::store();
    // Touched, not only applied: a Deployment that opts out leaves the watch, and its record must go.
    let watched = watcher(Api::<PartialObjectMeta<Deployment>>::all(client.clone()), managed);
    let deployments = steady(watched.map_ok(named).reflect(writer).touched_objects());
    let watching = Controller::for_stream(deployments, reader.clone())
        .with_config(Config::default().concurrency(CONCURRENCY));
    let kinds = stream::iter(routers::kinds().iter().copied());
    let kinds: Vec<Kind> = kinds.filter(|kind| is_served(&client, *kind)).collect().await;
    let owning = kinds.into_iter().fold(watching, |controller, kind| {
        controller.owns_stream_with(context.ours.watch(&client, kind, marked.clone()), resource(kind))
    });
    let mut passes = std::pin::pin!(
        owning
            .watches_stream(namespaces(&client, &context.own_namespace), move |namespace| members_of(
                &reader, &namespace
            ))
            .reconcile_on(extra)
            .run(reconcile, on_error, Arc::clone(&context))
    );
    while let Some(pass) = passes.next().await {
        match pass {
            Ok((object, _)) => context.failures.passed(&object),
            // Logged where it happened.
            Err(ControllerError::ReconcilerFailed(..)) => {}
            // The label is gone, and with it the object from the watch: deleted, or opted out.
            Err(ControllerError::ObjectNotFound(object)) => {
                let (namespace, name) = (object.namespace.unwrap_or_default(), object.name);
                // It may have waited, and others for it.
                let key = ObjectRef::new(&name).within(&namespace);
                context.queue.leaves(&key);
                context.measurer.forget(&key);
                context.metrics.rollouts.forget(&key);
                context.queue.wake();
                match forget_if_out(&context, &namespace, &name).await {
                    Ok(()) => context.failures.passed(&key),
                    Err(error) => look_again(&context, key, &error),
                }
            }
            Err(error) => warn!(%error, "watch failed, trying again"),
        }
    }
}

/// A clean-up that has failed is tried again: nothing else happens to an object that has left the watch.
fn look_again(context: &Arc<Context>, key: ObjectRef<Deployment>, failure: &ReconcileError) {
    let category = failure.category();
    if category == Category::NotLeader {
        return;
    }
    let namespace = key.namespace.as_deref().unwrap_or_default();
    warn!(namespace, name = key.name, error = %failure, "cannot clean up after a Deployment that opted out or is gone, trying again");
    let (context, pause) = (Arc::clone(context), context.failures.failed(&key, category).pause());
    tokio::spawn(async move {
        sleep(pause).await;
        context.queue.look_at(key);
    });
}

/// The event with no more of the Deployment than what it is: each pass reads it anyway, and all of them as large as
/// they can be would not fit into memory.
fn named(event: watcher::Event<PartialObjectMeta<Deployment>>) -> watcher::Event<Deployment> {
    let bare = |object: PartialObjectMeta<Deployment>| {
        let ObjectMeta { name, namespace, uid, resource_version, .. } = object.metadata;
        let metadata = ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() };
        Deployment { metadata, ..Deployment::default() }
    };
    match event {
        watcher::Event::Apply(object) => watcher::Event::Apply(bare(object)),
        watcher::Event::Delete(object) => watcher::Event::Delete(bare(object)),
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitApply(object) => watcher::Event::InitApply(bare(object)),
        watcher::Event::InitDone => watcher::Event::InitDone,
    }
}

/// The Namespaces that opt their Deployments in, as they come, change and go; those that come or change have
/// their Deployments labelled.
fn namespaces(
    client: &Client,
    own_namespace: &str,
) -> impl Stream<Item = Result<PartialObjectMeta<Namespace>, watcher::Error>> + Send + 'static + use<> {
    let reserved = reserved(own_namespace).join(",");
    let opted_in = format!("{}={ENABLED},kubernetes.io/metadata.name notin ({reserved})", keys::CANARY);
    let selection = watcher::Config::default().labels(&opted_in);
    let client = client.clone();
    let watch =
        watcher(Api::<PartialObjectMeta<Namespace>>::all(client.clone()), selection).touched_objects();
    steady(watch).inspect_ok(move |namespace| {
        let (client, name) = (client.clone(), namespace.name_any());
        tokio::spawn(async move {
            if let Err(error) = adopt_namespace(&client, &name).await {
                warn!(namespace = name, %error, "cannot label the Deployments that a Namespace opts in");
            }
        });
    })
}

/// The Deployments to look at when their Namespace has changed.
fn members_of(
    managed: &Store<Deployment>,
    namespace: &PartialObjectMeta<Namespace>,
) -> Vec<ObjectRef<Deployment>> {
    let name = namespace.metadata.name.as_ref();
    let all = managed.state();
    let here = all.iter().filter(|deployment| deployment.metadata.namespace.as_ref() == name);
    here.map(|deployment| ObjectRef::from_obj(deployment.as_ref())).collect()
}
