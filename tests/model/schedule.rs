//! One random schedule: disturbances first, then peace until everything rests.

use crate::{
    invariants::{Invariants, Violation, at_rest},
    plans,
    rng::Rng,
    sim::{
        cluster::{Cluster, template},
        people::Wish,
        process::{self, Process, Step},
    },
};
use haldane::{
    build::manifest::Kind,
    decide::Next,
    domain::{
        keys,
        request::{Request, Verb},
        review::Outcome,
    },
};
use jiff::SignedDuration;
use strum::IntoEnumIterator;

/// Events in the disturbed part of a schedule.
const EVENTS: u64 = 90;
/// Passes after which everything must rest.
const PATIENCE: usize = 400;

/// A cluster, two replicas of the controller, and what has happened to them.
pub struct Schedule {
    rng: Rng,
    cluster: Cluster,
    processes: [Process; 2],
    leader: usize,
    plans: Result<Next, String>,
    invariants: Invariants,
    quality: [u64; 3],
    log: Option<Vec<String>>,
}

/// How a schedule ended.
pub struct Ending {
    /// How it came to rest, or which promise was broken.
    pub result: Result<&'static str, Violation>,
    /// What happened, if it was asked for.
    pub log: Vec<String>,
}

/// Runs the schedule of a seed.
pub fn run(seed: u64, with_log: bool) -> Ending {
    let mut rng = Rng::new(seed);
    let annotations = plans::annotations(&mut rng);
    let mut cluster = Cluster::new(rng.pick(&[1, 2, 3, 4, 7]), &annotations);
    cluster.proxy_lag = SignedDuration::from_secs(rng.pick(&[1, 3, 5]));
    for version in ["b", "c"] {
        let startup = rng.pick(&[Some(0), Some(2), Some(2), Some(20), None]);
        cluster.behaviour.startup.insert(version.to_owned(), startup);
    }
    let quality = [100, rng.pick(&[100, 90, 0]), rng.pick(&[100, 90, 0])];
    let plans = process::plans(&cluster);
    let mut schedule = Schedule {
        rng,
        cluster,
        processes: Default::default(),
        leader: 0,
        plans,
        invariants: Invariants::new(),
        quality,
        log: with_log.then(|| vec![format!("{annotations:?}")]),
    };
    schedule.note(|s| format!("{} replicas, {:?}", s.cluster.replicas(), s.cluster.behaviour));
    let result = schedule.play();
    Ending { result, log: schedule.log.unwrap_or_default() }
}

