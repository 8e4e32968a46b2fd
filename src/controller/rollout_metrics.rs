//! Metrics of rollouts. Series of single Deployments are a function of what people see of them, and go with them.

use crate::{
    decide::{RolloutView, WaitReason},
    domain::{
        metric::{AnalysisPhase, AnalysisRun, MetricResult},
        names::Weight,
        observed::Observed,
        state::{Phase, RolloutState},
    },
    providers,
    runtime::{
        locked::lock,
        metrics::{self, Metric},
    },
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::reflector::ObjectRef;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder},
    metrics::{MetricType, counter::Counter, family::Family, gauge::ConstGauge, histogram::Histogram},
    registry::Registry,
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

/// Deployments that have series of their own; the releases under way come first.
const MAX_DEPLOYMENTS: usize = 5_000;

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

/// Metrics of rollouts; clones count in the same.
#[derive(Clone)]
pub struct RolloutMetrics {
    managed: Managed,
    measurements: Family<Measured, Counter>,
    verdicts: Family<Judged, Counter>,
    durations: Family<Ended, Histogram>,
}

/// The managed Deployments, by namespace and name.
#[derive(Debug, Clone, Default)]
struct Managed(Arc<Mutex<BTreeMap<(String, String), Sample>>>);

/// What the series of one Deployment are made of.
#[derive(Debug, Clone, Copy)]
struct Sample {
    phase: Phase,
    is_queued: bool,
    progress: Option<Progress>,
}

