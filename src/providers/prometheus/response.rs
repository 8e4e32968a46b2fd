//! The answers of Prometheus.

use super::NAME_LABEL;
use crate::{domain::value::MetricValue, gocompat::float::GoFloat, providers::http::HttpResponse};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;

/// A successful answer.
#[derive(Debug)]
pub(super) struct Response {
    pub data: Data,
    pub warnings: Vec<String>,
}

/// The samples in it.
#[derive(Debug)]
pub(super) enum Data {
    Scalar(f64),
    Series(Vec<Series>),
}

/// Samples with the same labels.
#[derive(Debug)]
pub(super) struct Series {
    labels: BTreeMap<String, String>,
    samples: Vec<f64>,
}

/// The API's envelope.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Envelope {
    status: String,
    data: Value,
    error_type: String,
    error: String,
    /// Mostly absent or null.
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryResult {
    result_type: String,
    result: Value,
}

#[derive(Deserialize)]
struct RawSeries {
    metric: Option<BTreeMap<String, String>>,
    value: Option<Pair>,
    values: Option<Vec<Pair>>,
}

/// Time and value; the value is a text, because JSON has no `NaN`.
type Pair = Vec<Value>;

impl Response {
    /// Errors are `TYPE: TEXT`, with the types of Prometheus' own client.
    ///
    /// Source: `client_golang` `api/prometheus/v1/api.go`, `apiClientImpl.Do`.
    pub fn read(answer: &HttpResponse) -> Result<Self, String> {
        let status = answer.status;
        // With these two status codes, the body says what is wrong with the query.
        let is_api_error = matches!(status, 400 | 422);
        if !(200..300).contains(&status) && !is_api_error {
            return Err(match status {
                400..500 => format!("client_error: client error: {status}"),
                500..600 => format!("server_error: server error: {status}"),
                _ => format!("bad_response: bad response code {status}"),
            });
        }
        let body: Value = answer.json().map_err(|error| format!("bad_response: {error}"))?;
        let envelope: Envelope = part(body)?;
        match envelope.status.as_str() {
            "error" => return Err(format!("{}: {}", envelope.error_type, envelope.error)),
            "success" if is_api_error => {
                return Err("bad_response: inconsistent body for response code".to_owned());
            }
            _ => {}
        }
        let result: QueryResult = part(envelope.data)?;
        Ok(Self { data: result.data()?, warnings: envelope.warnings.unwrap_or_default() })
    }
}

/// Parses a part of the answer, which must have the documented form.
fn part<T: DeserializeOwned>(json: Value) -> Result<T, String> {
    serde_json::from_value(json).map_err(|error| format!("bad_response: {error}"))
}

impl QueryResult {
    fn data(self) -> Result<Data, String> {
        match self.result_type.as_str() {
            "scalar" => {
                let pair: Pair = part(self.result)?;
                // Unlike the sample of a series, it must be complete.
                let value = pair.get(1).map_or_else(|| number(""), |_| sample(&pair))?;
                Ok(Data::Scalar(value))
            }
            "vector" | "matrix" => {
                let series: Vec<Option<RawSeries>> = part(self.result)?;
                let is_vector = self.result_type == "vector";
                series
                    .into_iter()
                    .flatten()
                    .map(|raw| raw.series(is_vector))
                    .collect::<Result<_, _>>()
                    .map(Data::Series)
            }
            "string" => Err("Prometheus metric type not supported".to_owned()),
            other => Err(format!("unknown value type {other:?}")),
        }
    }
}

impl RawSeries {
    /// A histogram has no value; like Prometheus' own client, it counts as 0.
    fn series(self, is_vector: bool) -> Result<Series, String> {
        let samples = if is_vector {
            vec![sample(&self.value.unwrap_or_default())?]
        } else {
            self.values.iter().flatten().map(|pair| sample(pair)).collect::<Result<_, _>>()?
        };
        Ok(Series { labels: self.metric.unwrap_or_default(), samples })
    }
}

fn sample(pair: &[Value]) -> Result<f64, String> {
    if let Some(time) = pair.first().filter(|time| !time.is_number()) {
        return Err(format!("bad_response: a sample's time must be a number, got {time}"));
    }
    match pair.get(1) {
        None => Ok(0.0),
        Some(Value::String(text)) => number(text),
        Some(other) => Err(format!("bad_response: a sample's value must be a string, got {other}")),
    }
}

fn number(text: &str) -> Result<f64, String> {
    text.parse::<GoFloat>().map(|float| float.0).map_err(|error| error.to_string())
}

impl Data {
    /// A number, or all samples in the order of the answer.
    pub fn value(&self) -> MetricValue {
        match self {
            Self::Scalar(value) => MetricValue::Float(*value),
            Self::Series(series) => {
                MetricValue::Vector(series.iter().flat_map(|series| &series.samples).copied().collect())
            }
        }
    }

    /// The results of named queries: a number for one sample, a list for several, nil for none.
    pub fn by_name(&self, names: impl Iterator<Item = String>) -> MetricValue {
        let Self::Series(series) = self else { return self.value() };
        let samples_of = |name: &String| -> Vec<f64> {
            let own = series.iter().filter(|series| series.labels.get(NAME_LABEL) == Some(name));
            own.flat_map(|series| &series.samples).copied().collect()
        };
        let value_of = |name: String| {
            let value = match samples_of(&name).as_slice() {
                [] => MetricValue::Nil,
                [only] => MetricValue::Float(*only),
                several => MetricValue::Vector(several.to_vec()),
            };
            (name, value)
        };
        MetricValue::Map(names.map(value_of).collect())
    }
}
