//! What a request is about. It is read once. Each case has its questions about the cluster, and decides by the answers.

use super::{
    AdmitConfig,
    change::Change,
    config_map::ConfigMapRequest,
    deployment::{DeploymentRequest, Standing},
    facts::{Fact, Facts, Questions},
    final_check::FinalCheck,
    hold::is_held,
    namespace::NamespaceRequest,
    no_effect,
    object::Object,
    ruling::Ruling,
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
    /// Nothing needs to be decided: the request does not concern Haldane, or the Deployment is already held.
    NotOurs,
    /// An autoscaler asks for fewer pods.
    ScaleDown(ScaleDown),
    /// The deployment controller writes the status of a Deployment whose release was aborted.
    Observation(Observation<'a>),
    /// A policy profile, an analysis template or a routing of notifications is written.
    ConfigMap(ConfigMapRequest<'a>),
    /// A Namespace is written.
    Namespace(Box<NamespaceRequest<'a>>),
    /// A Deployment that nothing opts in is written.
    Unmanaged(Object<'a>),
    /// A Deployment is written, and may still be patched: a release, an order, a new plan or any other change.
    Change(Box<Change<'a>>),
    /// A Deployment is written, and this is its final form.
    FinalCheck(Box<FinalCheck<'a>>),
}

impl<'a> Case<'a> {
    /// Reads a request that is decided `now`.
    #[must_use]
    pub fn read(stage: Stage, review: &'a Review, config: &'a AdmitConfig, now: Timestamp) -> Self {
        let scale_down = || ScaleDown::read(review, now).map(Self::ScaleDown);
        let observation = || Observation::read(review, now).map(Self::Observation);
        let config_map = || ConfigMapRequest::read(review, config).map(Self::ConfigMap);
        let namespace = || NamespaceRequest::read(review, config).map(Box::new).map(Self::Namespace);
        let deployment = || Self::of_deployment(stage, DeploymentRequest::read(stage, review, config, now)?);
        let case = scale_down().or_else(observation).or_else(config_map).or_else(namespace);
        case.or_else(deployment).unwrap_or(Self::NotOurs)
    }

    fn of_deployment(stage: Stage, write: DeploymentRequest<'a>) -> Option<Self> {
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

    /// Completes the request with the defaults of its Namespace.
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
