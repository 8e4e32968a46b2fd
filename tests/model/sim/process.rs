//! A controller process: one pass is a row of requests, and it can die between any two of them.

use super::{
    cluster::Cluster,
    next, owner,
    writes::{Write, writes},
};
use haldane::{
    analysis::Answer,
    decide::{DueMeasurement, Event, Input, Measurements, Next, Plan, decide},
    domain::{
        observed::Observed,
        state::{Rollout, RolloutState, Stage},
        value::{MetricValue, Reading},
    },
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A state as it was loaded.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// The state.
    pub state: RolloutState,
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
    /// Events that were published, for the tests' eyes.
    pub events: Vec<Event>,
}

/// A pass under way.
#[derive(Debug)]
pub struct Pass {
    seen: Observed,
    stored: Option<Stored>,
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
    /// A request changed the cluster.
    Wrote(Write),
    /// The request failed, and with it the pass.
    Failed,
    /// The pass is complete.
    Done,
}

impl Process {
    /// Whether another process has recorded a state since this one's pass began.
    pub fn is_outdated(&self, cluster: &Cluster) -> bool {
        let stored = self.pass.as_ref().and_then(|pass| pass.stored.as_ref());
        stored.is_some_and(|stored| stored.version != cluster.record.as_ref().map(|(_, version)| *version))
    }

    /// The next request of the pass under way, or the first of a new one.
    pub fn step(&mut self, cluster: &mut Cluster, plans: &Result<Next, String>) -> Step {
        let Some(pass) = &mut self.pass else {
            self.pass = Some(Pass { seen: cluster.read_deployment(), stored: None, decided: None });
            return Step::Read;
        };
        let Some(stored) = &pass.stored else {
            let (state, version) = match &cluster.record {
                Some((state, version)) => (state.clone(), Some(*version)),
                None => (RolloutState::default(), None),
            };
            pass.stored = Some(Stored { state, version });
            return Step::Read;
        };
        let Some(decided) = &mut pass.decided else {
            if is_active(stored, &pass.seen) {
                cluster.read_surroundings(&mut pass.seen);
            }
            let next = next_plan(stored, &pass.seen, plans);
            let plan = look(&pass.seen, stored, &next, &self.measurements, cluster.now);
            let writes = writes(&plan, stored).into_iter();
            pass.decided = Some(Decided { plan, answers: self.measurements.answers.clone(), writes });
            return Step::Read;
        };
        if let Some(write) = decided.writes.next() {
            if cluster.write(&write, &pass.seen, stored).is_err() {
                self.pass = None;
                return Step::Failed;
            }
            if let (Write::State(_), Some(stored)) = (&write, &mut pass.stored) {
                stored.version = cluster.record.as_ref().map(|(_, version)| *version);
            }
            return Step::Wrote(write);
        }
        if let Some(Pass { decided: Some(decided), .. }) = self.pass.take() {
            self.finish(decided, cluster.now);
        }
        Step::Done
    }

    /// As `Measurer::judged` and `Measurer::start`.
    fn finish(&mut self, decided: Decided, now: Timestamp) {
        let Decided { plan, answers, .. } = decided;
        self.judged(&plan.state, &answers);
        for due in plan.measure {
            let metrics = self.measurements.in_flight.entry(due.run.clone()).or_default();
            if !metrics.contains(&due.metric.name) {
                metrics.push(due.metric.name.clone());
                self.asked.push((due, now));
            }
        }
        self.events.extend(plan.events);
        self.wake_at = plan.wake_at;
    }

    fn judged(&mut self, state: &RolloutState, answers: &BTreeMap<String, Vec<Answer>>) {
        let active: Vec<&str> =
            state.rollout.iter().flat_map(|r| &r.runs).map(|r| r.run.name.as_str()).collect();
        let known = &mut self.measurements;
        for (run, judged) in answers {
            if let Some(waiting) = known.answers.get_mut(run) {
                waiting.drain(..judged.len().min(waiting.len()));
            }
        }
        known.answers.retain(|run, waiting| active.contains(&run.as_str()) && !waiting.is_empty());
        known.in_flight.retain(|run, metrics| active.contains(&run.as_str()) && !metrics.is_empty());
        self.asked.retain(|(due, _)| active.contains(&due.run.as_str()));
    }

    /// A whole pass. Returns its writes.
    pub fn run(&mut self, cluster: &mut Cluster, plans: &Result<Next, String>) -> Vec<Write> {
        let mut writes = Vec::new();
        loop {
            match self.step(cluster, plans) {
                Step::Read => {}
                Step::Wrote(write) => writes.push(write),
                Step::Failed | Step::Done => return writes,
            }
        }
    }

    /// The provider answers the oldest question; `None` is an error.
    pub fn answer(&mut self, cluster: &Cluster, value: Option<f64>) -> Option<String> {
        if self.asked.is_empty() {
            return None;
        }
        let (due, started_at) = self.asked.remove(0);
        if let Some(metrics) = self.measurements.in_flight.get_mut(&due.run) {
            metrics.retain(|metric| *metric != due.metric.name);
        }
        let value = value.map(|value| Reading::from(MetricValue::Vector(vec![value])));
        let answer = Answer {
            metric: due.metric.name,
            started_at,
            finished_at: cluster.now,
            outcome: value.ok_or_else(|| "connection refused".to_owned()),
            asked: None,
            metadata: BTreeMap::new(),
        };
        self.measurements.answers.entry(due.run.clone()).or_default().push(answer);
        Some(due.run)
    }
}

/// As `reconcile` asks: is there more to look at than the Deployment?
fn is_active(stored: &Stored, seen: &Observed) -> bool {
    stored.state.rollout.is_some() || seen.is_held()
}

/// As `reconcile::next`.
fn next_plan(stored: &Stored, seen: &Observed, plans: &Result<Next, String>) -> Result<Next, String> {
    if !seen.is_held() {
        return Err("nothing is held".to_owned());
    }
    let frozen = |rollout: &Rollout| {
        rollout.hash == seen.template_hash() && !matches!(rollout.stage, Stage::Retreat { .. })
    };
    if stored.state.rollout.as_ref().is_some_and(frozen) {
        return Err("its plan is frozen".to_owned());
    }
    plans.clone()
}

fn look(
    seen: &Observed,
    stored: &Stored,
    next: &Result<Next, String>,
    measurements: &Measurements,
    now: Timestamp,
) -> Plan {
    decide(stored.state.clone(), &Input { seen, owner: &owner(), next, measurements, now })
}

/// What the decision would be now, with nothing carried out.
pub fn decide_now(cluster: &Cluster, plans: &Result<Next, String>, measurements: &Measurements) -> Plan {
    let mut seen = cluster.read_deployment();
    let version = cluster.record.as_ref().map(|(_, version)| *version);
    let stored = Stored { state: cluster.state(), version };
    if is_active(&stored, &seen) {
        cluster.read_surroundings(&mut seen);
    }
    look(&seen, &stored, &next_plan(&stored, &seen, plans), measurements, cluster.now)
}

/// The plan of the annotations on the Deployment.
pub fn plans(cluster: &Cluster) -> Result<Next, String> {
    let annotations = serde_json::from_value(cluster.web["metadata"]["annotations"].clone()).unwrap();
    next(&annotations)
}
