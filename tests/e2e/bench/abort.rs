//! How fast a bad measurement takes the traffic back. It judges nothing: one line of JSON is the result.

use crate::harness::{
    App, Provider, Recorder, SOON, Space,
    cluster::{setting, spawn},
    eventually,
    space::weight_of,
};
use haldane::runtime::clock;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// Aborts that are measured.
const ROUNDS: usize = 5;
/// Requests per second: the resolution of the last answer.
const RATE: u32 = 200;

const STRATEGY: &str = "
abortScaleDownDelaySeconds: 1
analysis: {startingStep: 1}
steps: [{setWeight: 50}, {pause: {}}]";

type Answers = Arc<Mutex<Vec<(Timestamp, String)>>>;

/// Asks the application again and again, each request on time whatever became of the others.
fn ask(space: &Space) -> (Answers, tokio::task::JoinHandle<()>) {
    let answers = Answers::default();
    let (sink, host) = (Arc::clone(&answers), space.host.clone());
    let url = format!("http://{}/success", setting("HALDANE_INGRESS"));
    let task = spawn(async move {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().expect("a client");
        let mut beat = tokio::time::interval(Duration::from_secs(1) / RATE);
        loop {
            beat.tick().await;
            let (request, sink) = (client.get(&url).header("Host", &host), Arc::clone(&sink));
            tokio::spawn(async move {
                let Ok(response) = request.send().await else { return };
                let version = response.headers().get("x-version").and_then(|v| v.to_str().ok());
                let version = version.unwrap_or_default().to_owned();
                sink.lock().expect("no panic").push((clock::now(), version));
            });
        }
    });
    (answers, task)
}

/// When the measurement that failed was finished.
fn finished_at(state: &Value) -> Option<Timestamp> {
    let runs = state["rollout"]["runs"].as_array()?;
    let measurements = runs.last()?["run"]["results"][0]["measurements"].as_array()?;
    let failed = measurements.iter().find(|measurement| measurement["phase"] == "Failed")?;
    failed["finishedAt"].as_str()?.parse().ok()
}

/// When weight 0 was seen on the canary's Ingress, after the canary had some.
fn weight_gone_at(ingresses: &Recorder, after: Timestamp) -> Option<Timestamp> {
    let seen = ingresses.of("web-canary");
    let gone = |seen: &&crate::harness::recorder::Seen| {
        seen.at >= after && weight_of(&seen.object).as_deref() == Some("0")
    };
    seen.iter().find(gone).map(|seen| seen.at)
}

fn millis(from: Timestamp, to: Timestamp) -> i128 {
    to.duration_since(from).as_millis()
}

fn summary(mut values: Vec<i128>) -> Value {
    values.sort_unstable();
    let of = |index: usize| i64::try_from(values[index]).expect("milliseconds");
    json!({"min": of(0), "median": of(values.len() / 2), "max": of(values.len() - 1)})
}

#[test]
fn from_a_bad_measurement_to_no_traffic() {
    let provider = Provider::start(0.0);
    let space = Space::new("bench");
    let metrics = format!("metrics: [{}]", provider.metric("interval: 1s,"));
    space.deploy(&App::canary(STRATEGY).annotated("haldane.dev/analysis", &metrics));
    space.answers("v1");
    let ingresses = space.record("networking.k8s.io/v1 Ingress");
    let (answers, asking) = ask(&space);
    let (mut to_weight, mut to_clients) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        provider.set(0.0);
        let version = format!("v{}", round + 2);
        space.set_env("web", &[&format!("VERSION={version}")]).ok();
        space.pauses_at("web", "50");
        let began = clock::now();
        provider.set(1.0);
        space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
        let failed = finished_at(&space.state("web")).expect("a failed measurement");
        let weight = eventually("weight 0 in the watch", SOON, || {
            weight_gone_at(&ingresses, began).ok_or_else(|| "not yet".to_owned())
        });
        space.only_the_record_is_left("web", SOON);
        let last =
            answers.lock().expect("no panic").iter().filter(|(_, v)| *v == version).map(|(at, _)| *at).max();
        to_weight.push(millis(failed, weight));
        to_clients.push(millis(failed, last.expect("answers of the canary")));
    }
    asking.abort();
    println!(
        "{}",
        json!({
            "bench": "abort",
            "rounds": ROUNDS,
            "failedMeasurementToWeight0Ms": summary(to_weight),
            "failedMeasurementToLastCanaryAnswerMs": summary(to_clients),
        })
    );
}
