//! Analysis templates as users write them.

use super::yaml;
use crate::{
    analysis::{args::has_placeholder, condition, validate},
    domain::{
        duration::GoDuration,
        fields::{Fields, Node, nearest, read},
        finding::{Finding, Findings},
        metric::{AnalysisTemplate, Arg, Metric, MetricRule, ProviderRef, RawMetric, SecretKeyRef},
    },
    providers::{self, PROVIDERS},
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use regex::Regex;
use serde_json::Value;

/// Reads the YAML of an `AnalysisTemplate`'s spec, or of a whole (Cluster)AnalysisTemplate object.
///
/// # Errors
/// All findings, with `path` before each of their paths.
pub fn parse(name: &str, text: &str, path: &str) -> Result<AnalysisTemplate, Findings> {
    let document = yaml::parse(text).map_err(|problem| vec![Finding::new(path, "", problem)])?;
    let template = read(&document, path, template)?;
    Ok(AnalysisTemplate { name: name.to_owned(), ..template })
}

/// Reads a spec or a whole object; its `metadata` says nothing that matters here.
#[must_use]
pub fn template(node: Node<'_>) -> Option<AnalysisTemplate> {
    if node.value().get("kind").is_none() {
        return node.object(spec);
    }
    node.object(|object| {
        object.optional("apiVersion", Node::string);
        object.optional("kind", kind);
        object.optional("metadata", |_| Some(()));
        object.optional("status", |_| Some(()));
        object.required("spec", |node| node.object(spec))
    })
}

fn kind(node: Node<'_>) -> Option<()> {
    match node.value().as_str() {
        Some("AnalysisTemplate" | "ClusterAnalysisTemplate") => Some(()),
        _ => node.fail("must be AnalysisTemplate or ClusterAnalysisTemplate"),
    }
}

fn spec(spec: &mut Fields<'_>) -> Option<AnalysisTemplate> {
    let args = spec.list("args", arg);
    let metrics = spec.required("metrics", metrics);
    let dry_run = spec.list("dryRun", dry_run_rule);
    let measurement_retention = spec.list("measurementRetention", retention_rule);
    spec.unsupported("templates", "name all templates in the step instead");
    Some(AnalysisTemplate { name: String::new(), args, metrics: metrics?, dry_run, measurement_retention })
}

fn arg(node: Node<'_>) -> Option<Arg> {
    node.object(|arg| {
        let name = arg.required("name", Node::string);
        let value = arg.optional("value", Node::string);
        let secret = arg.optional("valueFrom", |node| {
            node.object(|source| {
                source.unsupported("fieldRef", "give it in the step's args");
                source.required("secretKeyRef", secret_key)
            })
        });
        Some(Arg { name: name?, value, secret })
    })
}

fn secret_key(node: Node<'_>) -> Option<SecretKeyRef> {
    node.object(|secret| {
        let name = secret.required("name", Node::string);
        let key = secret.required("key", Node::string);
        Some(SecretKeyRef { name: name?, key: key? })
    })
}

fn dry_run_rule(node: Node<'_>) -> Option<MetricRule> {
    node.object(|rule| Some(MetricRule { metric_name: rule.required("metricName", pattern)?, limit: 0 }))
}

fn retention_rule(node: Node<'_>) -> Option<MetricRule> {
    node.object(|rule| {
        let metric_name = rule.required("metricName", pattern);
        let limit = rule.required("limit", |node| node.integer(0..=MAX_RETENTION));
        Some(MetricRule { metric_name: metric_name?, limit: limit? })
    })
}

/// The state of a rollout has room for no more.
const MAX_RETENTION: u32 = 100;

fn pattern(node: Node<'_>) -> Option<String> {
    match node.value().as_str().map(Regex::new) {
        Some(Err(error)) => node.fail(format!("is not a regular expression: {error}")),
        _ => node.string(),
    }
}

fn metrics(node: Node<'_>) -> Option<Vec<RawMetric>> {
    match node.value().as_array() {
        Some(items) if items.is_empty() => node.fail("no metrics specified"),
        Some(items) if let Some(twice) = repeated_name(items) => {
            node.fail(format!("two metrics have the same name '{twice}'"))
        }
        _ => node.list(metric),
    }
}

fn repeated_name(metrics: &[Value]) -> Option<&str> {
    let names = || metrics.iter().filter_map(|metric| metric.get("name")?.as_str());
    names()
        .enumerate()
        .find(|(index, name)| names().take(*index).any(|other| other == *name))
        .map(|(_, name)| name)
}

/// Reads one metric. Limits that contradict each other are findings unless arguments stand in them.
#[must_use]
pub fn metric(node: Node<'_>) -> Option<RawMetric> {
    node.object(|fields| {
        let name = fields.required("name", Node::string);
        let initial_delay = fields.optional("initialDelay", span);
        let interval = fields.optional("interval", span);
        let count = fields.optional("count", number);
        let success_condition = fields.optional("successCondition", condition);
        let failure_condition = fields.optional("failureCondition", condition);
        let failure_limit = fields.optional("failureLimit", number);
        let inconclusive_limit = fields.optional("inconclusiveLimit", number);
        let consecutive_error_limit = fields.optional("consecutiveErrorLimit", number);
        let consecutive_success_limit = fields.optional("consecutiveSuccessLimit", number);
        let provider = fields.required("provider", provider);
        let metric = Metric {
            name: name?,
            initial_delay,
            interval,
            count,
            success_condition,
            failure_condition,
            failure_limit,
            inconclusive_limit,
            consecutive_error_limit,
            consecutive_success_limit,
            provider: provider?,
        };
        match validate::limits(&metric) {
            Ok(()) => Some(metric),
            Err(problem) => {
                fields.fail(problem);
                None
            }
        }
    })
}

/// A duration, or a text that is one once its arguments are known.
fn span(node: Node<'_>) -> Option<String> {
    match node.value().as_str() {
        Some(text) if text.is_empty() || has_placeholder(text) => node.string(),
        _ => {
            let text = node.value().as_str().unwrap_or_default().to_owned();
            node.parsed::<GoDuration>().map(|_| text)
        }
    }
}

/// A whole number, bare or as a text, or a text that is one once its arguments are known.
fn number(node: Node<'_>) -> Option<IntOrString> {
    match node.value().as_str() {
        Some(text) if !has_placeholder(text) && text.parse::<i32>().is_err() => {
            node.fail("must be a whole number")
        }
        _ => node.int_or_string(),
    }
}

fn condition(node: Node<'_>) -> Option<String> {
    match node.value().as_str() {
        Some(text) if !text.is_empty() && !has_placeholder(text) => match condition::check(text) {
            Ok(()) => node.string(),
            Err(problem) => node.fail(problem),
        },
        _ => node.string(),
    }
}

fn provider(node: Node<'_>) -> Option<ProviderRef> {
    let Some(object) = node.value().as_object() else { return node.fail("must be a mapping") };
    let mut given = object.keys();
    let key = match (given.next(), given.next()) {
        (Some(only), None) => only,
        (None, _) => return node.fail("no provider specified"),
        (Some(_), Some(_)) => return node.fail("multiple providers specified"),
    };
    let Some(provider) = providers::find(key) else {
        let keys: Vec<_> = PROVIDERS.iter().map(|provider| provider.key()).collect();
        let hint = nearest(key, &keys).map(|known| format!(", did you mean {known:?}?")).unwrap_or_default();
        return node
            .fail(format!("provider {key:?} is not supported{hint}; supported are {}", keys.join(", ")));
    };
    node.object(|fields| {
        let config = fields.required(provider.key(), |node| {
            let config = node.value().clone();
            provider.check(node).map(|()| config)
        });
        Some(ProviderRef { key: provider.key().to_owned(), config: config? })
    })
}
