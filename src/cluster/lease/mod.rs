//! Leader election by a `Lease`: at most one replica writes to the cluster.
//!
//! A leader believes in itself for two thirds of the lease's duration after it *sent* its last good
//! renewal; others take over a whole duration after they *saw* that renewal. So an old leader that was
//! cut off stops by its own clock before a new one starts, and what it sent last has a third of the
//! duration to arrive. A machine that sleeps stops the monotonic clock too: that is why every write is
//! also guarded by a `resourceVersion` or a `test`.

mod election;

use super::api;
use crate::runtime::{
    clock,
    metrics::{self, Metric},
    telemetry::causes,
};
use election::{Candidate, Choice, Sighting};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{Api, Client};
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use std::time::{Duration, Instant};
use tokio::{sync::watch, time};
use tracing::{info, warn};

/// Between looks at a lease that another holds, and after a failed renewal.
const RETRY: Duration = Duration::from_secs(2);

/// Which lease to run for, and how.
#[derive(Debug, Clone)]
pub struct LeaseConfig {
    /// Namespace of the lease.
    pub namespace: String,
    /// Name of the lease.
    pub name: String,
    /// The pod's name: a container restarted in the same pod takes its own lease back at once.
    pub identity: String,
    /// How long others wait for a holder that has gone silent.
    pub duration: Duration,
    /// How often the holder renews; under a third of `duration`, so that one failure costs nothing.
    pub renew: Duration,
}

/// Whether this process may write; cheap to clone and to ask.
#[derive(Debug, Clone)]
pub struct Leadership {
    until: watch::Receiver<Option<Instant>>,
    leading: watch::Receiver<bool>,
    after_death: watch::Receiver<Option<String>>,
}

impl Leadership {
    /// For a process that has no other replica: it leads while it runs.
    #[must_use]
    pub fn undisputed() -> Self {
        let forever = clock::monotonic().checked_add(Duration::from_hours(24 * 365));
        let after_death = watch::channel(None).1;
        Self { until: watch::channel(forever).1, leading: watch::channel(true).1, after_death }
    }

    /// A name for this term of leadership, if the leader before it died instead of giving the lease up.
    #[must_use]
    pub fn after_death(&self) -> Option<String> {
        self.after_death.borrow().clone()
    }

    /// Whether this process is the leader now. Ask directly before each write.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.until.borrow().is_some_and(|until| clock::monotonic() < until)
    }

    /// Runs `work` from the start in each term of leadership and drops it at the term's end.
    ///
    /// Work that returns is not started again in the same term.
    ///
    /// # Cancellation
    /// `work` is dropped at an await point; what it has sent may still take effect.
    pub async fn while_leading<F: Future<Output = ()>>(mut self, work: impl Fn() -> F) {
        let mut end = self.leading.clone();
        while becomes(&mut self.leading, true).await {
            let mut end_of_term = std::pin::pin!(becomes(&mut end, false));
            let elector_lives = tokio::select! {
                () = work() => end_of_term.await,
                lives = &mut end_of_term => lives,
            };
            if !elector_lives {
                return;
            }
        }
    }
}

/// Waits until we lead or do not; false if the elector has gone for good.
async fn becomes(leading: &mut watch::Receiver<bool>, wanted: bool) -> bool {
    leading.wait_for(|leading| *leading == wanted).await.is_ok()
}

/// Runs for the lease and holds it.
#[derive(Debug)]
pub struct Elector {
    api: Api<Lease>,
    config: LeaseConfig,
    candidate: Candidate,
    sighting: Option<Sighting>,
    until: watch::Sender<Option<Instant>>,
    leading: watch::Sender<bool>,
    after_death: watch::Sender<Option<String>>,
    has_led: bool,
    gauge: Gauge,
}

impl Elector {
    /// An elector that has not started yet, and the handle by which others see its result.
    #[must_use]
    pub fn new(client: Client, config: LeaseConfig, registry: &mut Registry) -> (Self, Leadership) {
        let gauge = Gauge::default();
        metrics::register(registry, Metric::Leader, gauge.clone());
        let (until, until_rx) = watch::channel(None);
        let (leading, leading_rx) = watch::channel(false);
        let (after_death, after_death_rx) = watch::channel(None);
        let api = Api::namespaced(client, &config.namespace);
        let candidate = Candidate { identity: config.identity.clone(), duration: config.duration };
        let (sighting, has_led) = (None, false);
        let elector = Self { api, config, candidate, sighting, until, leading, after_death, has_led, gauge };
        (elector, Leadership { until: until_rx, leading: leading_rx, after_death: after_death_rx })
    }

