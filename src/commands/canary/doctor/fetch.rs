//! Reads what `doctor` judges, with the user's rights.

use super::{
    Read, Snapshot, installation,
    release::Release,
    rights::{Right, needed},
    series::{has_series, questions},
};
use crate::{
    admit::AdmitConfig,
    cluster::{
        api,
        ca_bundle::CONFIGURATION,
        objects::{api_of, list, list_kind, raw, resource},
        records,
    },
    domain::{keys, observed::SERVICE_NAME_LABEL},
    objects::manifest::Kind,
    routers,
    runtime::clock,
};
use futures::future::join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams},
};
use serde_json::Value;

/// Name of Haldane's Deployment, and of the lease of its leader.
const NAME: &str = "haldane";
const ADMISSION: &str = "admissionregistration.k8s.io";
const NETWORKING: &str = "networking.k8s.io";

/// Reads the installation, and the Deployment if one is named.
pub async fn snapshot(client: &Client, namespace: &str, name: Option<&str>, config: AdmitConfig) -> Snapshot {
    let webhooks = webhooks(client).await;
    let place = webhooks.as_ref().ok().and_then(|found| installation::place(found));
    let (own, service) = place.unwrap_or((&config.own_namespace, "haldane-webhook"));
    let (own, service) = (own.to_owned(), service.to_owned());
    let config = AdmitConfig { own_namespace: own.clone(), ..config };
    let of_service = format!("{SERVICE_NAME_LABEL}={service}");
    let slices = async {
        let slices = api_of(client, "discovery.k8s.io/v1", "EndpointSlice", &own);
        list(&slices, "EndpointSlice", &of_service).await.map_err(|error| api::message(&error))
    };
    let controller = one(api_of(client, "apps/v1", "Deployment", &own), "Deployment", NAME);
    let lease = one(api_of(client, "coordination.k8s.io/v1", "Lease", &own), "Lease", NAME);
    let rights = join_all(needed().into_iter().map(|right| may(client, namespace, right)));
    let classes = async {
        let classes = cluster_wide(client, NETWORKING, "IngressClass");
        list(&classes, "IngressClass", "").await.map_err(|error| api::message(&error))
    };
    let release = async {
        match name {
            Some(name) => Some(release(client, namespace, name, config.clone()).await),
            None => None,
        }
    };
    let (slices, controller, lease, rights, classes, routes, release) =
        tokio::join!(slices, controller, lease, rights, classes, routes(client), release);
    let now = clock::now();
    let mut snapshot =
        Snapshot { now, webhooks, slices, controller, lease, classes, routes, rights, release };
    let asked = join_all(questions(&snapshot).into_iter().map(|question| async {
        let answer = match question.path {
            Ok(path) => query(client, &path).await,
            Err(why) => Err(why),
        };
        (question.metric, answer)
    }));
    let series = asked.await;
    if let Some(release) = &mut snapshot.release {
        release.series = series;
    }
    snapshot
}

fn cluster_wide(client: &Client, group: &str, kind: &str) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind)))
}

async fn one(objects: Api<DynamicObject>, kind: &str, name: &str) -> Read<Option<Value>> {
    let found = objects.get_opt(name).await.map_err(|error| api::message(&error))?;
    Ok(found.map(|object| raw(object, kind)))
}

async fn webhooks(client: &Client) -> Read<Vec<Value>> {
    let of = |kind| one(cluster_wide(client, ADMISSION, kind), kind, CONFIGURATION);
    let (mutating, validating) =
        tokio::try_join!(of("MutatingWebhookConfiguration"), of("ValidatingWebhookConfiguration"))?;
    Ok(mutating.into_iter().chain(validating).collect())
}

async fn routes(client: &Client) -> Read<Vec<Kind>> {
    let mut served = Vec::new();
    for kind in routers::optional_kinds() {
        let routes = Api::<DynamicObject>::all_with(client.clone(), &resource(kind));
        match routes.list_metadata(&ListParams::default().limit(1)).await {
            Ok(_) => served.push(kind),
            Err(error) if !api::is_forbidden(&error) && api::is_absent(&error) => {}
            Err(error) => return Err(api::message(&error)),
        }
    }
    Ok(served)
}

/// Whether the user has a right, as `kubectl auth can-i` asks.
async fn may(client: &Client, namespace: &str, right: Right) -> (Right, Read<bool>) {
    let attributes = ResourceAttributes {
        namespace: Some(namespace.to_owned()),
        verb: Some(right.verb.clone()),
        group: Some(right.group.to_owned()),
        resource: Some(right.resource.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        ..SelfSubjectAccessReviewSpec::default()
    };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await;
    let allowed = answer.map(|review| review.status.is_some_and(|status| status.allowed));
    (right, allowed.map_err(|error| api::message(&error)))
}

async fn release(client: &Client, namespace: &str, name: &str, config: AdmitConfig) -> Release {
    let deployment = one(api_of(client, "apps/v1", "Deployment", namespace), "Deployment", name).await;
    let record = match records::load(client, namespace, name).await {
        Ok(stored) => {
            let uid = deployment.as_ref().ok().and_then(Option::as_ref);
            let uid = uid.and_then(|object| object.pointer("/metadata/uid")?.as_str()).unwrap_or_default();
            Ok(Some(stored.of(uid).state.as_ref().clone()).filter(|state| state.revision > 0))
        }
        Err(error) => Err(error.to_string()),
    };
    let (around, unread) = around(client, namespace, &config.own_namespace).await;
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    Release { namespace, name, deployment, around, unread, record, series: Vec::new(), config }
}

/// What admission would look up.
async fn around(client: &Client, namespace: &str, own: &str) -> (Vec<Value>, Vec<String>) {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    let mut keep = |read: Read<Vec<Value>>| match read {
        Ok(objects) => found.extend(objects),
        Err(why) => unread.push(why),
    };
    let namespaces = cluster_wide(client, "", "Namespace");
    keep(one(namespaces, "Namespace", namespace).await.map(|found| found.into_iter().collect()));
    for kind in routers::read_kinds() {
        keep(list_kind(client, kind, namespace, "").await.map_err(|error| api::message(&error)));
    }
    for (place, label) in
        [(namespace, keys::TEMPLATE_LABEL), (own, keys::TEMPLATE_LABEL), (own, keys::POLICY)]
    {
        let maps = api_of(client, "v1", "ConfigMap", place);
        let selected = format!("{label}=true");
        keep(list(&maps, "ConfigMap", &selected).await.map_err(|error| api::message(&error)));
    }
    (found, unread)
}

/// Asks Prometheus by way of the API server's proxy for Services.
async fn query(client: &Client, path: &str) -> Read<bool> {
    let request = http::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    let answer: Value = client.request(request).await.map_err(|error| api::message(&error))?;
    Ok(has_series(&answer))
}
