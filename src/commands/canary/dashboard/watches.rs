//! The watches: of all rollouts that are shown, and of what is around one of them while it is open.

use super::{board, nearby};
use crate::{
    cluster::{
        api::{is_forbidden, message},
        objects::{api_of, resource, slim},
        resilient_watch::patient,
    },
    commands::canary::subject::{Side, Subject},
    domain::keys,
    objects::{manifest::Kind, marks},
};
use futures::{
    StreamExt,
    future::ready,
    stream::{BoxStream, select_all},
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Resource,
    api::DynamicObject,
    runtime::watcher::{self, Event, watcher},
};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// Objects per page of the first list.
const PAGE: u32 = 100;

/// Watches all rollouts of a namespace, or of all.
#[must_use]
pub fn all(client: &Client, namespace: Option<&str>) -> BoxStream<'static, board::Change> {
    use board::{CANARIES, Change, DEPLOYMENTS, RECORDS};
    let deployments = || -> Api<DynamicObject> {
        let resource = resource(Kind::DEPLOYMENT);
        match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        }
    };
    let records = match namespace {
        Some(namespace) => Api::<ConfigMap>::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let trouble =
        |what: &'static str| move |error: &watcher::Error| Some(Change::Trouble(what, reason(error)));
    let labelled = |labels: &str| watcher::Config::default().labels(labels);
    let managed = labelled(&format!("{}=true", keys::MANAGED));
    let ours = labelled(&marks::selector());
    select_all([
        watch(deployments(), managed, Change::Deployment, trouble(DEPLOYMENTS)),
        watch(deployments(), ours.clone(), Change::Canary, trouble(CANARIES)),
        watch(records, ours, Change::Record, trouble(RECORDS)),
    ])
    .boxed()
}

/// Watches what is around a rollout.
#[must_use]
pub fn around(client: &Client, subject: &Subject) -> BoxStream<'static, nearby::Change> {
    use nearby::{Change, EVENT_LOG, PODS};
    let owner = &subject.owner;
    let pods = |side: Side, labels: &str| {
        let config = watcher::Config::default().labels(labels);
        let change = move |event| Change::Pod(side, event);
        watch(api_of(client, "v1", "Pod", &owner.namespace), config, change, unlisted(PODS))
    };
    let [stable, canary] = subject.pod_selectors();
    let about = format!("involvedObject.kind=Deployment,involvedObject.name={}", owner.name);
    let events = api_of(client, "v1", "Event", &owner.namespace);
    let about = watcher::Config::default().fields(&about);
    let events = watch(events, about, Change::Event, unlisted(EVENT_LOG));
    select_all([pods(Side::Stable, &stable), pods(Side::Canary, &canary), events]).boxed()
}

/// These objects cannot be listed, or the user may not watch them. Other failures end by themselves, which no event says.
fn unlisted(what: &'static str) -> impl Fn(&watcher::Error) -> Option<nearby::Change> {
    move |error| {
        let lasts = match error {
            watcher::Error::InitialListFailed(_) => true,
            watcher::Error::WatchStartFailed(error) => is_forbidden(error),
            _ => false,
        };
        lasts.then(|| nearby::Change::Trouble(what, reason(error)))
    }
}

/// The changes that a watch reports, which recovers by itself, and its failures.
fn watch<K, C>(
    api: Api<K>,
    config: watcher::Config,
    change: impl Fn(Event<K>) -> C + Send + 'static,
    trouble: impl Fn(&watcher::Error) -> Option<C> + Send + 'static,
) -> BoxStream<'static, C>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    C: Send + 'static,
{
    let events = patient(watcher(api, config.page_size(PAGE)));
    events
        .filter_map(move |event| {
            ready(match event {
                Ok(Event::Apply(object)) => Some(change(Event::Apply(slim(object)))),
                Ok(Event::InitApply(object)) => Some(change(Event::InitApply(slim(object)))),
                Ok(other) => Some(change(other)),
                Err(error) => trouble(&error),
            })
        })
        .boxed()
}

fn reason(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => message(error),
        watcher::Error::WatchError(status) => status.message.clone(),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}
