//! Rule canary-required: Deployments with traffic must have a canary.

use super::{Check, Occasion, Rule, Subject};
use crate::{
    document::finding::{Finding, Findings},
    domain::keys,
};

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "canary-required",
    doc: "A Deployment with a route must be opted in. Checked when the Deployment is created, when its pod template changes and when it opts out. Deployments without a route, such as workers, are not affected. The rule covers Deployments only: pods of a ReplicaSet, of a StatefulSet or of another Deployment that the Service also selects, and pods that an edited selector of the Service selects, get traffic without a canary. While no pod is ready, for example after scaling to 0, a template starts without a canary and the user gets a warning; the same applies to a restart, unless the profile also has `restart-is-canary`.",
    example: "{}",
    read: |node| node.object(|_| Some(Box::new(CanaryRequired) as Box<dyn Check>)),
};

#[derive(Debug)]
struct CanaryRequired;

impl Check for CanaryRequired {
    fn check(&self, subject: &Subject<'_>) -> Findings {
        let occasion = subject.occasion;
        let changes = matches!(occasion, Occasion::Create | Occasion::OptOut) || occasion.releases();
        let has_canary = subject.opted_in && occasion != Occasion::Takeover;
        if has_canary || !subject.has_route || !changes {
            return Findings::new();
        }
        vec![Finding::new(
            format!("metadata.annotations[{}]", keys::CANARY),
            "",
            format!(
                "a Deployment with a route must use canary releases: set the annotation {} to \"enabled\" or to a plan",
                keys::CANARY
            ),
        )]
    }

    fn notes(&self, subject: &Subject<'_>) -> Vec<String> {
        let note = "a restart replaces all pods without a canary; rule canary-required allows that, rule restart-is-canary would not";
        let is_noted = subject.occasion == Occasion::Restart && subject.opted_in && subject.has_route;
        if is_noted { vec![note.to_owned()] } else { Vec::new() }
    }
}
