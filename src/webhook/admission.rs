//! From a review to a verdict: looks up what the case asks, lets it decide, and tries the queries of a dry run.

use super::{facts::LookUp, rehearsal::Rehearser, server::Handler};
use crate::cluster::discovery::Installed;
use crate::{
    admit::{AdmitConfig, Case, Ruling},
    domain::review::{Review, Stage, Verdict},
    measure::http::Clients,
    runtime::{clock, heavy::Heavy},
};
use kube::Client;

/// Reviews judged at once: as many as the processors to expect, because judging only computes.
const JUDGED_AT_ONCE: usize = 2;

/// The webhook's handler.
pub struct Admission {
    installed: Installed,
    client: Client,
    config: AdmitConfig,
    rehearser: Rehearser,
    judging: Heavy,
}

impl Admission {
    /// Decides with these settings. Looks facts up with `client`, and queries metrics with `http`.
    #[must_use]
    pub fn new(client: Client, config: AdmitConfig, http: Clients) -> Self {
        let installed = Installed::new(client.clone());
        let rehearser = Rehearser::new(http, config.providers.clone());
        Self { installed, client, config, rehearser, judging: Heavy::new(JUDGED_AT_ONCE) }
    }
}

impl Handler for Admission {
    async fn handle(&self, stage: Stage, review: &Review) -> Verdict {
        let read = || Case::read(stage, review, &self.config, clock::now());
        let mut case = self.judging.run(read).await;
        let look_up = LookUp::new(&self.client, &self.installed, &self.config.own_namespace, review);
        if case.needs_namespace() {
            let namespace = look_up.namespace().await;
            case = self.judging.run(|| case.in_namespace(namespace)).await;
        }
        let questions = self.judging.run(|| case.questions()).await;
        let facts = Box::pin(look_up.facts(&questions)).await;
        let Ruling { mut verdict, rehearsals } = self.judging.run(|| case.decide(&facts)).await;
        verdict.warnings.extend(self.rehearser.warnings(&review.namespace, &rehearsals).await);
        verdict
    }
}
