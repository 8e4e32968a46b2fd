//! Analysis templates as users write them.

use super::metric::metric;
use crate::{
    document::{
        fields::{Fields, Node, read},
        finding::{Finding, Findings},
        yaml,
    },
    domain::{
        k8s::field_path,
        metric::{AnalysisTemplate, Arg, MetricRule, MetricRules, RawMetric, SecretKeyRef, TemplateRef},
    },
    gocompat::re2,
};
use serde_json::Value;

/// Reads the YAML of an `AnalysisTemplate`'s spec, or of a whole (Cluster)AnalysisTemplate object.
///
/// # Errors
/// All findings, with `path` before each of their paths.
pub fn parse(name: &str, text: &str, path: &str) -> Result<AnalysisTemplate, Findings> {
    let document = yaml::parse(text).map_err(|problem| vec![Finding::new(path, "", problem)])?;
    if let Some(finding) = too_many_rules(&document, path) {
        return Err(vec![finding]);
    }
    let template = read(&document, path, template)?;
    Ok(AnalysisTemplate { name: name.to_owned(), ..template })
}

/// Limits the number of patterns of a document, because compiling one takes as long as parsing a page of text.
pub(super) fn too_many_rules(document: &Value, path: &str) -> Option<Finding> {
    let count = rules_within(document);
    (count > MAX_RULES).then(|| {
        let problem = format!("dryRun and measurementRetention may have at most {MAX_RULES} rules together");
        Finding::new(path, format!("{count} rules"), problem)
    })
}

fn rules_within(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(rules_within).sum(),
        Value::Object(fields) => {
            let rules = ["dryRun", "measurementRetention"].into_iter().filter_map(|key| fields.get(key));
            let own: usize = rules.filter_map(Value::as_array).map(Vec::len).sum();
            own.saturating_add(fields.values().map(rules_within).sum())
        }
        _ => 0,
    }
}

/// Reads a spec or a whole object, whose `metadata` is ignored.
#[must_use]
pub fn template(node: Node<'_>) -> Option<AnalysisTemplate> {
    if node.value().get("kind").is_none() {
        return node.named("analysisTemplate", |node| node.object(spec));
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
    let args = spec.doc("Its arguments: a name each, and optionally a default value.").list("args", arg);
    let rules = rules(
        spec,
        "`[{metricName: PATTERN}]`: metrics that are measured but cannot fail the analysis.",
        "`[{metricName: PATTERN, limit: N}]`: how many measurements are kept, 10 by default and 100 at most.",
    );
    let templates = spec
        .doc("`[{templateName: NAME, clusterScope: BOOL}]`: templates whose metrics belong to it, five levels deep; 50 in an analysis.")
        .list("templates", template_ref);
    spec.doc("The metrics. Required, unless `templates` names some.");
    let metrics = match templates.as_slice() {
        [] => spec.required("metrics", metrics),
        // The metrics of the templates that it names are enough.
        _ => Some(spec.optional("metrics", distinct_metrics).unwrap_or_default()),
    };
    Some(AnalysisTemplate { name: String::new(), args, metrics: metrics?, rules, templates })
}

/// Reads the name of a template and where it is looked up.
pub(super) fn template_ref(node: Node<'_>) -> Option<TemplateRef> {
    node.object(|fields| {
        let name = fields.required("templateName", Node::object_name);
        let cluster_scope = fields.optional("clusterScope", Node::bool).unwrap_or(false);
        Some(TemplateRef { name: name?, cluster_scope })
    })
}

/// Reads `dryRun` and `measurementRetention`, of a template or of a step.
pub(super) fn rules(fields: &mut Fields<'_>, dry_run: &'static str, retention: &'static str) -> MetricRules {
    MetricRules {
        dry_run: fields.doc(dry_run).list("dryRun", dry_run_rule),
        measurement_retention: fields.doc(retention).list("measurementRetention", retention_rule),
    }
}

fn arg(node: Node<'_>) -> Option<Arg> {
    node.object(|arg| {
        let name = arg.required("name", Node::string);
        let value = arg_value(arg);
        let (field, secret) =
            arg.optional("valueFrom", |node| node.object(argument_source)).unwrap_or_default();
        Some(Arg { name: name?, value, field, secret })
    })
}

/// Reads the value of an argument, of a template or of a step.
pub(super) fn arg_value(arg: &mut Fields<'_>) -> Option<String> {
    arg.doc("A string. In a template it is the default.").optional("value", Node::string)
}

fn argument_source(source: &mut Fields<'_>) -> Option<(Option<String>, Option<SecretKeyRef>)> {
    let field = field_ref(source);
    let secret = source
        .doc("`{name, key}` of a Secret in the namespace of the Deployment. Haldane reads it for each measurement and never stores it. In a template only; needs a RoleBinding to ClusterRole `haldane-secrets`.")
        .optional("secretKeyRef", secret_key);
    if field.is_some() == secret.is_some() {
        if source.is_clean() {
            source.fail("must have either fieldRef or secretKeyRef");
        }
        return None;
    }
    Some((field, secret))
}

/// Reads which field of the Deployment is the value of an argument.
pub(super) fn field_ref(source: &mut Fields<'_>) -> Option<String> {
    let path = |fields: &mut Fields<'_>| {
        fields
            .doc("A field of the Deployment, such as `metadata.name` or `metadata.labels['team']`. In a template it is the default.")
            .required("fieldPath", field_path)
    };
    source.optional("fieldRef", |node| node.object(path))
}

fn field_path(node: Node<'_>) -> Option<String> {
    match node.value().as_str().map(field_path::check) {
        Some(Err(problem)) => node.fail(problem),
        _ => node.string(),
    }
}

/// Reads which key of a Secret is meant.
pub(crate) fn secret_key(node: Node<'_>) -> Option<SecretKeyRef> {
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

/// The state of a rollout has no space for more.
const MAX_RETENTION: u32 = 100;

/// Maximum number of rules of a document, of both kinds together.
pub(super) const MAX_RULES: usize = 50;

/// Maximum number of metrics of a template.
const MAX_METRICS: usize = 50;

fn pattern(node: Node<'_>) -> Option<String> {
    match node.value().as_str().map(re2::compile) {
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
    if node.value().as_array().is_some_and(|metrics| metrics.len() > MAX_METRICS) {
        return node.fail_briefly(format!(
            "may have at most {MAX_METRICS} metrics; split them into several templates"
        ));
    }
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
