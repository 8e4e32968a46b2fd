//! Evidence: a measurement with data. "No data" is never "good".
//!
//! Conditions judge an answer without data as in Argo, so that YAML behaves as written. But a metric that never had
//! data has measured nothing, and ends Inconclusive even if its conditions are satisfied.

use super::Answer;
use crate::domain::{
    metric::{AnalysisPhase, Measurement, MetricResult, MetricSpec, NoData},
    value::{MetricValue, Reading},
};

/// Longest query that a message shows, in characters: the state of a rollout has limited space.
const MAX_ASKED: usize = 500;

/// What a condition contains if it handles NaN.
const ASKS_FOR_NAN: &str = "isNaN(";

/// Which answer without data came for which query; `None` if there are data.
pub(super) fn nothing(answer: &Answer) -> Option<String> {
    let note = answer.no_data.as_ref()?;
    let Ok(Reading::Value { text, .. }) = &answer.outcome else { return None };
    Some(match &answer.asked {
        Some(asked) => {
            let words: Vec<&str> = asked.split_whitespace().collect();
            let asked: String = words.join(" ").chars().take(MAX_ASKED).collect();
            format!("{text} is the answer to {asked}{note}")
        }
        None => format!("{text} is the answer{note}"),
    })
}

/// The phase of an answer without data, if `noData` determines it; `None` leaves it to the conditions.
pub(super) fn settled(spec: &MetricSpec) -> Option<AnalysisPhase> {
    match spec.no_data {
        NoData::Pass => Some(AnalysisPhase::Successful),
        NoData::Fail => Some(AnalysisPhase::Failed),
        NoData::Wait => None,
    }
}

/// Whether the conditions handle NaN. Otherwise NaN is not data: it is 0/0, the result of a minute without requests.
pub(super) fn asks_for_nan(spec: &MetricSpec) -> bool {
    let conditions = [&spec.success_condition, &spec.failure_condition];
    conditions.into_iter().flatten().any(|text| text.contains(ASKS_FOR_NAN))
}

/// The value that the conditions get as `result`.
pub(super) fn judged(spec: &MetricSpec, value: &MetricValue) -> MetricValue {
    if value.has_nan() && value.has_data() && !asks_for_nan(spec) {
        value.without_nan()
    } else {
        value.clone()
    }
}

/// Why a metric that would end now has no evidence: it never had a measurement with data.
#[must_use]
pub fn lacking(spec: &MetricSpec, result: &MetricResult) -> Option<String> {
    if !spec.needs_evidence() || result.evidence_at.is_some() {
        return None;
    }
    let missing = result.measurements.last()?.no_data.as_ref()?;
    let measurements = match result.count.saturating_add(result.error) {
        1 => "the only measurement".to_owned(),
        number => format!("{number} measurements"),
    };
    // The message of an error already says it.
    let is_said = !result.measurements.last()?.message.is_empty();
    Some(if is_said {
        format!("no data in {measurements}")
    } else {
        format!("no data in {measurements}: {missing}")
    })
}

