//! What users have in the namespaces that are asked about, as watches keep it. A namespace is watched from the first
//! question about it, while a release is under way in it, and a little longer.

mod content;

use super::{
    objects::{api, replica_sets, slim},
    resilient_watch::steady,
    served::Served,
    world::ObserveError,
};
use crate::{
    domain::{observed::ReplicaSetView, world::World},
    routers,
    runtime::{clock, locked::lock},
};
use content::Content;
use futures::{Stream, StreamExt, stream};
use kube::{
    Api, Client,
    api::DynamicObject,
    runtime::watcher::{self, watcher},
};
use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, task::JoinHandle, time};

/// How long a namespace is watched after the last question about it.
const LINGER: Duration = Duration::from_mins(2);

/// How long an answer waits for the first list. Less than the deadline of admission, which then reads by itself.
const SYNC: Duration = Duration::from_secs(2);

/// Objects per page of the first list. Each may be as large as an object can be, although hardly any is.
const PAGE: u32 = 50;

/// What has changed in a namespace that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The namespace.
    pub namespace: String,
    /// The Deployment whose `ReplicaSets` have changed; `None` if it was something that users have around them.
    pub sets_of: Option<String>,
}

/// See the module.
pub struct Views {
    client: Client,
    open: Mutex<HashMap<String, Arc<View>>>,
    served: Arc<Served>,
    changes: Mutex<Option<mpsc::UnboundedSender<Change>>>,
}

/// A namespace that is watched while this is kept.
pub struct View {
    content: Arc<Content>,
    used: Mutex<Instant>,
    follows: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for View {
    fn drop(&mut self) {
        lock(&self.follows).drain(..).for_each(|task| task.abort());
    }
}

impl Views {
    /// No namespace is watched yet.
    #[must_use]
    pub fn new(client: Client) -> Arc<Self> {
        let (open, changes) = Default::default();
        Arc::new(Self { served: Served::new(client.clone()), client, open, changes })
    }

    /// Which APIs the cluster has.
    #[must_use]
    pub const fn served(&self) -> &Arc<Served> {
        &self.served
    }

    /// What changes from now on. Only the last who asks hears of it.
    pub fn changes(&self) -> mpsc::UnboundedReceiver<Change> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *lock(&self.changes) = Some(sender);
        receiver
    }

    /// What users have in a namespace, and whether it was read since this was asked.
    ///
    /// # Errors
    /// See [`ObserveError`].
    pub async fn world(self: &Arc<Self>, namespace: &str) -> Result<(Arc<World>, bool), ObserveError> {
        let (view, is_new) = self.view(namespace);
        if let Ok(world) = time::timeout(SYNC, view.content.world()).await {
            return Ok((world, is_new));
        }
        // If an error keeps a watch from starting, the API server says it here.
        Ok((self.read(namespace).await?, true))
    }

    /// What users have in a namespace, read now. Where that is of an API that no watch knew, it is watched from now on.
    ///
    /// # Errors
    /// See [`ObserveError`].
    pub async fn read(&self, namespace: &str) -> Result<Arc<World>, ObserveError> {
        let found = super::world::look_up(&self.client, namespace).await?;
        self.served.read(&found);
        Ok(Arc::new(found))
    }

    /// The watched namespace, and whether the watch begins with this question.
    pub fn view(self: &Arc<Self>, namespace: &str) -> (Arc<View>, bool) {
        let mut open = lock(&self.open);
        if let Some(view) = open.get(namespace) {
            *lock(&view.used) = clock::monotonic();
            return (Arc::clone(view), false);
        }
        let view = Arc::new(View {
            content: Arc::default(),
            used: Mutex::new(clock::monotonic()),
            follows: Mutex::default(),
        });
        let follow = follow_users(Arc::downgrade(self), namespace.to_owned(), Arc::clone(&view.content));
        lock(&view.follows).push(tokio::spawn(follow));
        open.insert(namespace.to_owned(), Arc::clone(&view));
        (view, true)
    }

    /// The `ReplicaSets` of a namespace that each of these owns, by its UID. `None` while they are not known.
    pub async fn sets<const N: usize>(
        self: &Arc<Self>,
        namespace: &str,
        owners: [&str; N],
    ) -> Option<[Vec<ReplicaSetView>; N]> {
        let (view, _) = self.view(namespace);
        if view.content.begins_sets() {
            let follow = follow_sets(Arc::downgrade(self), namespace.to_owned(), Arc::clone(&view.content));
            lock(&view.follows).push(tokio::spawn(follow));
        }
        time::timeout(SYNC, view.content.sets(owners)).await.ok()
    }

    /// Ends the watch of a namespace that nobody needs; whether it has.
    fn close_unused(&self, namespace: &str) -> bool {
        let mut open = lock(&self.open);
        let is_unused = |view: &Arc<View>| {
            let idle = clock::monotonic().saturating_duration_since(*lock(&view.used));
            Arc::strong_count(view) == 1 && idle >= LINGER
        };
        open.get(namespace).is_some_and(is_unused) && open.remove(namespace).is_some()
    }

    fn report(&self, change: Change) {
        if let Some(changes) = &*lock(&self.changes) {
            // Without a listener, nobody needs to know.
            let _ = changes.send(change);
        }
    }
}

/// Keeps what users have in a namespace, until nobody needs it.
async fn follow_users(views: Weak<Views>, namespace: String, content: Arc<Content>) {
    let Some(this) = views.upgrade() else { return };
    let mut kinds = Vec::new();
    for kind in routers::read_kinds() {
        if this.served.has(kind).await {
            kinds.push(kind);
        }
    }
    content.expects(&kinds);
    let watches = routers::read_kinds().map(|kind| {
        let api = api(&this.client, kind, &namespace);
        let events = this.served.watch(kind, move || watch(api.clone()));
        events.map(move |event| (kind, event)).boxed()
    });
    let mut events = stream::select_all(watches.collect::<Vec<_>>());
    drop(this);
    let mut unused = time::interval(LINGER);
    loop {
        tokio::select! {
            Some((kind, event)) = events.next() => {
                let is_changed = match event {
                    Some(event) => content.users(kind, event),
                    None => content.lacks(kind),
                };
                if is_changed && let Some(views) = views.upgrade() {
                    views.report(Change { namespace: namespace.clone(), sets_of: None });
                }
            }
            _ = unused.tick() => {
                if views.upgrade().is_none_or(|views| views.close_unused(&namespace)) {
                    return;
                }
            }
        }
    }
}

/// Keeps the `ReplicaSets` of a namespace.
async fn follow_sets(views: Weak<Views>, namespace: String, content: Arc<Content>) {
    let Some(this) = views.upgrade() else { return };
    let mut events = pin!(steady(watch(replica_sets(&this.client, &namespace))));
    drop(this);
    while let Some(event) = events.next().await {
        let Some(views) = views.upgrade() else { return };
        if let Some(owner) = content.set(event) {
            views.report(Change { namespace: namespace.clone(), sets_of: Some(owner) });
        }
    }
}

/// The events of a watch.
fn watch(
    api: Api<DynamicObject>,
) -> impl Stream<Item = watcher::Result<watcher::Event<DynamicObject>>> + Send + 'static {
    let config = watcher::Config::default().page_size(PAGE);
    watcher(api, config).map(|event| {
        event.map(|event| match event {
            watcher::Event::Apply(object) => watcher::Event::Apply(slim(object)),
            watcher::Event::InitApply(object) => watcher::Event::InitApply(slim(object)),
            other => other,
        })
    })
}
