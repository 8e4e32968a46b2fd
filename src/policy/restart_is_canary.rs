//! Rule restart-is-canary: a restart replaces every pod, and the configuration that pods read when they start may
//! have changed.

use super::{Check, Occasion, Rule, Subject};
use crate::{
    document::finding::{Finding, Findings},
    domain::keys,
};

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "restart-is-canary",
    doc: "A restart of an opted-in Deployment must be a canary release: the Deployment needs the annotation `haldane.dev/restart: canary`. A restart is a change of the annotation `kubectl.kubernetes.io/restartedAt` of the pod template, or of annotations that `haldane.dev/restart-annotations` names, to any text; pods can read that text.",
    example: "{}",
    read: |node| node.object(|_| Some(Box::new(RestartIsCanary) as Box<dyn Check>)),
};

#[derive(Debug)]
struct RestartIsCanary;

impl Check for RestartIsCanary {
    fn check(&self, subject: &Subject<'_>) -> Findings {
        if !subject.opted_in || subject.occasion != Occasion::Restart {
            return Findings::new();
        }
        let path = format!("metadata.annotations[{}]", keys::RESTART);
        vec![Finding::new(
            path,
            "",
            "must be \"canary\": in this namespace a restart must be a canary release",
        )]
    }
}
