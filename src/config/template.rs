//! Analysis templates as users write them.

use super::yaml;
use crate::{
    analysis::{args::has_placeholder, condition, validate},
    domain::{
        duration::GoDuration,
        field_path,
        fields::{Fields, Node, nearest, read},
        finding::{Finding, Findings},
        go_regex,
        kind::Kind,
        metric::{
            AnalysisTemplate, Arg, Metric, MetricRule, MetricRules, MinSamples, ProviderRef, RawMetric,
            SecretKeyRef, TemplateRef,
        },
    },
    providers::{self, Field, PROVIDERS, field},
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

/// A list of names of templates.
pub(super) const TEMPLATES: Kind =
    Kind::List(&Kind::Object(&[("templateName", Kind::Text), ("clusterScope", Kind::Bool)]));
/// What [`rules`] reads as `dryRun`.
pub(super) const DRY_RUN: Kind = Kind::List(&Kind::Object(&[("metricName", Kind::Text)]));
/// What [`rules`] reads as `measurementRetention`.
pub(super) const RETENTION: Kind =
    Kind::List(&Kind::Object(&[("metricName", Kind::Text), ("limit", Kind::Whole(0, MAX_RETENTION))]));
/// A field of the Deployment.
pub(super) const FIELD_REF: Kind = Kind::Object(&[("fieldPath", Kind::Text)]);

const ARGUMENT: Kind = Kind::Object(&[
    ("name", Kind::Text),
    ("value", Kind::Text),
    (
        "valueFrom",
        Kind::Object(&[
            ("fieldRef", FIELD_REF),
            ("secretKeyRef", Kind::Object(&[("name", Kind::Text), ("key", Kind::Text)])),
        ]),
    ),
]);

/// The fields of an analysis template, for the reference.
pub static TEMPLATE_FIELDS: &[Field] = &[
    field(
        "metrics",
        Kind::List(&Kind::Named("metric")),
        "What is measured. Required, unless `templates` names some.",
    ),
    field(
        "args",
        Kind::List(&ARGUMENT),
        "Its arguments, each with a name and, if it has a default, a value.",
    ),
    field(
        "dryRun",
        DRY_RUN,
        "`[{metricName: PATTERN}]`: metrics that are measured, but cannot end the analysis.",
    ),
    field(
        "measurementRetention",
        RETENTION,
        "`[{metricName: PATTERN, limit: N}]`: how many measurements are kept, 10 by default and 100 at most.",
    ),
    field(
        "templates",
        TEMPLATES,
        "`[{templateName: NAME, clusterScope: BOOL}]`: templates whose metrics belong to it, five levels deep; 50 in an analysis.",
    ),
];

/// The fields of a metric, for the reference. Where a text may stand, so may `{{args.NAME}}`.
pub static METRIC_FIELDS: &[Field] = &[
    field("name", Kind::Text, "Unique within an analysis. Required."),
    field(
        "interval",
        Kind::Span,
        "Time between two measurements, such as `30s`. After an error the next comes after 10 s.",
    ),
    field("initialDelay", Kind::Span, "Time before the first measurement."),
    field(
        "count",
        Kind::Count,
        "Measurements to take; without it one, or with an `interval` endlessly many.",
    ),
    field("successCondition", Kind::Text, "What must hold of `result` for a measurement to be good."),
    field(
        "failureCondition",
        Kind::Text,
        "What makes it bad. With both conditions and neither true it is inconclusive, with none of the two always good.",
    ),
    field(
        "failureLimit",
        Kind::Count,
        "More bad ones than this fail the metric; 0 by default, -1 is no limit.",
    ),
    field(
        "inconclusiveLimit",
        Kind::Count,
        "More inconclusive ones end it, and the rollout waits for a person; 0 by default.",
    ),
    field("consecutiveErrorLimit", Kind::Count, "More errors in a row end it; 4 by default."),
    field("consecutiveSuccessLimit", Kind::Count, "So many good ones in a row end it; off by default."),
    field(
        "minSamples",
        Kind::Object(&[("query", Kind::Text), ("count", Kind::Count), ("extendUpTo", Kind::Span)]),
        "`{query, count, extendUpTo}`: with fewer samples than `count` there is no measurement yet, for up to \
         `extendUpTo` (10m); then an inconclusive one. Not in Argo; provider `prometheus` only.",
    ),
    field("provider", Kind::Named("provider"), "Who measures, see below. Required."),
];

/// The sources of an argument, for the reference.
pub static ARGUMENT_SOURCES: &[Field] = &[
    field("value", Kind::Text, "A text. In a template it is the default."),
    field(
        "valueFrom.podTemplateHashValue",
        Kind::Text,
        "`Stable`, or `Latest` (also `Canary`): the `pod-template-hash` of that side. In a step only.",
    ),
    field(
        "valueFrom.fieldRef.fieldPath",
        Kind::Text,
        "A field of the Deployment, such as `metadata.name` or `metadata.labels['team']`. In a template it is the default.",
    ),
    field(
        "valueFrom.secretKeyRef",
        Kind::Any,
        "`{name, key}` of a Secret in the Deployment's namespace, read when a measurement is made and stored \
         nowhere. In a template only; needs a RoleBinding of ClusterRole `haldane-secrets`.",
    ),
];

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
    let rules = rules(spec);
    let templates = spec.list("templates", |node| node.object(template_ref));
    let metrics = match templates.as_slice() {
        [] => spec.required("metrics", metrics),
        // Those of the templates that it names are enough.
        _ => Some(spec.optional("metrics", distinct_metrics).unwrap_or_default()),
    };
    Some(AnalysisTemplate { name: String::new(), args, metrics: metrics?, rules, templates })
}

