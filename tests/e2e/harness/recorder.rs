//! A watch that remembers every state of objects, with the time at which it was seen.

use super::{
    SOON,
    cluster::{api, spawn},
};
use futures::TryStreamExt;
use haldane::runtime::clock;
use jiff::Timestamp;
use kube::runtime::watcher::{self, Event};
use serde_json::Value;
use std::sync::{Arc, Mutex, mpsc};

/// One state of an object.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When the watch told it.
    pub at: Timestamp,
    /// The object.
    pub object: Value,
    /// It is gone.
    pub deleted: bool,
}

impl Seen {
    /// Name of the object.
    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }
}

/// See the module.
#[derive(Debug)]
pub struct Recorder {
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Recorder {
    /// Begins to watch. What happens from its return on is seen, however slow the machine is.
    pub fn start(kind: &str, namespace: &str) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (sink, api) = (Arc::clone(&seen), api(kind, namespace));
        let (begun, beginning) = mpsc::channel();
        let task = spawn(async move {
            let keep = |object, deleted| {
                let object = serde_json::to_value(object).expect("JSON");
                sink.lock().expect("no panic").push(Seen { at: clock::now(), object, deleted });
            };
            let mut events = std::pin::pin!(watcher::watcher(api, watcher::Config::default()));
            loop {
                match events.try_next().await {
                    Ok(Some(Event::Apply(object) | Event::InitApply(object))) => keep(object, false),
                    Ok(Some(Event::Delete(object))) => keep(object, true),
                    Ok(Some(Event::Init)) => {}
                    Ok(Some(Event::InitDone)) => {
                        // Nobody waits for it when the watch begins again.
                        let _ = begun.send(());
                    }
                    Ok(None) => break,
                    // The watcher lists and watches again by itself.
                    Err(error) => eprintln!("watch: {error}"),
                }
            }
        });
        let _ = beginning.recv_timeout(SOON);
        Self { seen, task }
    }

    /// Everything seen so far of the object with this name.
    pub fn of(&self, name: &str) -> Vec<Seen> {
        self.all().into_iter().filter(|seen| seen.name() == name).collect()
    }

    /// Everything seen so far.
    pub fn all(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }

    /// The values that `read` gave for an object over time, without repetitions. A deleted object has none.
    pub fn course<T: PartialEq>(&self, name: &str, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
        let mut course: Vec<T> =
            self.of(name).iter().filter(|seen| !seen.deleted).filter_map(|seen| read(&seen.object)).collect();
        course.dedup();
        course
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}
