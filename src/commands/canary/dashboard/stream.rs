//! Streams of server-sent events. Each sends what has changed since its last event: a slow page gets fewer events, and
//! no queue grows.

use super::{
    board::Snapshot,
    kept::Key,
    nearby::{self, Nearby},
    rollout::Rollout,
};
use crate::commands::canary::subject::Subject;
use futures::{
    FutureExt, Stream, StreamExt,
    stream::{self, BoxStream},
};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time,
};

/// Between two events, so that changes which come together are sent together.
const PACE: Duration = Duration::from_millis(200);
/// After so long without an event, a comment shows whether the page is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The body of an answer.
pub type Answer = UnsyncBoxBody<Bytes, Infallible>;

/// Starts the watches of what is around a rollout.
pub type Around = dyn Fn(&Subject) -> BoxStream<'static, nearby::Change> + Send + Sync;

/// What a stream is made from.
#[derive(Clone)]
pub struct Sources {
    /// All rollouts.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// See there.
    pub around: Arc<Around>,
}

/// The body of a stream of all rollouts, or of the one with this key, which begins with `session`.
pub fn body(sources: Sources, key: Option<Key>, session: &Value, permit: OwnedSemaphorePermit) -> Answer {
    let first = event("session", session);
    let source = match key {
        None => Source::All(BTreeMap::new()),
        Some(key) => Source::One(Box::new(One { key, ..One::default() })),
    };
    let Sources { snapshots, around } = sources;
    let feed = Feed { snapshots, around, source, said: String::new(), _permit: permit };
    let events = stream::once(async { first }).chain(events(feed));
    StreamBody::new(events.map(|text| Ok::<_, Infallible>(Frame::data(Bytes::from(text))))).boxed_unsync()
}

/// A stream, and what it has sent.
struct Feed {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    around: Arc<Around>,
    source: Source,
    /// The last `status` that was sent.
    said: String,
    _permit: OwnedSemaphorePermit,
}

enum Source {
    /// The rows that were sent.
    All(BTreeMap<Key, Arc<Rollout>>),
    One(Box<One>),
}

/// One rollout.
#[derive(Default)]
struct One {
    key: Key,
    nearby: Nearby,
    changes: Option<BoxStream<'static, nearby::Change>>,
    /// What was sent, by the event's name.
    sent: BTreeMap<&'static str, String>,
}

fn events(feed: Feed) -> impl Stream<Item = String> + Send {
    stream::unfold((feed, true), |(mut feed, is_first)| async move {
        if !is_first {
            time::sleep(PACE).await;
        }
        let mut text = feed.news();
        while text.is_empty() {
            text = match time::timeout(KEEP_ALIVE, feed.changed()).await {
                Ok(true) => feed.news(),
                // The program ends.
                Ok(false) => return None,
                Err(_) => ":\n\n".to_owned(),
            };
        }
        Some((text, (feed, false)))
    })
}

impl Feed {
    /// Waits for a change; false if there can be none.
    async fn changed(&mut self) -> bool {
        let Source::One(one) = &mut self.source else {
            return self.snapshots.changed().await.is_ok();
        };
        let Some(changes) = &mut one.changes else {
            return self.snapshots.changed().await.is_ok();
        };
        tokio::select! {
            seen = self.snapshots.changed() => seen.is_ok(),
            Some(change) = changes.next() => {
                one.nearby.apply(change);
                while let Some(Some(change)) = changes.next().now_or_never() {
                    one.nearby.apply(change);
                }
                true
            }
        }
    }

    /// The events that the page has not got yet.
    fn news(&mut self) -> String {
        let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
        let mut text = String::new();
        if snapshot.is_complete {
            text = match &mut self.source {
                Source::All(sent) => rows(&snapshot, sent),
                Source::One(one) => one.news(&snapshot, &*self.around),
            };
        }
        let status =
            event("status", &json!({"isComplete": snapshot.is_complete, "troubles": snapshot.troubles}));
        if status != self.said {
            text += &status;
            self.said = status;
        }
        text
    }
}

/// The rows that differ from those that were sent.
fn rows(snapshot: &Snapshot, sent: &mut BTreeMap<Key, Arc<Rollout>>) -> String {
    let is_new = |(key, rollout): &(&Key, &Arc<Rollout>)| {
        sent.get(*key).is_none_or(|known| !Arc::ptr_eq(known, rollout))
    };
    let changed: Vec<Value> = snapshot.rollouts.iter().filter(is_new).map(|(_, it)| it.row()).collect();
    let gone: Vec<&Key> = sent.keys().filter(|key| !snapshot.rollouts.contains_key(*key)).collect();
    let text = if changed.is_empty() && gone.is_empty() {
        String::new()
    } else {
        event("rollouts", &json!({"changed": changed, "gone": gone}))
    };
    sent.clone_from(&snapshot.rollouts);
    text
}

impl One {
    fn news(&mut self, snapshot: &Snapshot, around: &Around) -> String {
        let Some(rollout) = snapshot.rollouts.get(&self.key) else {
            self.changes = None;
            self.nearby = Nearby::default();
            let (namespace, name) = &self.key;
            return self.differs("rollout", &json!({"namespace": namespace, "name": name, "isGone": true}));
        };
        if self.changes.is_none() {
            self.changes = Some(around(&rollout.subject));
        }
        let parts =
            [("rollout", rollout.whole()), ("pods", self.nearby.pods()), ("events", self.nearby.events())];
        parts.into_iter().map(|(name, value)| self.differs(name, &value)).collect()
    }

    /// The event, unless the same was sent last.
    fn differs(&mut self, name: &'static str, value: &Value) -> String {
        let text = event(name, value);
        if self.sent.get(name) == Some(&text) {
            return String::new();
        }
        self.sent.insert(name, text.clone());
        text
    }
}

/// An event. JSON has no line breaks.
fn event(name: &str, value: &Value) -> String {
    format!("event: {name}\ndata: {value}\n\n")
}