/// Reads the name of a template and where it is looked up.
pub(super) fn template_ref(fields: &mut Fields<'_>) -> Option<TemplateRef> {
    let name = fields.required("templateName", Node::object_name);
    let cluster_scope = fields.optional("clusterScope", Node::bool).unwrap_or(false);
    Some(TemplateRef { name: name?, cluster_scope })
}

/// Reads `dryRun` and `measurementRetention`, of a template or of a step.
pub(super) fn rules(fields: &mut Fields<'_>) -> MetricRules {
    MetricRules {
        dry_run: fields.list("dryRun", dry_run_rule),
        measurement_retention: fields.list("measurementRetention", retention_rule),
    }
}

fn arg(node: Node<'_>) -> Option<Arg> {
    node.object(|arg| {
        let name = arg.required("name", Node::string);
        let value = arg.optional("value", Node::string);
        let (field, secret) =
            arg.optional("valueFrom", |node| node.object(argument_source)).unwrap_or_default();
        Some(Arg { name: name?, value, field, secret })
    })
}

fn argument_source(source: &mut Fields<'_>) -> Option<(Option<String>, Option<SecretKeyRef>)> {
    let field =
        source.optional("fieldRef", |node| node.object(|field| field.required("fieldPath", field_path)));
    let secret = source.optional("secretKeyRef", secret_key);
    if field.is_some() == secret.is_some() {
        if source.is_clean() {
            source.fail("must have either fieldRef or secretKeyRef");
        }
        return None;
    }
    Some((field, secret))
}

/// Reads the path of a field of the Deployment.
pub(super) fn field_path(node: Node<'_>) -> Option<String> {
    match node.value().as_str().map(field_path::check) {
        Some(Err(problem)) => node.fail(problem),
        _ => node.string(),
    }
}

fn secret_key(node: Node<'_>) -> Option<SecretKeyRef> {
    node.object(|secret| {
        let name = secret.required("name", Node::object_name);
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
    match node.value().as_str().map(go_regex::compile) {
        Some(Err(why)) => node.fail(format!("is not a regular expression: {why}")),
        _ => node.string(),
    }
}

fn metrics(node: Node<'_>) -> Option<Vec<RawMetric>> {
    match node.value().as_array() {
        Some(items) if items.is_empty() => node.fail("no metrics specified"),
        _ => distinct_metrics(node),
    }
}

fn distinct_metrics(node: Node<'_>) -> Option<Vec<RawMetric>> {
    if let Some(twice) = node.value().as_array().and_then(|metrics| repeated_name(metrics)) {
        node.mark(format!("two metrics have the same name '{twice}'"));
    }
    node.list(metric)
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
        let min_samples = fields.optional("minSamples", min_samples);
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
            min_samples,
            provider: provider?,
        };
        if metric.min_samples.is_some() && metric.provider.key != "prometheus" {
            fields.fail("minSamples asks a second query, which only provider prometheus has");
            return None;
        }
        match validate::limits(&metric) {
            Err(problem) if fields.is_clean() => {
                fields.fail(problem);
                None
            }
            _ => Some(metric),
        }
    })
}

fn min_samples(node: Node<'_>) -> Option<MinSamples<String, IntOrString>> {
    node.object(|fields| {
        let query = fields.required("query", Node::string);
        let count = fields.required("count", number);
        let extend_up_to = fields.optional("extendUpTo", span);
        Some(MinSamples { query: query?, count: count?, extend_up_to })
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
