//! One random schedule: disturbances first, then peace until everything rests.

mod disturbances;
mod people;

use crate::{
    faults::{Fault, Faults},
    invariants::{Invariants, Violation, refusals, rest::at_rest},
    plans::{self, Plan, Split},
    rng::Rng,
    sim::{
        Spec,
        cluster::Cluster,
        process::{self, Process, Request, Step},
        writes::{Denial, Write},
    },
};
use haldane::domain::state::Rollout;
use jiff::SignedDuration;
use std::sync::Arc;

/// Events in the disturbed part of a schedule.
pub const EVENTS: u64 = 60;
/// Passes after which everything must rest.
const PATIENCE: usize = 400;

/// A cluster, two replicas of the controller, and what has happened to them.
pub struct Schedule {
    rng: Rng,
    faults: Faults,
    cluster: Cluster,
    processes: [Process; 2],
    leader: usize,
    late: Vec<Request>,
    /// Version of the record that a person deleted last.
    deleted: Option<String>,
    /// What the annotations ask for.
    spec: Spec,
    /// The same while every template that they name is there.
    intended: Spec,
    /// Where they say it, for who opts in again.
    plan: Plan,
    invariants: Invariants,
    quality: [u64; 3],
    /// A write of the pass under way was not accepted.
    refused: bool,
    /// A request of the pass under way has failed by chance, or by a race.
    disturbed: bool,
    /// How often the provider has data, of 100.
    sight: u64,
    log: Option<Vec<String>>,
}

/// How a schedule ended.
pub struct Ending {
    /// How it came to rest, or which promise was broken.
    pub result: Result<&'static str, Violation>,
    /// What happened, if it was asked for.
    pub log: Vec<String>,
}

/// Runs those events of a seed that `keeps` says. Each has its own randomness, so that leaving one out
/// changes only what follows from it.
pub fn run(seed: u64, keeps: &dyn Fn(u64) -> bool, with_log: bool) -> Ending {
    let mut rng = Rng::new(seed);
    let split = if rng.chance(15) { Split::Pods } else { Split::Traffic };
    let (plan, annotations) = plans::annotations(&mut rng, split);
    let mut cluster = Cluster::new(rng.pick(&[1, 2, 3, 4, 7]), &annotations);
    if split == Split::Pods {
        cluster.routes.ingresses.clear();
    }
    cluster.most = rng.chance(25).then_some(8);
    cluster.touch();
    cluster.proxy_lag = SignedDuration::from_secs(rng.pick(&[1, 3, 5]));
    for version in ["b", "c"] {
        let startup = rng.pick(&[Some(0), Some(2), Some(2), Some(20), None]);
        cluster.behaviour.startup.insert(version.to_owned(), startup);
    }
    let quality = [100, rng.pick(&[100, 90, 0]), rng.pick(&[100, 90, 0])];
    let sight = rng.pick(&[100, 100, 100, 50, 0]);
    let spec = process::wanted(&cluster);
    assert!(spec.is_ok(), "{annotations:?}: {spec:?}");
    let mut schedule = Schedule {
        faults: Faults::some(&mut rng),
        rng,
        cluster,
        processes: Default::default(),
        leader: 0,
        late: Vec::new(),
        deleted: None,
        intended: spec.clone(),
        spec,
        plan,
        invariants: Invariants::new(),
        quality,
        refused: false,
        disturbed: false,
        sight,
        log: with_log.then(|| vec![format!("{annotations:?}")]),
    };
    schedule
        .note(|s| format!("{} replicas, {:?}, {:?}", s.cluster.replicas(), s.cluster.behaviour, s.faults));
    let result = schedule.play(seed, keeps);
    Ending { result, log: schedule.log.unwrap_or_default() }
}

