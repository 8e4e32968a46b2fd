//! One look at the world, and what has been concluded from it so far.

use super::{DueMeasurement, Event, freeze::Frozen, report};
use crate::{
    analysis::Answer,
    domain::{
        hosts::Hosts,
        k8s::json_pointer::part,
        names::{TemplateHash, Weight},
        observed::Observed,
        state::{AbortReport, HistoryEntry, Lag, Outcome, Refused, Rollout, RolloutState, Stage, Traffic},
    },
    objects::{
        canary_deployment::{autoscaled_size, canary_name},
        manifest::{Kind, Manifest, Owner, TEMPLATE_ANNOTATION, find},
        pair::Pair,
    },
    routers::{self, size, traffic},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// The decision's input in addition to the state.
#[derive(Debug)]
pub struct Input<'a> {
    /// The cluster.
    pub seen: &'a Observed,
    /// The user's Deployment.
    pub owner: &'a Owner,
    /// The plan that a rollout starting now would have, or why none can start.
    pub next: &'a Result<Frozen, String>,
    /// Why what could start now must wait.
    pub wait: Option<&'a Wait>,
    /// Finished and unfinished measurements.
    pub measurements: &'a Measurements,
    /// The time.
    pub now: Timestamp,
}

/// Why what could start now must wait, although its plan can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// As many canaries as a policy allows run already, or one behind the same Service.
    Queue(String),
    /// A policy does not let it start: the plan, the policy or the time is another than at admission.
    Policy(String),
}

/// Measurements by run name.
#[derive(Debug, Clone, Default)]
pub struct Measurements {
    /// Finished, not yet judged.
    pub answers: BTreeMap<String, Vec<Answer>>,
    /// Names of metrics being measured.
    pub in_flight: BTreeMap<String, Vec<String>>,
    /// This leader's term of office, if the leader before it died instead of stepping down.
    pub after_death: Option<String>,
}

/// What is concluded during one decision.
#[derive(Debug)]
pub(super) struct Decision<'a> {
    pub(super) input: &'a Input<'a>,
    /// The recorded stable template.
    known_stable: Option<TemplateHash>,
    /// The write that was refused last.
    pub(super) refused: Option<Refused>,
    pub(super) events: Vec<Event>,
    pub(super) measure: Vec<DueMeasurement>,
    pub(super) wake_at: Option<Timestamp>,
    pub(super) analysis_wake_at: Option<Timestamp>,
    pub(super) ended: Vec<HistoryEntry>,
    /// Of the rollout that is aborted now.
    pub(super) report: Option<AbortReport>,
    /// The template must be held although no rollout of it is recorded yet, and this is what to report then.
    pub(super) held_late: Option<Event>,
    /// See [`Rollout::metric_hosts`].
    pub(super) metric_hosts: Option<Vec<Hosts>>,
    /// What routes the traffic that was asked about last: mostly it is asked about twice.
    routing: RefCell<Option<(Traffic, Rc<[Manifest]>)>>,
}

/// What matters of the canary Deployment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Canary {
    /// Pods of the rollout's template that are available.
    pub(super) available: i32,
}

impl<'a> Decision<'a> {
    pub(super) fn new(input: &'a Input<'a>, state: &RolloutState) -> Self {
        Self {
            input,
            known_stable: state.stable.clone(),
            refused: state.refused.clone(),
            events: Vec::new(),
            measure: Vec::new(),
            wake_at: None,
            analysis_wake_at: None,
            ended: Vec::new(),
            report: None,
            held_late: None,
            metric_hosts: None,
            routing: RefCell::default(),
        }
    }

