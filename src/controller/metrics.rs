//! What the controller counts.

use super::rollout_metrics::RolloutMetrics;
use crate::{
    cluster::error::Category,
    notify::Format,
    runtime::metrics::{self, Metric},
};
use kube::runtime::controller::Action;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use std::time::Duration;
use strum::VariantArray;

/// The controller's metrics; clones count in the same.
#[derive(Clone)]
pub struct Metrics {
    /// Of rollouts.
    pub rollouts: RolloutMetrics,
    /// Of notifications.
    pub notifications: Notifications,
    durations: Histogram,
    errors: Family<Failed, Counter>,
    requeues: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    category: &'static str,
}

/// Of a notification whose destination is not known.
pub(super) const NO_FORMAT: &str = "none";
const DELIVERED: &str = "Delivered";
const FAILED: &str = "Failed";

/// Counts notifications by the format of their destination.
#[derive(Debug, Clone)]
pub struct Notifications(Family<Sent, Counter>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Sent {
    format: &'static str,
    result: &'static str,
}

impl Default for Notifications {
    /// All at 0, so that the first that is lost is an increase, too.
    fn default() -> Self {
        let counts = Family::<Sent, Counter>::default();
        for format in Format::VARIANTS.iter().map(<&str>::from).chain([NO_FORMAT]) {
            for result in [DELIVERED, FAILED] {
                drop(counts.get_or_create(&Sent { format, result }));
            }
        }
        Self(counts)
    }
}

impl Notifications {
    /// A receiver has accepted one.
    pub(super) fn delivered(&self, format: &'static str) {
        self.0.get_or_create(&Sent { format, result: DELIVERED }).inc();
    }

    /// One is lost.
    pub(super) fn failed(&self, format: &'static str) {
        self.0.get_or_create(&Sent { format, result: FAILED }).inc();
    }
}

#[cfg(test)]
impl Notifications {
    /// How many are lost whose destination is not known.
    pub(super) fn lost(&self) -> u64 {
        self.0.get_or_create(&Sent { format: NO_FORMAT, result: FAILED }).get()
    }
}

impl Metrics {
    /// Counts in `registry`.
    pub fn new(registry: &mut Registry) -> Self {
        let (durations, errors, requeues) = (metrics::latencies(), Family::default(), Counter::default());
        metrics::register(registry, Metric::ReconcileDurationSeconds, durations.clone());
        metrics::register(registry, Metric::ReconcileErrors, errors.clone());
        metrics::register(registry, Metric::ReconcileRequeues, requeues.clone());
        let notifications = Notifications::default();
        metrics::register(registry, Metric::Notifications, notifications.0.clone());
        Self { rollouts: RolloutMetrics::new(registry), notifications, durations, errors, requeues }
    }

    /// A pass ended like this after so much time.
    pub(super) fn passed(&self, took: Duration, outcome: Result<&Action, Category>) {
        self.durations.observe(took.as_secs_f64());
        match outcome {
            Err(category) => {
                self.errors.get_or_create(&Failed { category: category.into() }).inc();
            }
            Ok(action) if *action != Action::await_change() => {
                self.requeues.inc();
            }
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_counted_by_result() {
        let mut registry = metrics::registry();
        let metrics = Metrics::new(&mut registry);
        let took = Duration::from_millis(20);
        metrics.passed(took, Ok(&Action::await_change()));
        metrics.passed(took, Ok(&Action::requeue(took)));
        metrics.passed(took, Err(Category::NotLeader));
        let text = metrics::encode(&registry).unwrap();
        let expected = [
            "haldane_reconcile_duration_seconds_count 3\n",
            "haldane_reconcile_duration_seconds_bucket{le=\"0.01\"} 0\n",
            "haldane_reconcile_errors_total{category=\"NotLeader\"} 1\n",
            "haldane_reconcile_requeues_total 1\n",
        ];
        for line in expected {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
