//! Rule concurrent-canaries: limits how many releases run at the same time.

use super::{Check, Rule, Subject};
use crate::document::finding::Findings;

/// See the module.
pub(super) static RULE: Rule = Rule {
    id: "concurrent-canaries",
    doc: "The maximum number of canaries that run at the same time, `perNamespace` and `perCluster`. A release above the limit is held, in phase `Held` with the reason in `message`, and starts when another one ends. A retry waits in the same queue. The release that was held first starts first, in the namespace and in the cluster. A canary that has been paused for a day no longer counts in `perCluster`, so that forgotten canaries do not block other namespaces. Applies to namespaces that bind the profile with `haldane.dev/enforce`.",
    example: "{perNamespace: 2, perCluster: 10}",
    read: |node| {
        node.object(|fields| {
            let per_namespace = fields.optional("perNamespace", |node| node.integer(1..=1000_u32));
            let per_cluster = fields.optional("perCluster", |node| node.integer(1..=10_000_u32));
            Some(Box::new(Limits { per_namespace, per_cluster }) as Box<dyn Check>)
        })
    },
};

/// How many canaries may run at the same time; `None` means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// In the namespace of the Deployment.
    pub per_namespace: Option<u32>,
    /// In the whole cluster.
    pub per_cluster: Option<u32>,
}

impl Check for Limits {
    fn check(&self, _: &Subject<'_>) -> Findings {
        Findings::new()
    }

    fn limits(&self) -> Option<Limits> {
        Some(*self)
    }
}
