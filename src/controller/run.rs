//! The watches, and what happens around them: adoption at the start, clean-up after opting out.

use super::{
    membership::{adopt, forget_if_out, forget_strays, our_marks},
    reconcile::{Context, on_error, reconcile},
    watches::steady,
};
use crate::domain::keys;
use futures::{Stream, StreamExt};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::Service,
    networking::v1::{Ingress, NetworkPolicy},
};
use kube::{
    Api,
    runtime::{
        Controller, WatchStreamExt,
        controller::{Config, Error as ControllerError},
        reflector::{self, ObjectRef},
        watcher,
    },
};
use std::sync::Arc;
use tracing::warn;

/// Deployments reconciled at once.
const CONCURRENCY: u16 = 16;

/// Drives all managed Deployments for as long as it is polled.
pub async fn run(
    context: Arc<Context>,
    measured: impl Stream<Item = ObjectRef<Deployment>> + Send + 'static,
) {
    let client = context.client.clone();
    let settle = context.defaults.settle;
    if let Err(error) = adopt(&client).await {
        warn!(%error, "cannot look for Deployments that were annotated while no webhook was there");
    }
    if let Err(error) = forget_strays(&client, settle).await {
        warn!(%error, "cannot look for records of Deployments that opted out meanwhile");
    }
    let managed = watcher::Config::default().labels(&format!("{}=true", keys::MANAGED));
    let marked = watcher::Config::default().labels(&our_marks());
    let (reader, writer) = reflector::store();
    // Touched, not only applied: a Deployment that opts out leaves the watch, and its record must go.
    let deployments =
        steady(watcher(Api::<Deployment>::all(client.clone()), managed).reflect(writer).touched_objects());
    let mut passes = std::pin::pin!(
        Controller::for_stream(deployments, reader)
            .with_config(Config::default().concurrency(CONCURRENCY))
            .owns_stream(context.ours.watch::<Deployment>(&client, marked.clone()))
            .owns_stream(context.ours.watch::<Service>(&client, marked.clone()))
            .owns_stream(context.ours.watch::<Ingress>(&client, marked.clone()))
            .owns_stream(context.ours.watch::<NetworkPolicy>(&client, marked))
            .reconcile_on(measured)
            .run(reconcile, on_error, Arc::clone(&context))
    );
    while let Some(pass) = passes.next().await {
        match pass {
            // Failures were logged where they happened.
            Ok(_) | Err(ControllerError::ReconcilerFailed(..)) => {}
            // The label is gone, and with it the object from the watch: deleted, or opted out.
            Err(ControllerError::ObjectNotFound(object)) => {
                let (namespace, name) = (object.namespace.unwrap_or_default(), object.name);
                if let Err(error) = forget_if_out(&client, &namespace, &name, settle).await {
                    warn!(namespace, name, %error, "cannot clean up after a Deployment that opted out or is gone");
                }
            }
            Err(error) => warn!(%error, "watch failed, trying again"),
        }
    }
}
