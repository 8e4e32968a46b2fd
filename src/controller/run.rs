//! The watches, and what happens around them: adoption at the start, clean-up after opting out.

use super::{
    observe,
    reconcile::{Context, on_error, reconcile},
    state,
};
use crate::{
    build::manifest::{MANAGED_BY, MANAGED_BY_LABEL},
    config::annotations::is_opted_in,
    domain::{keys, rewrite::CANARY_OF_LABEL, selector::Labels},
    runtime::api::FIELD_MANAGER,
};
use futures::{Stream, StreamExt};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Service},
    networking::v1::{Ingress, NetworkPolicy},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
    runtime::{
        Controller, WatchStreamExt,
        controller::{Config, Error as ControllerError},
        reflector::{self, ObjectRef},
        watcher,
    },
};
use serde_json::json;
use std::sync::Arc;
use tracing::{info, warn};

/// Deployments reconciled at once.
const CONCURRENCY: u16 = 16;
/// Objects per page when all Deployments are looked through at the start.
const PAGE: u32 = 500;

/// Drives all managed Deployments for as long as it is polled.
pub async fn run(
    context: Arc<Context>,
    measured: impl Stream<Item = ObjectRef<Deployment>> + Send + 'static,
) {
    let client = context.client.clone();
    if let Err(error) = adopt(&client).await {
        warn!(%error, "cannot look for Deployments that were annotated while no webhook was there");
    }
    if let Err(error) = forget_strays(&client).await {
        warn!(%error, "cannot look for records of Deployments that opted out meanwhile");
    }
    let managed = watcher::Config::default().labels(&format!("{}=true", keys::MANAGED));
    let marked = watcher::Config::default().labels(&our_marks());
    let (reader, writer) = reflector::store();
    // Touched, not only applied: a Deployment that opts out leaves the watch, and its record must go.
    let deployments =
        watcher(Api::<Deployment>::all(client.clone()), managed).reflect(writer).touched_objects();
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
                if let Err(error) = forget_if_out(&client, &namespace, &name).await {
                    warn!(namespace, name, %error, "cannot remove the record of a Deployment that opted out");
                }
            }
            Err(error) => warn!(%error, "watch failed, trying again"),
        }
    }
}

/// The label selector of everything of ours.
fn our_marks() -> String {
    format!("{MANAGED_BY_LABEL}={MANAGED_BY},{CANARY_OF_LABEL}")
}

/// Labels the Deployments that were annotated before Haldane was there.
async fn adopt(client: &Client) -> kube::Result<()> {
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = Api::<Deployment>::all(client.clone()).list_metadata(&params).await?;
        for object in &page.items {
            if is_opted_in(object.annotations()) && !object.labels().contains_key(keys::MANAGED) {
                let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
                info!(namespace, name, "adopting a Deployment");
                let patch = json!({"metadata": {"labels": {keys::MANAGED: "true"}}});
                let params =
                    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
                let api = Api::<Deployment>::namespaced(client.clone(), &namespace);
                api.patch_metadata(&name, &params, &Patch::Merge(patch)).await?;
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}

/// Removes records whose Deployment opted out while no controller was there.
async fn forget_strays(client: &Client) -> Result<(), ForgetError> {
    let ours = ListParams::default().labels(&our_marks());
    let records = Api::<ConfigMap>::all(client.clone()).list_metadata(&ours).await?;
    for record in records.items {
        let owner = record.owner_references().iter().find(|reference| reference.kind == "Deployment");
        if let (Some(owner), Some(namespace)) = (owner, record.namespace()) {
            forget_if_out(client, &namespace, &owner.name).await?;
        }
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
enum ForgetError {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error(transparent)]
    Observe(#[from] observe::ObserveError),
    #[error(transparent)]
    State(#[from] state::StateError),
}

/// Garbage collection cares for records of deleted Deployments.
async fn forget_if_out(client: &Client, namespace: &str, name: &str) -> Result<(), ForgetError> {
    let Some((_, seen)) = observe::deployment(client, namespace, name).await? else { return Ok(()) };
    if is_opted_in(seen.deployment.metadata.annotations.as_ref().unwrap_or(&Labels::new())) {
        return Ok(());
    }
    info!(namespace, name, "forgetting a Deployment that opted out");
    Ok(state::forget(client, namespace, name).await?)
}
