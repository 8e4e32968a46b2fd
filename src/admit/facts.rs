//! What admission must know about the cluster. The shell looks it up; the decision only reads it.

use super::plan_review::claims::AccessModes;
use crate::{
    config::{profile::Bound, template_tree::Lookup},
    domain::{
        k8s::selector::Labels, observed::ReplicaSetView, request::Verb, state::RolloutState,
        strategy::TemplateRef, world::World,
    },
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Why a fact is missing that was not requested.
pub(super) const NOT_LOOKED_UP: &str = "it was not looked up";

/// A fact, or why it could not be looked up in time.
pub type Fact<T> = Result<T, String>;

/// What a [case](super::Case) must know to be decided; each answer becomes one of the [`Facts`].
#[expect(clippy::struct_excessive_bools, reason = "each is a look-up of its own, independent of the others")]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Questions {
    /// The recorded state.
    pub state: bool,
    /// What users have around the Deployment, and objects with the canary's names.
    pub pair: bool,
    /// Analysis templates.
    pub templates: BTreeSet<TemplateRef>,
    /// Whether the user may give this order.
    pub verb: Option<Verb>,
    /// Whether the user may release in a freeze.
    pub override_freeze: bool,
    /// Profiles that a Namespace with these labels binds.
    pub policy: Option<Labels>,
    /// `ReplicaSets` that a new Deployment would adopt.
    pub adoptable: bool,
}

/// An object that has a name that Haldane needs for its own objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Kind, for the message.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// It carries Haldane's mark.
    pub is_ours: bool,
}

/// What is around the Deployment, as far as admission must know it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Neighbours {
    /// What the controller will read as well.
    pub world: Arc<World>,
    /// Endpoints of the Services that select the pods.
    pub endpoints: Vec<EndpointSlice>,
    /// Objects of [`APIS`](super::plan_review::foreign_policies::APIS), raw, with `apiVersion` and `kind`.
    pub selecting: Vec<Value>,
    /// Why those could not be read.
    pub unread: Option<String>,
    /// Access modes of the claims that the pods mount.
    pub claims: AccessModes,
    /// Who has the names of the canary Deployment and of the state.
    pub holders: Vec<Holder>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The recorded state; `None` when nothing is recorded.
    pub state: Fact<Option<RolloutState>>,
    /// The objects around the Deployment.
    pub neighbours: Fact<Neighbours>,
    /// Templates that were found.
    pub templates: Fact<BTreeMap<TemplateRef, Lookup>>,
    /// Whether the user may give the order.
    pub may: Fact<bool>,
    /// Whether the user may release in a freeze.
    pub may_override: Fact<bool>,
    /// Profiles that bind the namespace, strictest mode first.
    pub policy: Fact<Vec<Bound>>,
    /// `ReplicaSets` that the Deployment selects and that have no controller.
    pub adoptable: Fact<Vec<ReplicaSetView>>,
}

impl Default for Facts {
    /// Nothing exists and nothing is allowed.
    fn default() -> Self {
        Self {
            state: Ok(None),
            neighbours: Ok(Neighbours::default()),
            templates: Ok(BTreeMap::new()),
            may: Ok(false),
            may_override: Ok(false),
            policy: Ok(Vec::new()),
            adoptable: Ok(Vec::new()),
        }
    }
}
