//! Asks the questions of a dry run's rehearsal, within what is left of the time for an answer.

use crate::{
    admit::rehearsal::Rehearsal,
    domain::value::{MetricValue, Reading},
    measure::http::Clients,
    providers::{self, Defaults, Question, Step},
    runtime::clock,
};
use futures::future::join_all;
use std::time::Duration;
use tokio::time::timeout;

/// Looking up may have taken three of the API server's five seconds.
const DEADLINE: Duration = Duration::from_secs(1);

/// Warnings about each metric, in their order.
pub async fn ask(http: &Clients, defaults: &Defaults, wanted: &[Rehearsal]) -> Vec<String> {
    let said = wanted.iter().map(async |rehearsal| {
        let answer = timeout(DEADLINE, answer(http, defaults, rehearsal)).await;
        let late = || Err(format!("no answer within {DEADLINE:?}"));
        rehearsal.warnings(&answer.unwrap_or_else(|_| late()))
    });
    join_all(said).await.concat()
}

async fn answer(http: &Clients, defaults: &Defaults, rehearsal: &Rehearsal) -> Result<MetricValue, String> {
    let key = rehearsal.provider.key.as_str();
    let provider = providers::find(key).ok_or_else(|| format!("no provider is called {key:?}"))?;
    let config = &rehearsal.provider.config;
    let mut step = provider.measure(&Question { config, defaults, now: clock::now(), name: "rehearsal" });
    loop {
        step = match step {
            // What has arguments that are not known yet is not tried, so policy has judged these very addresses.
            Step::Http(request, then) => then(http.send(*request, None).await?),
            Step::Job(..) => return Err("a Job cannot be tried".to_owned()),
            Step::Done(outcome) => {
                return match outcome?.reading {
                    Reading::Value { value, .. } => Ok(value),
                    _ => Ok(MetricValue::Nil),
                };
            }
        }
    }
}
