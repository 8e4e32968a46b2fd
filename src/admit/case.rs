//! What a request is about. It is read once; each case has its questions about the cluster, and decides by the answers.

use super::{
    AdmitConfig,
    change::Change,
    config_map::ConfigMapWrite,
    deployment::DeploymentWrite,
    facts::{Fact, Facts, Questions},
    final_check::FinalCheck,
    hold::is_held,
    membership::Standing,
    namespace::NamespaceWrite,
    no_effect,
    object::Object,
    rehearsal::Rehearsal,
    scale::ScaleDown,
    stale_condition::Observation,
};
use crate::{
    config::namespace::Namespace,
    domain::review::{Review, Stage, Verdict},
};
use jiff::Timestamp;

/// An admission request, by what it is about.
#[derive(Debug)]
pub enum Case<'a> {
    /// Nothing is to be decided: the request is not Haldane's business, or what it writes is as strict as can be.
    NotOurs,
    /// An autoscaler asks for fewer pods.
    ScaleDown(ScaleDown),
    /// The deployment controller writes the status of a Deployment whose release was aborted.
    Observation(Observation<'a>),
    /// A policy profile or an analysis template is written.
    ConfigMap(ConfigMapWrite<'a>),
    /// A Namespace is written.
    Namespace(Box<NamespaceWrite<'a>>),
    /// A Deployment that nothing opts in is written.
    Unmanaged(Object<'a>),
    /// A Deployment is written, and may still be patched: a release, an order, a new plan or any other change.
    Change(Box<Change<'a>>),
    /// A Deployment is written, and this is its final form.
    FinalCheck(Box<FinalCheck<'a>>),
}

/// What follows from a request.
#[derive(Debug)]
pub struct Ruling {
    /// The answer.
    pub verdict: Verdict,
    /// Metrics to try, whose values are further warnings.
    pub rehearsals: Vec<Rehearsal>,
}

impl From<Verdict> for Ruling {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, rehearsals: Vec::new() }
    }
}

impl<'a> Case<'a> {
    /// Reads a request that is decided `now`.
    #[must_use]
    pub fn read(stage: Stage, review: &'a Review, config: &'a AdmitConfig, now: Timestamp) -> Self {
        let scale_down = || ScaleDown::read(review, now).map(Self::ScaleDown);
        let observation = || Observation::read(review, now).map(Self::Observation);
        let config_map = || ConfigMapWrite::read(review).map(Self::ConfigMap);
        let namespace = || NamespaceWrite::read(review, config).map(Box::new).map(Self::Namespace);
        let deployment = || Self::of_deployment(stage, DeploymentWrite::read(stage, review, config, now)?);
        let case = scale_down().or_else(observation).or_else(config_map).or_else(namespace);
        case.or_else(deployment).unwrap_or(Self::NotOurs)
    }

    fn of_deployment(stage: Stage, write: DeploymentWrite<'a>) -> Option<Self> {
        match stage {
            Stage::Warn => Some(Self::Unmanaged(write.new)),
            Stage::Mutate => Some(Self::Change(Box::new(Change::read(write)))),
            Stage::Validate if is_held(write.new) && write.standing == Standing::Managed => None,
            Stage::Validate => Some(Self::FinalCheck(Box::new(FinalCheck::read(write)))),
        }
    }

    /// Whether the Namespace of the object must be looked up before [`questions`](Self::questions) are asked.
    #[must_use]
    pub const fn needs_namespace(&self) -> bool {
        matches!(self, Self::Change(_) | Self::FinalCheck(_))
    }

    /// Reads the request in its Namespace, whose defaults complete it.
    #[must_use]
    pub fn in_namespace(self, namespace: Fact<Namespace>) -> Self {
        match self {
            Self::Change(change) => Self::Change(Box::new(change.in_namespace(namespace))),
            Self::FinalCheck(check) => Self::FinalCheck(Box::new(check.in_namespace(namespace))),
            other => other,
        }
    }

    /// What must be looked up before the case can be decided.
    #[must_use]
    pub fn questions(&self) -> Questions {
        match self {
            Self::NotOurs | Self::ConfigMap(_) | Self::Unmanaged(_) => Questions::default(),
            Self::ScaleDown(_) | Self::Observation(_) => Questions { state: true, ..Questions::default() },
            Self::Namespace(write) => write.questions(),
            Self::Change(change) => change.questions(),
            Self::FinalCheck(check) => check.questions(),
        }
    }

    /// Decides by the answers.
    #[must_use]
    pub fn decide(self, facts: &Facts) -> Ruling {
        match self {
            Self::NotOurs => Verdict::allow().into(),
            Self::ScaleDown(scale_down) => scale_down.decide(facts).into(),
            Self::Observation(observation) => observation.decide(facts).into(),
            Self::ConfigMap(write) => write.decide().into(),
            Self::Namespace(write) => write.decide(facts).into(),
            Self::Unmanaged(object) => no_effect::decide(object).into(),
            Self::Change(change) => change.decide(facts).unwrap_or_else(Ruling::from),
            Self::FinalCheck(check) => check.decide(facts).unwrap_or_else(|refusal| refusal).into(),
        }
    }
}
