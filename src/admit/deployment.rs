//! A Deployment that is created or updated, as far as the request itself tells.

use super::{
    AdmitConfig,
    membership::{Standing, standing},
    object::Object,
    rules,
};
use crate::{
    config::annotations::INTERNAL_KEYS,
    document::finding::Finding,
    domain::{
        k8s::json_pointer::part,
        keys,
        review::{Operation, Review, Stage, Verdict},
    },
};
use jiff::Timestamp;
use std::fmt::Display;

/// Annotations that say nothing about the plan.
const NO_PLAN: [&str; 2] = [keys::DO, keys::OVERRIDE_FREEZE];

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct DeploymentWrite<'a> {
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
    /// Whether it says itself that it is managed.
    pub standing: Standing,
}

impl<'a> DeploymentWrite<'a> {
    /// Reads it; `None` when the request is about something else, or a write of Haldane's own.
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

    /// Whether the request is about the plan or the pods, and not only an order or a pause: then people want to
    /// read advice.
    pub fn concerns_plan(&self) -> bool {
        let Some(old) = self.old else { return true };
        let (before, after) = (old.annotations(), self.new.annotations());
        let mut ours = before.keys().chain(after.keys()).filter(|key| key.starts_with(keys::PREFIX));
        let is_plan = |key: &str| !NO_PLAN.contains(&key) && !INTERNAL_KEYS.contains(&key);
        self.changes_template() || ours.any(|key| is_plan(key) && before.get(key) != after.get(key))
    }

    /// Whether the request may be refused for what is wrong with the plan and around it: because it changes some
    /// of that, or starts a rollout.
    pub fn is_binding(&self) -> bool {
        let differs = |pointer| self.old.is_none_or(|old| part(old.0, pointer) != part(self.new.0, pointer));
        self.concerns_plan() || differs("/spec/strategy") || differs("/spec/selector")
    }

    /// What was read of the Namespace.
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
