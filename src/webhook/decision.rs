//! From a review to a verdict: facts are looked up, `admit` decides.

use super::{facts::LookUp, installed::Installed, server::Handler};
use crate::{
    admit::{AdmitConfig, Context, admit, needs, needs_namespace},
    domain::review::{Review, Stage, Verdict},
    runtime::clock,
};
use kube::Client;

/// The webhook's handler.
pub struct Decision {
    installed: Installed,
    client: Client,
    config: AdmitConfig,
}

impl Decision {
    /// Decides with these settings, looking things up with `client`.
    #[must_use]
    pub fn new(client: Client, config: AdmitConfig) -> Self {
        Self { installed: Installed::new(client.clone()), client, config }
    }
}

impl Handler for Decision {
    async fn handle(&self, stage: Stage, review: &Review) -> Verdict {
        let context = Context::new(review, &self.config, clock::now());
        let look_up = LookUp::new(&self.client, &self.installed, &self.config.own_namespace, review);
        // First of all, because it says what else must be known.
        let namespace = look_up.namespace(needs_namespace(stage, &context)).await;
        let needs = needs(stage, &context, &namespace);
        let facts = Box::pin(look_up.facts(namespace, &needs)).await;
        admit(stage, &context, &facts)
    }
}
