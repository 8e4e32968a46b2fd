//! What a provider measured, before any condition has judged it.

use super::metric::AnalysisPhase;
use crate::gocompat::float::GoFloat;
use std::{collections::BTreeMap, fmt};

/// What asking a provider came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// A value for the metric's conditions to judge.
    Value {
        /// The value itself.
        value: MetricValue,
        /// How the provider writes it, for people.
        text: String,
    },
    /// Too few samples for a value to mean anything.
    TooFew {
        /// How many there are.
        got: f64,
    },
    /// The provider's own verdict, such as a job's: no condition is asked.
    Verdict {
        /// A completed phase; any other means that there is no verdict yet.
        phase: AnalysisPhase,
        /// The provider's reason.
        message: String,
    },
}

impl From<MetricValue> for Reading {
    /// A value that is written as Prometheus' are.
    fn from(value: MetricValue) -> Self {
        Self::Value { text: value.to_string(), value }
    }
}

/// A measured value.
///
/// JSON cannot carry it: `NaN` and the infinities are everyday answers of Prometheus.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricValue {
    /// No data.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number. JSON has none: its numbers are all [`MetricValue::Float`].
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(String),
    /// The samples of a Prometheus vector or matrix, without their labels.
    Vector(Vec<f64>),
    /// A list of anything.
    List(Vec<Self>),
    /// Values by name.
    Map(BTreeMap<String, Self>),
}

/// What the conditions of a metric see as `result`, as far as that is known before it is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResultType {
    /// Anything: the provider's answer decides.
    Any,
    /// A number.
    Number,
    /// A list of numbers, the samples of the answer.
    Numbers,
    /// A mapping of these names to a number, a list of numbers, or nil.
    Named(Vec<String>),
    /// Nothing: the provider judges itself, and no condition is asked.
    Verdict,
}

impl MetricValue {
    /// Whether a provider answered, but with nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Nil => true,
            Self::Vector(items) => items.is_empty(),
            Self::List(items) => items.is_empty(),
            _ => false,
        }
    }

    /// Whether there is anything in it to judge: neither empty nor only NaN, which is what 0/0 gives.
    #[must_use]
    pub fn has_data(&self) -> bool {
        match self {
            Self::Float(number) => !number.is_nan(),
            Self::Vector(samples) => samples.iter().any(|sample| !sample.is_nan()),
            other => !other.is_empty(),
        }
    }

    /// Whether it would have data if there were no NaN: a quiet minute, rather than a query without series.
    #[must_use]
    pub fn has_nan(&self) -> bool {
        match self {
            Self::Float(number) => number.is_nan(),
            Self::Vector(samples) => samples.iter().any(|sample| sample.is_nan()),
            Self::Map(entries) => entries.values().any(Self::has_nan),
            _ => false,
        }
    }

    /// Without samples that are NaN, as far as others are left.
    #[must_use]
    pub fn without_nan(&self) -> Self {
        match self {
            Self::Vector(samples) => {
                Self::Vector(samples.iter().copied().filter(|sample| !sample.is_nan()).collect())
            }
            Self::Map(entries) => {
                let entry = |(key, value): (&String, &Self)| (key.clone(), value.without_nan());
                Self::Map(entries.iter().map(entry).collect())
            }
            other => other.clone(),
        }
    }
}

impl From<serde_json::Value> for MetricValue {
    fn from(json: serde_json::Value) -> Self {
        use serde_json::Value;
        match json {
            Value::Null => Self::Nil,
            Value::Bool(value) => Self::Bool(value),
            // Every JSON number is a float, as in Go; one beyond a float's range cannot be parsed at all.
            Value::Number(number) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => Self::Text(text),
            Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Value::Object(entries) => {
                Self::Map(entries.into_iter().map(|(key, value)| (key, value.into())).collect())
            }
        }
    }
}

impl fmt::Display for MetricValue {
    /// As Argo writes it into a measurement: `0.5`, `[0.5,NaN]`, `[]`, `+Inf`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => GoFloat(*value).fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Vector(samples) => write_all(f, '[', samples, ']', |f, sample| GoFloat(*sample).fmt(f)),
            Self::List(items) => write_all(f, '[', items, ']', |f, item| item.fmt(f)),
            Self::Map(entries) => {
                write_all(f, '{', entries, '}', |f, (key, value)| write!(f, "{key}:{value}"))
            }
        }
    }
}

fn write_all<T>(
    f: &mut fmt::Formatter<'_>,
    open: char,
    items: impl IntoIterator<Item = T>,
    close: char,
    write_item: impl Fn(&mut fmt::Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    write!(f, "{open}")?;
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            f.write_str(",")?;
        }
        write_item(f, item)?;
    }
    write!(f, "{close}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_argo_does() {
        for (value, text) in [
            (MetricValue::Float(10.0), "10"),
            (MetricValue::Float(1e20), "100000000000000000000"),
            (MetricValue::Float(-0.0), "-0"),
            (MetricValue::Float(f64::NAN), "NaN"),
            (MetricValue::Vector(vec![0.5, f64::INFINITY, f64::NEG_INFINITY]), "[0.5,+Inf,-Inf]"),
            (MetricValue::Vector(Vec::new()), "[]"),
            (serde_json::json!({"canary": [1, "a"], "ok": true}).into(), "{canary:[1,a],ok:true}"),
        ] {
            assert_eq!(value.to_string(), text);
        }
    }
}
