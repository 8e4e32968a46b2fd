//! Every metric has its name and its explanation here; the modules that count register them.

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, text},
    metrics::{MetricType, gauge::ConstGauge, histogram::Histogram, info::Info},
    registry::{self, Registry},
};
use std::fmt;
use strum::EnumMessage;
use tokio::runtime::{Handle, RuntimeMetrics};

/// Media type of [`encode`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What all names begin with.
const PREFIX: &str = "haldane";

/// All metrics: the name is the variant's in snake case, the help is its documentation.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    strum::EnumIter,
    strum::EnumMessage,
    strum::EnumProperty,
    strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub enum Metric {
    /// Version of this process.
    #[strum(props(kind = "info", labels = "version"))]
    Build,
    /// Admission requests by result: `allowed`, `patched`, `denied`, or `none` for those that got no verdict.
    #[strum(props(kind = "counter", labels = "stage, decision"))]
    AdmissionDecisions,
    /// Rules that decided admission requests; a request counts once for each.
    #[strum(props(kind = "counter", labels = "stage, decision, rule"))]
    AdmissionRules,
    /// Time to answer an admission request.
    #[strum(props(kind = "histogram", labels = "stage"))]
    AdmissionDurationSeconds,
    /// 1 for the phase that a managed Deployment is in. These and the other series of a Deployment are the leader's, and go when it is deleted or not managed any more.
    #[strum(props(kind = "gauge", labels = "namespace, deployment, phase"))]
    RolloutPhase,
    /// Index of the step that a rollout is at, from 0; the number of steps once all have passed. No series before the first step and after the last.
    #[strum(props(kind = "gauge", labels = "namespace, deployment"))]
    RolloutStep,
    /// Number of steps of a rollout.
    #[strum(props(kind = "gauge", labels = "namespace, deployment"))]
    RolloutSteps,
    /// Share of the traffic that the canary must get, in percent.
    #[strum(props(kind = "gauge", labels = "namespace, deployment"))]
    RolloutWeightDesired,
    /// The same, once it was observed to be in force; no series until then.
    #[strum(props(kind = "gauge", labels = "namespace, deployment"))]
    RolloutWeightObserved,
    /// 1 while a rollout waits for a person, 0 while it does not.
    #[strum(props(kind = "gauge", labels = "namespace, deployment"))]
    RolloutWaitsForPerson,
    /// Releases that wait for their turn, because a policy limits how many canaries run at once.
    #[strum(props(kind = "gauge", labels = ""))]
    RolloutsQueued,
    /// Managed Deployments beyond the 5000 that have series of their own; releases under way come first.
    #[strum(props(kind = "gauge", labels = ""))]
    RolloutsWithoutSeries,
    /// Time from the start of a rollout to its end: `Promoted`, `Aborted`, `RolledBack` or `Superseded`.
    #[strum(props(kind = "histogram", labels = "outcome"))]
    RolloutDurationSeconds,
    /// Measurements of analyses: `Successful`, `Failed`, `Inconclusive` or `Error`.
    #[strum(props(kind = "counter", labels = "provider, result"))]
    Measurements,
    /// Verdicts about metrics of analyses: `Successful`, `Failed`, `Inconclusive` or `Error`.
    #[strum(props(kind = "counter", labels = "provider, verdict"))]
    MetricVerdicts,
    /// Notifications by format of the destination, `none` where the routing cannot be read: `Delivered` or `Failed`.
    #[strum(props(kind = "counter", labels = "format, result"))]
    Notifications,
    /// Time of a pass over a managed Deployment.
    #[strum(props(kind = "histogram", labels = ""))]
    ReconcileDurationSeconds,
    /// Passes that failed, by what the error means: `Invalid` needs a person, `Conflict` is a lost race, `Transient` may pass by itself, `NotLeader` is another replica's, `Bug` is one of Haldane.
    #[strum(props(kind = "counter", labels = "category"))]
    ReconcileErrors,
    /// Passes that succeeded and asked for another one at a later time.
    #[strum(props(kind = "counter", labels = ""))]
    ReconcileRequeues,
    /// Requests to the Kubernetes API by verb and HTTP status, or `error` without an answer. Attempts that the client library repeats by itself count once.
    #[strum(props(kind = "counter", labels = "verb, code"))]
    ApiRequests,
    /// Unix time at which the serving certificate expires.
    #[strum(props(kind = "gauge", labels = ""))]
    CertificateExpiryTimestampSeconds,
    /// 1 while this replica is the leader.
    #[strum(props(kind = "gauge", labels = ""))]
    Leader,
    /// Asynchronous tasks that are alive: some for the process, more for open connections and measurements.
    #[strum(props(kind = "gauge", labels = ""))]
    Tasks,
}

