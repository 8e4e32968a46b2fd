//! Sends notifications about the Events of passes, in the background.
//!
//! A pass only puts a notice into a queue and never waits. One task reads the routing of the namespace and hands the notice
//! to its destinations; each destination gets the notices of a Deployment in their order, see [`lanes`].

mod delivery;
mod known;
mod lanes;
#[cfg(test)]
mod tests;
mod turns;

use crate::{
    cluster::{
        api::message,
        error::{Categorized, Category},
        notifications::look_up,
    },
    notify::{Notice, Occasion, Routing},
    objects::manifest::Owner,
    runtime::locked::lock,
};
use delivery::{Delivery, Problem};
pub use delivery::{Means, Patience};
use known::{Known, Routed};
use lanes::Lanes;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};

/// Notices that wait for their routing to be read.
const QUEUE: usize = 256;
/// How long the API server may take to answer: others wait behind it.
const ANSWER: Duration = Duration::from_secs(10);

/// Sends notices to the destinations that ask for them.
pub struct Notifier {
    queue: mpsc::Sender<(Owner, Notice)>,
    dispatcher: Arc<Dispatcher>,
}

/// Reads routings and hands notices on.
struct Dispatcher {
    lanes: Arc<Lanes>,
    known: Mutex<Known>,
}

impl Notifier {
    /// Starts the task that reads the queue. It ends when the notifier is dropped and the queue is empty.
    #[must_use]
    pub fn new(means: Means) -> Self {
        let (queue, mut waiting) = mpsc::channel::<(Owner, Notice)>(QUEUE);
        let dispatcher = Arc::new(Dispatcher { lanes: Lanes::new(means), known: Mutex::default() });
        let background = Arc::clone(&dispatcher);
        tokio::spawn(async move {
            while let Some((owner, notice)) = waiting.recv().await {
                background.dispatch(owner, notice).await;
            }
        });
        Self { queue, dispatcher }
    }

    /// Sends a notice. If too many wait already it is lost, and reported as such where somebody may miss it.
    pub fn notify(&self, owner: &Owner, notice: Notice) {
        let Err(full) = self.queue.try_send((owner.clone(), notice)) else { return };
        let (owner, notice) = full.into_inner();
        if lock(&self.dispatcher.known).get(&owner.namespace) == Some(Routed::Nowhere) {
            return;
        }
        let lanes = Arc::clone(&self.dispatcher.lanes);
        let problem = format!("{QUEUE} others wait for the API server");
        tokio::spawn(async move { lanes.failed(&owner, &notice, None, &problem).await });
    }
}

impl Dispatcher {
    /// Hands a notice to its destinations.
    async fn dispatch(&self, owner: Owner, notice: Notice) {
        let (place, routing) = match self.routed(&owner.namespace, &notice).await {
            Ok(Routed::To(place, routing)) => (place, routing),
            Ok(Routed::Nowhere) => return,
            Ok(Routed::Unreadable(problem)) | Err(problem) => {
                return self.lanes.failed(&owner, &notice, None, &problem).await;
            }
        };
        let notice = Arc::new(notice);
        for destination in routing.of(&notice) {
            let (owner, notice, destination) = (owner.clone(), Arc::clone(&notice), Arc::clone(destination));
            self.lanes.add(Delivery { owner, notice, destination, place: place.clone() }).await;
        }
    }

    /// What applies in a namespace. For the Events that most destinations ask for it is read again; for the many others it is
    /// as it was then, so that they cost no request. While the API server fails it is as it was, too.
    async fn routed(&self, namespace: &str, notice: &Notice) -> Result<Routed, String> {
        let known = lock(&self.known).get(namespace);
        let is_usual = notice.occasion.is_some_and(|occasion| Occasion::BY_DEFAULT.contains(&occasion));
        let read = match known {
            Some(known) if is_usual => self.read(namespace).await.unwrap_or(known),
            Some(known) => return Ok(known),
            None => self.lanes.means().patience.retry(|| self.read(namespace)).await?,
        };
        lock(&self.known).keep(namespace, read.clone());
        Ok(read)
    }

    async fn read(&self, namespace: &str) -> Result<Routed, Problem> {
        let Means { client, own_namespace, .. } = self.lanes.means();
        let stored = timeout(ANSWER, look_up(client, namespace, own_namespace)).await;
        let stored = stored.unwrap_or_else(|elapsed| Err(kube::Error::Service(elapsed.into())));
        let stored = stored.map_err(|error| Problem {
            text: format!("the routing cannot be read: {}", message(&error)),
            may_pass: error.category() != Category::Invalid,
        })?;
        let Some(stored) = stored else { return Ok(Routed::Nowhere) };
        Ok(match Routing::read(&stored.data) {
            Ok(routing) => Routed::To(stored.namespace, Arc::new(routing)),
            Err(findings) => Routed::Unreadable(Routing::unreadable(&findings)),
        })
    }
}
