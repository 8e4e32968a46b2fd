//! An answer that kills the process that reads it must not kill every leader in turn. A leader whose predecessor died
//! records what it is about to measure; where the record says that a leader died of that, an error takes the place of
//! the measurement.

use crate::{
    analysis::Answer,
    domain::metric::{AnalysisRun, Attempt},
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What follows from the attempts that are recorded.
#[derive(Debug, Default)]
pub(super) struct Caution {
    /// Metrics to measure now.
    pub(super) measure: Vec<String>,
    /// Errors in place of measurements.
    pub(super) errors: Vec<Answer>,
    /// Whether something is to be measured as soon as its attempt is recorded.
    pub(super) must_record: bool,
}

/// Notes that metrics were answered.
pub(super) fn answered(run: &mut AnalysisRun, answers: &[Answer]) {
    for result in &mut run.results {
        let is_answered = answers.iter().any(|answer| answer.metric == result.name);
        if let Some(attempt) = result.attempt.as_mut().filter(|_| is_answered) {
            attempt.answered = true;
        }
    }
}

/// Which of the `due` metrics may be measured in a term that began with a death; all, where it did not.
pub(super) fn caution(
    run: &mut AnalysisRun,
    due: Vec<String>,
    term: Option<&str>,
    now: Timestamp,
) -> Caution {
    let Some(term) = term else { return Caution { measure: due, ..Caution::default() } };
    let mut caution = Caution::default();
    for metric in due {
        let Some(result) = run.results.iter_mut().find(|result| result.name == metric) else { continue };
        match &result.attempt {
            Some(attempt) if attempt.term == term => caution.measure.push(metric),
            known => {
                let has_killed = known.as_ref().is_some_and(|attempt| !attempt.answered);
                if has_killed {
                    caution.errors.push(error(metric, now));
                } else {
                    caution.must_record = true;
                }
                result.attempt = Some(Attempt { term: term.to_owned(), answered: false });
            }
        }
    }
    caution
}

fn error(metric: String, now: Timestamp) -> Answer {
    Answer {
        metric,
        started_at: now,
        finished_at: now,
        outcome: Err(
            "two leaders died while they measured this: its answer may be too much to read".to_owned()
        ),
        asked: None,
        no_data: None,
        metadata: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::fixtures::now;
    use crate::domain::metric::MetricResult;

    /// What a leader in this term does about the metric that is due.
    fn look(run: &mut AnalysisRun, term: Option<&str>) -> &'static str {
        let caution = caution(run, vec!["errors".to_owned()], term, now());
        match (caution.measure.len(), caution.errors.len(), caution.must_record) {
            (1, 0, false) => "measures",
            (0, 0, true) => "records",
            (0, 1, false) => "error",
            _ => panic!("{caution:?}"),
        }
    }

    #[test]
    fn an_answer_that_kills_a_leader_twice_is_an_error_for_the_next_one() {
        let result = MetricResult { name: "errors".to_owned(), ..MetricResult::default() };
        let mut run = AnalysisRun { results: vec![result], ..AnalysisRun::default() };
        assert_eq!(look(&mut run, None), "measures");
        // It dies of it; so does the next.
        assert_eq!(look(&mut run, Some("second")), "records");
        assert_eq!(look(&mut run, Some("second")), "measures");
        assert_eq!(look(&mut run, Some("third")), "error");
        // At the next interval, without a record, which there is.
        assert_eq!(look(&mut run, Some("third")), "measures");
        assert_eq!(look(&mut run, Some("fourth")), "error");
        // Whatever it was is over.
        assert_eq!(look(&mut run, Some("fourth")), "measures");
        answered(&mut run, &[error("errors".to_owned(), now())]);
        assert_eq!(look(&mut run, Some("fourth")), "measures");
        assert_eq!(look(&mut run, Some("fifth")), "records");
    }
}
