//! A value from too few samples is not judged: `minSamples` of a metric.
//!
//! One error in three requests is not an error rate of 33 %. While there are too few samples, the metric is
//! measured again, up to a limit; then the measurement is inconclusive and a person decides. It is neither a
//! failure of the canary nor a silent success.

use super::{Answer, evidence};
use crate::{
    domain::{
        metric::{AnalysisPhase, Measurement, MetricResult, MetricSpec, MinSamples, Thin},
        value::{MetricValue, Reading},
    },
    gocompat::{duration::GoDuration, float::GoFloat},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// How long to wait for enough samples, by default.
const DEFAULT_EXTENSION: GoDuration = GoDuration::from_secs(600);

/// The provider's configuration with the query for the number of samples instead of the value.
#[must_use]
pub fn counting<Span, Number>(least: &MinSamples<Span, Number>, config: &Value) -> Value {
    let mut config = config.clone();
    if let Some(fields) = config.as_object_mut() {
        fields.insert("query".to_owned(), least.query.clone().into());
        fields.remove("rangeQuery");
    }
    config
}

/// The result of a measurement if `counted` is too few samples; `None` if it is enough.
#[must_use]
pub fn short_of(least: &MinSamples<GoDuration, i32>, counted: &Reading) -> Option<Reading> {
    let got = match counted {
        Reading::Value { value, .. } => number(value),
        Reading::TooFew { .. } | Reading::Verdict { .. } => 0.0,
    };
    (got < f64::from(least.count)).then_some(Reading::TooFew { got })
}

/// The sum of all samples; a value that is not a number counts as 0.
fn number(value: &MetricValue) -> f64 {
    let sum = match value {
        MetricValue::Float(number) => *number,
        MetricValue::Vector(samples) => samples.iter().filter(|sample| !sample.is_nan()).sum(),
        _ => 0.0,
    };
    if sum.is_nan() { 0.0 } else { sum }
}

/// Why an answer cannot be judged yet, if so: too few samples, or NaN where no condition handles it.
pub(super) fn too_little(spec: &MetricSpec, answer: &Answer) -> Option<Little> {
    match &answer.outcome {
        Ok(Reading::TooFew { got }) => Some(Little::Few(*got)),
        Ok(Reading::Value { value, .. })
            if spec.needs_evidence() && value.has_nan() && !evidence::asks_for_nan(spec) =>
        {
            evidence::nothing(answer).map(Little::Nan)
        }
        _ => None,
    }
}

/// Why an answer cannot be judged yet.
pub(super) enum Little {
    /// Only this many samples.
    Few(f64),
    /// The answer is not a number; in words.
    Nan(String),
}

/// Continues to wait, or ends the wait with an inconclusive measurement.
pub(super) fn wait(
    spec: &MetricSpec,
    result: &mut MetricResult,
    little: Little,
    answer: &Answer,
) -> Option<Measurement> {
    let at = answer.finished_at;
    let since = result.thin.map_or(at, |thin| thin.since);
    let least = spec.min_samples.as_ref();
    let bound = least.and_then(|least| least.extend_up_to).unwrap_or(DEFAULT_EXTENSION);
    let is_over = at.duration_since(since) >= bound.signed();
    let message = match (little, least, is_over) {
        (Little::Few(got), Some(least), _) => {
            let few =
                format!("{} of the {} samples that minSamples requires", GoFloat(got.floor()), least.count);
            if is_over {
                format!("only {few} after {bound}")
            } else {
                format!("{few}, waiting up to {bound}")
            }
        }
        (Little::Few(_), None, _) => return None,
        (Little::Nan(what), _, true) => format!("{what}, and there was no number for {bound}"),
        (Little::Nan(what), _, false) => format!("{what}, waiting up to {bound} for a number"),
    };
    if !is_over {
        result.thin = Some(Thin { since, counted_at: at });
        result.message = message;
        return None;
    }
    Some(Measurement {
        phase: AnalysisPhase::Inconclusive,
        value: None,
        no_data: Some(message.clone()),
        message,
        started_at: answer.started_at,
        finished_at: at,
        metadata: BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analysis::{Answer, advance, start},
        domain::metric::{AnalysisRun, AnalysisTemplate, MetricRules},
    };
    use jiff::Timestamp;
    use serde_json::json;

    fn run() -> AnalysisRun {
        let metric = json!({
            "name": "errors", "interval": "30s", "count": 2, "successCondition": "result[0] < 0.05",
            "minSamples": {"query": "sum(increase(requests[1m]))", "count": 100, "extendUpTo": "1m"},
            "provider": {"key": "prometheus", "config": {"address": "http://prometheus", "query": "errors"}},
        });
        let metrics = vec![serde_json::from_value(metric).unwrap()];
        start(
            "run",
            &[AnalysisTemplate { metrics, ..AnalysisTemplate::default() }],
            &MetricRules::default(),
            &[],
        )
        .unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// The run after an answer at this second, and when it wakes up next.
    fn after(run: AnalysisRun, second: i64, reading: Reading) -> (AnalysisRun, Option<i64>) {
        let answer = Answer {
            metric: "errors".to_owned(),
            started_at: at(second),
            finished_at: at(second),
            outcome: Ok(reading),
            asked: None,
            no_data: None,
            metadata: BTreeMap::new(),
        };
        let advance = advance(run, vec![answer], &[], at(second));
        let wake = advance.wake_at.map(|wake| wake.as_second() - at(0).as_second());
        (advance.run, wake)
    }

    fn value(number: f64) -> Reading {
        MetricValue::Vector(vec![number]).into()
    }

    #[test]
    fn too_few_samples_are_waited_for_and_then_judged() {
        let (run, wake) = after(run(), 0, Reading::TooFew { got: 12.7 });
        let waits = "12 of the 100 samples that minSamples requires, waiting up to 1m";
        assert_eq!((run.results[0].message.as_str(), wake), (waits, Some(10)));
        assert_eq!((run.phase, run.results[0].count), (AnalysisPhase::Running, 0));
        let (run, _) = after(run, 10, value(0.01));
        assert_eq!((run.results[0].thin, run.results[0].successful), (None, 1));
        let (run, _) = after(run, 41, value(0.01));
        assert_eq!(run.phase, AnalysisPhase::Successful);
    }

    #[test]
    fn too_few_samples_for_too_long_are_inconclusive() {
        let (run, _) = after(run(), 0, Reading::TooFew { got: 0.0 });
        let (run, _) = after(run, 30, Reading::TooFew { got: 3.0 });
        let (run, _) = after(run, 60, Reading::TooFew { got: 3.0 });
        let run = advance(run, Vec::new(), &[], at(61)).run;
        assert_eq!(run.phase, AnalysisPhase::Inconclusive);
        assert_eq!(
            run.message,
            "Metric \"errors\" assessed Inconclusive due to inconclusive (1) > inconclusiveLimit (0): \
             \"Error Message: only 3 of the 100 samples that minSamples requires after 1m\""
        );
    }

    #[test]
    fn an_answer_without_series_has_no_samples() {
        let least = MinSamples { query: "q".to_owned(), count: 1, extend_up_to: None };
        for (counted, enough) in [
            (MetricValue::Vector(Vec::new()), false),
            (MetricValue::Vector(vec![f64::NAN]), false),
            (MetricValue::Vector(vec![0.5, 0.5]), true),
            (MetricValue::Float(1.0), true),
            (MetricValue::Nil, false),
        ] {
            assert_eq!(short_of(&least, &counted.into()).is_none(), enough);
        }
        let config = json!({"query": "errors", "address": "http://p", "rangeQuery": {}});
        assert_eq!(counting(&least, &config), json!({"query": "q", "address": "http://p"}));
    }
}
