//! The addresses of the API server and of Haldane, which no metric may query under any name.

use crate::{domain::hosts::embedded, runtime::clock};
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};
use tokio::{net::lookup_host, sync::Mutex, time::timeout};

/// How long addresses are cached: a Service that is created again gets another address.
const FRESH: Duration = Duration::from_mins(1);
/// Timeout for all lookups together.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub(super) struct ControlPlane {
    services: Vec<String>,
    known: Mutex<Option<(Instant, Vec<IpAddr>)>>,
}

impl ControlPlane {
    /// The addresses of these Services, `NAME.NAMESPACE`.
    pub fn new(services: Vec<String>) -> Self {
        Self { services, known: Mutex::default() }
    }

    /// Whether an address belongs to one of them, as far as their names can be resolved.
    pub async fn has(&self, address: IpAddr) -> bool {
        let mut known = self.known.lock().await;
        let now = clock::monotonic();
        let fresh = known.as_ref().filter(|(at, _)| now.duration_since(*at) < FRESH);
        let is_known = |addresses: &[IpAddr]| addresses.contains(&embedded(address));
        if let Some((_, addresses)) = fresh {
            return is_known(addresses);
        }
        let mut found = Vec::new();
        // The addresses that were found until then count.
        let _ = timeout(PATIENCE, self.look_up(&mut found)).await;
        let is_one = is_known(&found);
        *known = Some((now, found));
        is_one
    }

    async fn look_up(&self, found: &mut Vec<IpAddr>) {
        for service in &self.services {
            // A Service that does not exist has no address.
            if let Ok(addresses) = lookup_host((format!("{service}.svc"), 0)).await {
                found.extend(addresses.map(|address| embedded(address.ip())));
            }
        }
    }
}
