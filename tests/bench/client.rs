//! Sends reviews and takes the time.

use crate::reviews::Review;
use reqwest::Certificate;
use serde_json::Value;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections to the server, as many as requests are under way.
pub struct Client {
    runtime: Runtime,
    sender: Arc<Sender>,
}

struct Sender {
    http: reqwest::Client,
    port: u16,
    reviews: Vec<Review>,
    next: AtomicUsize,
}

/// How long answers took.
#[derive(Default)]
pub struct Timing {
    micros: Vec<u64>,
    took: Duration,
    /// Requests without the right answer.
    pub failed: usize,
}

impl Client {
    pub fn new(port: u16, ca: &str, reviews: Vec<Review>) -> Self {
        // Two processes of one program: this one needs it too.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            .resolve("localhost", SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            .tls_certs_only([Certificate::from_pem(ca.as_bytes()).unwrap()])
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sender = Arc::new(Sender { http, port, reviews, next: AtomicUsize::new(0) });
        Self { runtime, sender }
    }

    /// Sends `rate` requests a second for `span`, each on time, and waits for all answers.
    ///
    /// The time of a request begins when it is due: a server that falls behind is not sent fewer.
    pub fn at_rate(&self, rate: u32, span: Duration) -> Timing {
        let results = Arc::new(Mutex::new(Timing::default()));
        let start = Instant::now();
        let mut sent = Vec::new();
        for number in 0.. {
            let due = start + Duration::from_secs(1) * number / rate;
            if due.duration_since(start) >= span {
                break;
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let (sender, results) = (Arc::clone(&self.sender), Arc::clone(&results));
            sent.push(self.runtime.spawn(async move { sender.ask(due, &results).await }));
        }
        self.runtime.block_on(futures::future::join_all(sent));
        finish(results, start)
    }

    /// Sends requests one after the other, `users` of them at a time, for `span`.
    pub fn flat_out(&self, users: usize, span: Duration) -> Timing {
        let results = Arc::new(Mutex::new(Timing::default()));
        let start = Instant::now();
        let user = || {
            let (sender, results) = (Arc::clone(&self.sender), Arc::clone(&results));
            self.runtime.spawn(async move {
                while start.elapsed() < span {
                    sender.ask(Instant::now(), &results).await;
                }
            })
        };
        self.runtime.block_on(futures::future::join_all((0..users).map(|_| user())));
        finish(results, start)
    }
}

fn finish(results: Arc<Mutex<Timing>>, start: Instant) -> Timing {
    let mut timing = Arc::into_inner(results).expect("all have ended").into_inner().unwrap();
    timing.took = start.elapsed();
    timing.micros.sort_unstable();
    timing
}

impl Sender {
    async fn ask(&self, due: Instant, results: &Mutex<Timing>) {
        let number = self.next.fetch_add(1, Relaxed);
        let review = &self.reviews[number % self.reviews.len()];
        let answer = self.exchange(review).await;
        let took = due.elapsed();
        let mut results = results.lock().unwrap();
        match answer {
            Ok(answer) if review.is_answered_by(&answer) => {
                results.micros.push(u64::try_from(took.as_micros()).unwrap());
            }
            wrong => {
                results.failed += 1;
                if results.failed == 1 {
                    eprintln!("wrong answer: {wrong:?}");
                }
            }
        }
    }

    async fn exchange(&self, review: &Review) -> reqwest::Result<Value> {
        let request = self.http.post(format!("https://localhost:{}{}", self.port, review.path));
        let request = request.header("Content-Type", "application/json").body(review.body.clone());
        request.send().await?.error_for_status()?.json().await
    }
}

impl Timing {
    /// Right answers.
    pub fn count(&self) -> f64 {
        f64::from(u32::try_from(self.micros.len()).unwrap())
    }

    /// Answers per second.
    pub fn rate(&self) -> f64 {
        self.count() / self.took.as_secs_f64()
    }

    /// In milliseconds; 100 is the longest.
    pub fn percentile(&self, percent: f64) -> f64 {
        let last = self.micros.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index between 0 and `last`"
        )]
        let index = (percent / 100.0 * last as f64).ceil() as usize;
        Duration::from_micros(self.micros.get(index).copied().unwrap_or_default()).as_secs_f64() * 1e3
    }
}
