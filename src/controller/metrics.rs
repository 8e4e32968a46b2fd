//! What the controller counts.

use super::rollout_metrics::RolloutMetrics;
use crate::{
    cluster::error::Category,
    runtime::metrics::{self, Metric},
};
use kube::runtime::controller::Action;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use std::time::Duration;

/// The controller's metrics; clones count in the same.
#[derive(Clone)]
pub struct Metrics {
    /// Of rollouts.
    pub rollouts: RolloutMetrics,
    durations: Histogram,
    errors: Family<Failed, Counter>,
    requeues: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    category: &'static str,
}

impl Metrics {
    /// Counts in `registry`.
    pub fn new(registry: &mut Registry) -> Self {
        let (durations, errors, requeues) = (metrics::latencies(), Family::default(), Counter::default());
        metrics::register(registry, Metric::ReconcileDurationSeconds, durations.clone());
        metrics::register(registry, Metric::ReconcileErrors, errors.clone());
        metrics::register(registry, Metric::ReconcileRequeues, requeues.clone());
        Self { rollouts: RolloutMetrics::new(registry), durations, errors, requeues }
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
