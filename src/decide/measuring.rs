//! Measurements of one Deployment, from their start until a recorded state has judged them.

use super::{DueMeasurement, Measurements};
use crate::analysis::Answer;
use std::collections::{BTreeMap, BTreeSet};

/// See the module. `T` is kept with each answer.
#[derive(Debug)]
pub struct Measuring<T> {
    answers: BTreeMap<String, Vec<(Answer, T)>>,
    in_flight: BTreeMap<String, Vec<String>>,
}

impl<T> Default for Measuring<T> {
    fn default() -> Self {
        Self { answers: BTreeMap::new(), in_flight: BTreeMap::new() }
    }
}

impl<T> Measuring<T> {
    /// What a decision reads of it.
    #[must_use]
    pub fn seen(&self) -> Measurements {
        let answers_of = |(run, answers): (&String, &Vec<(Answer, T)>)| {
            (run.clone(), answers.iter().map(|(answer, _)| answer.clone()).collect())
        };
        Measurements {
            answers: self.answers.iter().map(answers_of).collect(),
            in_flight: self.in_flight.clone(),
            after_death: None,
        }
    }

    /// Whether nothing is being measured and nothing waits to be judged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.in_flight.is_empty()
    }

    /// Forgets the answers that were `judged`, and runs that are not `active` any more.
    pub fn judged(&mut self, judged: &Measurements, active: &BTreeSet<&str>) {
        for (run, judged) in &judged.answers {
            if let Some(waiting) = self.answers.get_mut(run) {
                waiting.drain(..judged.len().min(waiting.len()));
            }
        }
        self.answers.retain(|run, waiting| active.contains(run.as_str()) && !waiting.is_empty());
        self.in_flight.retain(|run, metrics| active.contains(run.as_str()) && !metrics.is_empty());
    }

    /// A measurement is about to begin. Returns false if it is under way already.
    pub fn start(&mut self, due: &DueMeasurement) -> bool {
        let metrics = self.in_flight.entry(due.run.clone()).or_default();
        let is_new = !metrics.contains(&due.metric.name);
        metrics.extend(is_new.then(|| due.metric.name.clone()));
        is_new
    }

    /// Whether this measurement is under way and its answer will be judged.
    #[must_use]
    pub fn is_awaited(&self, due: &DueMeasurement) -> bool {
        self.in_flight.get(&due.run).is_some_and(|metrics| metrics.contains(&due.metric.name))
    }

    /// A measurement has ended. The answer is dropped if its run is not active any more.
    pub fn answered(&mut self, run: &str, answer: Answer, kept: T) {
        let Some(metrics) = self.in_flight.get_mut(run) else { return };
        metrics.retain(|metric| *metric != answer.metric);
        self.answers.entry(run.to_owned()).or_default().push((answer, kept));
    }
}
