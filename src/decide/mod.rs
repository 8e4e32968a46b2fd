//! L2: the rollout's decision. State, observation and time in; new state and everything to be done out.
//!
//! The caller records [`Plan::state`] first and then makes the world so. A crash anywhere in between
//! repeats work at the next call and skips none, because nothing advances before it was observed.

mod analyses;
mod events;
mod evidence;
mod promotion;
mod refusal;
mod rehearsal;
pub mod report;
mod share;
mod steps;
mod turn;
mod unfollowed;
mod unready;
pub mod verbs;
pub mod view;
mod waits;
mod writes;

mod blocked;
pub mod bypass;
mod condition;
mod crash_guard;
mod decision;
mod desired;
#[cfg(test)]
pub(crate) mod fixtures;
mod freeze;
mod lag;
mod lifecycle;
mod measuring;
pub mod pass;
mod reach;
pub mod state_validation;
pub mod summary;
pub mod troubles;

pub use condition::{ABORT_PREFIX, Condition, RELEASE};
pub use decision::{Input, Measurements, Wait};
pub use events::{Event, EventType};
pub use freeze::{Draft, Frozen, Unfit, freeze};
pub use measuring::Measuring;
pub use refusal::Refusal;
pub use steps::describe;
pub use turn::behind_another;
pub use view::RolloutView;
pub use waits::{WaitReason, Waits, whole_seconds};
pub use writes::{Attempt, Write};

use crate::{
    domain::{
        hosts::Hosts,
        metric::{MetricSpec, SecretKeyRef},
        names::TemplateHash,
        observed::Observed,
        state::{Rollout, RolloutState, Stage},
    },
    objects::manifest::{Kind, Manifest},
};
use decision::Decision;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Everything that follows from one look at the world.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// To be recorded before anything else is done.
    pub state: RolloutState,
    /// Objects of ours that must be made or changed, in this order.
    pub apply: Vec<Manifest>,
    /// Objects of ours that must go, in this order.
    pub delete: Vec<(Kind, String)>,
    /// The one write to the user's Deployment.
    pub deployment: Option<DeploymentWrite>,
    /// Traffic is taken back: each write for that is tried, whatever becomes of the others, and a route that
    /// cannot be changed is removed.
    pub retreats: bool,
    /// What takes the traffic from the canary where its routes can neither be changed nor removed: the canary
    /// Deployment without pods. Where that is refused as well, it is removed.
    pub last_resort: Option<Manifest>,
    /// Name of a `ReplicaSet` of the user's Deployment that was made before its template was held, and
    /// must have no pods.
    pub empty: Option<String>,
    /// Conditions of the user's Deployment to set.
    pub conditions: Vec<Condition>,
    /// Metrics to measure now.
    pub measure: Vec<DueMeasurement>,
    /// Events to publish once the state is recorded.
    pub events: Vec<Event>,
    /// The Event to publish once the Deployment is written: the state does not record that it happened.
    pub held_late: Option<Event>,
    /// When to look again, if nothing happens before.
    pub wake_at: Option<Timestamp>,
}

/// What is written to the user's Deployment: `spec.paused` and keys of ours, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentWrite {
    /// `paused: true`: the changed template must not start natively.
    Hold,
    /// `paused` and the mark of the hold go away: the template may roll natively.
    Release,
    /// The label of a managed Deployment and what orders have left go away: nothing opts it in any more.
    Leave,
    /// The label of a managed Deployment comes back.
    Return,
}

/// A metric whose time has come.
#[derive(Debug, Clone, PartialEq)]
pub struct DueMeasurement {
    /// Name of the run.
    pub run: String,
    /// The metric with resolved arguments.
    pub metric: MetricSpec,
    /// Which measurement of this metric it is, from 1; the same while it has not been judged.
    pub number: i32,
    /// The run's secret arguments, to be filled in last.
    pub secrets: BTreeMap<String, SecretKeyRef>,
    /// The pod template that is released.
    pub template: TemplateHash,
    /// When the run began: a later one may have its name, after the record was lost.
    pub begun: Option<Timestamp>,
    /// The only hosts that may be asked, if a policy names some.
    pub hosts: Option<Vec<Hosts>>,
}

