//! Counts what came back.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::client::Reply;
use crate::clock::Clock;
use crate::histogram::Histogram;

/// How many failures of a kind are kept with their time and reason.
const MAX_KEPT: usize = 100;

/// How many versions are counted separately; a header that always changes must not fill the memory.
const VERSIONS: usize = 30;

/// A request that is over.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// When it was to be sent, from the start of the run.
    pub due: Duration,
    /// When it was over.
    pub done: Duration,
    /// Its result.
    pub reply: Reply,
}

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The application itself answered with 5xx.
    App,
    /// Something before the application answered with 4xx or 5xx.
    Infra,
    /// No complete answer came.
    Transport,
    /// The load generator itself did not keep up.
    ClientOverload,
}

/// A failure to report.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// When it was noticed, as RFC 3339.
    pub at: String,
    /// What kind it is.
    pub kind: Kind,
    /// What was seen.
    pub reason: String,
}

/// Requests that were due in the same second.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Second {
    /// Seconds since the start.
    pub t: u64,
    /// Requests.
    pub sent: u64,
    /// Those with a good answer.
    pub ok: u64,
    /// All others.
    pub failed: u64,
    /// Those of the failed that the application did not answer.
    pub lost: u64,
    /// Answers by version.
    pub by_version: BTreeMap<String, u64>,
}

/// Answers of one version.
#[derive(Clone, Debug, Default)]
pub struct VersionStats {
    /// All answers.
    pub answers: u64,
    /// Answers with 5xx.
    pub failed_5xx: u64,
    /// From the time a request was due to the end of its answer.
    pub latency: Histogram,
}

/// Counts since the last line that was printed.
#[derive(Clone, Debug, Default)]
pub struct Interval {
    /// Good answers.
    pub ok: u64,
    /// 5xx by the application.
    pub app: u64,
    /// Requests the application did not answer.
    pub lost: u64,
    /// Answers by version.
    pub by_version: BTreeMap<String, u64>,
    /// Of all answers.
    pub latency: Histogram,
}

/// Everything that is counted.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Good answers.
    pub ok: u64,
    /// Failures by kind.
    pub failed: BTreeMap<Kind, u64>,
    /// Answers by HTTP status.
    pub by_status: BTreeMap<u16, u64>,
    /// Answers by version.
    pub by_version: BTreeMap<String, VersionStats>,
    /// Of all answers.
    pub latency: Histogram,
    /// The first failures of every kind.
    pub failures: Vec<Failure>,
    /// By second, without gaps.
    pub timeline: Vec<Second>,
    /// Since the last line that was printed.
    pub interval: Interval,
}

impl Stats {
    /// Counts one request.
    pub fn record(&mut self, outcome: Outcome, clock: &Clock) {
        let Outcome { due, done, reply } = outcome;
        let failure = failure(&reply);
        if let Reply::Answer { status, version } = reply {
            let latency = done.saturating_sub(due);
            let version = self.version_name(version);
            *self.by_status.entry(status).or_default() += 1;
            self.latency.record(latency);
            self.interval.latency.record(latency);
            *self.interval.by_version.entry(version.clone()).or_default() += 1;
            if let Some(second) = self.second(due) {
                *second.by_version.entry(version.clone()).or_default() += 1;
            }
            let by_version = self.by_version.entry(version).or_default();
            by_version.answers += 1;
            by_version.failed_5xx += u64::from(status >= 500);
            by_version.latency.record(latency);
        }

        let kind = failure.as_ref().map(|(kind, _)| *kind);
        let ok = u64::from(kind.is_none());
        let lost = u64::from(kind.is_some_and(|kind| kind != Kind::App));
        self.ok += ok;
        self.interval.ok += ok;
        self.interval.app += u64::from(kind == Some(Kind::App));
        self.interval.lost += lost;
        if let Some(second) = self.second(due) {
            second.sent += 1;
            second.ok += ok;
            second.failed += 1 - ok;
            second.lost += lost;
        }
        if let Some((kind, reason)) = failure {
            let count = self.failed.entry(kind).or_default();
            *count += 1;
            if usize::try_from(*count).is_ok_and(|count| count <= MAX_KEPT) {
                let at = clock.time_of_day(done);
                self.failures.push(Failure { at, kind, reason });
            }
        }
    }