impl Schedule {
    fn play(&mut self, seed: u64, keeps: &dyn Fn(u64) -> bool) -> Result<&'static str, Violation> {
        self.look(true, false)?;
        for event in (0..EVENTS).filter(|event| keeps(*event)) {
            self.rng = Rng::new(seed.wrapping_mul(EVENTS + 1).wrapping_add(event + 1));
            // Two things never happen at the same nanosecond.
            self.cluster.now += SignedDuration::from_millis(1);
            if event == 0 {
                self.people()?;
            }
            self.disturb()?;
            self.invariants.always(&self.cluster)?;
        }
        self.rest()
    }

    fn note(&mut self, what: impl FnOnce(&Self) -> String) {
        if let Some(mut log) = self.log.take() {
            log.push(format!("{} {}", self.cluster.now.strftime("%H:%M:%S"), what(self)));
            self.log = Some(log);
        }
    }

    /// Whether a fault that this schedule has happens now.
    fn strikes(&mut self, fault: Fault, percent: u64) -> bool {
        self.rng.chance(percent) && self.faults.has(fault)
    }

    fn disturb(&mut self) -> Result<(), Violation> {
        if self.processes[self.leader].follows() {
            self.follow();
        }
        match self.rng.below(117) {
            0..32 => {
                let whole = self.rng.chance(70);
                self.look(whole, true)?;
            }
            32..42 if self.faults.has(Fault::TwoLeaders) => {
                // A replica that still believes to lead.
                self.leader = 1 - self.leader;
                let whole = self.rng.chance(20);
                let result = self.look(whole, true);
                self.leader = 1 - self.leader;
                result?;
            }
            42..62 => match self.rng.below(4) {
                0 => self.cluster.deployments(),
                1 => self.cluster.pods(),
                2 => self.cluster.slices(),
                _ => self.cluster.work(),
            },
            62..73 => {
                let seconds = self.rng.pick(&[1, 1, 2, 3, 6, 10, 30, 70]);
                self.cluster.pass_time(seconds);
            }
            73..79 => self.answer(),
            79..81 if self.faults.has(Fault::Crash) => self.crash(),
            81..83 if self.faults.has(Fault::TwoLeaders) => {
                self.follow();
            }
            83..90 => self.people()?,
            90..92 if self.faults.has(Fault::Pods) => self.fail_pod(),
            92 if self.faults.has(Fault::Tampering) => self.tamper(),
            93 if self.faults.has(Fault::Clock) => self.jump(),
            94..96 => self.land()?,
            96 => self.surround(),
            97 if self.faults.has(Fault::Bypass) => self.bypass(),
            98 if self.faults.has(Fault::Quota) => {
                let used = self.cluster.sets.iter().map(|set| set.pods.len()).sum::<usize>();
                let more = usize::try_from(self.rng.below(3)).unwrap();
                self.cluster.room = used + more;
                self.note(|_| format!("there is room for {more} more pods"));
            }
            99 => self.cluster.pass_time(700),
            100..102 => self.load(),
            102 if self.faults.has(Fault::Gap) => {
                let told = self.rng.chance(30);
                self.cluster.watched = Some(told);
                self.cluster.touch();
                self.note(|_| format!("watches tell that something of ours exists: {told}"));
            }
            103 if self.faults.has(Fault::Plans) => self.plans(),
            104..109 if self.faults.has(Fault::Refused) => self.refuse(),
            109..113 if self.faults.has(Fault::Late) => self.delay_watches(),
            113..117 if self.faults.has(Fault::Failing) => self.fail(),
            _ => self.look(true, true)?,
        }
        Ok(())
    }

    /// A pass of the leader, or its next request.
    fn look(&mut self, whole: bool, disturbed: bool) -> Result<(), Violation> {
        let is_fresh = whole && !self.processes[self.leader].is_busy();
        // A request that is to be refused may be the first of this pass.
        (self.refused, self.disturbed) = (false, self.processes[self.leader].refuses_next());
        // What leaves the watch is cleaned up, or returns to it; a pass follows then.
        let is_pass = self.cluster.is_watched();
        loop {
            if disturbed && self.strikes(Fault::Refusal, 2) {
                self.processes[self.leader].refuse_next();
                self.hampers();
                self.note(|s| format!("{}: the next request is refused", s.leader));
            }
            if disturbed && self.strikes(Fault::Lease, 1) {
                self.processes[self.leader].hears_of_lease(false);
                self.disturbed = true;
                self.note(|s| format!("{} loses the lease and knows it", s.leader));
            }
            let step = self.processes[self.leader].step(&self.cluster, &self.spec);
            let events = self.processes[self.leader].events();
            self.invariants.events_lost |= self.processes[self.leader].lost_event();
            if !self.invariants.tampered {
                events.iter().try_for_each(|event| refusals::on_event(event, &self.cluster))?;
            }
            self.invariants.published.extend(events.into_iter().map(|event| event.reason));
            match step {
                Step::Writes(write) if self.processes[self.leader].follows() => {
                    return Err(format!("writes although it knows that it does not lead: {write}"));
                }
                Step::Read if whole => {}
                // What another process has recorded, one whose watch of records stands still does not know yet.
                Step::Done if is_fresh && is_pass && self.knows_record() => {
                    return refusals::after_pass(&self.cluster, self.refused, self.invariants.tampered);
                }
                Step::Failed if is_fresh && is_pass && self.knows_record() && self.is_undisturbed() => {
                    return refusals::after_retreat(&self.cluster);
                }
                Step::Read | Step::Failed | Step::Done => return Ok(()),
                Step::Restless(why) => return Err(why),
                Step::Writes(_) => {
                    if !self.write(disturbed)? || !whole {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Whether the leader has read or written the record as it is, and not that of a Deployment that is gone: one whose
    /// watch of Deployments stands still goes on with it, and the garbage collector takes what it writes.
    fn knows_record(&self) -> bool {
        let is_present = self.cluster.record.as_ref().is_none_or(|(_, _, uid)| *uid == self.cluster.uid);
        is_present && self.processes[self.leader].version() == self.cluster.record_version()
    }

    /// A write fails by chance: the last resort may be taken although another way is open.
    fn hampers(&mut self) {
        (self.disturbed, self.invariants.hampered) = (true, true);
    }

    /// Whether this is the leader's pass, and nothing of it has failed but what fails for a while.
    fn is_undisturbed(&self) -> bool {
        let leads = !self.processes[self.leader].follows();
        leads && !self.disturbed && !self.invariants.tampered && !self.cluster.corrupt
    }

    /// The lease changes hands.
    fn follow(&mut self) {
        self.leader = 1 - self.leader;
        self.invariants.events_lost |= self.processes[self.leader].is_busy();
        self.processes[self.leader].hears_of_lease(true);
        self.note(|s| format!("{} leads", s.leader));
    }

    /// One write and what may befall it. Returns whether the pass goes on.
    fn write(&mut self, disturbed: bool) -> Result<bool, Violation> {
        let leader = self.leader;
        if disturbed && self.strikes(Fault::Crash, 4) {
            self.crash();
            return Ok(false);
        }
        let request = self.processes[leader].request();
        if disturbed && self.strikes(Fault::Delay, 4) {
            self.note(|s| format!("{}: no answer, but on its way: {}", s.leader, request.write));
            self.invariants.events_lost |= matches!(request.write, Write::State(_));
            self.late.push(request);
            self.hampers();
            self.processes[leader].refused();
            return Ok(true);
        }
        let outdated = self.processes[leader].is_outdated(&self.cluster);
        let is_early = self.is_early(&request) || self.is_from_deleted(leader);
        if let Err(denial) = self.cluster.write(&request) {
            self.note(|s| format!("{}: {denial:?} at {}", s.leader, request.write));
            self.refused |= matches!(denial, Denial::Refused(_));
            self.disturbed |= matches!(denial, Denial::Conflict);
            self.processes[leader].denied(denial);
            return Ok(true);
        }
        self.note(|s| format!("{}: {}", s.leader, request.write));
        let is_record = matches!(request.write, Write::State(_));
        self.judge(&request, outdated, is_early)?;
        if disturbed && self.strikes(Fault::LostAnswer, 4) {
            self.note(|s| format!("{}: answer lost", s.leader));
            self.invariants.events_lost |= is_record;
            self.hampers();
            self.processes[leader].refused();
            return Ok(true);
        }
        self.processes[leader].written(&request.write, &self.cluster);
        if disturbed && self.strikes(Fault::Crash, 4) {
            self.crash();
            return Ok(false);
        }
        Ok(true)
    }

    /// A write arrives whose sender has long given up.
    fn land(&mut self) -> Result<(), Violation> {
        let Some(request) = self.late.pop() else { return Ok(()) };
        let is_early = self.is_early(&request);
        let landed = self.cluster.write(&request).is_ok();
        self.note(|_| format!("{} late: {}", if landed { "arrives" } else { "refused" }, request.write));
        if landed { self.judge(&request, true, is_early) } else { Ok(()) }
    }

    /// Whether nobody has acted yet on what outdates a request, so that it is as if it had come a moment before: what
    /// the record asks for has not been written, or a person has deleted the record that asked for it.
    fn is_early(&self, request: &Request) -> bool {
        let was_deleted = self.deleted.is_some() && request.look.stored.version == self.deleted;
        (was_deleted && self.cluster.record.is_none()) || self.cluster.awaits_its_wish(&request.write)
    }

    /// Whether a person has deleted the record that the pass under way has written itself.
    fn is_from_deleted(&self, leader: usize) -> bool {
        let version = self.processes[leader].version();
        version.is_some() && version == self.deleted && self.cluster.record.is_none()
    }

    /// After a write. `outdated` = by one that no longer leads or has given up; `is_early` as above.
    fn judge(&mut self, request: &Request, outdated: bool, is_early: bool) -> Result<(), Violation> {
        // What is written for a Deployment that is gone, the garbage collector takes.
        let is_judged = !(outdated && is_early) && request.look.owner.uid == self.cluster.uid;
        if is_judged {
            self.invariants.after_write(request, outdated, &self.cluster)?;
        }
        if request.write == Write::Forget {
            self.invariants.before = Arc::default();
        }
        self.invariants.always(&self.cluster)
    }

    /// No more disturbances: one leader, a provider that answers, and time.
    fn rest(&mut self) -> Result<&'static str, Violation> {
        self.note(|_| "peace".to_owned());
        while !self.late.is_empty() {
            self.land()?;
        }
        self.mend();
        self.cluster.room = usize::MAX;
        (self.cluster.refusing, self.cluster.failing) = Default::default();
        (self.cluster.watched, self.cluster.full) = (None, false);
        self.cluster.still.clear();
        self.cluster.touch();
        self.spec = self.intended.clone();
        self.invariants.events_lost |= self.processes.iter().any(Process::is_busy);
        self.processes[1 - self.leader] = Process::default();
        self.processes[self.leader].stop();
        self.processes[self.leader].hears_of_lease(true);
        let mut quiet = 0;
        for _ in 0..PATIENCE {
            let before = self.cluster.version();
            self.look(true, false)?;
            self.cluster.work();
            self.invariants.always(&self.cluster)?;
            let process = &self.processes[self.leader];
            if process.asked().is_some() || before != self.cluster.version() {
                self.cluster.pass_time(1);
                self.answer();
                quiet = 0;
                continue;
            }
            let wake_at = process.wake_at.map(|at| at - process.skew);
            if let Some(at) = [wake_at, self.cluster.next_ready()].into_iter().flatten().min() {
                self.cluster.now = at.max(self.cluster.now + SignedDuration::from_millis(20));
            } else {
                self.cluster.pass_time(30);
                quiet += 1;
            }
            if quiet > 2 {
                let state = self.cluster.state();
                let active: Vec<&str> = state.rollout.iter().flat_map(Rollout::runs_under_way).collect();
                let kept = self.processes[self.leader].remembers();
                if let Some(run) = kept.iter().find(|run| !active.contains(&run.as_str())) {
                    return Err(format!("keeps the answers of {run}, which has ended"));
                }
                return at_rest(&self.cluster, &self.invariants);
            }
        }
        at_rest(&self.cluster, &self.invariants)
            .map_err(|why| format!("no rest after {PATIENCE} passes: {why}"))
    }
}
