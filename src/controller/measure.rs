//! Measurements under way: asking metric providers in the background, keeping answers until they are judged.

use super::{metric_http::Clients, metric_job, metric_secrets};
use crate::{
    analysis::{Answer, args, samples},
    decide::{DueMeasurement, Measurements},
    providers::{self, Defaults, MetricProvider, Question, Sample, Step},
    runtime::clock,
};
use futures::{Stream, stream::poll_fn};
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::reflector::ObjectRef;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{Notify, Semaphore, mpsc};

/// Requests under way at once; more wait.
const MAX_CONCURRENT: usize = 30;
/// Finished measurements that wait for their reconcile; senders wait beyond.
const QUEUE: usize = 256;

type Key = ObjectRef<Deployment>;

/// Runs measurements in the background and keeps their answers until they are judged.
pub struct Measurer {
    means: Means,
    permits: Semaphore,
    by_object: Mutex<HashMap<Key, Measurements>>,
    done: mpsc::Sender<Key>,
    /// Told whenever it may be that an answer matters no longer.
    judged: Notify,
}

/// What a measurement is made with.
pub struct Means {
    /// For requests over HTTP.
    pub http: Clients,
    /// For secret arguments.
    pub secrets: metric_secrets::Reader,
    /// What the installation adds to templates.
    pub defaults: Defaults,
}

impl Measurer {
    /// A measurer, and the stream of objects with new answers.
    #[must_use = "the stream must be polled, or finished measurements wait for their reconcile"]
    pub fn new(means: Means) -> (Arc<Self>, impl Stream<Item = Key> + Send) {
        let (done, mut finished) = mpsc::channel(QUEUE);
        let permits = Semaphore::new(MAX_CONCURRENT);
        let measurer = Self { means, permits, by_object: Mutex::default(), done, judged: Notify::new() };
        (Arc::new(measurer), poll_fn(move |context| finished.poll_recv(context)))
    }

    /// What has been measured for an object and not been judged, and what is being measured.
    #[must_use]
    pub fn seen(&self, object: &Key) -> Measurements {
        self.with(|all| all.get(object).cloned()).unwrap_or_default()
    }

    /// Forgets answers that a recorded state has taken in, and runs that are no longer under way in it.
    pub fn judged(&self, object: &Key, answers: &BTreeMap<String, Vec<Answer>>, active: &BTreeSet<&str>) {
        self.with(|all| {
            let Some(known) = all.get_mut(object) else { return };
            for (run, judged) in answers {
                if let Some(waiting) = known.answers.get_mut(run) {
                    waiting.drain(..judged.len().min(waiting.len()));
                }
            }
            known.answers.retain(|run, waiting| active.contains(run.as_str()) && !waiting.is_empty());
            known.in_flight.retain(|run, metrics| active.contains(run.as_str()) && !metrics.is_empty());
            if known.answers.is_empty() && known.in_flight.is_empty() {
                all.remove(object);
            }
        });
        self.judged.notify_waiters();
    }

    /// Starts a measurement, unless it is under way.
    pub fn start(self: &Arc<Self>, object: &Key, due: DueMeasurement) {
        let is_new = self.with(|all| {
            let metrics =
                all.entry(object.clone()).or_default().in_flight.entry(due.run.clone()).or_default();
            let is_new = !metrics.contains(&due.metric.name);
            metrics.extend(is_new.then(|| due.metric.name.clone()));
            is_new
        });
        if is_new {
            let (measurer, object) = (Arc::clone(self), object.clone());
            tokio::spawn(async move { measurer.run(object, due).await });
        }
    }

