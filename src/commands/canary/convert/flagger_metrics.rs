//! Flagger's metrics, as an analysis template in an annotation.

use super::{Notes, flagger_canary::Canary, text};
use crate::{
    commands::canary::offline::{Manifest, Manifests},
    domain::k8s::json_pointer::part,
    objects::canary_deployment::canary_name,
};
use regex::{Captures, Regex};
use serde_json::{Map, Value, json};

/// Window of a metric that names none.
const WINDOW: &str = "1m";

/// The metrics of a Canary; `None` if it has none.
pub fn template(
    canary: &Canary<'_>,
    of: &Manifest,
    files: &Manifests,
    notes: &mut Notes<'_>,
) -> Option<Value> {
    let given = canary.analysis.get("metrics").and_then(Value::as_array)?;
    let metrics = given.iter().enumerate();
    let metrics: Vec<Value> =
        metrics.map(|(index, metric)| one(index, metric, canary, of, files, notes)).collect();
    if metrics.is_empty() {
        return None;
    }
    if canary.failure_limit() > 0 {
        notes.changed(
            "spec.analysis.threshold",
            "becomes the failureLimit of each metric: failed checks of different metrics do not add up",
        );
    }
    let namespace =
        json!({"name": "namespace", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}});
    let mut template = json!({"metrics": metrics});
    if template.to_string().contains("{{args.namespace}}") {
        super::set(&mut template, &[], "args", json!([namespace]));
    }
    Some(template)
}

fn one(
    index: usize,
    metric: &Value,
    canary: &Canary<'_>,
    of: &Manifest,
    files: &Manifests,
    notes: &mut Notes<'_>,
) -> Value {
    let path = format!("spec.analysis.metrics[{index}]");
    let name = text(metric, "/name");
    let handled =
        ["name", "interval", "threshold", "thresholdRange", "query", "templateRef", "templateVariables"];
    notes.leftovers(metric, &path, &handled, &[]);
    let provider = provider(&path, metric, canary, of, files, notes);
    let mut made = json!({
        "name": name,
        "interval": canary.interval,
        "failureLimit": canary.failure_limit(),
        "provider": provider,
    });
    match condition(metric) {
        Some(condition) => super::set(&mut made, &[], "successCondition", condition),
        None => notes.lost(&path, "has no thresholdRange; add a successCondition"),
    }
    if let Some(count) = canary.iterations {
        super::set(&mut made, &[], "count", count);
    }
    made
}

/// The range that the value must be in.
fn condition(metric: &Value) -> Option<String> {
    let number = |pointer: &str| part(metric, pointer).filter(|value| value.is_number());
    let old = metric.get("threshold").filter(|value| value.is_number());
    let is_least = text(metric, "/name") == "request-success-rate";
    let least = number("/thresholdRange/min").or(old.filter(|_| is_least));
    let most = number("/thresholdRange/max").or(old.filter(|_| !is_least));
    let bounds: Vec<String> =
        [least.map(|min| format!("result[0] >= {min}")), most.map(|max| format!("result[0] <= {max}"))]
            .into_iter()
            .flatten()
            .collect();
    let within = bounds.join(" && ");
    match bounds.len() {
        0 => None,
        1 => Some(format!("len(result) == 0 || {within}")),
        _ => Some(format!("len(result) == 0 || ({within})")),
    }
}

/// The query of a metric: in its own field, in a template, or known to Flagger.
fn provider(
    path: &str,
    metric: &Value,
    canary: &Canary<'_>,
    of: &Manifest,
    files: &Manifests,
    notes: &mut Notes<'_>,
) -> Value {
    let name = text(metric, "/name");
    if let Some(reference) = metric.get("templateRef") {
        let template_name = text(reference, "/name");
        let at = format!("{path}.templateRef");
        let Some(found) = find_template(reference, of, files) else {
            notes.lost(&at, format!("MetricTemplate {template_name} is not among the files; add it"));
            return json!({"prometheus": {"query": ""}});
        };
        return from_template(found, &at, metric, canary, of, notes);
    }
    let own = text(metric, "/query");
    let query = if own.is_empty() { known(name, canary).unwrap_or_default() } else { own.to_owned() };
    if query.is_empty() {
        let advice = format!(
            "Flagger's query for {name:?} with provider {:?} is not known here; write the query",
            canary.provider
        );
        notes.lost(path, advice);
    }
    json!({"prometheus": {"query": rendered(&query, path, metric, canary, of, notes)}})
}

fn find_template<'a>(reference: &Value, of: &Manifest, files: &'a Manifests) -> Option<&'a Value> {
    let namespace = match text(reference, "/namespace") {
        "" => text(&of.object, "/metadata/namespace"),
        namespace => namespace,
    };
    let objects = files.all.iter().map(|manifest| &manifest.object);
    let mut templates = objects.filter(|object| text(object, "/kind") == "MetricTemplate");
    templates.find(|object| {
        text(object, "/metadata/name") == text(reference, "/name")
            && text(object, "/metadata/namespace") == namespace
    })
}

