//! Deployments with traffic must have a canary.

use super::{Check, Occasion, Rule, Subject};
use crate::domain::{
    finding::{Finding, Findings},
    keys,
};

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "canary-required",
    doc: "A Deployment to which an Ingress leads must be opted in. Checked when it is made, changes its pod template or opts out; Deployments without a route, such as workers, are left alone.",
    example: "{}",
    read: |node| node.object(|_| Some(Box::new(CanaryRequired) as Box<dyn Check>)),
};

#[derive(Debug)]
struct CanaryRequired;

impl Check for CanaryRequired {
    fn check(&self, subject: &Subject<'_>) -> Findings {
        let changes = matches!(subject.occasion, Occasion::Create | Occasion::Release | Occasion::OptOut);
        if subject.opted_in || !subject.has_route || !changes {
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
}