    async fn run(&self, object: Key, due: DueMeasurement) {
        let started_at = clock::now();
        let (outcome, metadata) = match self.measure(&object, &due).await {
            Ok(sample) => (Ok(sample.reading), sample.metadata),
            Err(problem) => (Err(problem), BTreeMap::new()),
        };
        let provider = providers::find(&due.metric.provider.key);
        let answer = Answer {
            metric: due.metric.name.clone(),
            started_at,
            finished_at: clock::now(),
            outcome,
            // Of the configuration with its secrets still unresolved.
            asked: provider.and_then(|provider| provider.asked(&due.metric.provider.config)),
            metadata,
        };
        self.with(|all| {
            let Some(known) = all.get_mut(&object) else { return };
            let Some(metrics) = known.in_flight.get_mut(&due.run) else { return };
            metrics.retain(|metric| *metric != due.metric.name);
            known.answers.entry(due.run.clone()).or_default().push(answer);
        });
        // No receiver means that this replica no longer leads; the next leader measures anew.
        let _ = self.done.send(object).await;
    }

    async fn measure(&self, object: &Key, due: &DueMeasurement) -> Result<Sample, String> {
        let key = due.metric.provider.key.as_str();
        let provider = providers::find(key).ok_or_else(|| format!("no provider is called {key:?}"))?;
        let namespace = object.namespace.as_deref().unwrap_or_default();
        let secrets = self.means.secrets.read(namespace, &due.secrets).await?;
        let mut config = due.metric.provider.config.clone();
        if !secrets.is_empty() {
            config = args::substitute_json(&config, &secrets)?;
        }
        let outcome = self.sample(provider, &config, object, due).await;
        let redacted = |text: &str| args::redact(text, &secrets);
        match outcome {
            Ok(sample) => Ok(sample.map_texts(&redacted)),
            Err(problem) => Err(redacted(&problem)),
        }
    }

    /// The value, unless there are too few samples for it to mean anything.
    async fn sample(
        &self,
        provider: &dyn MetricProvider,
        config: &Value,
        object: &Key,
        due: &DueMeasurement,
    ) -> Result<Sample, String> {
        let name = format!("{}-{}-{}", due.run, due.metric.name, due.number);
        let first = |config: &Value| {
            let defaults = &self.means.defaults;
            provider.measure(&Question { config, defaults, now: clock::now(), name: &name })
        };
        if let Some(least) = &due.metric.min_samples {
            let counted = self.follow(first(&samples::counting(least, config)), object, due).await?;
            if let Some(few) = samples::short_of(least, &counted.reading) {
                return Ok(Sample { reading: few, ..counted });
            }
        }
        self.follow(first(config), object, due).await
    }

    /// Takes the steps of a measurement to its end.
    async fn follow(&self, mut step: Step, object: &Key, due: &DueMeasurement) -> Result<Sample, String> {
        loop {
            step = match step {
                Step::Http(request, then) => {
                    // The semaphore is never closed.
                    let _permit = self.permits.acquire().await;
                    then(self.means.http.send(*request).await?)
                }
                Step::Job(job, then) => {
                    let nobody_waits = self.nobody_waits(object, due);
                    // Boxed, because most measurements are no Jobs and need not have the room for one.
                    let ended = Box::pin(metric_job::run(self.client(), object, *job, nobody_waits)).await;
                    then(ended?)
                }
                Step::Done(outcome) => return outcome,
            };
        }
    }

    fn client(&self) -> &kube::Client {
        &self.means.secrets.client
    }

    /// Ends when the answer would come too late to matter.
    async fn nobody_waits(&self, object: &Key, due: &DueMeasurement) {
        loop {
            // Before the look, so that what happens after it is not missed.
            let judged = self.judged.notified();
            let is_awaited = self.with(|all| {
                let metrics = all.get(object).and_then(|known| known.in_flight.get(&due.run));
                metrics.is_some_and(|metrics| metrics.contains(&due.metric.name))
            });
            if !is_awaited {
                return;
            }
            judged.await;
        }
    }

    fn with<T>(&self, then: impl FnOnce(&mut HashMap<Key, Measurements>) -> T) -> T {
        // A panic while locked would leave a whole map: every change is one insertion or removal.
        then(&mut self.by_object.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
