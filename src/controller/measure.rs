//! Asking metric providers: the only requests that leave the cluster's API.

use crate::{
    analysis::Answer,
    decide::{DueMeasurement, Measurements},
    domain::value::Reading,
    providers::{self, Defaults, HttpRequest, Sample},
    runtime::clock,
};
use futures::{Stream, stream::poll_fn};
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::reflector::ObjectRef;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{Semaphore, mpsc};

/// Measurements under way at once; more wait.
const MAX_CONCURRENT: usize = 30;
/// Longest answer of a provider that is read, in bytes.
const MAX_BODY: usize = 4 << 20;
/// Finished measurements that wait for their reconcile; senders wait beyond.
const QUEUE: usize = 256;

type Key = ObjectRef<Deployment>;

/// Runs measurements in the background and keeps their answers until they are judged.
#[derive(Debug)]
pub struct Measurer {
    http: Clients,
    defaults: Defaults,
    permits: Arc<Semaphore>,
    by_object: Mutex<HashMap<Key, Measurements>>,
    done: mpsc::Sender<Key>,
}

/// The HTTP clients: one checks certificates, the other is for metrics that say `insecure`.
#[derive(Debug, Clone)]
pub struct Clients {
    checked: reqwest::Client,
    insecure: reqwest::Client,
}

impl Clients {
    /// Clients that trust the public authorities: the image has no certificate store of its own.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
        let roots: Vec<_> = roots.map(|der| reqwest::Certificate::from_der(der)).collect::<Result<_, _>>()?;
        // A redirect could lead to an address that nobody has checked.
        let builder =
            || reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).user_agent("haldane");
        Ok(Self {
            checked: builder().tls_certs_only(roots).build()?,
            insecure: builder().tls_certs_only([]).tls_danger_accept_invalid_certs(true).build()?,
        })
    }
}

impl Measurer {
    /// A measurer, and the stream of objects with new answers.
    #[must_use = "the stream must be polled, or finished measurements wait for their reconcile"]
    pub fn new(http: Clients, defaults: Defaults) -> (Arc<Self>, impl Stream<Item = Key> + Send) {
        let (done, mut finished) = mpsc::channel(QUEUE);
        let permits = Arc::new(Semaphore::new(MAX_CONCURRENT));
        let measurer = Self { http, defaults, permits, by_object: Mutex::default(), done };
        (Arc::new(measurer), poll_fn(move |context| finished.poll_recv(context)))
    }

    /// What has been measured for an object and not been judged, and what is being measured.
    #[must_use]
    pub fn seen(&self, object: &Key) -> Measurements {
        self.with(|all| all.get(object).cloned()).unwrap_or_default()
    }

    /// Forgets answers that a recorded state has taken in, and runs that it no longer has.
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
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        let started_at = clock::now();
        let outcome = self.ask(&due).await;
        let (outcome, metadata) = match outcome {
            Ok(sample) => (Ok(Reading::Value(sample.value)), sample.metadata),
            Err(problem) => (Err(problem), BTreeMap::new()),
        };
        let answer = Answer {
            metric: due.metric.name.clone(),
            started_at,
            finished_at: clock::now(),
            outcome,
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

    async fn ask(&self, due: &DueMeasurement) -> Result<Sample, String> {
        let key = due.metric.provider.key.as_str();
        let provider = providers::find(key).ok_or_else(|| format!("no provider is called {key:?}"))?;
        let config = due.metric.provider.config.clone();
        let request = provider.request(&config, &self.defaults)?;
        let (status, body) = self.send(request).await?;
        provider.parse(&config, status, &body)
    }

    async fn send(&self, request: HttpRequest) -> Result<(u16, Vec<u8>), String> {
        let client = if request.insecure { &self.http.insecure } else { &self.http.checked };
        let mut outgoing =
            client.request(request.method, request.url).timeout(request.timeout).body(request.body);
        for (name, value) in request.headers {
            outgoing = outgoing.header(name, value);
        }
        let mut response = outgoing.send().await.map_err(|error| explain(&error))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| explain(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BODY {
                return Err(format!("the answer is longer than {MAX_BODY} bytes; aggregate in the query"));
            }
        }
        Ok((status, body))
    }

    fn with<T>(&self, then: impl FnOnce(&mut HashMap<Key, Measurements>) -> T) -> T {
        // A panic while locked would leave a whole map: every change is one insertion or removal.
        then(&mut self.by_object.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The error with its causes, which reqwest keeps apart; without the URL, which may hold a secret.
fn explain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    if let Some(url) = error.url() {
        text = text.replace(url.as_str(), url.host_str().unwrap_or("the provider"));
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
