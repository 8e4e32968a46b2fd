//! The watches, and what happens around them: adoption at the start, clean-up after opting out.

use super::{
    chores::Chores,
    context::{Context, ReconcileError},
    membership::Chore,
    merged::merged,
    reconcile::{on_error, reconcile},
    watched::owner_of,
};
use crate::cluster::{self, objects::resource, resilient_watch::steady, views::Change};
use crate::{
    config::namespace::{ENABLED, reserved},
    domain::keys,
    objects::{manifest::Kind, marks},
    routers,
};
use futures::{
    Stream, StreamExt, TryStreamExt,
    future::ready,
    stream::{self, poll_fn},
};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Namespace},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, ResourceExt,
    api::DynamicObject,
    core::PartialObjectMeta,
    runtime::{
        Controller, WatchStreamExt,
        controller::{Action, Config, Error as ControllerError},
        reflector::{self, ObjectRef, Store, store::Writer},
        watcher,
    },
};
use std::{pin::pin, sync::Arc};
use tracing::warn;

type Key = ObjectRef<Deployment>;

/// Objects that are read at once when a watch begins.
const PAGE: u32 = 50;

/// Deployments reconciled at once.
const CONCURRENCY: u16 = 16;

/// Drives all managed Deployments while it is polled; `extra` names additional ones to look at.
pub async fn run(context: Arc<Context>, extra: impl Stream<Item = Key> + Send + 'static) {
    let (chores, done) = Chores::new(&context);
    begin(&context, &chores).await;
    let (reader, writer) = reflector::store();
    // `Controller` itself would put a pass off while something happens.
    let looks = merged(stream::select(extra, reports(&context, &chores, reader.clone(), writer)));
    let passes = Controller::for_stream(stream::pending(), reader)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .reconcile_on(looks)
        .run(reconcile, on_error, Arc::clone(&context));
    let (mut passes, mut done) = (pin!(passes), pin!(done));
    loop {
        tokio::select! {
            pass = passes.next() => match pass {
                Some(pass) => ended(&context, &chores, pass),
                None => return,
            },
            Some(()) = done.next() => {}
        }
    }
}

type Pass = Result<(Key, Action), ControllerError<ReconcileError, watcher::Error>>;

fn ended(context: &Context, chores: &Chores, pass: Pass) {
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
            context.end_claim(&key);
            context.measurer.forget(&key);
            context.metrics.rollouts.forget(&key);
            context.active.left(&key);
            context.watches.records.forget(&key);
            context.queue.wake();
            chores.add(Chore::Leave(key));
        }
        Err(error) => warn!(%error, "watch failed, trying again"),
    }
}

/// What is done once, before the watches begin.
async fn begin(context: &Context, chores: &Chores) {
    chores.add(Chore::Survey);
    match cluster::records::all(&context.client, None).await {
        Err(error) => warn!(%error, "cannot read the records at once, each is read by itself"),
        Ok(records) => context.watches.records.were_read(records),
    }
}

/// The Deployments to look at, as watches report something of them or around them.
fn reports(
    context: &Arc<Context>,
    chores: &Chores,
    reader: Store<Deployment>,
    writer: Writer<Deployment>,
) -> impl Stream<Item = Key> + Send + 'static + use<> {
    let marked = watcher::Config::default().labels(&marks::selector()).page_size(PAGE);
    let Context { client, watches, own_namespace, .. } = context.as_ref();
    let ours = routers::kinds().iter().map(|kind| {
        let listed = Arc::clone(&watches.listed);
        let objects = watches.ours.watch(client, watches.views.served(), *kind, marked.clone(), listed);
        objects.filter_map(|object| ready(deployment_of(&object))).boxed()
    });
    let namespaces = namespaces(client, own_namespace, chores);
    let all = ours.chain([
        deployments(context, writer).boxed(),
        records(context, marked.clone()).filter_map(|record| ready(owner_of(&record))).boxed(),
        namespaces.flat_map(move |namespace| stream::iter(members_of(&reader, &namespace))).boxed(),
        changed(Arc::clone(context)).boxed(),
        listed(Arc::clone(context)).boxed(),
    ]);
    stream::select_all(all.collect::<Vec<_>>())
}

