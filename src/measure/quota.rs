//! Whose turn it is to be measured: requests to metric providers, and the memory of their answers, shared fairly
//! between namespaces.

use super::http::Clients;
use crate::{
    domain::hosts::Hosts,
    providers::{
        Step, Then,
        http::{HttpRequest, HttpResponse, MAX_PARSED},
    },
    runtime::{
        fair::{Fair, Share},
        heavy::Heavy,
    },
};
use std::time::Duration;
use tokio::time::timeout;

/// Requests under way at once.
const AT_ONCE: u32 = 30;
/// Of which a namespace has so many at most, however slow they are.
const OF_A_NAMESPACE: u32 = 6;
/// Memory of answers that are being parsed or wait to be judged, in KiB.
const ROOM_KIB: u32 = 32 << 10;
/// Of which a namespace has so much at most: one answer of the greatest size, and small ones.
const ROOM_OF_A_NAMESPACE_KIB: u32 = 10 << 10;
/// What even the smallest answer is counted as.
const MIN_KIB: u32 = 4;
/// Answers parsed at once.
const PARSED_AT_ONCE: usize = 1;
/// Who waits longer is told, as an error of the measurement.
const PATIENCE: Duration = Duration::from_mins(1);

/// See the module.
pub(super) struct Quota {
    requests: Fair<String>,
    answers: Fair<String>,
    parsing: Heavy,
}

impl Quota {
    pub fn new() -> Self {
        Self {
            requests: Fair::new(AT_ONCE, OF_A_NAMESPACE),
            answers: Fair::new(ROOM_KIB, ROOM_OF_A_NAMESPACE_KIB),
            parsing: Heavy::new(PARSED_AT_ONCE),
        }
    }

    /// Sends a request when it is its turn, and gives what follows from the answer, with the memory that it takes:
    /// to be dropped with the last of it.
    ///
    /// # Errors
    /// Why there is no answer; also that there was no turn in time.
    pub async fn take(
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
        let share = share.map_err(|_| no_room(namespace))?;
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

fn no_room(namespace: &str) -> String {
    format!(
        "had no room for its answer within {}s: those of namespace {namespace} that wait to be judged may take \
         {} MiB, and {} MiB those of all; ask for less, or aggregate in the query",
        PATIENCE.as_secs(),
        ROOM_OF_A_NAMESPACE_KIB >> 10,
        ROOM_KIB >> 10
    )
}

// Whoever waits for so much would wait for ever.
const _: () = assert!(MAX_PARSED >> 10 <= ROOM_OF_A_NAMESPACE_KIB as usize);