/// What must be looked at before [`decide`], in addition to the Deployment and the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a look-up of its own")]
pub struct Needs {
    /// Everything around the Deployment; false while nothing is under way.
    pub surroundings: bool,
    /// Endpoints of the user's Services as well.
    pub endpoints: bool,
    /// Whether stable is being replaced, so that its pods are waited for and not the canary's.
    pub rolls: bool,
    /// Pods that are not available as well.
    pub pods: bool,
    /// What may start now, if there is room for it.
    pub start: Start,
}

/// What may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Nothing.
    Nothing,
    /// A rollout: its plan has to be looked at.
    Rollout,
    /// An aborted rollout, again, by its frozen plan.
    Retry,
}

/// Says what to look at. `leftovers` = objects of ours exist.
#[must_use]
pub fn needs(state: &RolloutState, deployment: &Observed, leftovers: bool, now: Timestamp) -> Needs {
    let (rollout, held) = (state.rollout.as_ref(), deployment.is_held());
    let frozen = |rollout: &Rollout| {
        rollout.hash == deployment.template_hash() && !matches!(rollout.stage, Stage::Retreat { .. })
    };
    let is_open = match rollout {
        Some(rollout) => held && !frozen(rollout),
        None => held || leftovers,
    };
    let start = match is_open {
        true => Start::Rollout,
        false if verbs::is_retried(state, deployment) => Start::Retry,
        false => Start::Nothing,
    };
    let rolls = rollout.is_some_and(|rollout| rollout.stage == Stage::PromoteRoll);
    Needs {
        surroundings: rollout.is_some() || held || leftovers || bypass::is_suspected(state, deployment),
        endpoints: rolls && deployment.has_rolled(),
        rolls,
        pods: rollout.is_some_and(|rollout| lag::asks_for_pods(rollout, deployment, now)),
        start,
    }
}

/// Decides. Calling it again with its own state and the same world changes nothing more.
#[must_use]
pub fn decide(mut state: RolloutState, input: &Input<'_>) -> Plan {
    let mut decision = Decision::new(input, &state);
    lifecycle::recover(&mut state, &mut decision);
    verbs::carry_out(&mut state, &mut decision);
    lifecycle::follow_template(&mut state, &mut decision);
    if let Some(rollout) = &mut state.rollout {
        decision.observe(rollout);
        if !blocked::waits(rollout, &mut decision) {
            analyses::advance(rollout, &mut decision);
            share::observe(rollout, &mut decision);
            unready::take_back(rollout, &mut decision);
            advance(rollout, &mut decision);
            refusal::on_deadline(rollout, &mut decision);
        }
        lag::note(rollout, &mut decision);
    }
    lifecycle::finish_retreat(&mut state, &mut decision);
    lifecycle::queue_retry(&mut state, &mut decision);
    desired::plan(state, decision)
}

/// Moves through the stages as far as the observed world allows.
fn advance(rollout: &mut Rollout, decision: &mut Decision<'_>) {
    // Each pass enters another stage or step, so the plan's length bounds the passes.
    for _ in 0..rollout.strategy().steps.len() + 5 {
        decision.wake_at = decision.analysis_wake_at;
        let before = (rollout.stage.clone(), rollout.traffic.clone());
        match rollout.stage {
            Stage::Start => steps::start(rollout, decision),
            Stage::Step { index, entered_at, .. } => steps::step(rollout, index, entered_at, decision),
            Stage::PromoteScale => promotion::scale(rollout, decision),
            Stage::PromoteShift => promotion::shift(rollout, decision),
            Stage::PromoteRoll => promotion::roll(rollout, decision),
            Stage::Retreat { .. } | Stage::Aborted { .. } => {}
        }
        if before.0 == rollout.stage && before.1 == rollout.traffic {
            break;
        }
    }
}