/// Which value of the last failed measurement satisfies failureCondition, or does not satisfy successCondition;
/// `None` for a metric that did not fail.
#[must_use]
pub fn unsatisfied(spec: &MetricSpec, result: &MetricResult) -> Option<String> {
    let bad = |measurement: &&Measurement| measurement.phase == result.phase && measurement.value.is_some();
    let measurement = result.measurements.iter().rev().find(bad)?;
    let value = measurement.value.as_deref()?;
    match (measurement.phase, &spec.success_condition, &spec.failure_condition) {
        (AnalysisPhase::Failed, _, Some(failure)) => {
            Some(format!("{value} satisfies failureCondition {failure}"))
        }
        (AnalysisPhase::Failed, Some(success), None) => Some(format!("{value} does not satisfy {success}")),
        (AnalysisPhase::Inconclusive, Some(success), Some(failure)) => {
            Some(format!("{value} satisfies neither {success} nor failureCondition {failure}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        analysis::{Answer, advance, start},
        domain::{
            metric::{AnalysisPhase, AnalysisRun, AnalysisTemplate, MetricRules},
            value::{MetricValue, Reading},
        },
    };
    use jiff::Timestamp;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    const NAN: f64 = f64::NAN;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A metric that is measured every 30 s, with these fields as well.
    fn run(fields: &Value) -> AnalysisRun {
        let mut metric = json!({
            "name": "rate", "interval": "30s", "successCondition": "len(result) == 0 || result[0] >= 0.99",
            "provider": {"key": "prometheus", "config": {"query": "rate"}},
        });
        metric.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let template = AnalysisTemplate {
            metrics: vec![serde_json::from_value(metric).unwrap()],
            ..AnalysisTemplate::default()
        };
        start("run", &[template], &MetricRules::default(), &[]).unwrap()
    }

    /// The run after these answers, one every 40 s.
    fn after(mut run: AnalysisRun, answers: &[MetricValue]) -> AnalysisRun {
        for (index, value) in answers.iter().enumerate() {
            let now = at(i64::try_from(index).unwrap() * 40);
            let answer = Answer {
                metric: "rate".to_owned(),
                started_at: now,
                finished_at: now,
                outcome: Ok(Reading::from(value.clone())),
                asked: Some("rate".to_owned()),
                no_data: (!value.has_data()).then(String::new),
                metadata: BTreeMap::new(),
            };
            run = advance(run, vec![answer], &[], now).run;
            run = advance(run, Vec::new(), &[], now).run;
        }
        run
    }

    fn vector(samples: &[f64]) -> MetricValue {
        MetricValue::Vector(samples.to_vec())
    }

    #[test]
    fn a_run_that_never_had_data_ends_inconclusive_whatever_its_conditions_say() {
        let nothing = [vector(&[]), vector(&[]), vector(&[])];
        for condition in ["len(result) == 0 || result[0] >= 0.99", "len(result) > 0 && result[0] >= 0.99"] {
            let ended =
                after(run(&json!({"count": 3, "failureLimit": 2, "successCondition": condition})), &nothing);
            assert_eq!(ended.phase, AnalysisPhase::Inconclusive, "{condition}: {}", ended.message);
            let why = "assessed Inconclusive due to no data in 3 measurements: [] is the answer to rate";
            assert!(ended.message.contains(why), "{}", ended.message);
        }
        let errors = vec![vector(&[]); 5];
        let ended = after(run(&json!({"successCondition": "result[0] >= 0.99"})), &errors);
        assert_eq!(ended.phase, AnalysisPhase::Inconclusive, "{}", ended.message);
    }

    #[test]
    fn a_run_that_ends_without_data_says_so_whichever_metric_ends_it() {
        let mut run = run(&json!({"count": 3}));
        let other = self::run(&json!({"name": "answers", "count": 3, "successCondition": "len(result) > 0"}));
        run.specs.extend(other.specs);
        run.results.extend(other.results);
        let answer = |metric: &str, now| Answer {
            metric: metric.to_owned(),
            started_at: now,
            finished_at: now,
            outcome: Ok(Reading::from(vector(&[]))),
            asked: Some(metric.to_owned()),
            no_data: Some(String::new()),
            metadata: BTreeMap::new(),
        };
        let now = at(0);
        run = advance(run, vec![answer("rate", now), answer("answers", now)], &[], now).run;
        run = advance(run, Vec::new(), &[], now).run;
        assert_eq!(run.phase, AnalysisPhase::Inconclusive);
        let why = "Metric \"answers\" assessed Inconclusive due to no data in the only measurement: [] is the answer to answers";
        assert_eq!(run.message, why);
    }

    #[test]
    fn a_measurement_keeps_argos_phase_and_says_that_it_had_no_data() {
        let run = after(run(&json!({})), &[vector(&[])]);
        let measurement = &run.results[0].measurements[0];
        assert_eq!(measurement.phase, AnalysisPhase::Successful);
        assert_eq!(measurement.no_data.as_deref(), Some("[] is the answer to rate"));
        assert_eq!((run.phase, run.results[0].evidence_at), (AnalysisPhase::Running, None));
    }

    #[test]
    fn one_measurement_with_data_is_evidence() {
        let answers = [vector(&[]), vector(&[1.0]), vector(&[])];
        let ended = after(run(&json!({"count": 3})), &answers);
        assert_eq!((ended.phase, ended.results[0].evidence_at), (AnalysisPhase::Successful, Some(at(40))));
    }

    #[test]
    fn a_quiet_minute_is_waited_for_and_fails_nothing() {
        let quiet =
            after(run(&json!({"count": 1, "successCondition": "result[0] >= 0.99"})), &[vector(&[NAN])]);
        assert_eq!((quiet.phase, quiet.results[0].failed), (AnalysisPhase::Running, 0));
        let message = "[NaN] is the answer to rate, waiting up to 10m for a number";
        assert_eq!(quiet.results[0].message, message);
        let judged = after(quiet, &[vector(&[1.0])]);
        assert_eq!(judged.phase, AnalysisPhase::Successful);
        // Samples of idle and of busy pods.
        let mixed = after(
            run(&json!({"count": 1, "successCondition": "all(result, {# >= 0.99})"})),
            &[vector(&[NAN, 1.0])],
        );
        assert_eq!(mixed.phase, AnalysisPhase::Successful);
    }

    #[test]
    fn a_condition_that_asks_for_nan_sees_it() {
        let asked = run(&json!({"count": 1, "failureCondition": "isNaN(result[0])", "noData": "pass"}));
        assert_eq!(after(asked, &[vector(&[NAN, 1.0])]).phase, AnalysisPhase::Failed);
        let alone = run(&json!({"count": 1, "successCondition": "!isNaN(result[0])"}));
        let ended = after(alone, &[vector(&[NAN])]);
        assert_eq!(ended.results[0].measurements[0].phase, AnalysisPhase::Failed);
        assert_eq!(ended.phase, AnalysisPhase::Inconclusive, "it never had data");
    }

    #[test]
    fn the_metric_says_what_no_data_means() {
        for (no_data, phase) in [("pass", AnalysisPhase::Successful), ("fail", AnalysisPhase::Failed)] {
            for nothing in [vector(&[]), vector(&[NAN]), MetricValue::Nil] {
                let settled =
                    run(&json!({"count": 1, "noData": no_data, "successCondition": "result[0] >= 0.99"}));
                assert_eq!(
                    after(settled, std::slice::from_ref(&nothing)).phase,
                    phase,
                    "{no_data} {nothing}"
                );
            }
        }
    }

    #[test]
    fn the_verdict_says_what_was_measured() {
        let said = |fields: &Value| {
            let failed = after(run(fields), &[vector(&[0.5])]);
            super::unsatisfied(&failed.specs[0], &failed.results[0]).unwrap()
        };
        assert_eq!(said(&json!({})), "[0.5] does not satisfy len(result) == 0 || result[0] >= 0.99");
        let failure = json!({"failureCondition": "result[0] < 0.9"});
        assert_eq!(said(&failure), "[0.5] satisfies failureCondition result[0] < 0.9");
    }
}
