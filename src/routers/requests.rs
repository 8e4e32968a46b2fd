//! Where a data plane counts the requests of each side, and the queries that compare them.

use crate::domain::{
    counts::{Bounds, Counts},
    value::MetricValue,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Labels whose values differ where one server has the series of several clusters.
const CLUSTERS: &str = "cluster, cluster_id, cluster_name, datacenter, env, environment, k8s_cluster, k8s_cluster_name, prometheus, region, tenant";
/// Mean time of a request, in seconds, above which counts say little: requests are counted when they end, and may have
/// begun before the weight was in force.
const LONG: f64 = 5.0;

const CANARY: [&str; 2] = ["canaryLeast", "canaryMost"];
const OTHERS: [&str; 2] = ["othersLeast", "othersMost"];
const SECONDS: &str = "seconds";
const SOURCES: &str = "clusters";

/// Series that count the requests that a data plane has passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requests {
    /// Of requests to the canary.
    pub canary: Vec<Timed>,
    /// Of all others that are split.
    pub others: Vec<Timed>,
    /// What mostly is the reason when the canary's part of them is another than its weight.
    pub causes: &'static str,
}

/// Series of one histogram or summary of the seconds that requests took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    /// The name, without `_count` and `_sum`.
    pub metric: &'static str,
    /// The matchers, without braces.
    pub matchers: String,
}

impl Timed {
    fn count(&self) -> String {
        format!("{}_count{{{}}}", self.metric, self.matchers)
    }

    fn sum(&self) -> String {
        format!("{}_sum{{{}}}", self.metric, self.matchers)
    }

    /// What is sure to have been counted within the time: from the first value in it to the last, unless the counter began
    /// again.
    fn certain(&self, time: &str) -> String {
        let count = self.count();
        format!("({} and resets({count}[{time}]) == 0)", gained(&count, time))
    }

    /// What can have been: all of a counter that was not there before.
    fn possible(&self, time: &str) -> String {
        let count = self.count();
        format!("(({} and {count} offset {time}) or max_over_time({count}[{time}]))", gained(&count, time))
    }
}

impl Requests {
    /// Named queries about the last `seconds`.
    #[must_use]
    pub fn queries(&self, seconds: i64) -> Value {
        let time = &format!("{seconds}s");
        let all = || self.canary.iter().chain(&self.others);
        let rate = |series: String| format!("rate({series}[{time}])");
        let took = sum(all().map(|series| rate(series.sum())));
        let passed = sum(all().map(|series| rate(series.count())));
        let sources = any(all().map(Timed::count));
        let sides = [(CANARY, &self.canary), (OTHERS, &self.others)];
        let bounds = sides.into_iter().flat_map(|([least, most], series)| {
            let certain = sum(series.iter().map(|series| series.certain(time)));
            [(least, certain), (most, sum(series.iter().map(|series| series.possible(time))))]
        });
        let about = [
            (SECONDS, format!("{took} / {passed}")),
            (SOURCES, format!("count(count by ({CLUSTERS}) ({sources}))")),
        ];
        let named = bounds.chain(about).map(|(name, query)| (name.to_owned(), json!(query)));
        Value::Object(named.collect())
    }

    /// The answers to [`Requests::queries`], if they can be compared.
    #[must_use]
    pub fn counts(answer: &MetricValue) -> Option<Counts> {
        let MetricValue::Map(named) = answer else { return None };
        let is_short = number(named, SECONDS).is_some_and(|seconds| seconds <= LONG);
        let is_one = number(named, SOURCES).is_some_and(|sources| sources <= 1.0);
        // What has no series counts nothing.
        let bounds = |[least, most]: [&str; 2]| Bounds {
            least: number(named, least).unwrap_or(0.0),
            most: number(named, most).unwrap_or(0.0),
        };
        (is_short && is_one).then(|| Counts { canary: bounds(CANARY), others: bounds(OTHERS) })
    }
}

fn number(named: &BTreeMap<String, MetricValue>, name: &str) -> Option<f64> {
    match named.get(name)? {
        MetricValue::Float(number) => Some(*number),
        _ => None,
    }
}

/// Traefik's series of services whose names match; a scraper may have a label of its own by that name.
pub(super) fn traefik(name: &str) -> [Timed; 2] {
    ["service", "exported_service"].map(|label| Timed {
        metric: "traefik_service_request_duration_seconds",
        // An upgraded connection is counted when it ends.
        matchers: format!("{label}=~\"{name}\",code!=\"101\""),
    })
}

/// Names of objects as one regular expression of PromQL.
pub(super) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.replace('.', "[.]")).collect();
    format!("({})", names.join("|"))
}

fn gained(count: &str, time: &str) -> String {
    format!("max_over_time({count}[{time}]) - min_over_time({count}[{time}])")
}

fn any(series: impl Iterator<Item = String>) -> String {
    series.collect::<Vec<_>>().join(" or ")
}

fn sum(series: impl Iterator<Item = String>) -> String {
    format!("sum({})", any(series))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Requests {
        let series = |matchers: &str| Timed { metric: "took_seconds", matchers: matchers.to_owned() };
        Requests { canary: vec![series("c=\"1\"")], others: vec![series("c=\"0\"")], causes: "" }
    }

    #[test]
    fn what_a_counter_began_with_is_possible_and_only_what_it_gained_is_certain() {
        let queries = requests().queries(60);
        insta::assert_snapshot!(queries["canaryMost"].as_str().unwrap(), @r#"sum(((max_over_time(took_seconds_count{c="1"}[60s]) - min_over_time(took_seconds_count{c="1"}[60s]) and took_seconds_count{c="1"} offset 60s) or max_over_time(took_seconds_count{c="1"}[60s])))"#);
        insta::assert_snapshot!(queries["othersLeast"].as_str().unwrap(), @r#"sum((max_over_time(took_seconds_count{c="0"}[60s]) - min_over_time(took_seconds_count{c="0"}[60s]) and resets(took_seconds_count{c="0"}[60s]) == 0))"#);
    }

    #[test]
    fn requests_that_take_long_and_several_clusters_are_not_compared() {
        let counts = |seconds: f64, clusters: f64| {
            let float = |(name, number): (&str, f64)| (name.to_owned(), MetricValue::Float(number));
            let answers = [(OTHERS[0], 7.0), (OTHERS[1], 8.0), (SECONDS, seconds), (SOURCES, clusters)];
            Requests::counts(&MetricValue::Map(answers.map(float).into()))
        };
        let none = Bounds { least: 0.0, most: 0.0 };
        let expected = Counts { canary: none, others: Bounds { least: 7.0, most: 8.0 } };
        assert_eq!(counts(0.1, 1.0), Some(expected));
        assert_eq!(counts(60.0, 1.0), None);
        assert_eq!(counts(f64::NAN, 1.0), None);
        assert_eq!(counts(0.1, 2.0), None);
    }
}
