//! Shutdown without failed requests: not ready first, still serving, then stopped.

use super::admin::Readiness;
use std::{io, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time,
};
use tracing::info;

/// The phase of the shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Running normally.
    Running,
    /// No new work starts. Admission requests are still answered, and clients are asked to close their connections.
    Draining,
    /// The sockets close.
    Stopping,
}

/// Signals the parts of the process when to end; cheap to clone.
#[derive(Debug, Clone)]
pub struct Phases(watch::Receiver<Phase>);

impl From<watch::Receiver<Phase>> for Phases {
    fn from(phase: watch::Receiver<Phase>) -> Self {
        Self(phase)
    }
}

impl Phases {
    /// Whether `phase` or a later one has started.
    #[must_use]
    pub fn is_reached(&self, phase: Phase) -> bool {
        *self.0.borrow() >= phase
    }

    /// Completes when `phase` or a later one starts.
    pub async fn reached(mut self, phase: Phase) {
        // Without a sender the process is ending anyway.
        let _ = self.0.wait_for(|now| *now >= phase).await;
    }
}

/// SIGTERM and SIGINT, and the phases that they start.
#[derive(Debug)]
pub struct Shutdown {
    terminate: Signal,
    interrupt: Signal,
    phase: watch::Sender<Phase>,
}

impl Shutdown {
    /// Installs the handlers; from then on these signals do not kill the process.
    ///
    /// # Errors
    /// When the operating system refuses a signal handler.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            phase: watch::Sender::new(Phase::Running),
        })
    }

    /// The phases, for the parts that must end.
    #[must_use]
    pub fn phases(&self) -> Phases {
        self.phase.subscribe().into()
    }

    /// Waits for a signal, then goes through the phases.
    ///
    /// Readiness fails immediately, but API servers see the changed endpoints only later. New connections are
    /// served until `drain` is over or a second signal arrives.
    pub async fn conduct(mut self, readiness: &Readiness, drain: Duration) {
        self.signalled().await;
        info!(?drain, "draining");
        readiness.set("not shutting down", false);
        self.phase.send_replace(Phase::Draining);
        let _ = time::timeout(drain, self.signalled()).await;
        info!("stopping");
        self.phase.send_replace(Phase::Stopping);
    }

    async fn signalled(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
