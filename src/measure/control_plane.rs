//! The addresses of what controls the cluster, which no metric may be asked of under whatever name.

use crate::{domain::hosts::embedded, runtime::clock};
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};
use tokio::{net::lookup_host, sync::Mutex, time::timeout};

/// A Service that is made anew gets another address.
const FRESH: Duration = Duration::from_mins(1);
/// For all names together.
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

    /// Whether an address is one of theirs, as far as their names can be looked up.
    pub async fn has(&self, address: IpAddr) -> bool {
        let mut known = self.known.lock().await;
        let now = clock::monotonic();
        let fresh = known.as_ref().filter(|(at, _)| now.duration_since(*at) < FRESH);
        let is_known = |addresses: &[IpAddr]| addresses.contains(&embedded(address));
        if let Some((_, addresses)) = fresh {
            return is_known(addresses);
        }
        let mut found = Vec::new();
        // What was found until then counts.
        let _ = timeout(PATIENCE, self.look_up(&mut found)).await;
        let is_one = is_known(&found);
        *known = Some((now, found));
        is_one
    }

    async fn look_up(&self, found: &mut Vec<IpAddr>) {
        for service in &self.services {
            // A Service that is not there has no address.
            if let Ok(addresses) = lookup_host((format!("{service}.svc"), 0)).await {
                found.extend(addresses.map(|address| embedded(address.ip())));
            }
        }
    }
}
