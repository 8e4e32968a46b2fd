//! Whose turn it is to be measured: requests to metric providers, and the memory of their answers, shared fairly
//! between namespaces.

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

/// Requests under way at once.
const AT_ONCE: u32 = 30;
/// Of which a namespace has so many at most, however slow they are.
const OF_A_NAMESPACE: u32 = 6;
/// Memory of answers that a namespace has at most, in KiB: one answer of the greatest size, and small ones.
const ROOM_OF_A_NAMESPACE_KIB: u32 = 10 << 10;
/// What even the smallest answer is counted as.
const MIN_KIB: u32 = 4;
/// Answers parsed at once.
const PARSED_AT_ONCE: usize = 1;
/// A measurement that waits longer for its turn ends with an error.
const PATIENCE: Duration = Duration::from_mins(1);

/// See the module.
pub struct Quota {
    room_mib: u32,
    requests: Fair<String>,
    answers: Fair<String>,
    parsing: Heavy,
}

/// The result of a measurement, with the memory that it takes: to be dropped with the last of it.
pub(super) type Measured = Result<(Sample, Option<Share>), String>;

impl Quota {
    /// With so much memory for all answers that are being parsed or wait to be judged.
    #[must_use]
    pub fn new(room_mib: u32) -> Self {
        Self {
            room_mib,
            requests: Fair::new(AT_ONCE, OF_A_NAMESPACE),
            answers: Fair::new(room_mib << 10, ROOM_OF_A_NAMESPACE_KIB),
            parsing: Heavy::new(PARSED_AT_ONCE),
        }
    }

    /// Takes the steps of a measurement to its end. If `hosts` are named, no other is asked; `run` makes a Job and
    /// waits for its end.
    ///
    /// # Errors
    /// Why there is no result; also that there was no turn in time.
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
                    // What came of an answer before, such as a token, takes no room worth speaking of. Given back
                    // before more is asked for, or many that have some would wait for each other.
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

    /// Sends a request when it is its turn, and gives what follows from the answer, with the memory that it takes.
    async fn send(
        &self,
        namespace: &str,
        clients: &Clients,
        request: HttpRequest,
        hosts: Option<&[Hosts]>,
        then: Then<HttpResponse>,
    ) -> Result<(Step, Share), String> {
        let turn = timeout(PATIENCE, self.requests.share(namespace.to_owned(), 1)).await;
        let _turn = turn.map_err(|_| no_turn(namespace))?;
        let answer = clients.send(request, hosts).await?;
        let share = timeout(PATIENCE, self.answers.share(namespace.to_owned(), kib(&answer))).await;
        let share = share.map_err(|_| no_room(namespace, self.room_mib))?;
        Ok((self.parsing.run(|| then(answer)).await, share))
    }
}

fn kib(answer: &HttpResponse) -> u32 {
    u32::try_from(answer.parsed_bytes() >> 10).unwrap_or(u32::MAX).max(MIN_KIB)
}

fn no_turn(namespace: &str) -> String {
    format!(
        "had no turn to be measured within {}s: {OF_A_NAMESPACE} measurements of namespace {namespace} may be under \
         way at once, and {AT_ONCE} of all; use fewer metrics, longer intervals or shorter timeouts",
        PATIENCE.as_secs()
    )
}

fn no_room(namespace: &str, room_mib: u32) -> String {
    format!(
        "had no room for its answer within {}s: those of namespace {namespace} that wait to be judged may take \
         {} MiB, and {room_mib} MiB those of all; ask for less, or aggregate in the query",
        PATIENCE.as_secs(),
        ROOM_OF_A_NAMESPACE_KIB >> 10,
    )
}

// An answer that needs more would wait for ever.
const _: () = assert!(MAX_PARSED >> 10 <= ROOM_OF_A_NAMESPACE_KIB as usize);
