//! From a review to a verdict: facts are looked up, `admit` decides, and a dry run tries the queries.

use super::{facts::LookUp, rehearsal, server::Handler};
use crate::cluster::discovery::Installed;
use crate::{
    admit::{AdmitConfig, Context, admit, needs, needs_namespace, rehearsal::rehearsals},
    domain::review::{Review, Stage, Verdict},
    measure::http::Clients,
    runtime::{clock, heavy::Heavy},
};
use kube::Client;

/// Reviews judged at once: as many as there are processors to expect, for it is all computing.
const JUDGED_AT_ONCE: usize = 2;

/// The webhook's handler.
pub struct Admission {
    installed: Installed,
    client: Client,
    config: AdmitConfig,
    http: Clients,
    judging: Heavy,
}

impl Admission {
    /// Decides with these settings, looking things up with `client`, and asking metrics with `http`.
    #[must_use]
    pub fn new(client: Client, config: AdmitConfig, http: Clients) -> Self {
        let installed = Installed::new(client.clone());
        Self { installed, client, config, http, judging: Heavy::new(JUDGED_AT_ONCE) }
    }
}

impl Handler for Admission {
    async fn handle(&self, stage: Stage, review: &Review) -> Verdict {
        let context = Context::new(review, &self.config, clock::now());
        let look_up = LookUp::new(&self.client, &self.installed, &self.config.own_namespace, review);
        // First of all, because it says what else must be known.
        let namespace = look_up.namespace(needs_namespace(stage, &context)).await;
        let needs = self.judging.run(|| needs(stage, &context, &namespace)).await;
        let facts = Box::pin(look_up.facts(namespace, &needs)).await;
        let mut verdict = self.judging.run(|| admit(stage, &context, &facts)).await;
        if review.dry_run && stage == Stage::Mutate && verdict.is_allowed() {
            let (wanted, warnings) = self.judging.run(|| rehearsals(&context, &facts)).await;
            verdict.warnings.extend(warnings);
            verdict.warnings.extend(rehearsal::ask(&self.http, &self.config.providers, &wanted).await);
        }
        verdict
    }
}
