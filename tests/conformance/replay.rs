//! A recorded run, played again: the provider and the clock are the recording's.

use crate::{
    differences::{NEVER_SUCCESSFUL, NO_DELAY, NO_EVIDENCE},
    outcomes::differences,
    report::Outcome,
};
use haldane::{
    analysis::{self, Answer},
    domain::{
        metric::{AnalysisPhase, AnalysisRun, Measurement, MetricResult},
        value::{MetricValue, Reading},
    },
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Plays the provider and the clock of one line.
pub struct Replay<'a> {
    run: AnalysisRun,
    line: &'a Value,
    /// Answers used so far per metric.
    used: BTreeMap<String, usize>,
    /// Metrics under way, and when the provider wants to be asked again.
    in_flight: BTreeMap<String, Option<Timestamp>>,
}

impl<'a> Replay<'a> {
    /// A run that nobody has advanced yet, and the line it is made of.
    pub fn new(run: AnalysisRun, line: &'a Value) -> Self {
        Self { run, line, used: BTreeMap::new(), in_flight: BTreeMap::new() }
    }

    /// Every step of the line.
    pub fn play(mut self) -> Outcome {
        let mut by_rule = None;
        for expected in self.line["steps"].as_array().unwrap() {
            let got = self.step(expected);
            for difference in differences(expected, &got, &self.run) {
                match difference.rule(expected, &self.run) {
                    None => return Outcome::Failed(format!("at {}: {difference:?}", expected["at_ms"])),
                    // From here on the two runs are different ones.
                    Some(rule)
                        if [NEVER_SUCCESSFUL.name, NO_EVIDENCE.name, NO_DELAY.name].contains(&rule.name) =>
                    {
                        return Outcome::Different(rule);
                    }
                    Some(rule) => by_rule = Some(rule),
                }
            }
            self.store();
        }
        by_rule.map_or(Outcome::Passed, Outcome::Different)
    }

    /// One reconcile, answered in the recording's form.
    fn step(&mut self, expected: &Value) -> Value {
        let now = at(expected["at_ms"].as_i64().unwrap());
        self.run.terminate = expected["terminate"].as_bool().unwrap();
        let due = analysis::advance(self.run.clone(), Vec::new(), &self.names_in_flight(), now).due;
        let mut measured = Vec::new();
        let mut answers = Vec::new();
        let names: Vec<_> = self.run.results.iter().map(|result| result.name.clone()).collect();
        for name in names {
            if let Some((did, answer)) = self.ask(&name, &due, now) {
                measured.push(format!("{did} {name}"));
                answers.extend(answer);
            }
        }
        let advance = analysis::advance(self.run.clone(), answers, &self.names_in_flight(), now);
        self.run = advance.run;
        measured.sort();
        let resumes = self.in_flight.values().flatten().copied().filter(|_| !self.run.phase.is_completed());
        let wake_at = advance.wake_at.into_iter().chain(resumes).min();
        json!({
            "measured": measured,
            "phase": self.run.phase,
            "message": self.run.message,
            "run_summary": self.run.run_summary,
            "dry_run_summary": self.run.dry_run_summary,
            "started_at_s": self.run.started_at.map(seconds),
            "completed_at_s": self.run.completed_at.map(seconds),
            "requeue_after_ms": wake_at.map(|at| at.duration_since(now).as_millis().max(0)),
            "metrics": self.metrics(),
        })
    }

    fn names_in_flight(&self) -> Vec<String> {
        self.in_flight.keys().cloned().collect()
    }

    /// What Argo's providers would do with this metric now: nothing, or this and that answer.
    fn ask(&mut self, name: &str, due: &[String], now: Timestamp) -> Option<(&'static str, Option<Answer>)> {
        let result = self.run.results.iter().find(|result| result.name == name)?;
        let resume_at = self.in_flight.get(name).copied();
        let is_ready = match resume_at {
            None => due.iter().any(|due| due == name),
            Some(resume_at) => {
                let is_open = !result.phase.is_completed() && !self.run.phase.is_completed();
                is_open && resume_at.is_none_or(|resume_at| resume_at <= now)
            }
        };
        if !is_ready {
            return None;
        }
        self.in_flight.remove(name);
        let outcome = if resume_at.is_some() && self.is_terminating() {
            let message = "Metric Terminated".to_owned();
            return Some((
                "terminate",
                Some(answer(name, now, Ok(Reading::Verdict { phase: AnalysisPhase::Successful, message }))),
            ));
        } else {
            self.next_of_script(name)
        };
        if let Some(problem) = outcome["provider_error"].as_str() {
            return Some(("noprovider", Some(answer(name, now, Err(problem.to_owned())))));
        }
        let did = if resume_at.is_some() { "resume" } else { "run" };
        if outcome["phase"] == "Running" {
            let resume_at =
                outcome["resume_after_ms"].as_i64().map(|ms| now + SignedDuration::from_millis(ms));
            self.in_flight.insert(name.to_owned(), resume_at);
            return Some((did, None));
        }
        Some((did, Some(answer(name, now, reading(&outcome)))))
    }

