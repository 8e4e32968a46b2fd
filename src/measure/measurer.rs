//! Measurements in flight: queries metric providers in the background, and keeps answers until they are judged.

use super::{
    http::Clients,
    job,
    quota::{Measured, Quota},
    secrets,
};
use crate::{
    analysis::{self, Answer, args, samples},
    config::inquiry::{FALLBACK, has_series, inquiry, series_behind},
    decide::{DueMeasurement, Measurements, Measuring},
    document::fields,
    domain::value::{MetricValue, Reading},
    providers::{self, Defaults, MetricProvider, Question, Release, Sample, Step},
    runtime::{clock, fair::Share, locked::lock},
};
use futures::{Stream, stream::poll_fn};
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::reflector::ObjectRef;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};
use tokio::sync::{Notify, mpsc};

/// Maximum number of finished measurements that wait for their reconcile; further ones wait before they are sent.
const QUEUE: usize = 256;

/// Maximum memory of answers that are being parsed or wait to be judged.
const MEMORY_MIB: u32 = 32;

type Key = ObjectRef<Deployment>;

/// Runs measurements in the background and keeps their answers until they are judged.
pub struct Measurer {
    means: Means,
    turns: Quota,
    by_object: Mutex<HashMap<Key, Known>>,
    done: mpsc::Sender<Key>,
    /// Notified whenever an answer may no longer be needed.
    judged: Notify,
}

/// The measurements of an object; each answer has its share of the memory.
type Known = Measuring<Option<Share>>;

/// What measurements need.
pub struct Means {
    /// For requests over HTTP.
    pub http: Clients,
    /// For secret arguments.
    pub secrets: secrets::Reader,
    /// Defaults of the installation.
    pub defaults: Defaults,
}

impl Measurer {
    /// A measurer, and the stream of objects with new answers.
    #[must_use = "the stream must be polled, or finished measurements wait for their reconcile"]
    pub fn new(means: Means) -> (Arc<Self>, impl Stream<Item = Key> + Send) {
        let (done, mut finished) = mpsc::channel(QUEUE);
        let turns = Quota::new(MEMORY_MIB);
        let measurer = Self { means, turns, by_object: Mutex::default(), done, judged: Notify::new() };
        (Arc::new(measurer), poll_fn(move |context| finished.poll_recv(context)))
    }

    /// The answers for an object that are not judged yet, and the measurements in flight.
    #[must_use]
    pub fn seen(&self, object: &Key) -> Measurements {
        self.with(|all| all.get(object).map(Known::seen)).unwrap_or_default()
    }

    /// Removes answers that the recorded state contains, and runs that are no longer active in it.
    pub fn judged(&self, object: &Key, judged: &Measurements, active: &BTreeSet<&str>) {
        self.with(|all| {
            let Some(known) = all.get_mut(object) else { return };
            known.judged(judged, active);
            if known.is_empty() {
                all.remove(object);
            }
        });
        self.judged.notify_waiters();
    }

    /// Removes an object that no longer exists: nobody judges its answers.
    pub fn forget(&self, object: &Key) {
        self.with(|all| drop(all.remove(object)));
        self.judged.notify_waiters();
    }

    /// Starts a measurement, unless it is in flight already.
    pub fn start(self: &Arc<Self>, object: &Key, due: DueMeasurement) {
        if self.with(|all| all.entry(object.clone()).or_default().start(&due)) {
            let (measurer, object) = (Arc::clone(self), object.clone());
            tokio::spawn(async move { measurer.run(object, due).await });
        }
    }

    async fn run(&self, object: Key, due: DueMeasurement) {
        let started_at = clock::now();
        let (outcome, metadata, share) = match self.measure(&object, &due).await {
            Ok((sample, share)) => (Ok(sample.reading), sample.metadata, share),
            Err(problem) => (Err(problem), BTreeMap::new(), None),
        };
        let provider = providers::find(&due.metric.provider.key);
        let no_data = match &outcome {
            Ok(Reading::Value { value, .. }) => self.missing(value, &object, &due).await,
            _ => None,
        };
        let answer = Answer {
            metric: due.metric.name.clone(),
            started_at,
            finished_at: clock::now(),
            outcome,
            // From the configuration whose secrets are not resolved yet.
            asked: provider.and_then(|provider| provider.asked(&due.metric.provider.config)),
            no_data,
            metadata,
        };
        self.with(|all| {
            if let Some(known) = all.get_mut(&object) {
                known.answered(&due.run, answer, share);
            }
        });
        // No receiver means that this replica no longer leads; the next leader measures again.
        let _ = self.done.send(object).await;
    }