impl Schedule {
    fn play(&mut self) -> Result<&'static str, Violation> {
        self.look(true)?;
        self.people()?;
        for _ in 0..EVENTS {
            self.disturb()?;
            self.invariants.always(&self.cluster)?;
        }
        self.rest()
    }

    fn note(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.log.is_some() {
            let line = format!("{} {}", self.cluster.now.strftime("%H:%M:%S"), what(self));
            self.log.as_mut().unwrap().push(line);
        }
    }

    fn disturb(&mut self) -> Result<(), Violation> {
        match self.rng.below(100) {
            0..34 => {
                let whole = self.rng.chance(70);
                self.look(whole)?;
            }
            34..44 => {
                // A replica that still believes to lead.
                self.leader = 1 - self.leader;
                let result = self.look(false);
                self.leader = 1 - self.leader;
                result?;
            }
            44..68 => match self.rng.below(4) {
                0 => self.cluster.deployments(),
                1 => self.cluster.pods(),
                2 => self.cluster.slices(),
                _ => self.cluster.work(),
            },
            68..80 => {
                let seconds = self.rng.pick(&[1, 1, 2, 3, 6, 10, 30, 70]);
                self.cluster.pass_time(seconds);
            }
            80..86 => self.answer(),
            86..88 => self.crash(),
            88..90 => {
                self.leader = 1 - self.leader;
                self.note(|s| format!("{} leads", s.leader));
            }
            90..97 => self.people()?,
            97 => self.fail_pod(),
            98 => self.tamper(),
            _ => self.cluster.pass_time(700),
        }
        Ok(())
    }

    /// A pass of the leader, or its next request.
    fn look(&mut self, whole: bool) -> Result<(), Violation> {
        loop {
            let process = &mut self.processes[self.leader];
            let step = process.step(&mut self.cluster, &self.plans);
            if let Step::Wrote(write) = &step {
                self.note(|s| format!("{}: {write}", s.leader));
                let outdated = self.processes[self.leader].is_outdated(&self.cluster);
                self.invariants.after_write(write, outdated, &self.cluster)?;
                self.invariants.always(&self.cluster)?;
            }
            if step == Step::Failed {
                self.note(|s| format!("{}: conflict", s.leader));
            }
            if matches!(step, Step::Wrote(_)) && self.rng.chance(3) {
                // Done, but the answer is lost: the process sees an error.
                self.processes[self.leader].pass = None;
                self.note(|s| format!("{}: answer lost", s.leader));
                return Ok(());
            }
            if !whole || matches!(step, Step::Failed | Step::Done) {
                return Ok(());
            }
        }
    }

    fn answer(&mut self) {
        for index in 0..2 {
            let Some((due, _)) = self.processes[index].asked.first() else { continue };
            let run = due.run.clone();
            let canary = self.cluster.sets.iter().find(|set| !set.is_stable());
            let version = canary.map_or("a", |set| set.version.as_str());
            let quality = match version {
                "b" => self.quality[1],
                "c" => self.quality[2],
                _ => self.quality[0],
            };
            let value = match self.rng.below(20) {
                0 => None,
                1 => Some(0.7),
                _ => Some(if self.rng.chance(quality) { 1.0 } else { 0.0 }),
            };
            *self.invariants.answers.entry(run.clone()).or_default() += 1;
            self.processes[index].answer(&self.cluster, value);
            self.note(|_| format!("{run} measures {value:?}"));
        }
    }

    fn crash(&mut self) {
        self.processes[self.leader] = Process::default();
        self.note(|s| format!("{} crashes", s.leader));
    }

    fn fail_pod(&mut self) {
        let (now, seconds) = (self.cluster.now, self.rng.pick(&[3, 20, 100]));
        // Losing the last pods of stable at once is nobody's to survive.
        let ready = self.cluster.ready();
        let which = self.rng.below(9);
        let sets = self.cluster.sets.iter_mut().filter(|set| !set.is_stable() || ready >= 3);
        let mut pods: Vec<_> = sets.flat_map(|set| &mut set.pods).collect();
        let count = pods.len() as u64;
        if count > 0 {
            let pod = &mut pods[usize::try_from(which % count).unwrap()];
            if pod.ready_at.is_some_and(|at| at <= now) {
                pod.ready_at = Some(now + SignedDuration::from_secs(seconds));
                let name = pod.name.clone();
                self.note(|_| format!("{name} fails for {seconds}s"));
            }
        }
    }

    fn tamper(&mut self) {
        if self.rng.chance(30) {
            self.cluster.record = None;
            self.cluster.bump();
            self.invariants.forget();
            self.note(|_| "the record is deleted by hand".to_owned());
            return;
        }
        let kind = self.rng.pick(&[Kind::Ingress, Kind::Service, Kind::Deployment]);
        self.invariants.tampered = true;
        self.cluster.delete(kind, "web-canary");
        self.note(|_| format!("{kind} is deleted by hand"));
    }

    fn people(&mut self) -> Result<(), Violation> {
        let wish = self.wish();
        let verdict = self.cluster.ask(&wish);
        self.note(|_| match &verdict.outcome {
            Outcome::Allow { .. } => format!("{wish}"),
            Outcome::Deny { message, .. } => format!("{wish}: {message}"),
        });
        if !verdict.is_allowed() {
            return Ok(());
        }
        if let Some(request) = self.cluster.web["metadata"]["annotations"][keys::REQUEST].as_str() {
            let request: Request = serde_json::from_str(request).unwrap();
            self.invariants.orders.insert(request.id, request.verb);
        }
        if !self.cluster.is_held() && matches!(verdict.outcome, Outcome::Allow { .. }) {
            let native = self.cluster.wanted_hash();
            let known = matches!(wish, Wish::Restart(_)) || self.cluster.replicas() == 0;
            if known {
                self.invariants.trust(native);
            }
        }
        self.invariants.always(&self.cluster)
    }

    fn wish(&mut self) -> Wish {
        let verbs: Vec<Verb> = Verb::iter().collect();
        let version = self.rng.pick(&["a", "b", "b", "c"]);
        match self.rng.below(10) {
            0..4 => Wish::Apply(template(version)),
            4 => Wish::Sync(template(version)),
            5 => Wish::Scale(self.rng.pick(&[1, 2, 3, 5, 8])),
            6 | 7 => Wish::Order(self.rng.pick(&verbs)),
            8 => Wish::NativeResume,
            _ => Wish::Restart(self.rng.below(1000)),
        }
    }

    /// No more disturbances: one leader, a provider that answers, and time.
    fn rest(&mut self) -> Result<&'static str, Violation> {
        self.note(|_| "peace".to_owned());
        let other = 1 - self.leader;
        self.processes[other] = Process::default();
        self.processes[self.leader].pass = None;
        let mut quiet = 0;
        for _ in 0..PATIENCE {
            let (version, now) = (self.cluster.version(), self.cluster.now);
            self.look(true)?;
            self.cluster.work();
            self.invariants.always(&self.cluster)?;
            if self.processes[self.leader].asked.is_empty() && version == self.cluster.version() {
                let wake_at = self.processes[self.leader].wake_at;
                let resync = now + SignedDuration::from_secs(30);
                self.cluster.now =
                    wake_at.map_or(resync, |at| at.min(resync)).max(now + SignedDuration::from_millis(20));
                quiet += if wake_at.is_none() { 1 } else { 0 };
                if quiet > 30 {
                    return at_rest(&self.cluster);
                }
            } else {
                self.cluster.pass_time(1);
                self.answer();
                quiet = 0;
            }
        }
        at_rest(&self.cluster).map_err(|why| format!("no rest after {PATIENCE} passes: {why}"))
    }
}