fn from_template(
    template: &Value,
    path: &str,
    metric: &Value,
    canary: &Canary<'_>,
    of: &Manifest,
    notes: &mut Notes<'_>,
) -> Value {
    let provider = part(template, "/spec/provider").unwrap_or(&Value::Null);
    let kind = text(provider, "/type");
    let query = rendered(text(template, "/spec/query"), path, metric, canary, of, notes);
    if kind != "prometheus" {
        // Admission refuses it, so that no release goes on without the metric.
        notes.lost(path, format!("there is no provider {kind:?}; replace the metric, e.g. by provider web with the product's HTTP API. Until then admission refuses the Deployment"));
        return Value::Object(Map::from_iter([(kind.to_owned(), json!({"query": query}))]));
    }
    let mut made = json!({"query": query});
    if let Some(address) = provider.get("address") {
        super::set(&mut made, &[], "address", address.clone());
    }
    if provider.get("insecureSkipVerify") == Some(&json!(true)) {
        super::set(&mut made, &[], "insecure", true);
    }
    let headers = provider.get("headers").and_then(Value::as_object).into_iter().flatten();
    let pairs = headers.flat_map(|(key, values)| {
        values.as_array().into_iter().flatten().map(move |value| json!({"key": key, "value": value}))
    });
    let pairs: Vec<Value> = pairs.collect();
    if !pairs.is_empty() {
        super::set(&mut made, &[], "headers", pairs);
    }
    if provider.get("secretRef").is_some() {
        notes.lost(path, "spec.provider.secretRef of the template: use an argument with a secretKeyRef in authentication.basicAuth or headers, see docs/analysis.md");
    }
    json!({"prometheus": made})
}

/// A query of Flagger's with what its templates stand for. The canary's pods, Deployment and Service have names of their
/// own.
fn rendered(
    query: &str,
    path: &str,
    metric: &Value,
    canary: &Canary<'_>,
    of: &Manifest,
    notes: &mut Notes<'_>,
) -> String {
    let Ok(tags) = Regex::new(r"\{\{-?\s*(.*?)\s*-?\}\}") else { return query.to_owned() };
    let mut unknown = Vec::new();
    let window = match text(metric, "/interval") {
        "" => WINDOW,
        interval => interval,
    };
    let text = tags.replace_all(query, |found: &Captures<'_>| {
        let tag = found.get(1).map_or("", |tag| tag.as_str());
        match tag {
            "namespace" => "{{args.namespace}}".to_owned(),
            "target" => canary_name(canary.target),
            "service" => canary.canary_service(),
            "ingress" => text(&of.object, "/spec/ingressRef/name").to_owned(),
            "name" => text(&of.object, "/metadata/name").to_owned(),
            "interval" => window.to_owned(),
            _ => variable(tag, metric).unwrap_or_else(|| {
                unknown.push(tag.to_owned());
                tag.to_owned()
            }),
        }
    });
    if !unknown.is_empty() {
        notes.lost(
            path,
            format!(
                "the query contains {{{{ {} }}}}, whose value is not known here; write it",
                unknown.join(" }}, {{ ")
            ),
        );
    }
    text.trim().to_owned()
}

/// `variables.x`, or `index variables "x"`.
fn variable(tag: &str, metric: &Value) -> Option<String> {
    let name = tag.strip_prefix("variables.").or_else(|| tag.strip_prefix("index variables "))?;
    let value = part(metric, "/templateVariables")?.get(name.trim_matches('"'))?;
    value.as_str().map(str::to_owned)
}

/// The metrics that Flagger knows by name, asked about the canary only: the share of good answers in percent, and the
/// time of an answer in milliseconds.
fn known(name: &str, canary: &Canary<'_>) -> Option<String> {
    let (requests, time) = if canary.is_nginx() {
        let of = r#"exported_namespace="{{ namespace }}",ingress="{{ ingress }}",canary!="""#;
        let seconds = "nginx_ingress_controller_response_duration_seconds";
        let time = format!(
            "1000 * sum(rate({seconds}_sum{{{of}}}[{{{{ interval }}}}])) / sum(rate({seconds}_count{{{of}}}[{{{{ interval }}}}]))"
        );
        (format!("nginx_ingress_controller_requests{{{of}"), time)
    } else if canary.is_gateway() || canary.provider == "kubernetes" {
        let of = r#"kubernetes_namespace="{{ namespace }}",kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)""#;
        let seconds = "http_request_duration_seconds";
        let time = format!(
            "1000 * histogram_quantile(0.99, sum(rate({seconds}_bucket{{{of}}}[{{{{ interval }}}}])) by (le))"
        );
        (format!("{seconds}_count{{{of}"), time)
    } else {
        return None;
    };
    match name {
        "request-duration" => Some(time),
        "request-success-rate" => {
            let all = format!("sum(rate({requests}}}[{{{{ interval }}}}]))");
            let bad = format!("sum(rate({requests},status=~\"5..\"}}[{{{{ interval }}}}]))");
            // Without the zero, no bad answer would be no answer at all.
            Some(format!("100 - 100 * ({bad} or 0 * {all}) / {all}"))
        }
        _ => None,
    }
}

/// A template is rendered where it is used.
pub fn note_use(template: &Value, files: &Manifests, notes: &mut Notes<'_>) {
    let is_user = |manifest: &&Manifest| {
        let metrics = ["/spec/analysis/metrics", "/spec/canaryAnalysis/metrics"].into_iter();
        let metrics = metrics.filter_map(|at| part(&manifest.object, at)?.as_array()).flatten();
        let mut references = metrics.filter_map(|metric| metric.get("templateRef"));
        references.any(|reference| {
            find_template(reference, manifest, files).is_some_and(|found| std::ptr::eq(found, template))
        })
    };
    let canaries = files.all.iter().filter(|manifest| text(&manifest.object, "/kind") == "Canary");
    let used: Vec<&str> =
        canaries.filter(is_user).map(|manifest| text(&manifest.object, "/metadata/name")).collect();
    if used.is_empty() {
        notes.lost("", "no Canary among the files uses it; convert it together with its Canary");
    } else {
        notes.changed(
            "",
            format!(
                "becomes part of annotation haldane.dev/analysis of the Deployments of {}",
                used.join(", ")
            ),
        );
    }
}
