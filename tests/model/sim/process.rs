//! A controller process: one pass is a row of requests, and it can die between any two of them.

use super::{
    NAME, Spec,
    cluster::Cluster,
    spec,
    writes::{Write, writes},
};
use haldane::{
    analysis::Answer,
    decide::{DueMeasurement, Event, Frozen, Input, Measurements, Plan, Start, Wait, decide, freeze, needs},
    domain::{
        observed::Observed,
        state::{Rollout, RolloutState},
        value::{MetricValue, Reading},
    },
    objects::manifest::Owner,
};
use jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeMap, rc::Rc};

/// A state as it was loaded.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// The state.
    pub state: Rc<RolloutState>,
    /// Version of its record; `None` = there is none.
    pub version: Option<u64>,
}

/// What a process keeps in memory: it is gone when the process dies.
#[derive(Debug, Default)]
pub struct Process {
    /// Finished and unfinished measurements.
    pub measurements: Measurements,
    /// Measurements under way and when they began.
    pub asked: Vec<(DueMeasurement, Timestamp)>,
    /// The pass under way.
    pub pass: Option<Pass>,
    /// When it wants to look again.
    pub wake_at: Option<Timestamp>,
    /// Events that were published.
    pub events: Vec<Event>,
    /// How far its clock is off.
    pub skew: SignedDuration,
    /// The last pass that had nothing to do.
    rest: Option<Rest>,
    /// Passes that could be left out, so far.
    spared: u64,
}

/// A look after which nothing was to be done until something changes, or until `until`.
#[derive(Debug)]
struct Rest {
    state: Rc<RolloutState>,
    changes: u64,
    since: Timestamp,
    until: Timestamp,
}

/// Of so many passes that `decide` has promised to do nothing in, one is made, to see that it does.
const CHECKED: u64 = 8;

/// A pass under way.
#[derive(Debug)]
pub struct Pass {
    record: Option<(Rc<RolloutState>, String)>,
    version: Option<u64>,
    looked: Option<Looked>,
}

#[derive(Debug)]
struct Looked {
    owner: Owner,
    seen: Rc<Observed>,
    stored: Stored,
    decided: Option<Decided>,
}

#[derive(Debug)]
struct Decided {
    plan: Plan,
    answers: BTreeMap<String, Vec<Answer>>,
    writes: std::vec::IntoIter<Write>,
}

/// What one request of a pass came to.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// The pass goes on.
    Read,
    /// The next request is this one: [`Process::write`] sends it.
    Writes(Write),
    /// The request failed, and with it the pass.
    Failed,
    /// The pass is complete.
    Done,
    /// It had promised to rest, and does not.
    Restless(String),
}

/// A request on its way, with what it depends on.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is to be written.
    pub write: Write,
    /// The cluster as its sender saw it.
    pub seen: Rc<Observed>,
    /// The record as its sender saw it.
    pub stored: Stored,
    /// The Deployment as its sender knows it.
    pub owner: Owner,
}

impl Process {
    /// Whether another process has recorded a state since this one's pass began.
    pub fn is_outdated(&self, cluster: &Cluster) -> bool {
        let version = cluster.record.as_ref().map(|(_, version, _)| *version);
        self.pass.as_ref().is_some_and(|pass| pass.version != version)
    }

    /// The next request of the pass under way, or the first of a new one; a write is only told.
    pub fn step(&mut self, cluster: &Cluster, spec: &Spec) -> Step {
        let Some(pass) = &mut self.pass else {
            if cluster.corrupt {
                return Step::Failed;
            }
            let version = cluster.record.as_ref().map(|(_, version, _)| *version);
            let record = cluster.record.as_ref().map(|(state, _, uid)| (Rc::clone(state), uid.clone()));
            self.pass = Some(Pass { record, version, looked: None });
            return Step::Read;
        };
        let Some(looked) = &mut pass.looked else {
            if !cluster.is_opted_in() {
                self.pass = None;
                return Step::Done;
            }
            // The record of a deleted Deployment of this name is no state, but its version counts.
            let owner = cluster.owner();
            let record = pass.record.take().filter(|(_, uid)| *uid == owner.uid);
            let state = record.map(|(state, _)| state).unwrap_or_default();
            let stored = Stored { state, version: pass.version };
            pass.looked = Some(Looked { owner, seen: cluster.alone(), stored, decided: None });
            return Step::Read;
        };
        if looked.decided.is_none() {
            let now = cluster.now + self.skew;
            let rests = self.measurements.answers.is_empty()
                && self.rest.as_ref().is_some_and(|rest| {
                    Rc::ptr_eq(&rest.state, &looked.stored.state)
                        && rest.changes == cluster.changes()
                        && (rest.since..rest.until).contains(&now)
                });
            self.spared += u64::from(rests);
            if rests && !self.spared.is_multiple_of(CHECKED) {
                self.pass = None;
                return Step::Done;
            }
            let changes = cluster.changes();
            let needs = needs(&looked.stored.state, &looked.seen, cluster.has_leftovers());
            if needs.surroundings {
                looked.seen = cluster.around(&looked.seen);
            }
            let next = if needs.start == Start::Rollout {
                next(spec, &looked.seen)
            } else {
                Err("not asked for".to_owned())
            };
            let starts = next.is_ok() || needs.start == Start::Retry;
            let wait = (starts && cluster.full)
                .then(|| Wait::Queue("waits for its turn: policy one allows 1 canary at once".to_owned()));
            let input = Input {
                seen: &looked.seen,
                owner: &looked.owner,
                next: &next,
                wait: wait.as_ref(),
                measurements: &self.measurements,
                now,
            };
            let plan = decide(looked.stored.state.as_ref().clone(), &input);
            let writes = writes(&plan, &looked.stored).into_iter();
            let is_idle = writes.as_slice().is_empty() && plan.measure.is_empty();
            if rests && !is_idle {
                return Step::Restless(format!("nothing has changed, and it writes {:?}", writes.as_slice()));
            }
            // The Deployment may have changed since it was read.
            let version = looked.seen.deployment.metadata.resource_version.as_deref();
            let is_idle = is_idle && version == cluster.web["metadata"]["resourceVersion"].as_str();
            self.rest = is_idle.then(|| Rest {
                state: Rc::clone(&looked.stored.state),
                changes,
                since: now,
                until: plan.wake_at.unwrap_or(Timestamp::MAX),
            });
            let answers = self.measurements.answers.clone();
            let has_state = writes.as_slice().first().is_some_and(|write| matches!(write, Write::State(_)));
            looked.decided = Some(Decided { plan, answers, writes });
            if !has_state {
                self.recorded(cluster);
            }
            return Step::Read;
        }
        match looked.decided.as_mut().and_then(|decided| decided.writes.next()) {
            Some(write) => Step::Writes(write),
            None => {
                if let Some(decided) = self.pass.take().and_then(|pass| pass.looked?.decided) {
                    self.wake_at = decided.plan.wake_at;
                }
                Step::Done
            }
        }
    }

