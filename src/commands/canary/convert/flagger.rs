//! Flagger: a Canary.

use super::{
    Notes, annotated, flagger_canary::Canary, flagger_metrics, flagger_webhooks, set, text, text::yaml,
};
use crate::{
    commands::canary::offline::{Manifest, Manifests},
    domain::{k8s::json_pointer::part, keys},
    gocompat::duration::GoDuration,
};
use serde_json::{Map, Value, json};

/// What to do about fields of the spec that are lost.
const SPEC: &[(&str, &str)] = &[
    ("routeRef", "there is no router for APISIX"),
    ("upstreamRef", "there is no router for Gloo"),
    ("skipAnalysis", "remove annotation haldane.dev/analysis, or give the order promote-full"),
    ("suspend", "set annotation haldane.dev/canary to disabled, or apply it when releases may be canaries"),
];

/// The same for fields of the service.
const SERVICE: &[(&str, &str)] = &[
    ("gateways", "write it in your own route"),
    ("hosts", "write them in your own Ingress or HTTPRoute"),
    ("match", "write it in your own Ingress or HTTPRoute"),
    ("rewrite", "write it in your own Ingress or HTTPRoute"),
    ("timeout", "write it in your own Ingress or HTTPRoute"),
    ("retries", "write them in your own Ingress or HTTPRoute"),
    ("headers", "write them in your own Ingress or HTTPRoute"),
    ("corsPolicy", "write it in your own Ingress"),
    ("primary", "there is one Service of yours; write the metadata there"),
    ("canary", "the canary's Service has the metadata of yours"),
];

/// The same for fields of the analysis.
const ANALYSIS: &[(&str, &str)] = &[
    (
        "alerts",
        "route the Events of the namespace by a ConfigMap haldane-notifications, see docs/notifications.md",
    ),
    ("mirror", "add a step setMirrorRoute; it needs the router gateway with requestMirror: true"),
    ("mirrorWeight", "add a step setMirrorRoute; it needs the router gateway with requestMirror: true"),
    (
        "stepWeightPromotion",
        "stable is replaced by the Deployment's own spec.strategy.rollingUpdate behind a canary with all traffic",
    ),
    (
        "primaryReadyThreshold",
        "promotion waits for all pods; spec.strategy.rollingUpdate.maxUnavailable of the Deployment sets how many may be missing",
    ),
    (
        "sessionAffinity",
        "with ingress-nginx, set canary-by-cookie in trafficRouting.nginx.additionalIngressAnnotations",
    ),
];

/// The annotated Deployment, and what Flagger had made around it.
pub fn canary(manifest: &Manifest, files: &Manifests, notes: &mut Notes<'_>) -> Vec<Manifest> {
    let object = &manifest.object;
    let canary = Canary::of(object);
    if text(object, "/spec/targetRef/kind") != "Deployment" {
        notes.lost("spec.targetRef", "only a Deployment can have canaries");
        return Vec::new();
    }
    let mut metrics = flagger_metrics::template(&canary, manifest, files, notes);
    let has_metrics = metrics.is_some() || flagger_webhooks::has_checks(&canary);
    let (key, plan) = if canary.iterations.is_some() && !canary.is_ab_test() {
        (keys::BLUE_GREEN, blue_green(&canary, has_metrics))
    } else {
        (keys::CANARY, stepwise(&canary, has_metrics, notes))
    };
    let mut plan = routed(plan, object, &canary, notes);
    let webhooks = flagger_webhooks::called(&mut plan, key, &canary, metrics.as_ref(), manifest, notes);
    if !webhooks.checks.is_empty() {
        let template = metrics.get_or_insert_with(|| json!({"metrics": []}));
        if let Some(metrics) = template.get_mut("metrics").and_then(Value::as_array_mut) {
            metrics.extend(webhooks.checks);
        }
    }
    let texts = (yaml(&plan), metrics.as_ref().map(yaml).transpose());
    let (Ok(plan), Ok(metrics)) = texts else {
        notes.lost("spec.analysis", "cannot be written as YAML");
        return Vec::new();
    };
    let annotations: Vec<(&str, String)> =
        [(key, plan)].into_iter().chain(metrics.map(|text| (keys::ANALYSIS, text))).collect();
    let mut made = annotated(manifest, canary.target, files, &annotations, notes);
    if let Some(deadline) = part(object, "/spec/progressDeadlineSeconds") {
        set(&mut made.object, &["spec"], "progressDeadlineSeconds", deadline.clone());
    }
    notes.changed("spec.targetRef", format!("Deployment {} serves itself again; Flagger had scaled it to 0 in favour of {0}-primary. Set revertOnDeletion: true, apply the result, then delete the Canary", canary.target));
    let mut all = vec![made];
    all.extend(webhooks.templates);
    all.extend(service(manifest, &canary, &all, files, notes));
    all.extend(http_route(manifest, &canary, notes));
    left_out(object, &canary, notes);
    all
}