    fn is_terminating(&self) -> bool {
        let ended_badly = |result: &MetricResult| {
            !result.dry_run && result.phase.is_completed() && result.phase != AnalysisPhase::Successful
        };
        self.run.terminate || self.run.results.iter().any(ended_badly)
    }

    fn next_of_script(&mut self, name: &str) -> Value {
        let used = self.used.entry(name.to_owned()).or_default();
        let outcome = self.line["script"][name][*used].clone();
        *used += 1;
        assert!(!outcome.is_null(), "{name} was asked more often than recorded");
        outcome
    }

    fn metrics(&self) -> Value {
        let begun = self.run.results.iter().filter(|result| result.phase != AnalysisPhase::Pending);
        let metric = |result: &MetricResult| {
            json!({
                "phase": result.phase,
                "message": result.message,
                "count": result.count,
                "successful": result.successful,
                "failed": result.failed,
                "inconclusive": result.inconclusive,
                "error": result.error,
                "consecutiveError": result.consecutive_error,
                "consecutiveSuccess": result.consecutive_success,
                "dryRun": result.dry_run,
                "measurements": result.measurements.iter().map(shown).collect::<Value>(),
            })
        };
        begun.map(|result| (result.name.clone(), metric(result))).collect()
    }

    /// Through JSON, and like the recording through times without fractions.
    fn store(&mut self) {
        let text = serde_json::to_string(&self.run).unwrap();
        self.run = serde_json::from_str(&text).unwrap();
        let whole = |time: Timestamp| Timestamp::from_second(time.as_second()).unwrap();
        self.run.started_at = self.run.started_at.map(whole);
        self.run.completed_at = self.run.completed_at.map(whole);
        for measurement in self.run.results.iter_mut().flat_map(|result| &mut result.measurements) {
            measurement.started_at = whole(measurement.started_at);
            measurement.finished_at = whole(measurement.finished_at);
        }
        self.in_flight.values_mut().for_each(|resume_at| *resume_at = resume_at.map(whole));
    }
}

/// A measurement in the recording's form.
pub fn shown(measurement: &Measurement) -> Value {
    let mut entry = json!({"phase": measurement.phase, "finished_at_s": seconds(measurement.finished_at)});
    if !measurement.message.is_empty() {
        entry["message"] = measurement.message.clone().into();
    }
    if let Some(value) = &measurement.value {
        entry["value"] = value.clone().into();
    }
    entry
}

const ORIGIN: i64 = 1_767_225_600;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ORIGIN * 1000 + ms).unwrap()
}

fn seconds(time: Timestamp) -> Value {
    let ms = time.as_millisecond() - ORIGIN * 1000;
    if ms % 1000 == 0 { json!(ms / 1000) } else { json!(f64::from(i32::try_from(ms).unwrap()) / 1000.0) }
}

fn answer(metric: &str, now: Timestamp, outcome: Result<Reading, String>) -> Answer {
    let no_data = match &outcome {
        Ok(Reading::Value { value, .. }) if !value.has_data() => Some(String::new()),
        _ => None,
    };
    let metadata = BTreeMap::new();
    Answer {
        metric: metric.to_owned(),
        started_at: now,
        finished_at: now,
        outcome,
        asked: None,
        no_data,
        metadata,
    }
}

fn reading(outcome: &Value) -> Result<Reading, String> {
    let message = outcome["message"].as_str().unwrap_or_default().to_owned();
    match outcome["phase"].as_str() {
        None => Ok(Reading::from(MetricValue::from(outcome["value"].clone()))),
        Some("Error") => Err(message),
        Some(phase) => Ok(Reading::Verdict { phase: phase.parse().unwrap(), message }),
    }
}
