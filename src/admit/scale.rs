//! The capacity floor: an autoscaler cannot shrink stable while a canary has its traffic, because an abort would then
//! overload it. `kubectl scale` is not restricted.

use super::{facts::Facts, rules};
use crate::domain::{
    k8s::json_pointer::part,
    review::{Operation, Review, Verdict},
};
use jiff::Timestamp;
use json_patch::{AddOperation, PatchOperation, jsonptr::PointerBuf};
use serde_json::{Value, json};

/// Users of Kubernetes' autoscaling controller: its own service account, as kubeadm sets it up, or the user of the
/// controller manager. The webhook configuration matches no others.
pub const AUTOSCALERS: [&str; 2] =
    ["system:serviceaccount:kube-system:horizontal-pod-autoscaler", "system:kube-controller-manager"];

/// A request of an autoscaler for fewer pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaleDown {
    from: i64,
    to: i64,
    now: Timestamp,
}

impl ScaleDown {
    /// The request, if it is one.
    #[must_use]
    pub fn read(review: &Review, now: Timestamp) -> Option<Self> {
        let is_scale = review.kind == "Scale" && review.sub_resource.as_deref() == Some("scale");
        let is_autoscaler = AUTOSCALERS.contains(&review.user.username.as_str());
        if !is_scale || !is_autoscaler || review.operation != Operation::Update {
            return None;
        }
        let (from, to) = (replicas(review.old_object.as_ref()?), replicas(review.object.as_ref()?));
        (to < from).then_some(Self { from, to, now })
    }

    /// Raises the size to the floor, never above the size before. If the state cannot be read, the request passes: an
    /// autoscaler must work without Haldane.
    #[must_use]
    pub fn decide(self, facts: &Facts) -> Verdict {
        let state = facts.state.as_ref().ok().and_then(Option::as_ref);
        let floor = state.map_or(0, |state| state.floor(self.now));
        let size = i64::from(floor).min(self.from);
        if size <= self.to {
            return Verdict::allow();
        }
        // `add` replaces a field that is there; 0 is left out of a Scale.
        let at = PointerBuf::from_tokens(["spec", "replicas"]);
        let raise = PatchOperation::Add(AddOperation { path: at, value: json!(size) });
        let mut verdict = Verdict::allow_with(vec![raise]).by(rules::CAPACITY_FLOOR);
        let kept = format!("{} replicas requested, {size} kept: the size before the canary", self.to);
        verdict.audit.insert(rules::CAPACITY_FLOOR.to_owned(), kept);
        verdict
    }
}

fn replicas(scale: &Value) -> i64 {
    part(scale, "/spec/replicas").and_then(Value::as_i64).unwrap_or(0)
}
