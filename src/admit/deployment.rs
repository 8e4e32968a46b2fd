//! A Deployment that is created or updated, as read from the request alone.

use super::{AdmitConfig, object::Object, rules};
use crate::{
    config::annotations::{Choice, INTERNAL_KEYS, choice},
    document::finding::Finding,
    domain::{
        k8s::json_pointer::part,
        keys,
        review::{Operation, Review, Stage, Verdict},
    },
    objects::marks::is_canary,
};
use jiff::Timestamp;
use std::fmt::Display;

/// Annotations that do not belong to the plan.
const NO_PLAN: [&str; 2] = [keys::DO, keys::OVERRIDE_FREEZE];

/// What the request alone decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is managed.
    Managed,
    /// It is not.
    Unmanaged,
    /// It has no annotation that decides: its Namespace, its routes and its record decide.
    Open,
}

/// What the request alone decides. In the validating phase the label shows what the mutating phase has decided.
fn standing(stage: Stage, new: Object<'_>) -> Standing {
    match choice(&new.annotations()) {
        Choice::In => Standing::Managed,
        Choice::Out => Standing::Unmanaged,
        // A canary of Haldane's belongs to its Deployment.
        Choice::Silent if is_canary(new.0) => Standing::Unmanaged,
        Choice::Silent if stage == Stage::Validate && is_marked(new) => Standing::Managed,
        Choice::Silent => Standing::Open,
    }
}

/// Whether the object has the label of managed Deployments.
pub(super) fn is_marked(object: Object<'_>) -> bool {
    object.labels().contains_key(keys::MANAGED)
}

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct DeploymentRequest<'a> {
    /// The request.
    pub review: &'a Review,
    /// Settings of the installation.
    pub config: &'a AdmitConfig,
    /// The time.
    pub now: Timestamp,
    /// The Deployment before; `None` when it is created.
    pub old: Option<Object<'a>>,
    /// The Deployment as it would be stored.
    pub new: Object<'a>,
    /// Whether its own annotations decide that it is managed.
    pub standing: Standing,
}

impl<'a> DeploymentRequest<'a> {
    /// Reads it. `None` if the request is about something else, or is Haldane's own write.
    #[must_use]
    pub fn read(stage: Stage, review: &'a Review, config: &'a AdmitConfig, now: Timestamp) -> Option<Self> {
        let is_deployment =
            review.group == "apps" && review.kind == "Deployment" && review.sub_resource.is_none();
        let writes = matches!(review.operation, Operation::Create | Operation::Update);
        if !is_deployment || !writes || review.user.username == config.own_user {
            return None;
        }
        let (old, new) = (review.old_object.as_ref().map(Object), Object(review.object.as_ref()?));
        Some(Self { review, config, now, old, new, standing: standing(stage, new) })
    }

    /// An annotation before the request.
    pub fn before(&self, key: &str) -> Option<&'a str> {
        self.old.and_then(|old| old.annotation(key))
    }

    /// Whether an existing Deployment gets another pod template.
    pub fn changes_template(&self) -> bool {
        self.old.is_some_and(|old| !old.has_template_of(self.new))
    }

    /// Whether the request changes the plan or the pods. Users get advice on these requests only, not on every order
    /// or pause.
    pub fn concerns_plan(&self) -> bool {
        let Some(old) = self.old else { return true };
        let (before, after) = (old.annotations(), self.new.annotations());
        let mut ours = before.keys().chain(after.keys()).filter(|key| key.starts_with(keys::PREFIX));
        let is_plan = |key: &str| !NO_PLAN.contains(&key) && !INTERNAL_KEYS.contains(&key);
        self.changes_template() || ours.any(|key| is_plan(key) && before.get(key) != after.get(key))
    }

    /// Whether the request may be refused for problems of the plan and of the objects around it: because it changes
    /// one of them, or starts a rollout.
    pub fn is_binding(&self) -> bool {
        let differs = |pointer| self.old.is_none_or(|old| part(old.0, pointer) != part(self.new.0, pointer));
        self.concerns_plan() || differs("/spec/strategy") || differs("/spec/selector")
    }

    /// The Namespace, or what was read from it.
    ///
    /// # Errors
    /// The refusal, when the Namespace could not be read.
    pub fn known<T>(&self, of_namespace: Result<T, impl Display>) -> Result<T, Verdict> {
        of_namespace.map_err(|why| {
            let problem = format!("the Namespace could not be read: {why}; try again");
            let finding = Finding::new("metadata.namespace", &self.review.namespace, problem);
            Verdict::invalid(rules::PLAN, vec![finding])
        })
    }
}