    /// The request that is about to be sent.
    pub fn request(&self, write: Write) -> Request {
        let looked = self.pass.as_ref().unwrap().looked.as_ref().unwrap();
        Request {
            write,
            seen: Rc::clone(&looked.seen),
            stored: looked.stored.clone(),
            owner: looked.owner.clone(),
        }
    }

    /// The answer to a write that was carried out.
    pub fn written(&mut self, write: &Write, cluster: &Cluster) {
        if let Write::State(_) = write {
            self.pass.as_mut().unwrap().version = cluster.record.as_ref().map(|(_, version, _)| *version);
            self.recorded(cluster);
        }
    }

    /// As `reconcile` does once the state is recorded: `Measurer::judged`, `Measurer::start`, Events.
    fn recorded(&mut self, cluster: &Cluster) {
        let looked = self.pass.as_mut().and_then(|pass| pass.looked.as_mut());
        let Some(decided) = looked.and_then(|looked| looked.decided.as_mut()) else { return };
        let rollout = decided.plan.state.rollout.iter();
        let active: Vec<String> = rollout.flat_map(Rollout::runs_under_way).map(str::to_owned).collect();
        let known = &mut self.measurements;
        for (run, judged) in &decided.answers {
            if let Some(waiting) = known.answers.get_mut(run) {
                waiting.drain(..judged.len().min(waiting.len()));
            }
        }
        known.answers.retain(|run, waiting| active.contains(run) && !waiting.is_empty());
        known.in_flight.retain(|run, metrics| active.contains(run) && !metrics.is_empty());
        self.asked.retain(|(due, _)| active.contains(&due.run));
        for due in std::mem::take(&mut decided.plan.measure) {
            let metrics = known.in_flight.entry(due.run.clone()).or_default();
            if !metrics.contains(&due.metric.name) {
                metrics.push(due.metric.name.clone());
                self.asked.push((due, cluster.now + self.skew));
            }
        }
        self.events.append(&mut decided.plan.events);
    }

    /// A whole pass without a disturbance. Returns its writes.
    pub fn run(&mut self, cluster: &mut Cluster, spec: &Spec) -> Vec<Write> {
        let mut done = Vec::new();
        loop {
            match self.step(cluster, spec) {
                Step::Read => {}
                Step::Writes(write) => {
                    if cluster.write(&self.request(write.clone())).is_err() {
                        self.pass = None;
                        return done;
                    }
                    self.written(&write, cluster);
                    done.push(write);
                }
                Step::Failed | Step::Done => return done,
                Step::Restless(why) => panic!("{why}"),
            }
        }
    }

    /// The provider answers the oldest question.
    pub fn answer(&mut self, cluster: &Cluster, said: Said) {
        if self.asked.is_empty() {
            return;
        }
        let (due, started_at) = self.asked.remove(0);
        if let Some(metrics) = self.measurements.in_flight.get_mut(&due.run) {
            metrics.retain(|metric| *metric != due.metric.name);
        }
        let outcome = match (said, due.metric.provider.config["query"].as_object()) {
            (Said::Error, _) => Err("connection refused".to_owned()),
            // A rehearsal asks for several counts by their names.
            (said, Some(named)) => {
                let count = if said == Said::Nothing { MetricValue::Nil } else { MetricValue::Float(1.0) };
                Ok(MetricValue::Map(named.keys().map(|name| (name.clone(), count.clone())).collect()))
            }
            (Said::Nothing, None) => Ok(MetricValue::Vector(Vec::new())),
            (Said::Value(value), None) => Ok(MetricValue::Vector(vec![value])),
        };
        let answer = Answer {
            metric: due.metric.name,
            started_at,
            finished_at: cluster.now + self.skew,
            no_data: (said == Said::Nothing).then(String::new),
            outcome: outcome.map(Reading::from),
            asked: None,
            metadata: BTreeMap::new(),
        };
        self.measurements.answers.entry(due.run).or_default().push(answer);
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

/// The plan that a rollout starting now would follow.
fn next(spec: &Spec, seen: &Observed) -> Result<Frozen, String> {
    freeze(spec.clone()?, &seen.workload(), &seen.world)
}

/// What the annotations on the Deployment ask for.
pub fn wanted(cluster: &Cluster) -> Spec {
    let annotations = serde_json::from_value(cluster.web["metadata"]["annotations"].clone()).unwrap();
    spec(&annotations)
}
