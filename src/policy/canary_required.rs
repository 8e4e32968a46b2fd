//! Deployments with traffic must have a canary.

use super::{Check, Occasion, Rule, Subject};
use crate::{
    document::finding::{Finding, Findings},
    domain::keys,
};

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "canary-required",
    doc: "A Deployment to which an Ingress leads must be opted in. Checked when it is made, changes its pod template or opts out; Deployments without a route, such as workers, are left alone. It is about Deployments alone: pods of a ReplicaSet, a StatefulSet or of another Deployment that a Service selects as well, and a Service whose selector is edited, get traffic without a canary. Where no pod is ready, for example after scaling to 0, a template starts without a canary, and a warning says so; the same holds for a restart, unless `restart-is-canary` is bound.",
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
                "a Deployment with an Ingress must release by canary: annotate it with {}: enabled, or with a plan",
                keys::CANARY
            ),
        )]
    }

    fn notes(&self, subject: &Subject<'_>) -> Vec<String> {
        let note = match subject.occasion {
            Occasion::Native => {
                "no pod is ready, so this pod template starts without a canary, which rule canary-required allows"
            }
            Occasion::Restart => {
                "a restart replaces all pods without a canary, which rule canary-required allows and restart-is-canary does not"
            }
            _ => return Vec::new(),
        };
        if subject.opted_in && subject.has_route { vec![note.to_owned()] } else { Vec::new() }
    }
}
