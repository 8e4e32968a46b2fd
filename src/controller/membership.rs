//! Which Deployments are managed: adopting those that were annotated before, cleaning up after those that left.

use super::{
    context::{Context, ReconcileError},
    shell::Requests,
};
use crate::cluster::objects::{api, api_of, list, list_kind};
use crate::cluster::world::{self, ObserveError};
use crate::{
    cluster::api::FIELD_MANAGER,
    config::{
        annotations::{Choice, choice, is_opted_in_or_marked},
        namespace::reserved,
    },
    decide::pass::{self, Departure},
    domain::{
        k8s::label_rewrite::{CANARY_OF_LABEL, owner_label},
        keys,
    },
    gocompat::duration::GoDuration,
    objects::marks::{self, is_ours},
    routers,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions},
    core::PartialObjectMeta,
    runtime::reflector::ObjectRef,
};
use serde_json::{Value, json};
use tokio::time;
use tracing::{info, warn};

/// Objects per page when all Deployments are looked through.
const PAGE: u32 = 500;

/// Every Deployment of the cluster that is opted in, or still carries our label.
///
/// # Errors
/// The API server's.
pub async fn members(client: &Client) -> kube::Result<Vec<PartialObjectMeta<Deployment>>> {
    let mut params = ListParams::default().limit(PAGE);
    let mut members = Vec::new();
    loop {
        let page = Api::<Deployment>::all(client.clone()).list_metadata(&params).await?;
        let is_in = |object: &PartialObjectMeta<Deployment>| is_opted_in_or_marked(&object.metadata);
        members.extend(page.items.into_iter().filter(is_in));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(members),
        }
    }
}

/// Labels the Deployments that were annotated before Haldane was there, but where no webhook sees them.
pub(super) async fn adopt(client: &Client, own_namespace: &str) -> kube::Result<()> {
    let reserved = reserved(own_namespace);
    let joins = |object: &PartialObjectMeta<Deployment>| {
        let is_seen = object.namespace().is_some_and(|namespace| !reserved.contains(&namespace.as_str()));
        is_seen && !object.labels().contains_key(keys::MANAGED)
    };
    for object in members(client).await?.into_iter().filter(joins) {
        mark(client, &object.namespace().unwrap_or_default(), &object.name_any()).await?;
    }
    Ok(())
}

/// Labels the Deployments of a Namespace that opts them in: those that have a route and say nothing
/// themselves. One that gets its route later is labelled with its next release, by the webhook.
pub(super) async fn adopt_namespace(client: &Client, namespace: &str) -> Result<(), ObserveError> {
    let unmarked = ListParams::default().labels(&format!("!{}", keys::MANAGED));
    let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
    let deployments = deployments.list(&unmarked).await?;
    let world = world::look_up(client, namespace, "").await?.world;
    let joins = |deployment: &Deployment| {
        let pods = deployment.spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.clone());
        choice(deployment.annotations()) == Choice::Silent
            && !is_ours(&deployment.metadata)
            && routers::has_route(&pods.unwrap_or_default(), &world)
    };
    for deployment in deployments.items.into_iter().filter(joins) {
        mark(client, namespace, &deployment.name_any()).await?;
    }
    Ok(())
}

async fn mark(client: &Client, namespace: &str, name: &str) -> kube::Result<()> {
    info!(namespace, name, "adopting a Deployment");
    write(client, namespace, name, &json!({"metadata": {"labels": {keys::MANAGED: "true"}}})).await
}

async fn write(client: &Client, namespace: &str, name: &str, patch: &Value) -> kube::Result<()> {
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let api = Api::<Deployment>::namespaced(client.clone(), namespace);
    api.patch_metadata(name, &params, &Patch::Merge(patch)).await.map(drop)
}

/// Cleans up after Deployments that left while no controller was there.
pub(super) async fn forget_strays(context: &Context) -> Result<(), ReconcileError> {
    let (client, settle) = (&context.client, context.defaults.settle);
    let ours = ListParams::default().labels(&marks::selector());
    let records = Api::<ConfigMap>::all(client.clone())
        .list_metadata(&ours)
        .await
        .map_err(ReconcileError::Membership)?;
    for record in records.items {
        let Some(namespace) = record.namespace() else { continue };
        let owner = record.owner_references().iter().find(|reference| reference.kind == "Deployment");
        match (owner, record.labels().get(CANARY_OF_LABEL)) {
            (Some(owner), _) => forget_if_out(context, &namespace, &owner.name).await?,
            (None, Some(mark)) => remove_orphans(client.clone(), namespace, mark.clone(), settle),
            (None, None) => {}
        }
    }
    Ok(())
}

/// Removes the record of a Deployment that opted out, and what a deleted one left behind.
pub(super) async fn forget_if_out(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<(), ReconcileError> {
    let key = ObjectRef::new(name).within(namespace);
    if pass::leave(&Requests { context, key: &key }).await? == Departure::Deleted {
        let (namespace, settle) = (namespace.to_owned(), context.defaults.settle);
        remove_orphans(context.client.clone(), namespace, owner_label(name), settle);
    }
    Ok(())
}

/// Removes, in addition to everything else, what `kubectl delete deployment --cascade=orphan` has left of a canary:
/// without an owner nothing else ever would, and it would keep its traffic.
fn remove_orphans(client: Client, namespace: String, mark: String, settle: GoDuration) {
    tokio::spawn(async move {
        if let Err(error) = remove_orphans_now(&client, &namespace, &mark, settle).await {
            warn!(namespace, mark, %error, "cannot remove what a deleted Deployment left behind");
        }
    });
}

/// The routes first; the rest when proxies have let go of them.
async fn remove_orphans_now(
    client: &Client,
    namespace: &str,
    mark: &str,
    settle: GoDuration,
) -> kube::Result<()> {
    let labels = marks::selector_for(mark);
    let records = api_of(client, "v1", "ConfigMap", namespace);
    let mut waits = false;
    for kind in routers::kinds().iter().rev() {
        let orphans = without_owner(list_kind(client, *kind, namespace, &labels).await?);
        if !kind.is_route() && !orphans.is_empty() && std::mem::take(&mut waits) {
            time::sleep(settle.signed().unsigned_abs()).await;
        }
        waits |= kind.is_route() && !orphans.is_empty();
        remove(&api(client, *kind, namespace), orphans, namespace).await?;
    }
    let left = without_owner(list(&records, "", &labels).await?);
    remove(&records, left, namespace).await
}

/// Objects of ours without an owner; those with one are left to garbage collection.
fn without_owner(mut ours: Vec<Value>) -> Vec<Value> {
    ours.retain(|object| object.pointer("/metadata/ownerReferences/0").is_none());
    ours
}

async fn remove(api: &Api<DynamicObject>, orphans: Vec<Value>, namespace: &str) -> kube::Result<()> {
    for orphan in orphans {
        let text = |pointer| orphan.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let (name, uid) = (text("/metadata/name").unwrap_or_default(), text("/metadata/uid"));
        info!(namespace, name, "removing what a deleted Deployment left behind");
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid, resource_version: None }),
            ..DeleteParams::background()
        };
        match api.delete(&name, &params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            result => drop(result?),
        }
    }
    Ok(())
}
