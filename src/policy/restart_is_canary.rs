//! A restart replaces every pod; configuration that pods read at start-up may be new.

use super::{Check, Occasion, Rule, Subject};
use crate::{
    document::finding::{Finding, Findings},
    domain::keys,
};

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "restart-is-canary",
    doc: "`kubectl rollout restart` of an opted-in Deployment must be a canary release, by `haldane.dev/restart: canary`. What counts as a restart is a change of the annotation `kubectl.kubernetes.io/restartedAt` alone, whatever its text, which pods can read.",
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
        vec![Finding::new(path, "", "must be \"canary\": a restart is a release here")]
    }
}