    pub(super) fn seen(&self) -> &'a Observed {
        self.input.seen
    }

    pub(super) fn now(&self) -> Timestamp {
        self.input.now
    }

    /// Looks again at `at`, or before.
    pub(super) fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Whether `span` has passed since `since`; if not, looks again when it has.
    pub(super) fn passed(&mut self, since: Timestamp, span: SignedDuration) -> bool {
        let due = since.saturating_add(span).unwrap_or(Timestamp::MAX);
        if due <= self.now() {
            return true;
        }
        self.wake(due);
        false
    }

    /// Whether it is time to measure; if not, looks again when it is.
    pub(super) fn is_time_to_measure(&mut self, at: Timestamp) -> bool {
        let is_due = at <= self.now();
        if !is_due {
            self.wake_to_measure(at);
        }
        is_due
    }

    /// Looks again at `at`, or before, whatever the steps wait for.
    pub(super) fn wake_to_measure(&mut self, at: Timestamp) {
        self.analysis_wake_at = Some(self.analysis_wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    pub(super) fn pair<'b>(&'b self, rollout: &'b Rollout) -> Pair<'b> {
        Pair {
            seen: self.seen(),
            owner: self.input.owner,
            strategy: rollout.strategy(),
            rewrite: &rollout.rewrite,
            by_pods: routers::by_pods(rollout.strategy()),
        }
    }

    /// Identity of what serves: the template that was stable last, while it has pods. Past a webhook
    /// that is away another may come to have more of them, which does not make it trusted.
    pub(super) fn stable_hash(&self) -> Option<TemplateHash> {
        let seen = self.seen();
        let serves = |hash: &&TemplateHash| {
            seen.replica_sets.iter().any(|set| set.ready > 0 && set.template == **hash)
        };
        let known = self.known_stable.as_ref().filter(serves);
        known.or_else(|| seen.stable_replica_set().map(|set| &set.template)).cloned()
    }

    pub(super) fn canary(&self, rollout: &Rollout) -> Canary {
        let name = canary_name(&self.input.owner.name);
        let Some(object) = find(&self.seen().ours, Kind::DEPLOYMENT, &name) else { return Canary::default() };
        let number = |pointer: &str| part(object, pointer).and_then(Value::as_i64).unwrap_or(0);
        let template = part(object, "/metadata/annotations").and_then(|a| a.get(TEMPLATE_ANNOTATION));
        let current = template.and_then(Value::as_str) == Some(rollout.hash.as_str())
            && number("/status/observedGeneration") >= number("/metadata/generation");
        let available = number("/status/availableReplicas").min(number("/status/updatedReplicas"));
        // Pods that are about to be removed are still counted in the status.
        let available = part(object, "/spec/replicas").and_then(Value::as_i64).unwrap_or(1).min(available);
        Canary { available: if current { i32::try_from(available).unwrap_or(i32::MAX) } else { 0 } }
    }

    /// The size that the canary Deployment has, which an autoscaler may have enlarged; at least 1.
    pub(super) fn canary_size(&self) -> i32 {
        autoscaled_size(self.seen(), self.input.owner, 1)
    }

    /// The size that the canary needs to carry `weight`.
    pub(super) fn size_for(&self, rollout: &Rollout, weight: Weight) -> i32 {
        size::pods_for(rollout.strategy(), weight, self.stable_size(rollout))
    }

    /// The size that the canary has at the step at `index`.
    pub(super) fn size_at(&self, rollout: &Rollout, index: usize) -> i32 {
        size::canary_size(rollout.strategy(), index, rollout.traffic.weight, self.stable_size(rollout))
    }

    /// Stable's size before the canary took traffic, or now if it has grown. Where pods are the split, what
    /// it is now is what the canary is compared with.
    fn stable_size(&self, rollout: &Rollout) -> i32 {
        let now = self.seen().replicas();
        if routers::by_pods(rollout.strategy()) { now } else { rollout.baseline_replicas.max(now) }
    }

    /// Writes down what has been seen: traffic in force, pod hashes, a canary that lags.
    pub(super) fn observe(&mut self, rollout: &mut Rollout) {
        self.metric_hosts.clone_from(&rollout.metric_hosts);
        // What was undone by others is not in force any more, and has to reach the proxies again.
        let since = rollout.traffic.seen_at.unwrap_or(self.now());
        rollout.traffic.seen_at = self.traffic_is_in_force(rollout).then_some(since);
        if rollout.traffic.seen_at.is_some() {
            rollout.traffic.before = None;
            if let Some(last) = rollout.traffic.last.take() {
                let message = format!("Traffic weight updated from {last} to {}", rollout.traffic.weight);
                self.events.push(Event::normal("TrafficWeightUpdated", message));
            }
        }
        if rollout.traffic.weight > Weight::ZERO && rollout.traffic.seen_at.is_some() {
            rollout.exposed_at.get_or_insert(self.now());
        }
        let canary_set = self.seen().canary_sets.iter().find(|set| set.wanted > 0);
        if let (Some(set), true) = (canary_set, self.canary(rollout).available > 0) {
            rollout.canary_pod_hash = Some(set.pod_hash.clone());
        }
        let stable = self.stable_hash().filter(|stable| *stable != rollout.hash);
        let mut sets = self.seen().replica_sets.iter();
        if let Some(set) = sets.find(|set| set.wanted > 0 && Some(&set.template) == stable.as_ref()) {
            rollout.stable_pod_hash = Some(set.pod_hash.clone());
        }
    }

    /// The objects that route what `rollout` asks for now.
    pub(super) fn routing(&self, rollout: &Rollout) -> Rc<[Manifest]> {
        let mut known = self.routing.borrow_mut();
        match &*known {
            Some((known, objects)) if *known == rollout.traffic => Rc::clone(objects),
            _ => {
                let objects: Rc<[Manifest]> = traffic::desired(&self.pair(rollout), &rollout.traffic).into();
                *known = Some((rollout.traffic.clone(), Rc::clone(&objects)));
                objects
            }
        }
    }

    /// Whether traffic can reach the canary. A plan that was recorded before plans named their router is taken at
    /// its word.
    pub(super) fn is_routed(&self, rollout: &Rollout) -> bool {
        rollout.strategy().router.is_none() || traffic::is_routed(&self.pair(rollout))
    }

    /// Whether the traffic that the rollout asks for is in force, as far as the cluster shows it.
    fn traffic_is_in_force(&mut self, rollout: &mut Rollout) -> bool {
        let retreats = matches!(rollout.stage, Stage::Retreat { .. } | Stage::Aborted { .. });
        let pods = self.size_for(rollout, rollout.traffic.weight);
        let found = traffic::in_force(&self.pair(rollout), &self.routing(rollout), pods, retreats);
        self.is_followed(rollout, found, retreats)
    }

    /// Whether the traffic asked for has reached the data plane; if not, looks again when it has.
    pub(super) fn settled(&mut self, rollout: &Rollout) -> bool {
        let settle = rollout.strategy().settle.signed();
        rollout.traffic.seen_at.is_some_and(|seen_at| self.passed(seen_at, settle))
    }

    /// Whether the canary is large enough for a step to go on. `Err` when it is not, and has not grown for the
    /// progress deadline.
    pub(super) fn canary_is_sized(&mut self, rollout: &mut Rollout) -> Result<bool, String> {
        let needed = rollout.strategy().pods_needed(rollout.canary_replicas);
        self.canary_has(rollout, needed)
    }

    /// Whether `needed` canary pods are available. `Err` as for [`Decision::canary_is_sized`].
    pub(super) fn canary_has(&mut self, rollout: &mut Rollout, needed: i32) -> Result<bool, String> {
        let available = self.canary(rollout).available;
        if available >= needed {
            rollout.lagging = None;
            return Ok(true);
        }
        if self.is_stuck(rollout, available) {
            let deadline = self.seen().progress_deadline_seconds();
            let of_write = || self.refused.as_ref().map(ToString::to_string);
            let of_pods = self.seen().unavailable.as_ref().map(|why| why.message.clone());
            let why = of_pods.or_else(of_write).map(|why| format!(": {why}")).unwrap_or_default();
            return Err(format!(
                "canary has {available} of {needed} available pods and made no progress for {deadline}s{why}"
            ));
        }
        Ok(false)
    }

    /// Whether a number of pods that should grow has not grown for the progress deadline.
    pub(super) fn is_stuck(&mut self, rollout: &mut Rollout, available: i32) -> bool {
        let known = rollout.lagging.filter(|lag| available <= lag.available);
        let lag = known.unwrap_or(Lag { available, since: self.now() });
        rollout.lagging = Some(lag);
        let deadline = i64::from(self.seen().progress_deadline_seconds());
        self.passed(lag.since, SignedDuration::from_secs(deadline))
    }

    /// Takes all traffic back, now; what else follows is up to the outcome.
    pub(super) fn retreat(&mut self, rollout: &mut Rollout, outcome: Outcome, message: String) {
        // An aborted rollout already is in the history.
        if rollout.abort_message().is_none() {
            self.ended.push(HistoryEntry {
                revision: rollout.revision,
                hash: rollout.hash.clone(),
                outcome,
                started_at: rollout.started_at,
                ended_at: self.now(),
                baseline_replicas: rollout.baseline_replicas,
                message: message.clone(),
            });
        }
        rollout.traffic.ask(Weight::ZERO, false, self.now());
        if routers::by_pods(rollout.strategy()) {
            rollout.canary_replicas = 0;
        }
        rollout.manual_pause = None;
        rollout.lagging = None;
        rollout.unseen = None;
        rollout.share = None;
        rollout.stage = Stage::Retreat { outcome, since: self.now(), message };
    }

    /// Aborts with Argo's words.
    pub(super) fn abort(&mut self, rollout: &mut Rollout, why: &str) {
        let message = format!("Rollout aborted update to revision {}: {why}", rollout.revision);
        self.events.push(Event::warning("RolloutAborted", message.clone()));
        self.report = Some(report::of(rollout, self.seen(), self.stable_hash().as_ref()));
        self.retreat(rollout, Outcome::Aborted, format!("RolloutAborted: {message}"));
    }
}
