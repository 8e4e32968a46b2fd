//! Which APIs the cluster has, of those that are optional. One may come and go at any time.

use super::{api, objects::is_served, resilient_watch::patient};
use crate::{
    domain::world::World,
    objects::manifest::Kind,
    routers,
    runtime::{clock, locked::lock},
};
use futures::{Stream, StreamExt, stream};
use kube::{Client, runtime::watcher};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{info, warn};

/// How long it holds that an API is missing.
const FRESH: Duration = Duration::from_secs(30);

/// After an answer that says neither yes nor no.
const RETRY: Duration = Duration::from_secs(1);

/// See the module.
pub struct Served {
    client: Client,
    present: watch::Sender<BTreeSet<Kind>>,
    /// When the API of a kind was found missing.
    missing: Mutex<HashMap<Kind, Instant>>,
    /// One asks at a time.
    asking: tokio::sync::Mutex<()>,
}

impl Served {
    /// Nothing was asked yet.
    #[must_use]
    pub fn new(client: Client) -> Arc<Self> {
        let (present, _) = watch::channel(BTreeSet::new());
        Arc::new(Self { client, present, missing: Mutex::default(), asking: tokio::sync::Mutex::default() })
    }

    /// Whether the cluster has the API of a kind, and lets Haldane read it.
    pub async fn has(&self, kind: Kind) -> bool {
        loop {
            if let Some(known) = self.known(kind) {
                return known;
            }
            let asking = self.asking.lock().await;
            if self.known(kind).is_some() {
                continue;
            }
            match is_served(&self.client, kind).await {
                Ok(true) => self.found(kind),
                Ok(false) => self.lost(kind),
                Err(error) => {
                    drop(asking);
                    warn!(%kind, %error, "cannot ask whether an API is there, trying again");
                    sleep(RETRY).await;
                }
            }
        }
    }

    fn known(&self, kind: Kind) -> Option<bool> {
        if !routers::is_optional(kind) || self.present.borrow().contains(&kind) {
            return Some(true);
        }
        let since = lock(&self.missing).get(&kind).copied()?;
        (clock::monotonic().saturating_duration_since(since) < FRESH).then_some(false)
    }

    /// Objects of these users were read: the API of each is there.
    pub fn read(&self, world: &World) {
        for kind in routers::read_kinds().filter(|kind| !world.routes(kind.name()).is_empty()) {
            if self.known(kind) != Some(true) {
                self.found(kind);
            }
        }
    }

    /// Waits until the cluster has the API of a kind. One that `was_there` is asked for from time to time; another one only
    /// when somebody else asks, or reads something of it: a cluster without it costs no requests.
    async fn comes(&self, kind: Kind, was_there: bool) {
        while !self.has(kind).await {
            let mut present = self.present.subscribe();
            let found = present.wait_for(|present| present.contains(&kind));
            if was_there {
                drop(timeout(FRESH, found).await);
            } else {
                drop(found.await);
            }
        }
    }

    fn found(&self, kind: Kind) {
        self.present.send_if_modified(|present| present.insert(kind));
    }

    fn lost(&self, kind: Kind) {
        lock(&self.missing).insert(kind, clock::monotonic());
        self.present.send_if_modified(|present| present.remove(&kind));
    }

    /// What a watch of a kind reports from when the cluster has its API, without the failures of the watch. `None` when the
    /// API is not there any more: `begin` is called again when it is back.
    pub fn watch<T, S, F>(
        self: &Arc<Self>,
        kind: Kind,
        begin: F,
    ) -> impl Stream<Item = Option<T>> + Send + 'static + use<T, S, F>
    where
        T: Send + 'static,
        F: Fn() -> S + Send + 'static,
        S: Stream<Item = watcher::Result<T>> + Send + 'static,
    {
        let this = Arc::clone(self);
        stream::unfold((None, this, begin, false), move |(mut current, this, begin, was_there)| async move {
            loop {
                let mut watch = if let Some(watch) = current.take() {
                    watch
                } else {
                    this.comes(kind, was_there).await;
                    patient(begin()).boxed()
                };
                match watch.next().await {
                    Some(Ok(event)) => return Some((Some(event), (Some(watch), this, begin, false))),
                    Some(Err(error)) if routers::is_optional(kind) && is_absent(&error) => {
                        info!(%kind, %error, "an optional API cannot be watched; waiting until it is there");
                        this.lost(kind);
                        return Some((None, (None, this, begin, true)));
                    }
                    Some(Err(error)) => {
                        warn!(%kind, %error, "watch failed, trying again");
                        current = Some(watch);
                    }
                    None => {}
                }
            }
        })
    }
}

