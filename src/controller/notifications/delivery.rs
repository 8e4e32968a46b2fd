//! One notice to one destination: the attempts to send it.

use super::{
    super::metrics::Notifications,
    turns::{Place, Turns},
};
use crate::{
    analysis::{ResolvedArg, secrets::redact},
    cluster::events::Publisher,
    measure::{
        http::Clients,
        secrets::{Reader, Unread},
    },
    notify::{Destination, Notice, Text, accepted},
    objects::manifest::Owner,
    providers::http::HttpRequest,
    runtime::clock,
};
use kube::Client;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// What deliveries need.
pub struct Means {
    /// The cluster.
    pub client: Client,
    /// Haldane's own namespace, where the default routing is.
    pub own_namespace: String,
    /// For the requests, with the host policy of notifications.
    pub http: Clients,
    /// For addresses and headers that are secrets.
    pub secrets: Reader,
    /// For Events about failures.
    pub publisher: Publisher,
    /// What is counted.
    pub counted: Notifications,
    /// How often and how long it is tried.
    pub patience: Patience,
}

/// How long a failed attempt is repeated.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The pause after the first attempt; it doubles.
    pub first: Duration,
    /// No attempt begins later than this after the first has failed.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), total: Duration::from_mins(2) }
    }
}

/// See the module.
pub(super) struct Delivery {
    /// The Deployment.
    pub owner: Owner,
    /// What is sent.
    pub notice: Arc<Notice>,
    /// To whom.
    pub destination: Arc<Destination>,
    /// The namespace of the routing and of its Secrets.
    pub place: String,
}

/// Why an attempt has failed.
pub(super) struct Problem {
    /// For people, without secrets.
    pub text: String,
    /// Whether another attempt may succeed.
    pub may_pass: bool,
}

impl Patience {
    /// Makes attempts while that makes sense.
    ///
    /// # Errors
    /// Why the last one failed.
    pub(super) async fn retry<T, A: Future<Output = Result<T, Problem>>>(
        self,
        mut attempt: impl FnMut() -> A,
    ) -> Result<T, String> {
        let (mut failed, mut pause) = (None, self.first);
        loop {
            let problem = match attempt().await {
                Ok(done) => return Ok(done),
                Err(problem) => problem,
            };
            let spent = failed.get_or_insert_with(clock::monotonic).elapsed();
            if !problem.may_pass || spent.saturating_add(pause) > self.total {
                return Err(problem.text);
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
    }
}

impl Delivery {
    /// Where it goes to.
    pub fn to(&self) -> Place {
        (self.owner.namespace.clone(), self.destination.name.clone())
    }

    /// Sends the notice, again and again while that makes sense.
    ///
    /// # Errors
    /// Why it was not delivered, without secrets.
    pub async fn send(&self, means: &Means, turns: &Turns) -> Result<(), String> {
        means.patience.retry(|| self.attempt(means, turns)).await
    }

    async fn attempt(&self, means: &Means, turns: &Turns) -> Result<(), Problem> {
        let _turn = turns.turn(self.to()).await;
        let mut secrets = Vec::new();
        let outcome = self.exchange(means, &mut secrets).await;
        outcome.map_err(|problem| Problem { text: redact(&problem.text, &secrets), ..problem })
    }

    async fn exchange(&self, means: &Means, secrets: &mut Vec<ResolvedArg>) -> Result<(), Problem> {
        let request = self.request(means, secrets).await?;
        // Whatever follows the status, a receiver that has accepted it is not sent it again.
        let status = means.http.status(request).await;
        let status = status.map_err(|text| Problem { text, may_pass: true })?;
        accepted(status).map_err(|(text, may_pass)| Problem { text, may_pass })
    }

    async fn request(&self, means: &Means, secrets: &mut Vec<ResolvedArg>) -> Result<HttpRequest, Problem> {
        let Self { notice, destination, place, .. } = self;
        let url = known(&means.secrets, place, &destination.url, secrets).await?;
        let mut headers = Vec::new();
        for (name, value) in &destination.headers {
            headers.push((name.clone(), known(&means.secrets, place, value, secrets).await?));
        }
        let request = destination.request(notice, &url, headers, means.http.policy());
        request.map_err(|text| Problem { text, may_pass: false })
    }
}

/// The text, read where it is a secret. What a Secret is made of often ends with a line break.
async fn known(
    reader: &Reader,
    namespace: &str,
    text: &Text,
    secrets: &mut Vec<ResolvedArg>,
) -> Result<String, Problem> {
    match text {
        Text::Literal(text) => Ok(text.clone()),
        Text::Secret(reference) => {
            let value = reader.value(namespace, reference).await;
            let value = value.map_err(|Unread { problem, may_pass }| Problem { text: problem, may_pass })?;
            let value = value.trim().to_owned();
            secrets.push(ResolvedArg { name: reference.key.clone(), value: value.clone() });
            Ok(value)
        }
    }
}