/// The Deployment that an object of ours belongs to.
fn deployment_of(object: &DynamicObject) -> Option<Key> {
    let owners = object.owner_references().iter();
    let mut owners = owners.filter(|owner| owner.kind == "Deployment").map(|owner| owner.name.as_str());
    let annotation = object.annotations().get(marks::DEPLOYMENT_ANNOTATION);
    let annotated = || Some(marks::deployment(annotation?)?.0);
    let name = owners.next().or_else(annotated)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}

/// Users' Deployments that are managed.
fn deployments(
    context: &Arc<Context>,
    writer: Writer<Deployment>,
) -> impl Stream<Item = Key> + Send + 'static + use<> {
    let managed = watcher::Config::default().labels(&format!("{}=true", keys::MANAGED)).page_size(PAGE);
    let api = Api::<DynamicObject>::all_with(context.client.clone(), &resource(Kind::DEPLOYMENT));
    let context = Arc::clone(context);
    let noted = watcher(api, managed).inspect_ok(move |event| {
        let gone = context.watches.deployments.note(event, |key| context.active.has(key));
        for key in gone {
            context.queue.look_at(key);
        }
    });
    // Touched, not only applied: a Deployment that opts out leaves the watch, and its record must go.
    let touched = steady(noted.map_ok(named).reflect(writer).touched_objects());
    touched.map(|deployment| ObjectRef::from_obj(&deployment))
}

/// Records that others than this process have changed.
fn records(
    context: &Arc<Context>,
    marked: watcher::Config,
) -> impl Stream<Item = PartialObjectMeta<ConfigMap>> + Send + 'static + use<> {
    let api = Api::<PartialObjectMeta<ConfigMap>>::all(context.client.clone());
    let context = Arc::clone(context);
    let is_foreign = move |event: &watcher::Event<PartialObjectMeta<ConfigMap>>| {
        if matches!(event, watcher::Event::InitDone) {
            context.watches.listed.notify_one();
        }
        context.watches.records.note(event)
    };
    let foreign = watcher(api, marked).try_filter(move |event| ready(is_foreign(event)));
    steady(foreign.touched_objects())
}

/// Releases under way around which something has changed.
fn changed(context: Arc<Context>) -> impl Stream<Item = Key> + Send + 'static {
    let mut changes = context.watches.views.changes();
    let changes = poll_fn(move |task| changes.poll_recv(task));
    changes.flat_map(move |Change { namespace, sets_of }| {
        stream::iter(match sets_of {
            None => context.active.of(&namespace),
            Some(owner) => {
                let name = context.watches.ours.deployment_of(&namespace, owner);
                let key = ObjectRef::new(&name).within(&namespace);
                context.active.has(&key).then_some(key).into_iter().collect()
            }
        })
    })
}

/// All releases under way, whenever a watch has begun again.
fn listed(context: Arc<Context>) -> impl Stream<Item = Key> + Send + 'static {
    let lists = stream::unfold(context, |context| async {
        context.watches.listed.notified().await;
        Some((stream::iter(context.active.all()), context))
    });
    lists.flatten()
}

/// The event with no more of the Deployment than what it is: all of them as large as they can be would not fit into
/// memory.
fn named(event: watcher::Event<DynamicObject>) -> watcher::Event<Deployment> {
    let bare = |object: DynamicObject| {
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
    chores: &Chores,
) -> impl Stream<Item = PartialObjectMeta<Namespace>> + Send + 'static + use<> {
    let reserved = reserved(own_namespace).join(",");
    let opted_in = format!("{}={ENABLED},kubernetes.io/metadata.name notin ({reserved})", keys::CANARY);
    let selection = watcher::Config::default().labels(&opted_in);
    let watch =
        watcher(Api::<PartialObjectMeta<Namespace>>::all(client.clone()), selection).touched_objects();
    let chores = chores.clone();
    steady(watch).inspect(move |namespace| chores.add(Chore::Adopt(namespace.name_any())))
}

/// The Deployments to look at when their Namespace has changed.
fn members_of(managed: &Store<Deployment>, namespace: &PartialObjectMeta<Namespace>) -> Vec<Key> {
    let name = namespace.metadata.name.as_ref();
    let all = managed.state();
    let here = all.iter().filter(|deployment| deployment.metadata.namespace.as_ref() == name);
    here.map(|deployment| ObjectRef::from_obj(deployment.as_ref())).collect()
}
