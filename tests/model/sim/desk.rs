//! The requests of a pass, put down one by one until somebody answers them.

use super::{cluster::Cluster, spec, writes::Write};
use haldane::{
    config::namespace::{Namespace, Settings},
    decide::{
        self, DueMeasurement, Event, Measurements, Measuring, Refusal, Wait,
        pass::{Candidate, Failure, Look, NotLeader, Room, Shell, Stored},
    },
    domain::{observed::Observed, state::RolloutState, strategy::RolloutSpec},
    objects::manifest::Owner,
};
use jiff::Timestamp;
use serde_json::Value;
use std::{
    cell::{Cell, RefCell},
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
    /// See [`Shell::surroundings`].
    Surroundings(Arc<Observed>),
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
    /// The write is not accepted.
    Denied(Refusal),
    /// It was carried out.
    Done,
    /// The record.
    Record(Stored),
    /// The Deployment.
    Deployment(Owner, Arc<Observed>),
    /// Everything around it.
    Surroundings(Arc<Observed>),
    /// Objects of ours.
    Ours(Vec<Value>),
    /// The plan.
    Plan(Spec),
    /// Why a rollout must wait.
    Room(Option<Wait>),
}

/// Why a request failed: `None` = which error it is makes no difference to a pass.
#[derive(Debug)]
pub struct Failed(Option<Refusal>);

impl From<NotLeader> for Failed {
    fn from(_: NotLeader) -> Self {
        Self(None)
    }
}

impl Failure for Failed {
    fn refusal(&self) -> Option<Refusal> {
        self.0.clone()
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
            Reply::Refused => Err(Failed(None)),
            Reply::Denied(refusal) => Err(Failed(Some(refusal))),
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
                Ask::Surroundings(seen) => Reply::Surroundings(cluster.around(seen)),
                Ask::Ours => Reply::Ours(cluster.seen().ours.clone()),
                Ask::Plan => Reply::Plan(spec.clone()),
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

    fn has_leftovers(&self, _: &Owner) -> bool {
        self.leftovers.get()
    }

    async fn namespace(&self) -> Result<Namespace, Failed> {
        expect!(self.put(Ask::Namespace).await?, Reply::Done => Namespace::default())
    }

    async fn surroundings(&self, _: &Owner, seen: Arc<Observed>, _: bool) -> Result<Arc<Observed>, Failed> {
        expect!(self.put(Ask::Surroundings(seen)).await?, Reply::Surroundings(seen) => seen)
    }

    async fn ours(&self, _: &Owner) -> Result<Vec<Value>, Failed> {
        expect!(self.put(Ask::Ours).await?, Reply::Ours(ours) => ours)
    }

    async fn plan(&self, _: &Settings) -> Result<Spec, Failed> {
        expect!(self.put(Ask::Plan).await?, Reply::Plan(spec) => spec)
    }

    async fn room(&self, _: &Candidate<'_>) -> Result<Room<()>, Failed> {
        let wait = expect!(self.put(Ask::Room).await?, Reply::Room(wait) => wait)?;
        Ok(Room { wait, metric_hosts: None, guard: () })
    }

    fn leave_queue(&self) {}

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

    async fn write(&self, write: &decide::Write<'_>, look: &Look) -> Result<Option<String>, Failed> {
        self.is_idle.set(false);
        let request = Request { write: write.clone().into(), look: look.clone() };
        expect!(self.put(Ask::Write(Box::new(request))).await?, Reply::Done => self.version.borrow().clone())
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

    async fn publish(&self, _: &Owner, event: &Event) {
        // An Event that is refused is lost, as in the controller.
        let _ = self.put(Ask::Publish(event.clone())).await;
    }
}