    /// Failures of one kind.
    pub fn failed(&self, kind: Kind) -> u64 {
        self.failed.get(&kind).copied().unwrap_or_default()
    }

    fn version_name(&self, version: Option<String>) -> String {
        match version {
            None => "unknown".to_owned(),
            Some(name) if self.by_version.len() >= VERSIONS && !self.by_version.contains_key(&name) => {
                "others".to_owned()
            }
            Some(name) => name,
        }
    }

    fn second(&mut self, due: Duration) -> Option<&mut Second> {
        let t = due.as_secs();
        let index = usize::try_from(t).ok()?;
        for t in (0..=t).skip(self.timeline.len()) {
            self.timeline.push(Second { t, ..Second::default() });
        }
        self.timeline.get_mut(index)
    }
}

/// What kind of failure a reply is, if it is one.
///
/// Every answer of the application carries its version. An error without one was made up on
/// the way, by an ingress that found no pod, or one that lost the connection to it.
fn failure(reply: &Reply) -> Option<(Kind, String)> {
    match reply {
        Reply::Overload => Some((Kind::ClientOverload, "client-overload: not sent".to_owned())),
        Reply::Broken { reason } => Some((Kind::Transport, reason.clone())),
        Reply::Answer { status: status @ 400.., version: None } => {
            Some((Kind::Infra, format!("{status} without X-Version")))
        }
        Reply::Answer { status: status @ 500.., version: Some(version) } => {
            Some((Kind::App, format!("{status} from {version}")))
        }
        Reply::Answer { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, version: Option<&str>) -> Reply {
        Reply::Answer { status, version: version.map(str::to_owned) }
    }

    fn counted(replies: impl IntoIterator<Item = (u64, Reply)>) -> Stats {
        let mut stats = Stats::default();
        let clock = Clock::start();
        for (millis, reply) in replies {
            let due = Duration::from_millis(millis);
            let done = due + Duration::from_millis(5);
            stats.record(Outcome { due, done, reply }, &clock);
        }
        stats
    }

    #[test]
    fn errors_of_the_application_and_of_the_way_to_it_are_kept_apart() {
        let stats = counted([
            (0, answer(200, Some("v1"))),
            (0, answer(404, Some("v1"))),
            (0, answer(200, None)),
            (0, answer(500, Some("v2"))),
            (0, answer(503, None)),
            (0, answer(404, None)),
            (0, Reply::Broken { reason: "reset".to_owned() }),
            (0, Reply::Overload),
        ]);
        assert_eq!(stats.ok, 3);
        assert_eq!(stats.failed(Kind::App), 1);
        assert_eq!(stats.failed(Kind::Infra), 2);
        assert_eq!(stats.failed(Kind::Transport), 1);
        assert_eq!(stats.failed(Kind::ClientOverload), 1);
        assert_eq!(stats.by_version["v1"].answers, 2);
        assert_eq!(stats.by_version["v2"].failed_5xx, 1);
        assert_eq!(stats.by_version["unknown"].answers, 3);
        assert_eq!(stats.interval.lost, 4);
        let seen: Vec<_> = stats.failures.iter().map(|f| f.reason.as_str()).collect();
        assert_eq!(
            seen,
            [
                "500 from v2",
                "503 without X-Version",
                "404 without X-Version",
                "reset",
                "client-overload: not sent"
            ]
        );
    }

    #[test]
    fn the_timeline_has_no_gaps_and_its_rows_add_up() {
        let stats = counted([
            (2500, answer(200, Some("v1"))),
            (100, answer(500, Some("v2"))),
            (2999, Reply::Overload),
        ]);
        let rows: Vec<_> = stats.timeline.iter().map(|s| (s.t, s.sent, s.ok, s.failed, s.lost)).collect();
        assert_eq!(rows, [(0, 1, 0, 1, 0), (1, 0, 0, 0, 0), (2, 2, 1, 1, 1)]);
        assert_eq!(stats.timeline[2].by_version["v1"], 1);
    }

    #[test]
    fn memory_is_bounded_whatever_comes_back() {
        let stats = counted((0..500).map(|i| (0, answer(500, Some(&format!("v{i}"))))));
        assert_eq!(stats.failures.len(), MAX_KEPT);
        assert_eq!(stats.by_version.len(), VERSIONS + 1);
        assert_eq!(stats.by_version["others"].answers, 470);
    }
}
