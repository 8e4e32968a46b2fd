//! What may happen to the cluster and to the processes.

use super::Schedule;
use crate::{
    faults::Fault,
    sim::{
        cluster::template,
        people::UserRequest,
        process::{Process, Said},
        watches::Watch,
        writes::{KINDS, Refusing, Verb},
    },
};
use haldane::{
    decide::state_validation,
    domain::{
        names::Weight,
        state::{RolloutState, Stage},
    },
    objects::manifest::Kind,
    routers::nginx,
};
use jiff::SignedDuration;
use std::sync::Arc;

impl Schedule {
    pub(super) fn answer(&mut self) {
        for index in 0..2 {
            let Some((run, metric, started_at)) = self.processes[index].asked() else { continue };
            let canary = self.cluster.sets.iter().find(|set| !set.owner.starts_with("web-"));
            let version = canary.map_or("a", |set| set.version.as_str());
            let quality = match version {
                "b" => self.quality[1],
                "c" => self.quality[2],
                _ => self.quality[0],
            };
            let said = match self.rng.below(20) {
                0 => Said::Error,
                1 => Said::Value(0.7),
                2 => Said::Nothing,
                _ if self.rng.chance(self.sight) => {
                    Said::Value(if self.rng.chance(quality) { 1.0 } else { 0.0 })
                }
                _ => Said::Nothing,
            };
            *self.invariants.answers.entry(run.clone()).or_default() += 1;
            if let Said::Value(_) = said {
                // Two processes may have asked, one after the other.
                let newest = self.invariants.evidence.entry((run.clone(), metric)).or_insert(started_at);
                *newest = started_at.max(*newest);
            }
            self.processes[index].answer(&self.cluster, said);
            self.note(|_| format!("{run} measures {said:?}"));
        }
    }

    pub(super) fn crash(&mut self) {
        self.invariants.deaths += 1;
        self.invariants.events_lost |= self.processes[self.leader].is_busy();
        self.processes[self.leader] = Process::after_death(format!("term {}", self.invariants.deaths));
        self.note(|s| format!("{} crashes", s.leader));
    }

    pub(super) fn jump(&mut self) {
        let seconds = self.rng.pick(&[-3600, -60, -5, 5, 60, 3600]);
        let skew = SignedDuration::from_secs(seconds);
        self.processes[self.leader].skew += skew;
        self.invariants.tampered = true;
        self.note(|s| format!("the clock of {} jumps by {seconds}s", s.leader));
    }

    pub(super) fn fail_pod(&mut self) {
        let (now, seconds) = (self.cluster.now, self.rng.pick(&[3, 20, 100]));
        // Losing the last pods of stable at once is nobody's to survive.
        let ready = self.cluster.ready();
        let which = self.rng.below(9);
        let uid = self.cluster.uid.clone();
        let sets = self.cluster.sets.iter_mut().filter(|set| set.owner != uid || ready >= 3);
        let mut pods: Vec<_> = sets.flat_map(|set| &mut set.pods).collect();
        let count = pods.len() as u64;
        if count > 0 {
            let pod = &mut *pods[usize::try_from(which % count).unwrap()];
            if pod.ready_at.is_some_and(|at| at <= now) {
                pod.ready_at = Some(now + SignedDuration::from_secs(seconds));
                let name = pod.name.clone();
                self.note(|_| format!("{name} fails for {seconds}s"));
            }
        }
    }

    pub(super) fn tamper(&mut self) {
        match self.rng.below(10) {
            0..2 => {
                self.delete_record();
                self.note(|_| "the record is deleted by hand".to_owned());
            }
            2 => {
                self.damage_record();
                self.note(|_| "the record is damaged".to_owned());
            }
            3 => self.edit(),
            _ => {
                let kind = self.rng.pick(&[nginx::INGRESS, Kind::SERVICE, Kind::DEPLOYMENT]);
                self.invariants.tampered = true;
                self.cluster.delete(kind, "web-canary");
                self.note(|_| format!("{kind} is deleted by hand"));
            }
        }
    }

    fn damage_record(&mut self) {
        self.cluster.corrupt = true;
        let version = self.cluster.bump();
        self.cluster.record.iter_mut().for_each(|record| record.1 = version);
    }

    /// Some watches stand still, or all go on.
    pub(super) fn delay_watches(&mut self) {
        let share = self.rng.pick(&[0, 20, 50, 100]);
        let rng = &mut self.rng;
        self.cluster.still = Watch::all().filter(|_| rng.chance(share)).collect();
        self.cluster.touch();
        self.note(|s| format!("watches stand still: {:?}", s.cluster.still));
    }

    fn delete_record(&mut self) {
        self.deleted = self.cluster.record_version();
        self.cluster.record = None;
        self.cluster.bump();
        self.invariants.forget(&self.cluster);
    }

    /// The record is edited by hand. What Haldane cannot have written is refused, as damage is.
    fn edit(&mut self) {
        let Some((state, _, uid)) = self.cluster.record.clone() else { return };
        let mut state = state.as_ref().clone();
        edit(&mut state, self.rng.below(7), self.rng.pick(&[0, 1, 2, 3, 7, 50, 99, 100, 101, 108]));
        self.invariants.tampered = true;
        if let Err(finding) = state_validation::check(&state) {
            self.damage_record();
            self.note(|_| format!("the record is edited: {finding}"));
            return;
        }
        self.note(|_| format!("the record is edited: {:?}", state.rollout.as_ref().map(|r| &r.stage)));
        let (state, version) = (Arc::new(state), self.cluster.bump());
        self.invariants.before = Arc::clone(&state);
        self.cluster.record = Some((state, version, uid));
    }

