//! A release as the page gets it.

use crate::{
    commands::canary::{analysis, follow::Standing, subject::Subject},
    decide::{
        verbs,
        view::{AnalysisView, MetricView},
    },
    domain::request::{Order, Verb},
    expr,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use strum::{EnumMessage, IntoEnumIterator};

/// A release.
#[derive(Debug)]
pub struct Rollout {
    /// What the commands show of it.
    pub subject: Subject,
    /// Why its record cannot be read.
    pub problem: Option<String>,
}

/// An order, and whether it is possible now.
#[derive(Debug, Serialize)]
struct Possible {
    order: String,
    effect: &'static str,
    /// Why it is not possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

impl Rollout {
    /// What the list shows of it.
    #[must_use]
    pub fn row(&self) -> Value {
        let mut shown = self.shown();
        if let Some(Value::Object(progress)) = shown.get_mut("rollout") {
            // They can be long, and there can be many rows.
            progress.remove("analyses");
        }
        shown.into()
    }

    /// Everything but its pods and Events.
    #[must_use]
    pub fn whole(&self) -> Value {
        let mut shown = self.shown();
        let view = &self.subject.view;
        if let (Some(Value::Object(progress)), Some(rollout)) = (shown.get_mut("rollout"), &view.rollout) {
            let analyses: Vec<Value> = rollout.analyses.iter().map(with_charts).collect();
            progress.insert("analyses".to_owned(), analyses.into());
        }
        let history: Vec<Value> = self.subject.state.history.iter().rev().map(|entry| json!(entry)).collect();
        shown.insert("history".to_owned(), history.into());
        shown.insert("orders".to_owned(), json!(self.orders()));
        shown.into()
    }

    fn shown(&self) -> Map<String, Value> {
        let mut shown = match json!(self.subject.shown()) {
            Value::Object(shown) => shown,
            _ => Map::new(),
        };
        shown.insert("standing".to_owned(), json!(Standing::of(&self.subject)));
        shown.extend(self.problem.as_ref().map(|problem| ("problem".to_owned(), json!(problem))));
        shown
    }

    fn orders(&self) -> Vec<Possible> {
        let possible = |verb: Verb| Possible {
            order: verb.to_string(),
            effect: verb.get_documentation().unwrap_or_default(),
            refused: verbs::check(Order { verb, step: None }, &self.subject.state).err(),
        };
        Verb::iter().map(possible).collect()
    }
}

/// An analysis, with the numbers of its measurements and their limits.
fn with_charts(run: &AnalysisView) -> Value {
    let mut value = json!(run);
    let metrics = value.get_mut("metrics").and_then(Value::as_array_mut);
    for (shown, metric) in metrics.into_iter().flatten().zip(&run.metrics) {
        shown["limits"] = limits(metric).into();
        let numbers: Vec<Option<f64>> = metric.measurements.iter().map(analysis::number).collect();
        shown["numbers"] = json!(numbers);
    }
    value
}

fn limits(metric: &MetricView) -> Vec<f64> {
    let conditions = metric.success_condition.iter().chain(&metric.failure_condition);
    let mut limits: Vec<f64> = conditions.flat_map(|condition| expr::limits(condition)).collect();
    limits.dedup();
    limits
}
