//! Which Deployments are managed: adopting those that were annotated before, cleaning up after those that left.

use super::{
    context::{Context, ReconcileError},
    shell::Requests,
};
use crate::cluster::objects::{api, api_of, is_served, list, list_kind, resource};
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
    objects::{
        manifest::Kind,
        marks::{self, is_ours},
    },
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
use std::{collections::HashSet, fmt};
use tokio::time;
use tracing::info;

/// Objects per page when all Deployments are looked through.
const PAGE: u32 = 500;

/// The same of whole objects, each of which may be as large as an object can be.
const WHOLE_PAGE: u32 = 25;

/// What is done next to the passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Chore {
    /// Deployments were annotated, opted out or went while no controller was there.
    Survey,
    /// A Deployment is not watched: it opted out, is gone, or has lost its label.
    Leave(ObjectRef<Deployment>),
    /// Objects of ours without an owner: namespace, and the mark of the Deployment that had them.
    Orphans(String, String),
    /// A Namespace opts in its Deployments.
    Adopt(String),
}

impl fmt::Display for Chore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Survey => f.write_str("look for Deployments that came or went meanwhile"),
            Self::Leave(key) => write!(f, "clean up after {key}"),
            Self::Orphans(namespace, mark) => {
                write!(f, "remove what Deployment {mark:?} left behind in namespace {namespace:?}")
            }
            Self::Adopt(namespace) => write!(f, "label the Deployments that namespace {namespace:?} opts in"),
        }
    }
}

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

/// What is to be done about what happened while no controller was there.
pub(super) async fn survey(context: &Context) -> kube::Result<Vec<Chore>> {
    let members = members(&context.client).await?;
    let reserved = reserved(&context.own_namespace);
    let key = |object: &PartialObjectMeta<Deployment>| {
        let namespace = object.namespace().filter(|namespace| !reserved.contains(&namespace.as_str()))?;
        Some(ObjectRef::new(&object.name_any()).within(&namespace))
    };
    let unmarked = members.iter().filter(|object| !object.labels().contains_key(keys::MANAGED));
    let chores: Vec<Chore> = unmarked.filter_map(key).map(Chore::Leave).collect();
    Ok([chores, strays(&context.client, &members).await?].concat())
}