    /// What a person does who reads the Event about the damaged record.
    pub(super) fn mend(&mut self) {
        if std::mem::take(&mut self.cluster.corrupt) {
            self.delete_record();
            self.note(|_| "the damaged record is deleted".to_owned());
        }
    }

    pub(super) fn bypass(&mut self) {
        let version = self.rng.pick(&["a", "b", "c"]);
        let apply = UserRequest::Apply(template(version));
        let request =
            self.rng.pick(&[apply, UserRequest::NativeResume, UserRequest::OptOut, UserRequest::Unlabel]);
        self.cluster.force(&request);
        if !matches!(request, UserRequest::OptOut | UserRequest::Unlabel) {
            self.invariants.bypassed(self.cluster.wanted_hash());
        }
        self.note(|_| format!("{request}, past the webhook"));
    }

    /// Something around the Deployment changes.
    pub(super) fn surround(&mut self) {
        if self.strikes(Fault::Recreation, 40) {
            self.cluster.recreate();
            self.invariants.recreated(&self.cluster);
            self.note(|_| "the Deployment is deleted and made anew".to_owned());
        } else if self.strikes(Fault::Routes, 70) {
            self.invariants.tampered = true;
            let routes = &mut self.cluster.routes;
            match self.rng.below(6) {
                0 => routes.service = self.rng.pick(&["web", "shop"]).to_owned(),
                1 | 2 => {
                    routes
                        .ingresses
                        .push(self.rng.pick(&[("nginx", "new.example"), ("inner", "in.example")]));
                }
                3 => routes.ingresses.truncate(1),
                4 => routes.ingresses.clear(),
                _ => routes.is_served = !routes.is_served,
            }
            self.cluster.touch();
            self.cluster.slices();
            self.note(|s| format!("{:?}", s.cluster.routes));
        } else if self.faults.has(Fault::Tampering) {
            self.mend();
        } else if self.faults.has(Fault::Quota) {
            self.cluster.room = usize::MAX;
            self.note(|_| "there is room for all pods".to_owned());
        }
    }

    /// Load comes or goes, and the autoscalers follow.
    pub(super) fn load(&mut self) {
        if self.cluster.most.is_none() {
            return;
        }
        let (stable, canary) = (self.rng.pick(&[1, 2, 4, 8]), self.rng.pick(&[1, 3, 8]));
        let before = self.cluster.replicas();
        self.invariants.shrinks(&self.cluster);
        self.cluster.autoscale(stable, canary);
        self.note(|s| format!("load: from {before} to {} pods, canary {canary}", s.cluster.replicas()));
    }

    /// Writes of some kinds are not accepted from now on, or all are again.
    pub(super) fn refuse(&mut self) {
        self.cluster.refusing = self.some_writes();
        self.note(|s| format!("refused from now on: {:?}", s.cluster.refusing));
    }

    /// Writes of some kinds fail from now on, or none does any more.
    pub(super) fn fail(&mut self) {
        self.cluster.failing = self.some_writes();
        self.note(|s| format!("failing from now on: {:?}", s.cluster.failing));
    }

    fn some_writes(&mut self) -> Refusing {
        let percent = self.rng.pick(&[0, 25, 60]);
        // An ingress controller's own webhook that is away is the commonest.
        let routes = self.rng.pick(&[&[][..], &[Verb::Update], &[Verb::Update, Verb::Delete]]);
        let mut some: Refusing = routes.iter().map(|verb| ("Ingress", *verb)).collect();
        for kind in KINDS {
            for verb in [Verb::Create, Verb::Update, Verb::Delete] {
                if self.rng.chance(percent) {
                    some.insert((kind, verb));
                }
            }
        }
        some
    }

    /// Templates and policies change around the plan.
    pub(super) fn plans(&mut self) {
        match self.rng.below(3) {
            0 => self.cluster.full = !self.cluster.full,
            1 => self.spec = Err("analysis template \"share\" does not exist".to_owned()),
            _ => self.spec = self.intended.clone(),
        }
        self.cluster.touch();
        self.note(|s| format!("room {}, plan {:?}", !s.cluster.full, s.spec.as_ref().err()));
    }
}

/// A change of the record by hand: half of them are nothing that Haldane would write.
fn edit(state: &mut RolloutState, field: u64, number: u8) {
    let Some(rollout) = &mut state.rollout else { return };
    match field {
        0 => {
            if let Stage::Step { index, .. } = &mut rollout.stage {
                *index = usize::from(number % 8);
            }
        }
        1 => rollout.traffic.weight = Weight::try_from(number % 101).unwrap(),
        2 => rollout.canary_replicas = i32::from(number) - 100,
        3 => rollout.baseline_replicas = i32::from(number) - 100,
        4 => rollout.traffic.seen_at = None,
        5 => rollout.traffic.headers = [usize::from(number % 4)].into(),
        _ => rollout
            .runs
            .iter_mut()
            .flat_map(|record| &mut record.run.results)
            .for_each(|result| result.count = -1),
    }
}