fn is_absent(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
            api::is_absent(error)
        }
        watcher::Error::WatchError(status) => matches!(status.code, 403 | 404),
        watcher::Error::WatchFailed(_) | watcher::Error::NoResourceVersion => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routers::gateway;
    use futures::FutureExt;
    use http::{Request, Response};
    use http_body_util::Full;
    use hyper::body::Bytes;
    use kube::client::Body;
    use serde_json::json;
    use std::convert::Infallible;

    /// An API server that answers every question with the next of these codes, and then with the last.
    fn answering(codes: &[u16]) -> Arc<Served> {
        let codes = Arc::new(Mutex::new(codes.iter().rev().copied().collect::<Vec<_>>()));
        let answer = move |_: Request<Body>| {
            let mut codes = lock(&codes);
            let code = if codes.len() > 1 { codes.pop().unwrap() } else { codes[0] };
            let body = match code {
                200 => json!({"metadata": {}, "items": []}),
                _ => json!({"status": "Failure", "code": code, "reason": "x", "message": "x"}),
            };
            let answer = Response::builder().status(code).body(Full::new(Bytes::from(body.to_string())));
            async move { Ok::<_, Infallible>(answer.unwrap()) }
        };
        Served::new(Client::new(tower::service_fn(answer), "shop"))
    }

    #[tokio::test]
    async fn an_api_that_comes_later_is_found_by_what_is_read_of_it() {
        let served = answering(&[404]);
        assert!(!served.has(gateway::HTTP_ROUTE).await);
        let mut comes = Box::pin(served.comes(gateway::HTTP_ROUTE, false));
        assert!(comes.as_mut().now_or_never().is_none());
        let mut world = World::default();
        served.read(&world);
        assert!(comes.as_mut().now_or_never().is_none());
        world.add(json!({"kind": gateway::HTTP_ROUTE.name(), "metadata": {"name": "web"}})).unwrap();
        served.read(&world);
        comes.await;
        assert!(served.has(gateway::HTTP_ROUTE).await);
    }

    #[tokio::test]
    async fn a_broken_answer_says_neither_yes_nor_no() {
        assert!(!answering(&[500, 404]).has(gateway::HTTP_ROUTE).await);
        assert!(answering(&[503, 200]).has(gateway::HTTP_ROUTE).await);
        assert!(!answering(&[403]).has(gateway::HTTP_ROUTE).await);
    }

    #[tokio::test]
    async fn a_watch_of_an_api_that_is_removed_waits_until_it_is_back() {
        let served = answering(&[200, 404]);
        let gone = || {
            let status = json!({"status": "Failure", "code": 404, "reason": "NotFound", "message": ""});
            let status = Box::new(serde_json::from_value(status).unwrap());
            watcher::Error::InitialListFailed(kube::Error::Api(status))
        };
        let begin = move || stream::iter([Ok(1_u8), Err(gone())]).chain(stream::pending());
        let mut events = Box::pin(served.watch(gateway::HTTP_ROUTE, begin));
        assert_eq!((events.next().await, events.next().await), (Some(Some(1)), Some(None)));
        assert!(events.next().now_or_never().is_none());
        served.found(gateway::HTTP_ROUTE);
        assert_eq!(events.next().await, Some(Some(1)));
    }
}