/// See [`crate::decide::view::ProgressView`].
#[derive(Debug, Clone, Copy)]
struct Progress {
    step: Option<usize>,
    steps: usize,
    weight: Weight,
    observed_weight: Option<Weight>,
    waits_for_person: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Measured {
    provider: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Judged {
    provider: &'static str,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

/// What a gauge shows of a rollout.
type Value = fn(&Progress) -> Option<f64>;

/// The gauges of a rollout; one without a value has no series.
const GAUGES: &[(Metric, Value)] = &[
    (Metric::RolloutStep, |progress| progress.step.map(number)),
    (Metric::RolloutSteps, |progress| Some(number(progress.steps))),
    (Metric::RolloutWeightDesired, |progress| Some(progress.weight.percentage())),
    (Metric::RolloutWeightObserved, |progress| progress.observed_weight.map(Weight::percentage)),
    (Metric::RolloutWaitsForPerson, |progress| Some(progress.waits_for_person.into())),
];

/// A plan never has so many steps, nor a cluster so many Deployments, that this is inexact.
fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

impl RolloutMetrics {
    /// Counts in `registry`.
    pub fn new(registry: &mut Registry) -> Self {
        let managed = Managed::default();
        let (measurements, verdicts) = (Family::default(), Family::default());
        let durations = Family::new_with_constructor(lifetimes as fn() -> Histogram);
        let gauges = GAUGES.iter().map(|(metric, value)| (*metric, What::Progress(*value)));
        let others = [
            (Metric::RolloutPhase, What::Phase),
            (Metric::RolloutsQueued, What::Queued),
            (Metric::RolloutsWithoutSeries, What::WithoutSeries),
        ];
        for (metric, what) in others.into_iter().chain(gauges) {
            metrics::register(registry, metric, Series { managed: managed.clone(), what });
        }
        metrics::register(registry, Metric::Measurements, measurements.clone());
        metrics::register(registry, Metric::MetricVerdicts, verdicts.clone());
        metrics::register(registry, Metric::RolloutDurationSeconds, durations.clone());
        Self { managed, measurements, verdicts, durations }
    }

    /// A pass has recorded `after` where `before` was.
    pub fn recorded(
        &self,
        object: &ObjectRef<Deployment>,
        before: &RolloutState,
        after: &RolloutState,
        seen: &Observed,
    ) {
        self.managed.lock().insert(key(object), Sample::of(&RolloutView::of(after, seen)));
        self.count_results(before, after);
        for ended in after.history.iter().filter(|ended| !before.history.contains(ended)) {
            let outcome = ended.outcome.into();
            let took = ended.ended_at.duration_since(ended.started_at).as_secs_f64();
            self.durations.get_or_create(&Ended { outcome }).observe(took);
        }
    }

    /// The Deployment is gone, or not managed any more.
    pub fn forget(&self, object: &ObjectRef<Deployment>) {
        self.managed.lock().remove(&key(object));
    }

    /// The time in which this replica leads. All Deployments are forgotten when it is dropped: another leader reports
    /// them then.
    #[must_use = "dropped at once, it forgets at once"]
    pub fn term(&self) -> Term {
        Term(self.managed.clone())
    }

    /// Counts what the analyses of `after` have come to since `before`.
    fn count_results(&self, before: &RolloutState, after: &RolloutState) {
        for run in runs(after) {
            let known = runs(before).find(|known| known.name == run.name);
            for (index, (spec, result)) in run.specs.iter().zip(&run.results).enumerate() {
                let known = known.and_then(|known| known.results.get(index));
                let provider = provider(&spec.provider.key);
                let counted = known.map(by_result).unwrap_or_default();
                for ((phase, count), (_, counted)) in by_result(result).into_iter().zip(counted) {
                    let added = u64::try_from(count.saturating_sub(counted)).unwrap_or(0);
                    if added > 0 {
                        let measured = Measured { provider, result: phase.into() };
                        self.measurements.get_or_create(&measured).inc_by(added);
                    }
                }
                let was_completed = known.is_some_and(|known| known.phase.is_completed());
                if result.phase.is_completed() && !was_completed {
                    let verdict = result.phase.into();
                    self.verdicts.get_or_create(&Judged { provider, verdict }).inc();
                }
            }
        }
    }
}

fn runs(state: &RolloutState) -> impl Iterator<Item = &AnalysisRun> {
    state.rollout.iter().flat_map(|rollout| &rollout.runs).map(|record| &record.run)
}

/// A closed set, whatever the record contains.
fn provider(key: &str) -> &'static str {
    providers::find(key).map_or("unknown", |provider| provider.key())
}

/// Measurements by result.
fn by_result(result: &MetricResult) -> [(AnalysisPhase, i32); 4] {
    [
        (AnalysisPhase::Successful, result.successful),
        (AnalysisPhase::Failed, result.failed),
        (AnalysisPhase::Inconclusive, result.inconclusive),
        (AnalysisPhase::Error, result.error),
    ]
}

fn key(object: &ObjectRef<Deployment>) -> (String, String) {
    (object.namespace.clone().unwrap_or_default(), object.name.clone())
}

fn lifetimes() -> Histogram {
    let minutes = [1.0, 5.0, 15.0, 30.0].map(|count| count * MINUTE);
    let hours = [1.0, 2.0, 4.0, 8.0].map(|count| count * HOUR);
    let days = [1.0, 3.0, 7.0].map(|count| count * DAY);
    Histogram::new(minutes.into_iter().chain(hours).chain(days))
}

impl Sample {
    fn of(view: &RolloutView) -> Self {
        let is_person = |reason| matches!(reason, WaitReason::Person | WaitReason::Refused);
        let waits_for_person = view.waits.as_ref().is_some_and(|waits| is_person(waits.reason));
        let progress = view.rollout.as_ref().map(|rollout| Progress {
            step: rollout.step,
            steps: rollout.steps,
            weight: rollout.weight,
            observed_weight: rollout.observed_weight,
            waits_for_person,
        });
        Self { phase: view.phase, is_queued: view.queued_since.is_some(), progress }
    }
}

impl Managed {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Sample>> {
        lock(&self.0)
    }

    /// Calls `each` with the labels and the sample of every Deployment that has series.
    fn each(&self, mut each: impl FnMut([(&str, &str); 2], &Sample) -> fmt::Result) -> fmt::Result {
        let managed = self.lock();
        let (idle, active): (Vec<_>, Vec<_>) =
            managed.iter().partition(|(_, sample)| sample.phase == Phase::Healthy);
        active.into_iter().chain(idle).take(MAX_DEPLOYMENTS).try_for_each(|((namespace, name), sample)| {
            each([("namespace", namespace), ("deployment", name)], sample)
        })
    }
}

/// See [`RolloutMetrics::term`].
pub struct Term(Managed);

impl Drop for Term {
    fn drop(&mut self) {
        self.0.lock().clear();
    }
}

/// Series that are written when they are scraped.
#[derive(Debug)]
struct Series {
    managed: Managed,
    what: What,
}

/// What a series shows.
#[derive(Debug, Clone, Copy)]
enum What {
    Phase,
    Progress(Value),
    Queued,
    WithoutSeries,
}

impl EncodeMetric for Series {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        match self.what {
            What::Phase => self.managed.each(|object, sample| {
                let labels = (object, [("phase", <&str>::from(sample.phase))]);
                ConstGauge::new(1_u32).encode(encoder.encode_family(&labels)?)
            }),
            What::Progress(value) => self.managed.each(|object, sample| {
                let Some(value) = sample.progress.as_ref().and_then(value) else { return Ok(()) };
                ConstGauge::new(value).encode(encoder.encode_family(&object)?)
            }),
            What::Queued => {
                let queued = self.managed.lock().values().filter(|sample| sample.is_queued).count();
                ConstGauge::new(number(queued)).encode(encoder)
            }
            What::WithoutSeries => {
                let excess = self.managed.lock().len().saturating_sub(MAX_DEPLOYMENTS);
                ConstGauge::new(number(excess)).encode(encoder)
            }
        }
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

#[cfg(test)]
pub(super) mod tests;
