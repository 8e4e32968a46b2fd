//! A controller process: it makes the passes of the controller, one request after the other, and can die between any
//! two of them.

use super::{
    cluster::Cluster,
    desk::{Desk, Failed, Reply},
    watches::Watches,
    writes::{Denial, Write},
};
use haldane::{
    analysis::Answer,
    decide::{
        Event, RELEASE,
        pass::{self, Known, Outcome, Written},
    },
    domain::{
        state::RolloutState,
        value::{MetricValue, Reading},
    },
};
use jiff::{SignedDuration, Timestamp};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

pub use super::desk::{Request, Spec, wanted};

/// What a process keeps in memory: it is gone when the process dies.
#[derive(Default)]
pub struct Process {
    desk: Rc<Desk>,
    /// What it knows of the release.
    known: Rc<RefCell<Known>>,
    /// The pass under way.
    pass: Option<Pass>,
    /// When it wants to look again.
    pub wake_at: Option<Timestamp>,
    /// How far its clock is off.
    pub skew: SignedDuration,
    /// The last pass that had nothing to do.
    rest: Option<Rest>,
    /// Passes that could be left out, so far.
    spared: u64,
}

/// A look after which nothing was to be done until something changes, or until `until`.
#[derive(Debug, Clone)]
struct Rest {
    state: Option<Arc<RolloutState>>,
    changes: u64,
    since: Timestamp,
    until: Timestamp,
}

impl Rest {
    fn holds(&self, cluster: &Cluster, now: Timestamp) -> bool {
        let state = cluster.record.as_ref().map(|(state, ..)| state);
        let is_same = match (&self.state, state) {
            (Some(then), Some(now)) => Arc::ptr_eq(then, now),
            (then, now) => then.is_none() && now.is_none(),
        };
        is_same && self.changes == cluster.changes() && (self.since..self.until).contains(&now)
    }
}

/// Of so many passes that have promised to do nothing, one is made, to see that it does nothing.
const CHECKED: u64 = 8;

/// A pass under way.
struct Pass {
    run: Pin<Box<dyn Future<Output = Result<Outcome, Failed>>>>,
    /// Changes of the cluster when it began.
    changes: u64,
    /// It has promised to do nothing.
    promise: Option<Rest>,
}

/// What one request of a pass came to.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// The pass goes on.
    Read,
    /// The next request is this one: [`Process::request`] sends it, [`Process::written`] answers it.
    Writes(Write),
    /// A request failed, and with it the pass.
    Failed,
    /// The pass is complete.
    Done,
    /// It had promised to do nothing, and does something.
    Restless(String),
}

impl Process {
    /// A process that leads after the one before it has died.
    pub fn after_death(term: String) -> Self {
        let process = Self::default();
        *process.desk.after_death.borrow_mut() = Some(term);
        process
    }

    /// Whether another process has recorded a state since this one's pass began.
    pub fn is_outdated(&self, cluster: &Cluster) -> bool {
        self.pass.is_some() && *self.desk.version.borrow() != cluster.record_version()
    }

    /// Version of the record that the pass under way has read or written.
    pub fn version(&self) -> Option<String> {
        self.desk.version.borrow().clone()
    }

    /// Ends the pass under way without a trace. What it had only remembered is forgotten, and the next pass may have to write
    /// it down.
    pub fn stop(&mut self) {
        self.pass = None;
        self.rest = None;
        self.desk.clear();
        self.known.take();
    }

    /// The process hears whether it has the lease.
    pub fn hears_of_lease(&mut self, leads: bool) {
        self.desk.follows.set(!leads);
        if leads {
            // A term of office begins with new watches, also where the process had not noticed that the last one was over.
            self.stop();
            self.desk.watches.take();
        }
    }

    /// Whether it knows that it does not lead.
    pub fn follows(&self) -> bool {
        self.desk.follows.get()
    }

    /// Whether a pass is under way.
    pub fn is_busy(&self) -> bool {
        self.pass.is_some()
    }

