//! Tries the metrics of a dry run on stable, within what is left of the time for an answer.

use crate::{
    admit::rehearsal::Rehearsal,
    domain::value::{MetricValue, Reading},
    measure::{Quota, http::Clients},
    providers::{self, Defaults, Question, Release},
    runtime::clock,
};
use futures::future::join_all;
use std::{future::ready, time::Duration};
use tokio::time::timeout;

/// Looking up may have taken three of the API server's five seconds.
const DEADLINE: Duration = Duration::from_secs(1);

/// Memory of answers. Measurements of rollouts have their own, because anybody who reaches the webhook can send a dry
/// run.
const ROOM_MIB: u32 = 16;

/// Measures for dry runs.
pub struct Rehearser {
    http: Clients,
    defaults: Defaults,
    quota: Quota,
}

impl Rehearser {
    /// Queries metrics with `http`.
    pub fn new(http: Clients, defaults: Defaults) -> Self {
        Self { http, defaults, quota: Quota::new(ROOM_MIB) }
    }

    /// Warnings about each metric, in their order.
    pub async fn warnings(&self, namespace: &str, rehearsals: &[Rehearsal]) -> Vec<String> {
        let warnings = rehearsals.iter().map(async |rehearsal| {
            let answer = timeout(DEADLINE, self.measure(namespace, rehearsal)).await;
            let late = || Err(format!("no answer within {DEADLINE:?}"));
            rehearsal.warnings(&answer.unwrap_or_else(|_| late()))
        });
        join_all(warnings).await.concat()
    }

    async fn measure(&self, namespace: &str, rehearsal: &Rehearsal) -> Result<MetricValue, String> {
        let key = rehearsal.provider.key.as_str();
        let provider = providers::find(key).ok_or_else(|| format!("no provider is called {key:?}"))?;
        let (config, defaults) = (&rehearsal.provider.config, &self.defaults);
        let release = Release { namespace, ..Release::default() };
        let question = Question { config, defaults, now: clock::now(), name: "rehearsal", release };
        let step = provider.measure(&question);
        let no_job = |_| ready(Err("a Job cannot be tried".to_owned()));
        // What has arguments that are not known yet is not tried, so policy has judged these very addresses.
        let (sample, _share) = self.quota.follow(namespace, &self.http, None, step, no_job).await?;
        match sample.reading {
            Reading::Value { value, .. } => Ok(value),
            _ => Ok(MetricValue::Nil),
        }
    }
}
