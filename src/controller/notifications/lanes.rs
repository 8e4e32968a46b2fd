//! Deliveries that wait, by destination and Deployment: each such lane delivers in order. What waits for one destination
//! takes neither room nor turns from another.

use super::{
    super::metrics::NO_FORMAT,
    delivery::{Delivery, Means},
    turns::{Place, Turns},
};
use crate::{
    decide::Event,
    notify::{Destination, Notice},
    objects::manifest::Owner,
    runtime::locked::lock,
};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex},
};
use tracing::{Instrument, error_span, warn};

/// Notifications for one destination of a namespace that wait or are under way.
const MAX_WAITING: usize = 50;
/// Deployments whose failures are remembered.
const MAX_REPORTED: usize = 1000;

/// A destination, and the Deployment that the notifications are about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Lane {
    place: Place,
    uid: String,
}

impl Lane {
    fn of(delivery: &Delivery) -> Self {
        Self { place: delivery.to(), uid: delivery.owner.uid.clone() }
    }
}

/// A revision, and the destinations whose failure about it has an Event.
type Reported = (Option<u64>, BTreeSet<String>);

/// See the module.
pub(super) struct Lanes {
    means: Means,
    turns: Turns,
    waiting: Mutex<HashMap<Lane, VecDeque<Delivery>>>,
    /// By UID of the Deployment.
    reported: Mutex<HashMap<String, Reported>>,
}

impl Lanes {
    /// Lanes in which nothing waits.
    pub fn new(means: Means) -> Arc<Self> {
        let turns = Turns::default();
        Arc::new(Self { means, turns, waiting: Mutex::default(), reported: Mutex::default() })
    }

    /// What deliveries need.
    pub const fn means(&self) -> &Means {
        &self.means
    }

    /// Delivers this after what waits in its lane.
    pub async fn add(self: &Arc<Self>, delivery: Delivery) {
        if let Some(Delivery { owner, notice, destination, .. }) = self.enter(delivery) {
            let problem = format!("{MAX_WAITING} others wait for this destination");
            self.failed(&owner, &notice, Some(&destination), &problem).await;
        }
    }

    /// Puts this into its lane. Where too many wait for the destination, the oldest one of the Deployment that has most of
    /// them is lost.
    fn enter(self: &Arc<Self>, delivery: Delivery) -> Option<Delivery> {
        let lane = Lane::of(&delivery);
        let mut waiting = lock(&self.waiting);
        let mut lost = None;
        let same = waiting.iter_mut().filter(|(other, _)| other.place == lane.place);
        let same: Vec<_> = same.map(|(_, others)| others).collect();
        if same.iter().map(|others| others.len().saturating_add(1)).sum::<usize>() >= MAX_WAITING {
            lost = same.into_iter().max_by_key(|others| others.len()).and_then(VecDeque::pop_front);
            if lost.is_none() {
                return Some(delivery);
            }
        }
        if let Some(others) = waiting.get_mut(&lane) {
            others.push_back(delivery);
        } else {
            waiting.insert(lane.clone(), VecDeque::new());
            let lanes = Arc::clone(self);
            tokio::spawn(async move { lanes.run(lane, delivery).await });
        }
        lost
    }

    /// Delivers what is in a lane until it is empty.
    async fn run(&self, lane: Lane, first: Delivery) {
        let mut next = Some(first);
        while let Some(delivery) = next {
            let span = error_span!(
                "notify",
                namespace = delivery.owner.namespace,
                deployment = delivery.owner.name,
                destination = delivery.destination.name
            );
            self.deliver(&delivery).instrument(span).await;
            next = self.after(&lane);
        }
    }

    /// What is next in a lane; an empty one is removed.
    fn after(&self, lane: &Lane) -> Option<Delivery> {
        let mut waiting = lock(&self.waiting);
        let next = waiting.get_mut(lane).and_then(VecDeque::pop_front);
        if next.is_none() {
            waiting.remove(lane);
        }
        next
    }

    async fn deliver(&self, delivery: &Delivery) {
        let Delivery { owner, notice, destination, .. } = delivery;
        match delivery.send(&self.means, &self.turns).await {
            Ok(()) => self.means.counted.delivered(destination.format.into()),
            Err(problem) => self.failed(owner, notice, Some(destination), &problem).await,
        }
    }

    /// Reports a notification that is lost: in the log, as a metric, and once for each release and destination as an Event.
    /// Without a destination it is the routing that cannot be read.
    pub async fn failed(
        &self,
        owner: &Owner,
        notice: &Notice,
        destination: Option<&Destination>,
        problem: &str,
    ) {
        let name = destination.map(|destination| destination.name.as_str()).unwrap_or_default();
        warn!(event = notice.event, destination = name, problem, "a notification is lost");
        self.means.counted.failed(destination.map_or(NO_FORMAT, |destination| destination.format.into()));
        if !self.is_news(owner, notice.revision, name) {
            return;
        }
        let to = if name.is_empty() { String::new() } else { format!(" to {name:?}") };
        let message = format!("{} was not sent{to}: {problem}", notice.event);
        let event = Event::warning("NotificationFailed", message);
        self.means.publisher.publish(owner, &event).await;
    }

    fn is_news(&self, owner: &Owner, revision: Option<u64>, destination: &str) -> bool {
        let mut reported = lock(&self.reported);
        if reported.len() >= MAX_REPORTED && !reported.contains_key(&owner.uid) {
            reported.clear();
        }
        let known = reported.entry(owner.uid.clone()).or_default();
        if known.0 != revision {
            *known = (revision, BTreeSet::new());
        }
        known.1.insert(destination.to_owned())
    }
}