/// Labels the Deployments of a Namespace that opts them in: those that have a route and say nothing
/// themselves. One that gets its route later is labelled with its next release, by the webhook.
pub(super) async fn adopt_namespace(client: &Client, namespace: &str) -> Result<(), ObserveError> {
    let mut params = ListParams::default().labels(&format!("!{}", keys::MANAGED)).limit(WHOLE_PAGE);
    let (deployments, mut world) = (Api::<Deployment>::namespaced(client.clone(), namespace), None);
    let is_silent = |deployment: &Deployment| {
        choice(deployment.annotations()) == Choice::Silent && !is_ours(&deployment.metadata)
    };
    loop {
        let page = deployments.list(&params).await?;
        for deployment in page.items.into_iter().filter(is_silent) {
            let world = match &mut world {
                Some(world) => world,
                // Where all are labelled, nobody asks for it.
                None => world.insert(world::look_up(client, namespace).await?),
            };
            let pods =
                deployment.spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.clone());
            if routers::has_route(&pods.unwrap_or_default(), world) {
                mark(client, namespace, &deployment.name_any()).await?;
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
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

/// What is to be cleaned up after Deployments that left while no controller was there: none of the `members`.
async fn strays(client: &Client, members: &[PartialObjectMeta<Deployment>]) -> kube::Result<Vec<Chore>> {
    let stay: HashSet<&str> = members.iter().filter_map(|object| object.metadata.uid.as_deref()).collect();
    let ours = ListParams::default().labels(&marks::selector());
    let records = Api::<ConfigMap>::all(client.clone()).list_metadata(&ours).await?;
    let chore = |record: PartialObjectMeta<ConfigMap>| {
        let namespace = record.namespace()?;
        let owner = record.owner_references().iter().find(|reference| reference.kind == "Deployment");
        match (owner, record.labels().get(CANARY_OF_LABEL)) {
            (Some(owner), _) if stay.contains(owner.uid.as_str()) => None,
            (Some(owner), _) => Some(Chore::Leave(ObjectRef::new(&owner.name).within(&namespace))),
            (None, mark) => Some(Chore::Orphans(namespace, mark?.clone())),
        }
    };
    let chores = records.items.into_iter().filter_map(chore).collect();
    for kind in routers::owned_by_routes() {
        forget_companions(client, kind, &stay).await?;
    }
    Ok(chores)
}

/// Removes objects that users' routes own, of Deployments that are gone. Those that `stay` need not be asked for.
async fn forget_companions(client: &Client, kind: Kind, stay: &HashSet<&str>) -> kube::Result<()> {
    if !is_served(client, kind).await? {
        return Ok(());
    }
    let everywhere = Api::all_with(client.clone(), &resource(kind));
    for companion in list(&everywhere, kind.name(), &marks::selector()).await? {
        let text = |pointer| companion.pointer(pointer).and_then(Value::as_str);
        let namespace = text("/metadata/namespace").unwrap_or_default().to_owned();
        let annotations = companion.pointer("/metadata/annotations");
        let annotation = annotations.and_then(|all| all.get(marks::DEPLOYMENT_ANNOTATION)?.as_str());
        let Some((name, uid)) = annotation.and_then(marks::deployment).filter(|(_, uid)| !stay.contains(uid))
        else {
            continue;
        };
        let owner = api(client, Kind::DEPLOYMENT, &namespace).get_metadata_opt(name).await?;
        // The passes over another one of that name, if that is managed, see to it.
        let is_left = |owner: PartialObjectMeta<DynamicObject>| {
            owner.metadata.uid.as_deref() != Some(uid) && !is_opted_in_or_marked(&owner.metadata)
        };
        if owner.is_none_or(is_left) {
            remove(&api(client, kind, &namespace), vec![companion], &namespace).await?;
        }
    }
    Ok(())
}

/// Removes the record of a Deployment that opted out, and what a deleted one left behind. One that has lost its label gets
/// it back.
pub(super) async fn forget_if_out(
    context: &Context,
    key: &ObjectRef<Deployment>,
) -> Result<(), ReconcileError> {
    if pass::leave(&Requests::new(context, key)).await? == Departure::Deleted {
        let namespace = key.namespace.as_deref().unwrap_or_default();
        let removed =
            remove_orphans(&context.client, namespace, &owner_label(&key.name), context.defaults.settle)
                .await;
        removed.map_err(ReconcileError::Membership)?;
    }
    Ok(())
}

/// Removes, in addition to everything else, what `kubectl delete deployment --cascade=orphan` has left of a canary:
/// without an owner nothing else ever would, and it would keep its traffic. The routes first; the rest when proxies have
/// let go of them.
pub(super) async fn remove_orphans(
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

/// Objects of ours that no Deployment owns; garbage collection leaves those that something else owns as well.
fn without_owner(mut ours: Vec<Value>) -> Vec<Value> {
    let is_owned = |object: &Value| {
        let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        owners.into_iter().flatten().any(|owner| owner.get("kind").is_some_and(|kind| kind == "Deployment"))
    };
    ours.retain(|object| !is_owned(object));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::locked::lock;
    use http::{Request, Response};
    use http_body_util::Full;
    use hyper::body::Bytes;
    use kube::client::Body;
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    /// An API server whose namespace `shop` has these Deployments without the label, and nothing else; and the requests that
    /// it was sent.
    fn api_server(unlabelled: Value) -> (Client, Arc<Mutex<Vec<String>>>) {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let answer = move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            let is_list = request.method() == "GET" && path.ends_with("/deployments");
            let items = if is_list { unlabelled.clone() } else { json!([]) };
            lock(&seen).push(format!("{} {path}", request.method()));
            let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items});
            async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(list.to_string())))) }
        };
        (Client::new(tower::service_fn(answer), "shop"), requests)
    }

    #[tokio::test]
    async fn a_namespace_in_which_nothing_joins_costs_one_request() {
        let decided = json!({"metadata": {"name": "web", "annotations": {keys::CANARY: "disabled"}},
            "spec": {"selector": {}, "template": {}}});
        let ours = json!({"metadata": {"name": "web-canary", "labels": marks::marks("web")},
            "spec": {"selector": {}, "template": {}}});
        for unlabelled in [json!([]), json!([decided, ours])] {
            let (client, requests) = api_server(unlabelled);
            adopt_namespace(&client, "shop").await.unwrap();
            assert_eq!(*lock(&requests), ["GET /apis/apps/v1/namespaces/shop/deployments"]);
        }
    }
}
