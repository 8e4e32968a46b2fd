//! The requests of a pass, put down one by one until somebody answers them.

use super::{cluster::Cluster, spec, watches::Watches, writes::Write};
use haldane::{
    config::namespace::{Namespace, Settings},
    decide::{
        self, DueMeasurement, Event, Measurements, Measuring, Needs, Refusal, Wait,
        pass::{
            Candidate, Failure, Look, NotLeader, Room, Shell, Source, Stored, Watched, WatchedDeployment,
            Written,
        },
    },
    domain::{observed::Observed, state::RolloutState, strategy::RolloutSpec, world::Canaries},
    objects::manifest::Owner,
};
use jiff::Timestamp;
use serde_json::Value;
use std::{
    cell::{Cell, Ref, RefCell},
    collections::BTreeSet,
    future::poll_fn,
    sync::Arc,
    task::Poll,
};

/// What annotations ask for, or why they cannot be read.
pub type Spec = Result<RolloutSpec, String>;

/// A write on its way, with what it depends on.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is to be written.
    pub write: Write,
    /// What its sender has read.
    pub look: Look,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub enum Ask {
    /// See [`Shell::recorded`].
    Record,
    /// See [`Shell::deployment`].
    Deployment,
    /// See [`Shell::namespace`].
    Namespace,
    /// See [`Shell::watched`].
    Watched(Arc<Observed>, Needs),
    /// See [`Shell::surroundings`].
    Surroundings(Arc<Observed>, Needs, Source),
    /// See [`Shell::canary`].
    Canary,
    /// See [`Shell::ours`].
    Ours,
    /// See [`Shell::plan`].
    Plan,
    /// See [`Shell::room`].
    Room,
    /// See [`Shell::write`].
    Write(Box<Request>),
    /// See [`Shell::publish`].
    Publish(Event),
}

/// The answer to a request.
#[derive(Debug)]
pub enum Reply {
    /// It has failed.
    Refused,
    /// Another writer was faster.
    Outdated,
    /// The write is not accepted.
    Denied(Refusal),
    /// It was carried out.
    Done,
    /// The write was carried out.
    Written(Written),
    /// The record.
    Record(Stored),
    /// The Deployment.
    Deployment(Owner, Arc<Observed>),
    /// Everything around it, as watches have it.
    Watched(Watched),
    /// Everything around it.
    Surroundings(Arc<Observed>),
    /// The canary Deployment.
    Canary(Option<Value>),
    /// Objects of ours.
    Ours(Vec<Value>),
    /// The plan.
    Plan(Box<Spec>),
    /// Why a rollout must wait.
    Room(Option<Wait>),
}

/// Why a request failed, as far as it makes a difference to a pass.
#[derive(Debug)]
pub enum Failed {
    /// It may have been carried out.
    Unknown,
    /// See [`Failure::is_outdated`].
    Outdated,
    /// See [`Failure::refusal`].
    Denied(Refusal),
}

impl From<NotLeader> for Failed {
    fn from(_: NotLeader) -> Self {
        Self::Outdated
    }
}

impl Failure for Failed {
    fn refusal(&self) -> Option<Refusal> {
        if let Self::Denied(refusal) = self { Some(refusal.clone()) } else { None }
    }

