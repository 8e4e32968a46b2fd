//! Leaving without a failed request: not ready, still serving, then gone.

use super::admin::Readiness;
use std::{io, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time,
};
use tracing::info;

/// How far the process is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Working.
    Running,
    /// Nothing new is begun, but admission requests still come and are answered; peers are told to go elsewhere.
    Draining,
    /// Sockets close.
    Stopping,
}

/// Tells parts of the process when to end; cheap to clone.
#[derive(Debug, Clone)]
pub struct Phases(watch::Receiver<Phase>);

impl From<watch::Receiver<Phase>> for Phases {
    fn from(phase: watch::Receiver<Phase>) -> Self {
        Self(phase)
    }
}

impl Phases {
    /// Whether `phase` or a later one has begun.
    #[must_use]
    pub fn is_reached(&self, phase: Phase) -> bool {
        *self.0.borrow() >= phase
    }

    /// Ends when `phase` or a later one begins.
    pub async fn reached(mut self, phase: Phase) {
        // A lost sender means that the process is ending anyway.
        let _ = self.0.wait_for(|now| *now >= phase).await;
    }
}

/// SIGTERM and SIGINT, and the phases that they begin.
#[derive(Debug)]
pub struct Shutdown {
    terminate: Signal,
    interrupt: Signal,
    phase: watch::Sender<Phase>,
}

impl Shutdown {
    /// Takes over both signals; from here on they do not kill the process.
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

    /// The phases, for those who must end.
    #[must_use]
    pub fn phases(&self) -> Phases {
        self.phase.subscribe().into()
    }

    /// Waits for a signal, then walks through the phases.
    ///
    /// Readiness is off at once, but endpoints reach API servers only some time later: until `drain` is
    /// over, or a second signal comes, new connections are still served.
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