    /// Runs for the lease until `stop`, then gives it up so that another replica leads at once.
    ///
    /// Errors of the API are logged and retried; they end leadership only by running out its time.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = self.turn() => {}
            }
        }
        self.release().await;
    }

    /// One attempt and the pause after it.
    async fn turn(&mut self) {
        let pause = match time::timeout(self.patience(self.config.renew), self.attempt()).await {
            Ok(Ok(pause)) => pause,
            Ok(Err(error)) if api::lost_race(&error) => RETRY,
            Ok(Err(error)) => {
                warn!(error = causes(&error), "cannot renew or take the lease");
                RETRY
            }
            Err(_) => {
                warn!("no answer about the lease in time");
                RETRY
            }
        };
        time::sleep(self.patience(pause)).await;
        if self.until.borrow().is_some_and(|until| clock::monotonic() >= until) {
            self.lead_until(None);
        }
    }

    /// `declared`, but not beyond the end of our leadership.
    fn patience(&self, declared: Duration) -> Duration {
        self.until
            .borrow()
            .map_or(declared, |until| declared.min(until.saturating_duration_since(clock::monotonic())))
    }

    /// Reads the lease, writes it if it is ours or free, and says when to come back.
    async fn attempt(&mut self) -> kube::Result<Duration> {
        // Our own term counts from before the write, others' from after the read: both err to safety.
        let sent = clock::monotonic();
        let found = self.api.get_opt(&self.config.name).await?;
        let seen = clock::monotonic();
        let record = found.as_ref().map(|lease| lease.spec.clone().unwrap_or_default());
        self.sighting = record.map(|record| Sighting::of(record, seen, self.sighting.as_ref()));
        match self.candidate.decide(self.sighting.as_ref(), seen, clock::now()) {
            Choice::Wait(rest) => {
                self.lead_until(None);
                Ok(rest.min(RETRY))
            }
            Choice::Write(spec) => {
                self.begin_term(found.as_ref(), &spec);
                self.write(found, spec).await?;
                self.has_led = true;
                self.lead_until(Some(sent + self.config.duration * 2 / 3));
                Ok(self.config.renew)
            }
        }
    }

    /// Notes whether the leader before died: it still holds the lease, and it is not this process.
    fn begin_term(&self, found: Option<&Lease>, spec: &LeaseSpec) {
        let holder = found.and_then(|lease| lease.spec.as_ref()?.holder_identity.as_deref());
        let holder = holder.filter(|holder| !holder.is_empty());
        let is_own = self.has_led && holder == Some(self.config.identity.as_str());
        if *self.leading.borrow() || is_own {
            return;
        }
        let since = spec.renew_time.as_ref().map(|time| time.0.to_string()).unwrap_or_default();
        let term = holder.map(|_| format!("{} since {since}", self.config.identity));
        self.after_death.send_replace(term);
    }

    /// Writes the record over the one that was read; fails if someone else was faster.
    async fn write(&self, found: Option<Lease>, spec: LeaseSpec) -> kube::Result<()> {
        if let Some(lease) = found {
            let lease = Lease { spec: Some(spec), ..lease };
            self.api.replace(&self.config.name, &api::post(), &lease).await?;
        } else {
            let mut lease = Lease { spec: Some(spec), ..Lease::default() };
            lease.metadata.name = Some(self.config.name.clone());
            self.api.create(&api::post(), &lease).await?;
        }
        Ok(())
    }

    fn lead_until(&self, until: Option<Instant>) {
        self.until.send_replace(until);
        let leads = until.is_some();
        if self.leading.send_if_modified(|leading| std::mem::replace(leading, leads) != leads) {
            info!(identity = self.config.identity, leads, "leadership changed");
            self.gauge.set(leads.into());
        }
    }

    async fn release(&self) {
        self.lead_until(None);
        let give_up = async {
            let Some(lease) = self.api.get_opt(&self.config.name).await? else { return Ok(()) };
            match lease.spec.as_ref().and_then(|record| self.candidate.release(record)) {
                Some(spec) => self.write(Some(lease), spec).await,
                None => Ok(()),
            }
        };
        match time::timeout(self.config.renew, give_up).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(error = causes(&error), "the lease was not released; it runs out by itself");
            }
            Err(_) => warn!("the lease was not released in time; it runs out by itself"),
        }
    }
}