    fn is_outdated(&self) -> bool {
        matches!(self, Self::Outdated)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Desk {
    ask: RefCell<Option<Ask>>,
    reply: RefCell<Option<Reply>>,
    /// The time, as the process knows it.
    pub clock: Cell<Timestamp>,
    /// When it was last asked for.
    pub decided_at: Cell<Timestamp>,
    /// Whether objects of ours exist, as the watches tell.
    pub leftovers: Cell<bool>,
    /// What the watches have reported; nothing before the first pass.
    pub watches: RefCell<Option<Watches>>,
    /// The process knows that it does not lead.
    pub follows: Cell<bool>,
    /// The next request is refused.
    pub refuses: Cell<bool>,
    /// An Event was refused, and is lost as in the controller.
    pub lost_event: Cell<bool>,
    /// Nothing has been asked for but reads.
    pub is_idle: Cell<bool>,
    /// Version of the record that the pass has read or written.
    pub version: RefCell<Option<String>>,
    /// Finished and unfinished measurements.
    pub measuring: RefCell<Measuring<()>>,
    /// Measurements under way and when they began.
    pub asked: RefCell<Vec<(DueMeasurement, Timestamp)>>,
    /// See [`Measurements::after_death`].
    pub after_death: RefCell<Option<String>>,
    /// Events that were published.
    pub events: RefCell<Vec<Event>>,
}

impl Desk {
    async fn put(&self, ask: Ask) -> Result<Reply, Failed> {
        *self.ask.borrow_mut() = Some(ask);
        let reply = poll_fn(|_| self.reply.take().map_or(Poll::Pending, Poll::Ready)).await;
        self.ask.take();
        match reply {
            Reply::Refused => Err(Failed::Unknown),
            Reply::Outdated => Err(Failed::Outdated),
            Reply::Denied(refusal) => Err(Failed::Denied(refusal)),
            reply => Ok(reply),
        }
    }

    /// Forgets what was asked: the pass is over.
    pub fn clear(&self) {
        self.ask.take();
        self.reply.take();
    }

    /// Nobody judges these measurements any more.
    pub fn forget_measurements(&self) {
        self.measuring.take();
        self.asked.take();
    }

    /// Answers the request that waits, or the next one.
    pub fn reply(&self, reply: Reply) {
        *self.reply.borrow_mut() = Some(reply);
    }

    /// Whether nothing waits to be judged.
    pub fn has_no_answers(&self) -> bool {
        self.measuring.borrow().seen().answers.is_empty()
    }

    fn watches(&self) -> Ref<'_, Watches> {
        Ref::map(self.watches.borrow(), |watches| watches.as_ref().expect("a pass has begun"))
    }

    /// The write that waits to be sent.
    pub fn write(&self) -> Option<Request> {
        match self.ask.borrow().as_ref() {
            Some(Ask::Write(request)) => Some(request.as_ref().clone()),
            _ => None,
        }
    }

    /// Answers the request that waits from the cluster; a write is returned and not answered.
    pub fn read(&self, cluster: &Cluster, spec: &Spec) -> Option<Write> {
        let ask = self.ask.borrow();
        let ask = ask.as_ref()?;
        if self.refuses.take() {
            self.lost_event.set(self.lost_event.get() || matches!(ask, Ask::Publish(_)));
            self.reply(Reply::Refused);
            return None;
        }
        let reply =
            match ask {
                Ask::Write(request) => return Some(request.write.clone()),
                Ask::Record if cluster.corrupt => Reply::Refused,
                Ask::Record => {
                    let stored = cluster.stored();
                    self.version.borrow_mut().clone_from(&stored.version);
                    Reply::Record(stored)
                }
                Ask::Deployment => Reply::Deployment(cluster.owner(), cluster.alone()),
                Ask::Namespace => Reply::Done,
                Ask::Watched(seen, needs) => Reply::Watched(self.watches().around(seen, *needs, cluster)),
                Ask::Surroundings(seen, needs, source) => {
                    let mut around = cluster.around(seen);
                    if *source == Source::Watches {
                        let watched = self.watches().around(seen, *needs, cluster);
                        Arc::make_mut(&mut around).world = Arc::clone(&watched.seen.world);
                    }
                    if !needs.pods {
                        Arc::make_mut(&mut around).unavailable = None;
                    }
                    Reply::Surroundings(around)
                }
                Ask::Canary => {
                    let owner = cluster.owner();
                    Reply::Canary(cluster.canary().filter(|canary| owner.owns(canary)).cloned())
                }
                Ask::Ours => Reply::Ours(cluster.seen().ours.clone()),
                Ask::Plan => Reply::Plan(Box::new(spec.clone())),
                Ask::Room => Reply::Room(cluster.full.then(|| {
                    Wait::Queue("waits for its turn: policy one allows 1 canary at once".to_owned())
                })),
                Ask::Publish(event) => {
                    self.events.borrow_mut().push(event.clone());
                    Reply::Done
                }
            };
        self.reply(reply);
        None
    }
}

/// What annotations on the Deployment ask for.
pub fn wanted(cluster: &Cluster) -> Spec {
    let annotations = serde_json::from_value(cluster.web["metadata"]["annotations"].clone()).unwrap();
    spec(&annotations)
}

/// A reply is of the kind that was asked for.
macro_rules! expect {
    ($reply:expr, $kind:pat => $value:expr) => {
        match $reply {
            $kind => Ok::<_, Failed>($value),
            other => panic!("not an answer to this request: {other:?}"),
        }
    };
}

impl Shell for Desk {
    type Error = Failed;
    type Guard = ();