impl Metric {
    /// The name as Prometheus stores it; of a histogram the common part.
    #[must_use]
    pub fn full_name(self) -> String {
        let suffix = match self.kind() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        format!("{PREFIX}_{}{suffix}", <&str>::from(self))
    }

    /// `counter`, `gauge`, `histogram` or `info`.
    #[must_use]
    pub fn kind(self) -> &'static str {
        self.property("kind")
    }

    /// The labels, with commas between.
    #[must_use]
    pub fn labels(self) -> &'static str {
        self.property("labels")
    }

    /// What it counts.
    #[must_use]
    pub fn help(self) -> &'static str {
        self.get_documentation().unwrap_or_default()
    }

    fn property(self, name: &str) -> &'static str {
        strum::EnumProperty::get_str(&self, name).unwrap_or_default()
    }
}

/// Registers what is counted as `metric`.
pub fn register(registry: &mut Registry, metric: Metric, counted: impl registry::Metric) {
    // The encoder ends the help with a full stop of its own.
    registry.register(<&str>::from(metric), metric.help().trim_end_matches('.'), counted);
}

/// A registry in which every name begins with `haldane_`.
#[must_use]
pub fn registry() -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    register(&mut registry, Metric::Build, Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
    registry
}

/// A histogram of latencies from half a millisecond to the five seconds after which an API server gives up.
#[must_use]
pub fn latencies() -> Histogram {
    Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0])
}

/// [`Metric::Tasks`], counted when somebody asks.
#[derive(Debug)]
pub struct Tasks(RuntimeMetrics);

impl Tasks {
    /// The tasks of the runtime that this is called in.
    #[must_use]
    pub fn here() -> Self {
        Self(Handle::current().metrics())
    }
}

impl EncodeMetric for Tasks {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        let alive = u32::try_from(self.0.num_alive_tasks()).unwrap_or(u32::MAX);
        ConstGauge::new(alive).encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// All metrics as `OpenMetrics` text.
///
/// # Errors
/// When a metric cannot be written, which no registered kind does.
pub fn encode(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    text::encode(&mut text, registry)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
    use strum::IntoEnumIterator;

    #[test]
    fn names_and_kinds_are_what_is_exposed() {
        for metric in Metric::iter().filter(|metric| *metric != Metric::Build) {
            let mut registry = registry();
            match metric.kind() {
                "counter" => register(&mut registry, metric, Counter::<u64>::default()),
                "gauge" => register(&mut registry, metric, <Gauge>::default()),
                "histogram" => register(&mut registry, metric, latencies()),
                other => panic!("{metric:?} is of the unknown kind {other:?}"),
            }
            let text = encode(&registry).unwrap();
            assert!(text.contains(&format!("\n{}", metric.full_name())), "{metric:?}: {text}");
        }
        assert!(encode(&registry()).unwrap().contains(&Metric::Build.full_name()));
    }

    #[tokio::test]
    async fn tasks_are_counted_when_somebody_asks() {
        let mut registry = registry();
        register(&mut registry, Metric::Tasks, Tasks::here());
        let alive = |count: u32| {
            let text = encode(&registry).unwrap();
            assert!(text.contains(&format!("\nhaldane_tasks {count}\n")), "{text}");
        };
        alive(0);
        let waiting = tokio::spawn(std::future::pending::<()>());
        alive(1);
        waiting.abort();
        drop(waiting.await);
        alive(0);
    }
}
