//! Whether Prometheus has the metrics that the queries of a plan ask for.

use super::{Line, Read, Snapshot, text};
use crate::{
    config::{declared_plan::DeclaredPlan, stored::read_template},
    domain::{
        k8s::json_pointer::part,
        keys,
        metric::{AnalysisTemplate, TemplateRef},
    },
    promql, providers,
};
use serde_json::Value;
use std::collections::BTreeSet;
use url::Url;

/// A metric name to look for, and the path of the API server by which its Prometheus can be reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// The name.
    pub metric: String,
    /// The path, or why there is none.
    pub path: Read<String>,
}

/// What to ask for a release. Metrics of other providers, and queries without a metric name, are left out.
pub fn questions(snapshot: &Snapshot) -> BTreeSet<Question> {
    let Some(release) = &snapshot.release else { return BTreeSet::new() };
    let Some(plan) = release.declared() else { return BTreeSet::new() };
    let defaults = snapshot.prometheus();
    let templates = templates(&plan, &release.around);
    let metrics = templates.iter().flat_map(|template| &template.metrics);
    let of = |provider: &crate::domain::metric::ProviderRef| -> Vec<Question> {
        let Some(known) = providers::find(&provider.key) else { return Vec::new() };
        let address = provider.config.get("address").and_then(Value::as_str).map(str::to_owned);
        let address = address.or_else(|| defaults.prometheus_address.clone()).unwrap_or_default();
        let queries = known.promql(&provider.config);
        let names =
            queries.iter().filter_map(|query| promql::parse(query).ok()).flat_map(|query| query.selectors);
        let names = names.map(|selector| selector.metric).filter(|name| !name.is_empty());
        names.map(|metric| Question { path: path(&address, &metric), metric }).collect()
    };
    metrics.flat_map(|metric| of(&metric.provider)).collect()
}

/// The template in the annotation, and the `ConfigMaps` that the plan names.
fn templates(plan: &DeclaredPlan, around: &[Value]) -> Vec<AnalysisTemplate> {
    let names: BTreeSet<String> =
        plan.references().into_iter().map(|TemplateRef { name, .. }| name).collect();
    let stored = around.iter().filter_map(|object| {
        let name = text(object, "/metadata/name");
        let is_template =
            part(object, "/metadata/labels").and_then(|labels| labels.get(keys::TEMPLATE_LABEL)).is_some();
        let data = part(object, "/data").filter(|_| is_template && names.contains(name))?.as_object()?;
        let data =
            data.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
        read_template(name, &data, "data").ok()
    });
    plan.inline.clone().into_iter().chain(stored).collect()
}

/// The path of a query for the number of series of a metric, through the API server's proxy for Services.
fn path(address: &str, metric: &str) -> Read<String> {
    let url =
        Url::parse(address).map_err(|error| format!("the address {address:?} is not a URL: {error}"))?;
    let host = url.host_str().unwrap_or_default();
    let labels: Vec<&str> = host.split('.').collect();
    let port = url.port_or_known_default().unwrap_or(80);
    match labels.as_slice() {
        [service, namespace]
        | [service, namespace, "svc"]
        | [service, namespace, "svc", "cluster", "local"] => {
            let query: String =
                url::form_urlencoded::byte_serialize(format!("count({metric})").as_bytes()).collect();
            let prefix = url.path().trim_end_matches('/');
            Ok(format!(
                "/api/v1/namespaces/{namespace}/services/{}:{service}:{port}/proxy{prefix}/api/v1/query?query={query}",
                url.scheme()
            ))
        }
        _ => Err(format!("{host} is not a Service of the cluster")),
    }
}

/// Whether an answer of Prometheus counts any series.
pub fn has_series(answer: &Value) -> bool {
    part(answer, "/data/result").and_then(Value::as_array).is_some_and(|samples| !samples.is_empty())
}

/// The results.
pub fn examine(found: &[(String, Read<bool>)]) -> Vec<Line> {
    let line = |(metric, answer): &(String, Read<bool>)| match answer {
        Ok(true) => Line::good(format!("Prometheus has series of {metric}")),
        Ok(false) => Line::warning(
            format!("Prometheus has no series of {metric}: the analysis would have no data"),
            "check the name of the metric, and that the pods are scraped; a metric that only failures count may be absent",
        ),
        Err(why) => {
            Line::warning(format!("series of {metric} not checked: {why}"), "run the query in Prometheus")
        }
    };
    found.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::canary::doctor::{Level, release};
    use serde_json::json;

    #[test]
    fn a_service_of_the_cluster_is_asked_by_way_of_the_api_server() {
        let through = "/api/v1/namespaces/monitoring/services/http:prometheus:9090/proxy/api/v1/query?query=count%28up%29";
        for host in
            ["prometheus.monitoring", "prometheus.monitoring.svc", "prometheus.monitoring.svc.cluster.local"]
        {
            assert_eq!(path(&format!("http://{host}:9090"), "up").as_deref(), Ok(through), "{host}");
        }
        let under = path("https://thanos.monitoring/tenant/a/", "up").unwrap();
        assert!(under.contains("https:thanos:443/proxy/tenant/a/api/v1/query"), "{under}");
        assert_eq!(
            path("https://metrics.example.com", "up"),
            Err("metrics.example.com is not a Service of the cluster".into())
        );
        assert!(path("prometheus", "up").is_err());
    }

    #[test]
    fn every_metric_of_the_plan_and_its_templates_is_asked_for_once() {
        let query = "sum(rate(errors_total{app=\"{{args.app}}\"}[1m])) / sum(rate(requests_total[1m])) > bool 0 * sum(rate(requests_total[1m]))";
        let metric =
            |name: &str, query: &str| json!({"name": name, "provider": {"prometheus": {"query": query}}});
        let inline = json!({"metrics": [metric("a", "up"), {"name": "w", "provider": {"web": {"url": "http://a.example"}}}]}).to_string();
        let plan = "{analysis: {templates: [{templateName: rate}]}, steps: [{setWeight: 5}]}";
        let mut release = release::tests::release(&json!({keys::CANARY: plan, keys::ANALYSIS: inline}));
        let template = json!({"metrics": [metric("b", query)]}).to_string();
        let labels = json!({keys::TEMPLATE_LABEL: "true"});
        release.around.push(json!({"kind": "ConfigMap", "metadata": {"name": "rate", "namespace": "shop", "labels": labels}, "data": {"template.yaml": template}}));
        let snapshot = Snapshot::only(Some(release));
        let names: Vec<String> = questions(&snapshot).into_iter().map(|question| question.metric).collect();
        assert_eq!(names, ["errors_total", "requests_total", "up"]);
    }

    #[test]
    fn missing_series_are_a_warning() {
        let answer = json!({"data": {"result": [{"value": [0, "3"]}]}});
        assert!(has_series(&answer) && !has_series(&json!({"data": {"result": []}})));
        let lines = examine(&[
            ("up".into(), Ok(true)),
            ("down".into(), Ok(false)),
            ("x".into(), Err("forbidden".into())),
        ]);
        assert_eq!(
            lines.iter().map(|line| line.level).collect::<Vec<_>>(),
            [Level::Good, Level::Warning, Level::Warning]
        );
    }
}