    async fn recorded(&self) -> Result<Stored, Failed> {
        expect!(self.put(Ask::Record).await?, Reply::Record(stored) => stored)
    }

    async fn deployment(&self) -> Result<Option<(Owner, Arc<Observed>)>, Failed> {
        expect!(self.put(Ask::Deployment).await?, Reply::Deployment(owner, seen) => Some((owner, seen)))
    }

    fn is_superseded(&self, version: Option<&str>) -> bool {
        *self.version.borrow_mut() = version.map(str::to_owned);
        self.watches().is_superseded(version)
    }

    fn watched_deployment(&self) -> WatchedDeployment {
        self.watches().deployment()
    }

    fn has_leftovers(&self, _: &Owner) -> bool {
        self.leftovers.get()
    }

    async fn namespace(&self) -> Result<Namespace, Failed> {
        expect!(self.put(Ask::Namespace).await?, Reply::Done => Namespace::default())
    }

    async fn watched(
        &self,
        _: &Owner,
        seen: &Arc<Observed>,
        needs: &Needs,
    ) -> Result<Option<Watched>, Failed> {
        let ask = Ask::Watched(Arc::clone(seen), *needs);
        expect!(self.put(ask).await?, Reply::Watched(watched) => Some(watched))
    }

    async fn surroundings(
        &self,
        _: &Owner,
        seen: &Arc<Observed>,
        needs: &Needs,
        users: Source,
    ) -> Result<Arc<Observed>, Failed> {
        let ask = Ask::Surroundings(Arc::clone(seen), *needs, users);
        expect!(self.put(ask).await?, Reply::Surroundings(seen) => seen)
    }

    async fn canary(&self, _: &Owner) -> Result<Option<Value>, Failed> {
        expect!(self.put(Ask::Canary).await?, Reply::Canary(canary) => canary)
    }

    async fn ours(&self, _: &Owner) -> Result<Vec<Value>, Failed> {
        expect!(self.put(Ask::Ours).await?, Reply::Ours(ours) => ours)
    }

    async fn plan(&self, _: &Settings) -> Result<Spec, Failed> {
        expect!(self.put(Ask::Plan).await?, Reply::Plan(spec) => *spec)
    }

    async fn room(&self, _: &Candidate<'_>) -> Result<Room<()>, Failed> {
        let wait = expect!(self.put(Ask::Room).await?, Reply::Room(wait) => wait)?;
        Ok(Room { wait, metric_hosts: None, guard: () })
    }

    fn leave_queue(&self) {}

    fn claim(&self, _: Canaries, must_wait: impl FnOnce(&Canaries) -> Option<String>) -> Option<String> {
        must_wait(&Canaries::new())
    }

    fn end_claim(&self) {}

    fn report(&self, _: &Look, _: &RolloutState) {}

    fn wake_queue(&self) {}

    fn measurements(&self) -> Measurements {
        let after_death = self.after_death.borrow().clone();
        Measurements { after_death, ..self.measuring.borrow().seen() }
    }

    fn now(&self) -> Timestamp {
        self.decided_at.set(self.clock.get());
        self.clock.get()
    }

    fn leads(&self) -> bool {
        !self.follows.get()
    }

    async fn write(&self, write: &decide::Write<'_>, look: &Look) -> Result<Written, Failed> {
        self.is_idle.set(false);
        let request = Request { write: (*write).into(), look: look.clone() };
        expect!(self.put(Ask::Write(Box::new(request))).await?, Reply::Written(written) => written)
    }

    fn measure(&self, judged: &Measurements, active: &BTreeSet<&str>, due: &[DueMeasurement]) {
        let mut measuring = self.measuring.borrow_mut();
        measuring.judged(judged, active);
        self.asked.borrow_mut().retain(|(due, _)| measuring.is_awaited(due));
        for due in due {
            self.is_idle.set(false);
            if measuring.start(due) {
                self.asked.borrow_mut().push((due.clone(), self.clock.get()));
            }
        }
    }

    async fn publish(&self, _: &Look, _: &RolloutState, event: &Event) {
        // An Event that is refused is lost, as in the controller.
        let _ = self.put(Ask::Publish(event.clone())).await;
    }
}
