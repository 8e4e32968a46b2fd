//! After an abort the `Progressing` condition makes `kubectl rollout status` fail, and Haldane's own condition is `False`;
//! after a release it is `True`. Each belongs to one template, and ends when the deployment controller has observed another.
//!
//! `rollout status` believes the condition as soon as `observedGeneration` is current
//! (kubectl's `polymorphichelpers/rollout_status.go`), and so does `kubectl wait` (`pkg/cmd/wait/condition.go`). So both have
//! to change in one write, and that write is the deployment controller's, which by itself leaves such a condition alone
//! while a Deployment is paused (`checkPausedConditions` in its `sync.go`).

use super::{
    facts::{Fact, Facts},
    object::Object,
    rules,
};
use crate::{
    decide::{ABORT_PREFIX, Condition, RELEASE},
    domain::{
        k8s::json_pointer::part,
        keys,
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

/// A status of a Deployment with conditions of an earlier template, as the deployment controller writes it.
#[derive(Debug, Clone)]
pub struct Observation<'a> {
    object: Object<'a>,
    /// The conditions that may be stale, by their index, and what they must say then.
    conditions: Vec<(usize, Condition)>,
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
        let held =
            ["metadata", "annotations", keys::HELD].iter().try_fold(object, |part, key| part.get(*key));
        let stale = |condition: &Value| {
            let text = |key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default();
            match text("type") {
                "Progressing" if text("message").starts_with(ABORT_PREFIX) => Some(Condition::paused()),
                RELEASE if text("status") != "Unknown" && held.is_some() => Some(Condition::held()),
                _ => None,
            }
        };
        let all = part(object, "/status/conditions")?.as_array()?.iter().enumerate();
        let conditions: Vec<_> = all.filter_map(|(index, found)| Some((index, stale(found)?))).collect();
        (!conditions.is_empty()).then_some(Self { object: Object(object), conditions, now })
    }

    /// Replaces the conditions, unless this very template was aborted. If the state cannot be read, the request passes as
    /// it is.
    #[must_use]
    pub fn decide(self, facts: &Facts) -> Verdict {
        if !self.is_stale(&facts.state) {
            return Verdict::allow();
        }
        let replace = |(index, condition): &(usize, Condition)| {
            let path = PointerBuf::from_tokens(["status", "conditions", &index.to_string()]);
            PatchOperation::Replace(ReplaceOperation { path, value: condition.json(self.now) })
        };
        let patch = self.conditions.iter().map(replace).collect();
        Verdict::allow_with(patch).by(rules::STALE_CONDITION)
    }

    fn is_stale(&self, state: &Fact<Option<RolloutState>>) -> bool {
        let Ok(Some(state)) = state else { return false };
        let is_aborted = |rollout: &Rollout| {
            rollout.abort_message().is_some() && rollout.hash == self.object.template_hash()
        };
        !state.rollout.as_ref().is_some_and(is_aborted)
    }
}
