//! From a review to a verdict: looks up what the case asks, lets it decide, tries the canary's objects, and the queries of a dry
//! run.

use super::{facts::LookUp, rehearsal::Rehearser, server::Handler, trial};
use crate::cluster::{discovery::Installed, views::Views};
use crate::{
    admit::{
        AdmitConfig, Case, Ruling,
        plan_review::trial::{Answer, Trial},
    },
    decide::pass::Source,
    domain::review::{Review, Stage, Verdict},
    measure::http::Clients,
    runtime::{clock, heavy::Heavy},
};
use kube::Client;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Reviews judged at once: as many as the processors to expect, because judging only computes.
const JUDGED_AT_ONCE: usize = 2;

/// Releases whose objects are tried at once. Each trial is some requests to the API server, which asks its webhooks.
const TRIED_AT_ONCE: usize = 4;

/// The webhook's handler.
pub struct Admission {
    installed: Installed,
    views: Arc<Views>,
    client: Client,
    config: AdmitConfig,
    rehearser: Rehearser,
    judging: Heavy,
    trials: Semaphore,
}

impl Admission {
    /// Decides with these settings. Looks facts up with `client`, and queries metrics with `http`.
    #[must_use]
    pub fn new(client: Client, views: Arc<Views>, config: AdmitConfig, http: Clients) -> Self {
        let installed = Installed::new(client.clone());
        let rehearser = Rehearser::new(http, config.providers.clone());
        Self {
            installed,
            views,
            client,
            config,
            rehearser,
            judging: Heavy::new(JUDGED_AT_ONCE),
            trials: Semaphore::new(TRIED_AT_ONCE),
        }
    }
}

impl Admission {
    /// What the API server says of the canary's objects. A crowd of releases is not tried: that would keep the API server from
    /// answering all of them.
    async fn tried(&self, trial: &Trial, review: &Review, look_up: &LookUp<'_>) -> Vec<Answer> {
        match self.trials.try_acquire() {
            Ok(_turn) => {
                trial::answers(&self.client, &review.namespace, &trial.objects, look_up.deadline()).await
            }
            Err(_) => vec![Answer::None; trial.objects.len()],
        }
    }
}

impl Handler for Admission {
    async fn handle(&self, stage: Stage, review: &Review) -> Verdict {
        let read = || Case::read(stage, review, &self.config, clock::now());
        let mut case = self.judging.run(read).await;
        let look_up =
            LookUp::new(&self.client, &self.views, &self.installed, &self.config.own_namespace, review);
        let mut namespace = None;
        if case.needs_namespace() {
            let found = look_up.namespace().await;
            namespace = Some(found.clone());
            case = self.judging.run(|| case.in_namespace(found)).await;
        }
        let questions = self.judging.run(|| case.questions()).await;
        let mut facts = Box::pin(look_up.facts(&questions)).await;
        let mut ruling = self.judging.run(|| case.decide(&facts)).await;
        if !ruling.verdict.is_allowed() && look_up.may_be_behind() {
            // What a watch is about to report must not be missing from a refusal.
            facts.neighbours = look_up.neighbours(Source::Server).await;
            let again = || match namespace {
                Some(namespace) => read().in_namespace(namespace).decide(&facts),
                None => read().decide(&facts),
            };
            ruling = self.judging.run(again).await;
        }
        let Ruling { mut verdict, rehearsals, trial } = ruling;
        if let Some(trial) = trial {
            let answers = self.tried(&trial, review, &look_up).await;
            verdict = trial.conclude(verdict, &answers);
            if !verdict.is_allowed() {
                return verdict;
            }
        }
        verdict.warnings.extend(self.rehearser.warnings(&review.namespace, &rehearsals).await);
        verdict
    }
}
