//! Says what came back, to people and to programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::args::{Args, Pace};
use crate::clock::Clock;
use crate::histogram::Latency;
use crate::stats::{Failure, Interval, Kind, Second, Stats};
use crate::values;

/// How many lost requests the text shows; the JSON has more of them.
const MAX_SHOWN: usize = 10;

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoppedBy {
    /// Its time was over.
    Duration,
    /// It had sent enough requests.
    MaxRequests,
    /// The file of `--until-file` appeared.
    File,
    /// SIGINT or SIGTERM.
    Signal,
}

/// Answers of one version.
#[derive(Clone, Debug, Serialize)]
pub struct VersionSummary {
    /// All answers.
    pub answers: u64,
    /// Their part of the answers of all versions, 0 to 1.
    pub share: f64,
    /// Answers with 5xx.
    pub failed_5xx: u64,
    /// From the time a request was due to the end of its answer.
    pub latency_ms: Latency,
}

/// What came back.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Where requests went.
    pub url: String,
    /// The Host header, if set.
    pub host: Option<String>,
    /// The pace, in words.
    pub pace: String,
    /// When the run began, as RFC 3339.
    pub started: String,
    /// When the run ended, as RFC 3339.
    pub ended: String,
    /// The time between them.
    pub seconds: f64,
    /// Why it ended.
    pub stopped_by: StoppedBy,
    /// Requests, also those that were to be sent but could not.
    pub sent: u64,
    /// Good answers: below 500 from the application, below 400 from anything else.
    pub ok: u64,
    /// Requests the application did not answer: the sum of the next three.
    pub lost: u64,
    /// Requests without a complete answer: refused, reset, timed out.
    pub failed_transport: u64,
    /// Answers with 4xx or 5xx that did not come from the application.
    pub failed_infra: u64,
    /// Requests that were not sent, since too many others had no answer yet.
    pub client_overload: u64,
    /// Requests without an outcome, since the run was ended by two signals.
    pub unfinished: u64,
    /// Answers with 5xx by the application itself.
    pub failed_5xx_by_version: BTreeMap<String, u64>,
    /// Answers by HTTP status.
    pub by_status: BTreeMap<u16, u64>,
    /// Answers by version; `unknown` are those without the header.
    pub by_version: BTreeMap<String, VersionSummary>,
    /// Of all answers, from the time a request was due.
    pub latency_ms: Latency,
    /// The first failures of every kind.
    pub failures: Vec<Failure>,
    /// By second in which requests were due.
    pub timeline: Vec<Second>,
}

impl Summary {
    /// Sums up.
    pub fn new(args: &Args, clock: &Clock, sent: u64, by: StoppedBy, stats: Stats) -> Self {
        let elapsed = clock.elapsed();
        let answers = stats.by_status.values().sum();
        let failed_transport = stats.failed(Kind::Transport);
        let failed_infra = stats.failed(Kind::Infra);
        let client_overload = stats.failed(Kind::ClientOverload);
        let lost = failed_transport + failed_infra + client_overload;
        let over = stats.ok + lost + stats.failed(Kind::App);
        Self {
            url: args.url.to_string(),
            host: args.host.as_ref().map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned()),
            pace: match args.pace() {
                Pace::Rate(rate) => format!("{rate} requests/s"),
                Pace::Users(users) => format!("{users} users"),
            },
            started: clock.time_of_day(Duration::ZERO),
            ended: clock.time_of_day(elapsed),
            seconds: elapsed.as_secs_f64(),
            stopped_by: by,
            sent,
            ok: stats.ok,
            lost,
            failed_transport,
            failed_infra,
            client_overload,
            unfinished: sent.saturating_sub(over),
            failed_5xx_by_version: stats
                .by_version
                .iter()
                .filter(|(name, _)| name.as_str() != "unknown")
                .filter(|(_, version)| version.failed_5xx > 0)
                .map(|(name, version)| (name.clone(), version.failed_5xx))
                .collect(),
            by_version: stats
                .by_version
                .into_iter()
                .map(|(name, version)| {
                    let summary = VersionSummary {
                        answers: version.answers,
                        share: values::share(version.answers, answers),
                        failed_5xx: version.failed_5xx,
                        latency_ms: version.latency.latency(),
                    };
                    (name, summary)
                })
                .collect(),
            by_status: stats.by_status,
            latency_ms: stats.latency.latency(),
            failures: stats.failures,
            timeline: stats.timeline,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let app_errors: u64 = self.failed_5xx_by_version.values().sum();
        let good = values::share(self.ok, self.sent) * 100.0;
        writeln!(f)?;
        write!(f, "{}", self.url)?;
        if let Some(host) = &self.host {
            write!(f, " as {host}")?;
        }
        let why = match self.stopped_by {
            StoppedBy::Duration => "the time was over",
            StoppedBy::MaxRequests => "enough requests",
            StoppedBy::File => "the file appeared",
            StoppedBy::Signal => "a signal",
        };
        writeln!(f, ", {}, ended by: {why}", self.pace)?;
        writeln!(f, "{} to {}", self.started, self.ended)?;
        writeln!(f, "sent        {}", self.sent)?;
        writeln!(f, "ok          {} ({good:.2} %)", self.ok)?;
        writeln!(f, "app errors  {app_errors}")?;
        writeln!(
            f,
            "lost        {} (transport {}, infra {}, client overload {})",
            self.lost, self.failed_transport, self.failed_infra, self.client_overload
        )?;
        if self.unfinished > 0 {
            writeln!(f, "unfinished  {}", self.unfinished)?;
        }
        let statuses: Vec<String> =
            self.by_status.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        if !statuses.is_empty() {
            writeln!(f, "status      {}", statuses.join("  "))?;
        }

        writeln!(
            f,
            "\n{:<16} {:>9} {:>7} {:>7}  {:>9} {:>9} {:>9} {:>9}",
            "version", "answers", "share", "5xx", "p50 ms", "p90 ms", "p99 ms", "max ms"
        )?;
        for (name, v) in &self.by_version {
            let share = v.share * 100.0;
            let (answers, errors, ms) = (v.answers, v.failed_5xx, v.latency_ms);
            write!(f, "{name:<16} {answers:>9} {share:>6.1}% {errors:>7}  ")?;
            writeln!(f, "{ms}")?;
        }
        write!(f, "{:<16} {:>9} {:>7} {:>7}  ", "all", "", "", "")?;
        write!(f, "{}", self.latency_ms)?;

        let lost = self.failures.iter().filter(|f| f.kind != Kind::App);
        if self.lost > 0 {
            write!(f, "\n\nlost requests, the first of {}:", self.lost)?;
        }
        lost.take(MAX_SHOWN).try_for_each(|failure| write!(f, "\n{}  {}", failure.at, failure.reason))?;
        Ok(())
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p99, max } = self;
        write!(f, "{p50:>9.2} {p90:>9.2} {p99:>9.2} {max:>9.2}")
    }
}

/// One line about the time since the last one.
pub fn live_line(elapsed: Duration, interval: &Interval) -> String {
    let answers = interval.by_version.values().sum();
    let split: Vec<String> = interval
        .by_version
        .iter()
        .map(|(name, count)| format!("{name} {:.0}%", values::share(*count, answers) * 100.0))
        .collect();
    let Latency { p50, p99, .. } = interval.latency.latency();
    format!(
        "{:>6.1}s  ok {:<5} app errors {:<4} lost {:<4} p50 {p50:.1} ms  p99 {p99:.1} ms  {}",
        elapsed.as_secs_f64(),
        interval.ok,
        interval.app,
        interval.lost,
        split.join("  "),
    )
}