    /// The next request of the pass under way, or the first of a new one. A write is not sent.
    pub fn step(&mut self, cluster: &Cluster, spec: &Spec) -> Step {
        let now = cluster.now + self.skew;
        self.desk.clock.set(now);
        if self.pass.is_none() && !self.begin(cluster, now) {
            return Step::Done;
        }
        let Some(pass) = &mut self.pass else { return Step::Done };
        self.desk.leftovers.set(cluster.has_leftovers());
        match pass.run.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ended) => self.end(cluster, ended.ok()),
            Poll::Pending => {
                let is_idle = self.desk.is_idle.get();
                let is_promised = pass.promise.as_ref().is_some_and(|rest| rest.holds(cluster, now));
                if is_promised && !is_idle && self.desk.has_no_answers() {
                    return Step::Restless(format!("nothing has changed, and it asks {:?}", self.desk));
                }
                match self.desk.read(cluster, spec) {
                    Some(write) => Step::Writes(write),
                    None => Step::Read,
                }
            }
        }
    }

    /// Begins a pass, unless there is none to make.
    fn begin(&mut self, cluster: &Cluster, now: Timestamp) -> bool {
        let desk = Rc::clone(&self.desk);
        match &mut *desk.watches.borrow_mut() {
            Some(watches) => watches.follow(cluster, &cluster.still),
            none => *none = Some(Watches::begun(cluster)),
        }
        if !cluster.is_watched() {
            // As the controller does when the object leaves its watch.
            desk.forget_measurements();
            let has_condition = !cluster.condition(RELEASE).is_null();
            if cluster.record.is_none() && cluster.ours.is_empty() && !cluster.is_held() && !has_condition {
                return false;
            }
            let run = Box::pin(async move { pass::leave(&*desk).await.map(|_| Outcome::default()) });
            self.pass = Some(Pass { run, changes: cluster.changes(), promise: None });
            return true;
        }
        let promise = self.rest.clone().filter(|rest| rest.holds(cluster, now) && desk.has_no_answers());
        self.spared += u64::from(promise.is_some());
        if promise.is_some() && !self.spared.is_multiple_of(CHECKED) {
            return false;
        }
        self.desk.is_idle.set(true);
        let known = Rc::clone(&self.known);
        #[expect(
            clippy::await_holding_refcell_ref,
            reason = "one pass at a time; a killed one gives it back"
        )]
        let run = Box::pin(async move { pass::pass(&*desk, &mut known.borrow_mut()).await });
        self.pass = Some(Pass { run, changes: cluster.changes(), promise });
        true
    }

    fn end(&mut self, cluster: &Cluster, outcome: Option<Outcome>) -> Step {
        let Some(pass) = self.pass.take() else { return Step::Done };
        let Some(outcome) = outcome else {
            // What it had only remembered is forgotten, and the next pass may have to write it down.
            self.rest = None;
            return Step::Failed;
        };
        self.wake_at = outcome.wake_at;
        let is_idle = self.desk.is_idle.get()
            && cluster.is_watched()
            && pass.changes == cluster.changes()
            // What a watch reports later is a change, too.
            && cluster.still.is_empty();
        self.rest = is_idle.then(|| Rest {
            state: cluster.record.as_ref().map(|(state, ..)| Arc::clone(state)),
            changes: pass.changes,
            since: self.desk.decided_at.get(),
            until: outcome.wake_at.unwrap_or(Timestamp::MAX),
        });
        Step::Done
    }

    /// The write that is about to be sent.
    pub fn request(&self) -> Request {
        self.desk.write().expect("a write is the next request")
    }

    /// The answer to the write that was carried out.
    pub fn written(&mut self, write: &Write, cluster: &Cluster) {
        let written = match write {
            Write::State(_) => {
                *self.desk.version.borrow_mut() = cluster.record_version();
                Written::Record(cluster.record_version())
            }
            Write::Apply(manifest) => {
                let index = cluster.find(manifest.kind, &manifest.name);
                index.map_or(Written::Done, |index| Written::Object(cluster.ours[index].clone()))
            }
            Write::Conditions(_) | Write::ClearCondition | Write::Deployment(_) => {
                Written::Deployment(cluster.owner(), cluster.alone())
            }
            Write::Empty(_) | Write::Delete(..) | Write::Forget => Written::Done,
        };
        self.desk.reply(Reply::Written(written));
    }

    /// The next request is refused.
    pub fn refuse_next(&mut self) {
        self.desk.refuses.set(true);
    }

    /// Whether the next request is refused.
    pub fn refuses_next(&self) -> bool {
        self.desk.refuses.get()
    }

    /// Whether an Event was refused since this was asked last.
    pub fn lost_event(&self) -> bool {
        self.desk.lost_event.take()
    }

    /// The process hears of an error instead of the answer to its write, whatever has become of it.
    pub fn refused(&mut self) {
        self.desk.reply(Reply::Refused);
    }

    /// The process hears why its write was not carried out.
    pub fn denied(&mut self, denial: Denial) {
        self.desk.reply(match denial {
            Denial::Conflict => Reply::Outdated,
            Denial::Failed => Reply::Refused,
            Denial::Refused(refusal) => Reply::Denied(refusal),
        });
    }

    /// A whole pass without a disturbance. Returns its writes.
    pub fn run(&mut self, cluster: &mut Cluster, spec: &Spec) -> Vec<Write> {
        let mut done = Vec::new();
        loop {
            match self.step(cluster, spec) {
                Step::Read => {}
                Step::Writes(write) => {
                    if let Err(denial) = cluster.write(&self.request()) {
                        self.denied(denial);
                        continue;
                    }
                    self.written(&write, cluster);
                    done.push(write);
                }
                Step::Failed | Step::Done => return done,
                Step::Restless(why) => panic!("{why}"),
            }
        }
    }

    /// What the provider was asked first and has not answered: run, metric, and since when.
    pub fn asked(&self) -> Option<(String, String, Timestamp)> {
        let asked = self.desk.asked.borrow();
        asked.first().map(|(due, since)| (due.run.clone(), due.metric.name.clone(), *since))
    }

    /// The runs of which answers are kept.
    pub fn remembers(&self) -> Vec<String> {
        self.desk.measuring.borrow().seen().answers.into_keys().collect()
    }

    /// The Events that were published since this was asked last.
    pub fn events(&self) -> Vec<Event> {
        self.desk.events.take()
    }

    /// The provider answers the oldest question.
    pub fn answer(&mut self, cluster: &Cluster, said: Said) {
        if self.asked().is_none() {
            return;
        }
        let (due, started_at) = self.desk.asked.borrow_mut().remove(0);
        let outcome = match (said, due.metric.provider.config["query"].as_object()) {
            (Said::Error, _) => Err("connection refused".to_owned()),
            // A rehearsal asks for several counts by their names, and so does a question about the canary's share.
            (said, Some(named)) => {
                let count = |name: &String| (name.clone(), counted(said, name));
                Ok(MetricValue::Map(named.keys().map(count).collect()))
            }
            (Said::Nothing, None) => Ok(MetricValue::Vector(Vec::new())),
            (Said::Value(value), None) => Ok(MetricValue::Vector(vec![value])),
        };
        let answer = Answer {
            metric: due.metric.name.clone(),
            started_at,
            finished_at: cluster.now + self.skew,
            no_data: (said == Said::Nothing).then(String::new),
            outcome: outcome.map(Reading::from),
            asked: None,
            metadata: BTreeMap::new(),
        };
        self.desk.measuring.borrow_mut().answered(&due.run, answer, ());
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("desk", &self.desk).finish_non_exhaustive()
    }
}

/// What a provider counts. A canary that is found bad has none of its requests.
fn counted(said: Said, name: &str) -> MetricValue {
    match (said, name) {
        (Said::Nothing, _) => MetricValue::Nil,
        (Said::Value(0.0), "canaryLeast" | "canaryMost") => MetricValue::Float(0.0),
        (Said::Value(0.0), "othersLeast" | "othersMost") => MetricValue::Float(400.0),
        _ => MetricValue::Float(1.0),
    }
}

/// What a provider answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Said {
    /// This value.
    Value(f64),
    /// No series.
    Nothing,
    /// An error.
    Error,
}
