//! Each example that judges by what clients get, with shorter times, against four releases: half of the answers fail,
//! all fail, none fails, and nobody asks.

use crate::harness::{Load, SOON, Space, eventually};
use std::time::Duration;

const SHORTER: &[(&str, &str)] = &[
    ("[1m]", "[10s]"),
    ("interval: 1m", "interval: 3s"),
    ("interval: 30s", "interval: 3s"),
    ("interval: 10s", "interval: 3s"),
    ("duration: 5m", "duration: 15s"),
    ("duration: 1m", "duration: 15s"),
    ("duration: 30s", "duration: 15s"),
    // A busy machine adds to both sides, by chance: in the bucket of slow answers that makes no difference.
    ("LATENCY, value: 60ms", "LATENCY, value: 600ms"),
    ("result[0] < 0.5", "result[0] < 2"),
];

/// What a person is given before being asked, and as much again.
const PATIENCE: Duration = Duration::from_mins(4);

struct Example {
    folder: &'static str,
    app: &'static str,
    /// The weight at which a person lets the rollout go on, if one must.
    asks_at: Option<&'static str>,
}

impl Example {
    fn release(&self, space: &Space, version: &str, errors: &str) {
        space.set_env(self.app, &[&format!("VERSION={version}"), &format!("ERROR_RATE={errors}")]).ok();
        let revision = version.trim_start_matches('v');
        eventually(&format!("revision {revision}"), SOON, || {
            let summary = space.summary(self.app);
            if summary["revision"] == revision { Ok(()) } else { Err(summary.to_string()) }
        });
        if let Some(weight) = self.asks_at {
            space.pauses_at(self.app, weight);
            space.order(self.app, "promote").ok();
        }
    }

    /// The outcomes of the rollouts that have ended, oldest first.
    fn outcomes(&self, space: &Space) -> Vec<String> {
        let history = space.state(self.app)["history"].as_array().cloned().unwrap_or_default();
        let mut ended: Vec<(u64, String)> = history
            .iter()
            .filter_map(|entry| Some((entry["revision"].as_u64()?, entry["outcome"].as_str()?.to_owned())))
            .collect();
        ended.sort();
        ended.into_iter().map(|(_, outcome)| outcome).collect()
    }

    fn plays(&self) {
        let space = Space::new(self.folder.split('-').next().unwrap_or("w"));
        for file in ["analysis.yaml", "app.yaml"] {
            space.apply(&space.example(&format!("{}/{file}", self.folder), self.app, SHORTER)).ok();
        }
        space.rolled_out(self.app);
        space.answers("v1");
        let load = Load::start(&space, 60);
        for (version, errors) in [("v2", "0.5"), ("v3", "1")] {
            self.release(&space, version, errors);
            space.reaches(self.app, 2 * SOON, &[("phase", "Degraded"), ("weight", "0")]);
        }
        self.release(&space, "v4", "0");
        space.reaches(self.app, 4 * SOON, &[("phase", "Healthy"), ("revision", "4")]);
        assert_eq!(self.outcomes(&space), ["Aborted", "Aborted", "Promoted"]);
        drop(load);

        self.release(&space, "v5", "0");
        eventually("a release without requests to be stopped", PATIENCE, || {
            let summary = space.summary(self.app);
            let says = summary["message"].as_str().is_some_and(|message| message.contains("no data"));
            let is_asked = summary["phase"] == "Paused" && says;
            if is_asked || summary["phase"] == "Degraded" { Ok(()) } else { Err(summary.to_string()) }
        });
        // Asking which version answers would be traffic, and evidence.
        assert_eq!(self.outcomes(&space), ["Aborted", "Aborted", "Promoted"]);
    }
}

#[test]
fn success_share_beside_all_steps_catches_every_bad_release() {
    Example { folder: "w0-nginx-prometheus", app: "sample-app", asks_at: Some("25") }.plays();
}

#[test]
fn success_rate_and_latency_in_a_step_catch_every_bad_release() {
    Example { folder: "w1-success-rate-latency", app: "checkout-service", asks_at: None }.plays();
}

#[test]
fn error_rate_and_answers_in_a_step_catch_every_bad_release() {
    Example { folder: "w3-steps", app: "sample-app", asks_at: None }.plays();
}

#[test]
fn three_signals_catch_every_bad_release() {
    Example { folder: "w3-signals", app: "web", asks_at: None }.plays();
}
