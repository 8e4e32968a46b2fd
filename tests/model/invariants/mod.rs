//! What must hold after every request, whatever happened before it.

mod objects;
pub mod refusals;
pub mod rest;

use crate::sim::{
    cluster::{Cluster, hash},
    process::Request,
    writes::Write,
};
use haldane::{
    decide::{DeploymentWrite, state_validation},
    domain::{
        metric::{AnalysisPhase, AnalysisRun},
        names::{TemplateHash, Weight},
        request::Verb,
        state::{Rollout, RolloutState, Stage},
        strategy::Step,
    },
    objects::manifest::Kind,
    routers,
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a schedule has shown so far.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is something else that has happened")]
pub struct Invariants {
    /// The last recorded state.
    pub before: Arc<RolloutState>,
    /// Templates that may run outside a canary.
    trusted: BTreeSet<TemplateHash>,
    /// An abort whose record was deleted: it must be remembered by the Deployment.
    aborted: Option<TemplateHash>,
    /// Orders that people gave, by id.
    pub orders: BTreeMap<String, Verb>,
    /// Answers that the provider gave, by run.
    pub answers: BTreeMap<String, i32>,
    /// How often a process died: each may count as an error of every metric that was under way.
    pub deaths: i32,
    /// When a metric of a run was last asked and answered with data.
    pub evidence: BTreeMap<(String, String), Timestamp>,
    /// Reasons of the Events that were published.
    pub published: Vec<&'static str>,
    /// A process has died, or was not answered, after it had recorded what it would have published.
    pub events_lost: bool,
    /// What proxies know is no longer Haldane's doing alone: somebody tampered, or the clock jumped.
    pub tampered: bool,
    /// A template was started natively that may be bad: pods may be missing in the end.
    native: bool,
    /// A write has failed since a state was recorded last.
    pub hampered: bool,
    /// Stable has had ready pods and nobody has taken them away.
    serving: bool,
}

/// A promise that was broken.
pub type Violation = String;

impl Invariants {
    /// At the start version `a` serves.
    pub fn new() -> Self {
        Self {
            before: Arc::default(),
            trusted: BTreeSet::from([hash("a")]),
            aborted: None,
            orders: BTreeMap::new(),
            answers: BTreeMap::new(),
            deaths: 0,
            evidence: BTreeMap::new(),
            published: Vec::new(),
            events_lost: false,
            tampered: false,
            native: false,
            hampered: false,
            serving: true,
        }
    }

    /// A template that admission let start natively; `untried` = where nothing served.
    pub fn trust(&mut self, template: TemplateHash, untried: bool) {
        self.trusted.insert(template);
        self.native |= untried;
        self.serving &= !untried;
    }

    /// Whether a template may run outside a canary.
    pub fn trusts(&self, template: &TemplateHash) -> bool {
        self.trusted.contains(template)
    }

    /// Somebody else changes the size: which pods go, while two versions are there, Kubernetes decides.
    pub fn shrinks(&mut self, cluster: &Cluster) {
        self.native |= cluster.stable_sets().filter(|set| set.wanted > 0).count() > 1;
    }

    /// A template that nobody could hold.
    pub fn bypassed(&mut self, template: TemplateHash) {
        self.trust(template, true);
    }

    /// The Deployment is another one with the same template.
    pub fn recreated(&mut self, cluster: &Cluster) {
        self.trust(cluster.wanted_hash(), true);
        self.before = Arc::default();
        self.aborted = None;
        self.tampered = true;
    }

    /// The record is gone, and with it what was known of the rollout, except an abort that was told.
    pub fn forget(&mut self, cluster: &Cluster) {
        let before = std::mem::take(&mut self.before);
        let told = cluster.condition("Progressing")["message"].take();
        let aborted = before.rollout.as_ref().filter(|rollout| rollout.abort_message() == told.as_str());
        let held = cluster.is_held() && cluster.is_paused();
        self.aborted =
            aborted.map(|rollout| rollout.hash.clone()).filter(|hash| held && *hash == cluster.wanted_hash());
        self.tampered = true;
    }

    /// After one write of a controller; `outdated` = by one that no longer leads and does not know it.
    pub fn after_write(
        &mut self,
        request: &Request,
        outdated: bool,
        cluster: &Cluster,
    ) -> Result<(), Violation> {
        match &request.write {
            Write::State(state) => {
                self.hampered = false;
                self.on_state(state, request, cluster)
            }
            // The leader takes it back at once; until then it must do no harm.
            Write::Apply(manifest) if outdated && cluster.is_new(manifest) => objects::is_harmless(manifest),
            Write::Apply(manifest) => objects::on_apply(manifest, request, self.tampered, cluster),
            Write::Deployment(DeploymentWrite::Release) => self.on_release(cluster),
            Write::Deployment(DeploymentWrite::Hold | DeploymentWrite::Return)
            | Write::Conditions(_)
            | Write::ClearCondition
            | Write::Empty(_) => Ok(()),
            Write::Deployment(DeploymentWrite::Leave) | Write::Forget => Self::on_leave(request),
            Write::Delete(kind, name) => self.on_delete(*kind, name, cluster),
        }
    }

    /// After anything.
    pub fn always(&mut self, cluster: &Cluster) -> Result<(), Violation> {
        let ready = cluster.ready() > 0;
        // Pods that a person has taken away may still be there for a moment.
        let stays = cluster.stable_sets().any(|set| set.wanted > 0 && set.ready(cluster.now) > 0);
        if cluster.replicas() == 0 {
            self.serving = false;
        } else if ready {
            self.serving |= stays;
        } else if self.serving && !self.native {
            return Err("stable has no ready pod: NGINX answers 503".to_owned());
        }
        let stray =
            cluster.stable_sets().find(|set| !set.pods.is_empty() && !self.trusted.contains(&set.hash));
        match stray {
            Some(set) => {
                Err(format!("version {} runs outside the canary, but was not promoted", set.version))
            }
            None => Ok(()),
        }
    }

    fn on_state(
        &mut self,
        state: &Arc<RolloutState>,
        request: &Request,
        cluster: &Cluster,
    ) -> Result<(), Violation> {
        state_validation::check(state)
            .map_err(|finding| format!("records what it would not read: {finding}"))?;
        let before = std::mem::replace(&mut self.before, Arc::clone(state));
        let Some(now) = &state.rollout else {
            self.aborted = None;
            return Ok(());
        };
        self.stays_aborted(now, state, cluster)?;
        if !self.tampered {
            refusals::is_honest(now, cluster)?;
        }
        if now.stage == Stage::PromoteRoll {
            self.trusted.insert(now.hash.clone());
        }
        for record in &now.runs {
            let results = record.run.results.iter();
            let counted: i32 = results.clone().map(|result| result.count + result.error).sum();
            let died = results.filter(|result| result.attempt.is_some()).count();
            let excused = self.deaths * i32::try_from(died).unwrap();
            let answered = self.answers.get(&record.run.name).copied().unwrap_or(0) + excused;
            if counted > answered {
                return Err(format!("{} counts {counted} measurements of {answered}", record.run.name));
            }
        }
        let Some(old) = before.rollout.as_ref().filter(|old| old.revision == now.revision) else {
            return Ok(());
        };
        let order = if before.handled_request == state.handled_request {
            None
        } else {
            state.handled_request.as_ref().and_then(|id| self.orders.get(id)).copied()
        };
        self.on_progress(old, now, order, request, cluster)
    }

    /// Until another template comes, or an order.
    fn stays_aborted(
        &mut self,
        now: &Rollout,
        state: &RolloutState,
        cluster: &Cluster,
    ) -> Result<(), Violation> {
        let verb = state.handled_request.as_ref().and_then(|id| self.orders.get(id));
        if cluster.wanted_hash() != now.hash || (is_aborted(now) && verb != Some(&Verb::Retry)) {
            self.aborted = None;
        }
        match &self.aborted {
            Some(hash) if *hash == now.hash && !is_aborted(now) => {
                Err("an aborted template is tried again, because its record was deleted".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn on_progress(
        &self,
        old: &Rollout,
        now: &Rollout,
        order: Option<Verb>,
        request: &Request,
        cluster: &Cluster,
    ) -> Result<(), Violation> {
        if is_aborted(old) && !is_aborted(now) && order != Some(Verb::Retry) && !is_ending(now) {
            return Err(format!("revision {} goes on after its abort: {:?}", now.revision, now.stage));
        }
        if now.attempt != old.attempt {
            return Ok(());
        }
        let Some(left) = left_steps(old, now) else { return Ok(()) };
        if order.is_none()
            && (now.traffic.weight > old.traffic.weight || is_promoting(now) && !is_promoting(old))
        {
            self.is_seen(old, now)?;
        }
        let skipped = matches!(order, Some(Verb::PromoteFull));
        for index in left.clone() {
            // An order skips the step at which it is given.
            if skipped
                || (index == left.start
                    && matches!(order, Some(Verb::Promote | Verb::SkipStep | Verb::Resume)))
            {
                continue;
            }
            self.on_left_step(index, now, request, cluster)?;
        }
        // A terminated run was overruled by a person, or ended by the promotion.
        let bad = |run: &AnalysisRun| {
            matches!(run.phase, AnalysisPhase::Failed | AnalysisPhase::Error) && !run.terminate
        };
        match now.runs.iter().find(|record| bad(&record.run)) {
            Some(record) if !is_aborted(now) && !is_ending(now) => {
                Err(format!("goes on although {} is {}", record.run.name, record.run.phase))
            }
            _ => Ok(()),
        }
    }

    /// The weight rose further, or the promotion began, by itself: every metric in the background has had data since
    /// the canary got traffic, unless a person has said that it need not.
    fn is_seen(&self, old: &Rollout, now: &Rollout) -> Result<(), Violation> {
        let is_further = old.traffic.weight > Weight::ZERO || (is_promoting(now) && !is_promoting(old));
        // A template that was stable lately needs no trial; the rest of a promotion was decided at its beginning.
        let is_decided = is_promoting(old) || old.stage == Stage::Start;
        let orders = [Verb::Promote, Verb::PromoteFull, Verb::SkipStep];
        let accepted = self.orders.values().any(|verb| orders.contains(verb));
        let newest = now.runs.iter().rev().find(|record| record.step.is_none());
        // The step with which the analysis begins cannot wait for it.
        let background = now.strategy().background.as_ref();
        let begins = now.step_index().zip(background).is_some_and(|(index, of)| of.starting_step >= index);
        let Some(record) = newest.filter(|_| !begins).filter(|_| is_further && !is_decided && !accepted)
        else {
            return Ok(());
        };
        let unseen = record.run.specs.iter().find(|spec| {
            let seen = self.evidence.get(&(record.run.name.clone(), spec.name.clone()));
            seen.is_none_or(|seen| *seen < now.exposed_at.unwrap_or(now.started_at))
        });
        match unseen {
            Some(spec) => {
                Err(format!("goes on to {} although {} saw nothing of it", now.traffic.weight, spec.name))
            }
            None => Ok(()),
        }
    }

    /// A step was left by itself: it had its analysis, and its traffic.
    fn on_left_step(
        &self,
        index: usize,
        now: &Rollout,
        request: &Request,
        cluster: &Cluster,
    ) -> Result<(), Violation> {
        if let Some(Step::Analysis(_)) = now.strategy().steps.get(index) {
            let mut runs = now.runs.iter().filter(|record| record.step == Some(index));
            match runs.next_back().map(|record| record.run.phase) {
                Some(AnalysisPhase::Successful) => {}
                phase => return Err(format!("analysis step {index} was passed with {phase:?}")),
            }
        }
        if routers::by_pods(now.strategy()) {
            return Ok(());
        }
        let seen = &request.look.seen;
        if seen.world.routes("Ingress").is_empty() || seen.world.services.is_empty() {
            return Err(format!("step {index} was left while nothing leads traffic to the canary"));
        }
        let (weight, proxied) = (now.strategy().weight_at(index), cluster.proxied_weight());
        if proxied == weight.percent() || self.tampered {
            return Ok(());
        }
        Err(format!("step {index} was left at weight {weight} while proxies still use {proxied}"))
    }

    fn on_release(&self, cluster: &Cluster) -> Result<(), Violation> {
        let wanted = cluster.wanted_hash();
        let state = cluster.state();
        if let Some(rollout) = state.rollout.as_ref().filter(|r| is_aborted(r) && r.hash == wanted) {
            return Err(format!("revision {} is released after its abort", rollout.revision));
        }
        if self.trusted.contains(&wanted) {
            return Ok(());
        }
        Err("a template is released that was neither promoted nor stable".to_owned())
    }

    /// A Deployment is left alone only when no rollout of it is under way, and its template was not held when it was read.
    fn on_leave(request: &Request) -> Result<(), Violation> {
        match &request.look.stored.state.rollout {
            Some(rollout) => {
                Err(format!("revision {} is left alone at {:?}", rollout.revision, rollout.stage))
            }
            None if request.look.seen.is_held() => Err("a held template is left alone".to_owned()),
            None => Ok(()),
        }
    }

    fn on_delete(&self, kind: Kind, name: &str, cluster: &Cluster) -> Result<(), Violation> {
        let proxied = cluster.proxied_weight();
        let carries = matches!(kind, Kind::DEPLOYMENT | Kind::SERVICE);
        // Where the route cannot go, NGINX sends everything to stable once the canary is gone.
        let is_last_resort = kind == Kind::DEPLOYMENT && (cluster.routes_are_fixed() || self.hampered);
        if carries && proxied > 0 && !self.tampered && !is_last_resort {
            return Err(format!("{kind} {name} is removed while proxies still send it {proxied} %"));
        }
        Ok(())
    }
}

fn is_aborted(rollout: &Rollout) -> bool {
    rollout.abort_message().is_some()
}

fn is_promoting(rollout: &Rollout) -> bool {
    matches!(rollout.stage, Stage::PromoteScale | Stage::PromoteShift | Stage::PromoteRoll)
}

fn is_ending(rollout: &Rollout) -> bool {
    matches!(rollout.stage, Stage::Retreat { .. })
}

/// The steps that lie between two states of one attempt; `None` when it went back.
fn left_steps(old: &Rollout, now: &Rollout) -> Option<std::ops::Range<usize>> {
    let count = old.strategy().steps.len();
    let position = |rollout: &Rollout| match rollout.stage {
        Stage::Start => Some(0),
        Stage::Step { index, .. } => Some(index),
        Stage::PromoteScale | Stage::PromoteShift | Stage::PromoteRoll => Some(count),
        Stage::Retreat { .. } | Stage::Aborted { .. } => None,
    };
    Some(position(old)?..position(now)?)
}
