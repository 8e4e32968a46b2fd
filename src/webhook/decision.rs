//! From a review to a verdict: facts are looked up, `admit` decides.

use super::{facts::gather, server::Handler};
use crate::{
    admit::{AdmitConfig, Context, admit, needs},
    domain::review::{Review, Stage, Verdict},
    runtime::clock,
};
use kube::Client;

/// The webhook's handler.
pub struct Decision {
    client: Client,
    config: AdmitConfig,
    own_namespace: String,
}

impl Decision {
    /// Decides with these settings, looking things up with `client`.
    #[must_use]
    pub fn new(client: Client, config: AdmitConfig, own_namespace: String) -> Self {
        Self { client, config, own_namespace }
    }
}

impl Handler for Decision {
    async fn handle(&self, stage: Stage, review: &Review) -> Verdict {
        let context = Context { review, config: &self.config, now: clock::now() };
        let needs = needs(stage, &context);
        let facts = Box::pin(gather(&self.client, &self.own_namespace, review, &needs)).await;
        admit(stage, &context, &facts)
    }
}
