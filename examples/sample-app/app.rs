//! What all requests share.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::metrics::Metrics;
use crate::settings::{Changes, Settings};
use crate::spread::ErrorSpread;

/// The running application.
pub struct App {
    /// What it is told to do; replaced as a whole by `/settings`.
    pub settings: ArcSwap<Settings>,
    /// Decides which requests fail.
    pub spread: ErrorSpread,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Series of other programs that `/metrics` shows as well; replaced as a whole by `/series`.
    pub series: ArcSwap<String>,
    /// What `/sink` was sent, oldest first.
    pub sink: Mutex<Vec<String>>,
    /// The name of the pod, or of the machine outside a cluster.
    pub pod: String,
    started: Instant,
    draining: AtomicBool,
}

/// Whether the application wants traffic.
#[derive(Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// Not before this time has passed.
    Starting(Duration),
    /// No more: it is about to end.
    Draining,
}

impl App {
    /// An application that starts now.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings: ArcSwap::from_pointee(settings),
            spread: ErrorSpread::default(),
            metrics: Metrics::default(),
            series: ArcSwap::default(),
            sink: Mutex::default(),
            pod: pod_name(),
            started: Instant::now(),
            draining: AtomicBool::new(false),
        }
    }

    /// Takes over the changes; settings they do not name stay as they are.
    pub fn change(&self, changes: &Changes) {
        self.settings.rcu(|current| changes.applied_to(current));
    }

    /// Says from now on that no more traffic is wanted.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the application wants traffic.
    pub fn readiness(&self) -> Readiness {
        if self.draining.load(Ordering::Relaxed) {
            return Readiness::Draining;
        }
        let left = self.settings.load().start_delay.saturating_sub(self.started.elapsed());
        if left.is_zero() { Readiness::Ready } else { Readiness::Starting(left) }
    }
}

fn pod_name() -> String {
    std::env::var("HOSTNAME")
        .ok()
        .or_else(|| std::fs::read_to_string(Path::new("/proc/sys/kernel/hostname")).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_follows_the_start_delay_and_ends_with_the_drain() {
        let app = App::new(Settings::default());
        assert_eq!(app.readiness(), Readiness::Ready);

        let mut changes = Changes::default();
        changes.set("start_delay", "1h").unwrap();
        app.change(&changes);
        assert!(matches!(app.readiness(), Readiness::Starting(_)));

        app.start_draining();
        assert_eq!(app.readiness(), Readiness::Draining);
    }
}
