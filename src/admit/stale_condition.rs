//! After an abort the `Progressing` condition makes `kubectl rollout status` fail. It belongs to one template, and ends
//! when the deployment controller has observed another.
//!
//! `rollout status` believes the condition as soon as `observedGeneration` is current
//! (kubectl's `polymorphichelpers/rollout_status.go`). So both have to change in one write, and that write is the
//! deployment controller's, which by itself leaves such a condition alone while a Deployment is paused
//! (`checkPausedConditions` in its `sync.go`).

use super::{
    facts::{Fact, Facts},
    object::Object,
    rules,
};
use crate::{
    decide::{ABORT_PREFIX, ProgressingCondition},
    domain::{
        k8s::json_pointer::part,
        review::{Operation, Review, Verdict},
        state::{Rollout, RolloutState},
    },
};
use jiff::Timestamp;
use json_patch::{PatchOperation, ReplaceOperation, jsonptr::PointerBuf};
use serde_json::Value;

/// Users of Kubernetes' deployment controller, as with [`super::scale::AUTOSCALERS`].
pub const DEPLOYMENT_CONTROLLERS: [&str; 2] =
    ["system:serviceaccount:kube-system:deployment-controller", "system:kube-controller-manager"];

/// A status of a Deployment whose release was aborted, as the deployment controller writes it.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    object: Object<'a>,
    /// Index of the condition that reports the abort.
    index: usize,
    now: Timestamp,
}

impl<'a> Observation<'a> {
    /// The request, if it is one.
    #[must_use]
    pub fn read(review: &'a Review, now: Timestamp) -> Option<Self> {
        let is_status = review.group == "apps"
            && review.kind == "Deployment"
            && review.sub_resource.as_deref() == Some("status");
        let is_controller = DEPLOYMENT_CONTROLLERS.contains(&review.user.username.as_str());
        if !is_status || !is_controller || review.operation != Operation::Update {
            return None;
        }
        let object = review.object.as_ref()?;
        let reports_abort = |condition: &Value| {
            let message = condition.get("message").and_then(Value::as_str).unwrap_or_default();
            condition.get("type").is_some_and(|kind| kind == "Progressing")
                && message.starts_with(ABORT_PREFIX)
        };
        let index = part(object, "/status/conditions")?.as_array()?.iter().position(reports_abort)?;
        Some(Self { object: Object(object), index, now })
    }

    /// Replaces the condition, unless this very template was aborted. If the state cannot be read, the request passes as
    /// it is.
    #[must_use]
    pub fn decide(self, facts: &Facts) -> Verdict {
        if !self.is_stale(&facts.state) {
            return Verdict::allow();
        }
        let path = PointerBuf::from_tokens(["status", "conditions", &self.index.to_string()]);
        let value = ProgressingCondition::paused().json(self.now);
        let replace = PatchOperation::Replace(ReplaceOperation { path, value });
        Verdict::allow_with(vec![replace]).by(rules::STALE_CONDITION)
    }

    fn is_stale(&self, state: &Fact<Option<RolloutState>>) -> bool {
        let Ok(Some(state)) = state else { return false };
        let is_aborted = |rollout: &Rollout| {
            rollout.abort_message().is_some() && rollout.hash == self.object.template_hash()
        };
        !state.rollout.as_ref().is_some_and(is_aborted)
    }
}
