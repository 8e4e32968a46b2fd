//! What people do in the middle of it.

use super::Schedule;
use crate::{
    faults::Fault,
    invariants::Violation,
    sim::{
        cluster::{template, version_of},
        people::UserRequest,
    },
};
use haldane::domain::{
    keys,
    request::{self, Verb},
    review::Outcome,
};
use strum::IntoEnumIterator;

impl Schedule {
    pub(super) fn people(&mut self) -> Result<(), Violation> {
        let request = self.request();
        let was_serving = self.cluster.is_serving() && self.cluster.replicas() > 0;
        let version = version_of(&self.cluster.web["spec"]["template"]);
        let was_trusted = self.invariants.trusts(&self.cluster.wanted_hash());
        if let UserRequest::Scale(_) = request {
            self.invariants.shrinks(&self.cluster);
        }
        let verdict = self.cluster.ask(&request);
        self.note(|_| match &verdict.outcome {
            Outcome::Allow { .. } => format!("{request}"),
            Outcome::Deny { message, .. } => format!("{request}: {message}"),
        });
        if !verdict.is_allowed() {
            return Ok(());
        }
        if let Some(request) = self.cluster.web["metadata"]["annotations"][keys::REQUEST].as_str() {
            let request: request::Request = serde_json::from_str(request).unwrap();
            self.invariants.orders.insert(request.id, request.verb);
        }
        let serves = was_serving && self.cluster.is_opted_in() && self.cluster.replicas() > 0;
        // A restart changes no version, and neither does applying the template without its stamp. That makes
        // none of it that was not tried.
        let same = version == version_of(&self.cluster.web["spec"]["template"]);
        if !self.cluster.is_held() && ((same && was_trusted) || !serves) {
            self.invariants.trust(self.cluster.wanted_hash(), !serves);
        }
        self.invariants.always(&self.cluster)
    }

    fn request(&mut self) -> UserRequest {
        let verbs: Vec<Verb> = Verb::iter().collect();
        let version = self.rng.pick(&["a", "b", "b", "c"]);
        match self.rng.below(20) {
            0..8 => UserRequest::Apply(template(version)),
            8 | 9 => UserRequest::Sync(template(version)),
            10 | 11 if self.strikes(Fault::Zero, 30) => UserRequest::Scale(0),
            10 | 11 => UserRequest::Scale(self.rng.pick(&[1, 2, 3, 5, 8])),
            12..16 => UserRequest::Order(self.rng.pick(&verbs)),
            16 => UserRequest::NativeResume,
            17 => UserRequest::NativePause,
            18 if !self.cluster.is_opted_in() => UserRequest::OptIn(self.plan.0, self.plan.1.clone()),
            18 if self.faults.has(Fault::OptOut) => UserRequest::OptOut,
            _ => UserRequest::Restart(self.rng.below(3)),
        }
    }
}