/// The weight rises, or requests are chosen by a header; a pause after each weight.
fn stepwise(canary: &Canary<'_>, has_metrics: bool, notes: &mut Notes<'_>) -> Value {
    let pause = json!({"pause": {"duration": canary.interval}});
    let mut plan = Map::new();
    if canary.is_ab_test() {
        let mut steps: Vec<Value> = header_route(canary, &mut plan, notes).into_iter().collect();
        steps.push(if has_metrics {
            json!({"analysis": {}})
        } else {
            json!({"pause": {"duration": format!("{}s", whole_time(canary))}})
        });
        plan.insert("steps".to_owned(), steps.into());
        return plan.into();
    }
    let weights = canary.weights();
    if weights.is_empty() {
        notes.lost("spec.analysis", "has no stepWeight, stepWeights or iterations; Haldane's default plan applies (10 % and 50 % for a minute each)");
        return plan.into();
    }
    let steps = weights.iter().flat_map(|weight| [json!({"setWeight": weight}), pause.clone()]);
    plan.insert("steps".to_owned(), steps.collect());
    plan.into()
}

/// The requests of an A/B test.
fn header_route(canary: &Canary<'_>, plan: &mut Map<String, Value>, notes: &mut Notes<'_>) -> Option<Value> {
    let conditions = canary.analysis.get("match").and_then(Value::as_array);
    let headers = conditions.into_iter().flatten().filter_map(|one| one.get("headers")?.as_object());
    let mut matches = Vec::new();
    for (name, value) in headers.flatten() {
        let exact = value.get("exact").and_then(Value::as_str);
        if name.eq_ignore_ascii_case("cookie") {
            match exact.filter(|_| canary.is_nginx()) {
                Some(cookie) => {
                    let annotations = json!({"canary-by-cookie": cookie});
                    plan.insert(
                        "trafficRouting".to_owned(),
                        json!({"nginx": {"additionalIngressAnnotations": annotations}}),
                    );
                }
                None => notes.lost(
                    "spec.analysis.match",
                    "a cookie can only choose the canary with ingress-nginx, by its name",
                ),
            }
        } else {
            matches.push(json!({"headerName": name, "headerValue": value}));
        }
    }
    let route = json!({"setHeaderRoute": {"name": "ab-test", "match": matches}});
    (!matches.is_empty()).then_some(route)
}

/// No traffic until the checks are over, then all of it.
fn blue_green(canary: &Canary<'_>, has_metrics: bool) -> Value {
    let mut plan = json!({"activeService": canary.service, "previewService": canary.canary_service()});
    if has_metrics {
        set(&mut plan, &[], "prePromotionAnalysis", json!({}));
    } else {
        set(&mut plan, &[], "autoPromotionSeconds", whole_time(canary));
    }
    plan
}

/// Seconds of all iterations.
fn whole_time(canary: &Canary<'_>) -> i64 {
    let interval = canary.interval.parse::<GoDuration>().map_or(60, |interval| interval.signed().as_secs());
    interval.saturating_mul(canary.iterations.unwrap_or(1))
}

/// With the router, and the Services that it splits.
fn routed(mut plan: Value, object: &Value, canary: &Canary<'_>, notes: &mut Notes<'_>) -> Value {
    if plan.get("activeService").is_none() {
        set(&mut plan, &[], "stableService", canary.service);
    }
    if canary.is_nginx() {
        if let Some(ingress) = part(object, "/spec/ingressRef/name") {
            set(&mut plan, &["trafficRouting", "nginx"], "stableIngress", ingress.clone());
        }
    } else if canary.is_gateway() {
        let names = json!({"httpRoute": canary.service});
        set(&mut plan, &["trafficRouting"], "gateway", names);
    } else if canary.provider != "kubernetes" {
        notes.lost("spec.provider", format!("there is no router for {}; the router that finds a route to the Service splits the traffic, or else the number of pods does", canary.provider));
    }
    if let Some(percent) = canary.analysis.get("canaryReadyThreshold") {
        if plan.get("activeService").is_some() {
            notes.lost("spec.analysis.canaryReadyThreshold", "a preview waits for all of its pods");
        } else {
            set(&mut plan, &[], "replicaProgressThreshold", json!({"type": "Percent", "value": percent}));
        }
    }
    plan
}