    async fn measure(&self, object: &Key, due: &DueMeasurement) -> Measured {
        let key = due.metric.provider.key.as_str();
        let provider = providers::find(key).ok_or_else(|| format!("there is no provider {key:?}"))?;
        let namespace = object.namespace.as_deref().unwrap_or_default();
        let values = self.means.secrets.read(namespace, &due.secrets).await?;
        let mut config = due.metric.provider.config.clone();
        if !values.is_empty() {
            config = args::substitute_json(&config, &values)?;
            fields::read(&config, key, |node| provider.check(node))
                .map_err(|findings| analysis::secrets::without_values(&findings))?;
        }
        if provider.may_write(&config) {
            self.means.http.policy().check_write()?;
        }
        let outcome = self.sample(provider, &config, object, due).await;
        let redacted = |text: &str| analysis::secrets::redact(text, &values);
        match outcome {
            Ok((sample, share)) => Ok((sample.map_texts(&redacted), share)),
            Err(problem) => Err(redacted(&problem)),
        }
    }

    /// What a message adds about an answer without data, after further queries about the reason; `None` if it has data.
    async fn missing(&self, value: &MetricValue, object: &Key, due: &DueMeasurement) -> Option<String> {
        let provider = providers::find(&due.metric.provider.key)?;
        let Some(note) = provider.without_data(value) else {
            let series = self.additional_answer(series_behind(&due.metric)?, object, due).await?;
            return (!has_series(&series)).then(|| FALLBACK.to_owned());
        };
        let reason = match inquiry(&due.metric) {
            Some(inquiry) => {
                let parts = self.additional_answer(inquiry.config.clone(), object, due).await;
                parts.and_then(|parts| inquiry.reason(&parts))
            }
            None => None,
        };
        Some(note + &reason.unwrap_or_default())
    }

    /// The answer to an additional query of the same metric; `None` if there is none.
    async fn additional_answer(
        &self,
        config: Value,
        object: &Key,
        due: &DueMeasurement,
    ) -> Option<MetricValue> {
        let mut additional = due.clone();
        additional.metric.provider.config = config;
        additional.metric.min_samples = None;
        match self.measure(object, &additional).await.ok()?.0.reading {
            Reading::Value { value, .. } => Some(value),
            _ => None,
        }
    }

    /// The value, unless there are too few samples for a meaningful one.
    async fn sample(
        &self,
        provider: &dyn MetricProvider,
        config: &Value,
        object: &Key,
        due: &DueMeasurement,
    ) -> Measured {
        let name = format!("{}-{}-{}", due.run, due.metric.name, due.number);
        let release = Release {
            name: &object.name,
            namespace: object.namespace.as_deref().unwrap_or_default(),
            template: due.template.as_str(),
        };
        let first = |config: &Value| {
            let defaults = &self.means.defaults;
            provider.measure(&Question { config, defaults, now: clock::now(), name: &name, release })
        };
        if let Some(least) = &due.metric.min_samples {
            let step = first(&samples::counting(least, config));
            let (counted, share) = self.follow(step, object, due).await?;
            if let Some(few) = samples::short_of(least, &counted.reading) {
                return Ok((Sample { reading: few, ..counted }, share));
            }
        }
        self.follow(first(config), object, due).await
    }

    /// Carries out the steps of a measurement.
    async fn follow(&self, step: Step, object: &Key, due: &DueMeasurement) -> Measured {
        let namespace = object.namespace.as_deref().unwrap_or_default();
        let run = |job| async {
            let (run, nobody_waits) = (job_run(due), self.nobody_waits(object, due));
            // Boxed, because most measurements are not Jobs and should not reserve memory for one.
            Box::pin(job::run(self.client(), object, job, &run, nobody_waits)).await
        };
        self.turns.follow(namespace, &self.means.http, due.hosts.as_deref(), step, run).await
    }

    /// The defaults of the installation.
    #[must_use]
    pub fn defaults(&self) -> &Defaults {
        &self.means.defaults
    }

    fn client(&self) -> &kube::Client {
        &self.means.secrets.client
    }

    /// Completes when the answer is no longer needed.
    async fn nobody_waits(&self, object: &Key, due: &DueMeasurement) {
        loop {
            // Before the check, so that no notification after it is missed.
            let judged = self.judged.notified();
            if !self.with(|all| all.get(object).is_some_and(|known| known.is_awaited(due))) {
                return;
            }
            judged.await;
        }
    }

    fn with<T>(&self, then: impl FnOnce(&mut HashMap<Key, Known>) -> T) -> T {
        then(&mut lock(&self.by_object))
    }
}

/// Distinguishes the Jobs of a run from all other Jobs, even of a run that has the same name because the
/// record was lost.
fn job_run(due: &DueMeasurement) -> String {
    let begun = due.begun.map(|begun| begun.to_string()).unwrap_or_default();
    format!("{} of {begun}", due.run)
}
