//! Shares the requests to metric providers, and the memory of their answers, fairly between namespaces.

use super::http::Clients;
use crate::{
    domain::hosts::Hosts,
    providers::{
        JobEnd, Sample, Step, Then,
        http::{HttpRequest, HttpResponse, MAX_PARSED},
    },
    runtime::{
        fair::{Fair, Share},
        heavy::Heavy,
    },
};
use k8s_openapi::api::batch::v1::Job;
use std::time::Duration;
use tokio::time::timeout;

/// Maximum number of concurrent requests.
const MAX_CONCURRENT: u32 = 30;
/// Maximum number of concurrent requests of one namespace.
const PER_NAMESPACE: u32 = 6;
/// Maximum memory of answers of one namespace, in KiB: one answer of the maximum size, and small ones.
const MEMORY_PER_NAMESPACE_KIB: u32 = 10 << 10;
/// Memory that the smallest answer counts as.
const MIN_KIB: u32 = 4;
/// Answers that are parsed at the same time.
const PARSED_AT_ONCE: usize = 1;
/// A measurement that waits longer ends with an error.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// See the module.
pub struct Quota {
    memory_mib: u32,
    requests: Fair<String>,
    answers: Fair<String>,
    parsing: Heavy,
}

/// The result of a measurement, and the share of memory to hold until the result is dropped.
pub(super) type Measured = Result<(Sample, Option<Share>), String>;

impl Quota {
    /// A quota with this much memory for all answers that are being parsed or wait to be judged.
    #[must_use]
    pub fn new(memory_mib: u32) -> Self {
        Self {
            memory_mib,
            requests: Fair::new(MAX_CONCURRENT, PER_NAMESPACE),
            answers: Fair::new(memory_mib << 10, MEMORY_PER_NAMESPACE_KIB),
            parsing: Heavy::new(PARSED_AT_ONCE),
        }
    }

    /// Carries out the steps of a measurement. If `hosts` are given, it queries only these; `run` creates a Job and
    /// waits until it ends.
    ///
    /// # Errors
    /// Why there is no result, for example that the quota did not allow a request in time.
    pub async fn follow<F: Future<Output = Result<JobEnd, String>>>(
        &self,
        namespace: &str,
        clients: &Clients,
        hosts: Option<&[Hosts]>,
        mut step: Step,
        run: impl Fn(Job) -> F,
    ) -> Measured {
        let mut share = None;
        loop {
            step = match step {
                Step::Http(request, then) => {
                    // What remains of the previous answer, such as a token, is small. Its memory is released before
                    // more is requested: otherwise measurements could wait for each other.
                    drop(share.take());
                    let (next, taken) = self.send(namespace, clients, *request, hosts, then).await?;
                    share = Some(taken);
                    next
                }
                Step::Job(job, then) => then(run(*job).await?),
                Step::Done(outcome) => return Ok((outcome?, share)),
            };
        }
    }

    /// Sends a request when the quota allows it. Returns the next step, and the share of memory for the answer.
    async fn send(
        &self,
        namespace: &str,
        clients: &Clients,
        request: HttpRequest,
        hosts: Option<&[Hosts]>,
        then: Then<HttpResponse>,
    ) -> Result<(Step, Share), String> {
        let turn = timeout(MAX_WAIT, self.requests.share(namespace.to_owned(), 1)).await;
        let _turn = turn.map_err(|_| no_turn(namespace))?;
        let answer = clients.send(request, hosts).await?;
        let share = timeout(MAX_WAIT, self.answers.share(namespace.to_owned(), kib(&answer))).await;
        let share = share.map_err(|_| no_memory(namespace, self.memory_mib))?;
        Ok((self.parsing.run(|| then(answer)).await, share))
    }
}

fn kib(answer: &HttpResponse) -> u32 {
    u32::try_from(answer.parsed_bytes() >> 10).unwrap_or(u32::MAX).max(MIN_KIB)
}

fn no_turn(namespace: &str) -> String {
    format!(
        "could not start within {}s: the limit is {PER_NAMESPACE} concurrent measurements in namespace {namespace} and {MAX_CONCURRENT} in all namespaces; use fewer metrics, longer intervals or shorter timeouts",
        MAX_WAIT.as_secs()
    )
}

fn no_memory(namespace: &str, memory_mib: u32) -> String {
    format!(
        "got no memory for its answer within {}s: the limit for answers that wait to be judged is {} MiB in namespace {namespace} and {memory_mib} MiB in all namespaces; query less, or aggregate in the query",
        MAX_WAIT.as_secs(),
        MEMORY_PER_NAMESPACE_KIB >> 10,
    )
}

// An answer that needs more would wait forever.
const _: () = assert!(MAX_PARSED >> 10 <= MEMORY_PER_NAMESPACE_KIB as usize);