/// Flagger deletes the Service that it made, so the user's own takes over.
fn service(
    of: &Manifest,
    canary: &Canary<'_>,
    made: &[Manifest],
    files: &Manifests,
    notes: &mut Notes<'_>,
) -> Option<Manifest> {
    if files.find("Service", of, canary.service).is_some() {
        return None;
    }
    let given = part(&of.object, "/spec/service")?;
    let selector = made.iter().find_map(|made| part(&made.object, "/spec/selector/matchLabels"));
    let selector = selector.cloned().unwrap_or_else(|| json!({"app": canary.target}));
    let port = given.get("port").cloned().unwrap_or_else(|| json!(80));
    let name = given.get("portName").cloned().unwrap_or_else(|| json!("http"));
    let target = given.get("targetPort").cloned().unwrap_or_else(|| port.clone());
    let mut entry = json!({"name": name, "port": port, "targetPort": target});
    if let Some(protocol) = given.get("appProtocol") {
        set(&mut entry, &[], "appProtocol", protocol.clone());
    }
    let mut metadata = json!({"name": canary.service, "namespace": text(&of.object, "/metadata/namespace")});
    for key in ["labels", "annotations"] {
        if let Some(value) = part(given, "/apex").and_then(|apex| apex.get(key)) {
            set(&mut metadata, &[], key, value.clone());
        }
    }
    notes.changed("spec.service", format!("becomes Service {} of yours; Flagger deletes the one that it made with the Canary. Check its selector", canary.service));
    let spec = json!({"selector": selector, "ports": [entry]});
    let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec});
    Some(Manifest { object, ..of.clone() })
}

/// The same for its `HTTPRoute`.
fn http_route(of: &Manifest, canary: &Canary<'_>, notes: &mut Notes<'_>) -> Option<Manifest> {
    let given = part(&of.object, "/spec/service")?;
    let parents = given.get("gatewayRefs").filter(|_| canary.is_gateway())?;
    let port = given.get("port").cloned().unwrap_or_else(|| json!(80));
    let rules = json!([{"backendRefs": [{"name": canary.service, "port": port}]}]);
    let mut spec = json!({"parentRefs": parents, "rules": rules});
    if let Some(hosts) = given.get("hosts") {
        set(&mut spec, &[], "hostnames", hosts.clone());
    }
    let metadata = json!({"name": canary.service, "namespace": text(&of.object, "/metadata/namespace")});
    notes.changed(
        "spec.service.gatewayRefs",
        format!(
            "become HTTPRoute {} of yours; Flagger deletes the one that it made with the Canary",
            canary.service
        ),
    );
    let object = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": spec});
    Some(Manifest { object, ..of.clone() })
}

/// Notes every field that has no counterpart.
fn left_out(object: &Value, canary: &Canary<'_>, notes: &mut Notes<'_>) {
    let spec = part(object, "/spec").unwrap_or(&Value::Null);
    let handled = [
        "provider",
        "targetRef",
        "ingressRef",
        "service",
        "analysis",
        "canaryAnalysis",
        "autoscalerRef",
        "progressDeadlineSeconds",
        "revertOnDeletion",
    ];
    notes.leftovers(spec, "spec", &handled, SPEC);
    if spec.get("autoscalerRef").is_some() {
        notes.changed(
            "spec.autoscalerRef",
            "Haldane finds the autoscaler of the Deployment by itself, and clones it for the canary",
        );
    }
    if part(spec, "/autoscalerRef/primaryScalerQueries").is_some() {
        notes
            .lost("spec.autoscalerRef.primaryScalerQueries", "the autoscaler's own queries are about stable");
    }
    let service = spec.get("service").unwrap_or(&Value::Null);
    let mut handled = vec!["name", "port", "portName", "targetPort", "appProtocol", "apex"];
    if canary.is_gateway() {
        handled.extend(["gatewayRefs", "hosts"]);
    }
    notes.leftovers(service, "spec.service", &handled, SERVICE);
    let handled = [
        "interval",
        "iterations",
        "maxWeight",
        "stepWeight",
        "stepWeights",
        "threshold",
        "metrics",
        "webhooks",
        "match",
        "canaryReadyThreshold",
    ];
    notes.leftovers(canary.analysis, "spec.analysis", &handled, ANALYSIS);
}
