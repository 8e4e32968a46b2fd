//! Plans that cannot judge the canary are refused; unwise ones get warnings.

use crate::case::{Case, annotated, web, with};
use haldane::domain::{keys, review::Stage};
use insta::assert_snapshot;
use serde_json::json;

const STEPS: &str = "{steps: [{setWeight: 10}, {pause: {duration: 1m}}, {analysis: {}}]}";

/// The base's Deployment with this plan and these metrics, and a new image.
fn change(plan: &str, metrics: &str) -> Case {
    let object = |version| {
        let object = annotated(web(version), keys::CANARY, plan);
        if metrics.is_empty() { object } else { annotated(object, keys::ANALYSIS, metrics) }
    };
    Case::update(object("a"), object("b"))
}

fn metric(condition: &str, query: &str) -> String {
    let query = query.replace('\'', "''");
    format!(
        "metrics: [{{name: errors, interval: 30s, count: 3, successCondition: '{condition}', provider: {{prometheus: {{query: '{query}'}}}}}}]"
    )
}

const GOOD: &str =
    "sum(rate(requests{namespace=\"shop\",service=\"web-canary\",code=~\"5..\"}[1m])) or vector(0)";

#[test]
fn a_good_plan_is_summarised_in_one_line() {
    assert_snapshot!(change(STEPS, &metric("result[0] < 1", GOOD)).mutate());
}

#[test]
fn queries_that_see_stable_only_are_refused_with_what_to_write() {
    let sees = |query: &str| change(STEPS, &metric("result[0] < 1", query)).mutate();
    assert_snapshot!(
        "a_share_of_stable",
        sees("sum(rate(requests{app=\"web\",code=~\"5..\"}[1m])) / sum(rate(requests{app=\"web\"}[1m]))")
    );
    assert_snapshot!("a_service_of_stable", sees("errors{service=\"web\"}"));
    assert_snapshot!(
        "the_canary_label_of_nginx_is_empty",
        sees("nginx_ingress_controller_requests{service=\"web\",canary=\"\"}")
    );
    let compared = "errors{app=\"web-canary\"} / errors{app=\"web\"}";
    assert!(sees(compared).starts_with("allowed"), "{}", sees(compared));
    // The way out where the label is the application's own.
    assert!(sees("errors{app=~\"web\"}").starts_with("denied"));
    assert!(sees("errors{app=~\"web|web-canary\"}").starts_with("allowed"));
}

#[test]
fn queries_that_see_neither_side_are_refused_with_what_to_write() {
    let sees = |query: &str| change(STEPS, &metric("result[0] < 1", query)).mutate();
    assert_snapshot!("a_service_of_another_deployment", sees("errors{service=\"webshop-canary\"}"));
    assert_snapshot!("labels_of_both_sides_at_once", sees("errors{app=\"web\",pod=~\"web-canary-.*\"}"));
    // Labels that nobody knows may be anybody's, and a constant is nobody's.
    for query in ["errors{team=\"webshop\"}", "errors{job=\"webshop\"}", "vector(1)"] {
        assert!(sees(query).starts_with("allowed"), "{}", sees(query));
    }
}

/// What was tried on a cluster: each released every version, unjudged.
#[test]
fn a_query_that_finds_no_series_of_either_side_is_refused() {
    let said = |query: &str| {
        let said = change(STEPS, &metric("len(result) == 0 || result[0] < 1", query)).mutate();
        let end = said.find("\n  cause").unwrap_or(said.len());
        said[said.find("sees").unwrap_or(0)..end].to_owned()
    };
    for query in [
        "sum(rate(http_requests_total{service=\"webshop-canary\",code=~\"5..\"}[1m]))",
        "sum(rate(http_requests_total{job=\"web\",code=~\"5..\"}[1m]))",
        "sum(rate(istio_requests_total{destination_service_name=\"web\",response_code=~\"5..\"}[1m]))",
        "kube_deployment_status_replicas_unavailable{deployment=\"web\"}",
        "sum(rate(http_requests_total{pod=~\"web-[a-z0-9]+-[a-z0-9]+\"}[1m]))",
        "sum(rate(http_requests_total{service=~\"web-(blue|green)\"}[1m]))",
    ] {
        let said = said(query);
        assert!(
            said.starts_with("sees stable only") || said.starts_with("sees neither side"),
            "{query}: {said}"
        );
        assert!(said.contains("; write "), "{query}: {said}");
    }
    let warned =
        change(STEPS, &metric("len(result) == 0 || result[0] < 1", "errors{service=\"web-canary\"}"))
            .mutate();
    assert!(warned.contains("names no namespace") && warned.contains("add namespace=\"shop\""), "{warned}");
    let killed = "sum(increase(kube_pod_container_status_last_terminated_reason{namespace=\"shop\",reason=\"OOMKilled\",pod=~\"web-.*-{{args.canary-hash}}-.*\"}[1m])) or vector(0)";
    let plan = "{steps: [{setWeight: 10}, {pause: {duration: 1m}}, {analysis: {args: [{name: canary-hash, valueFrom: {podTemplateHashValue: Canary}}]}}]}";
    let metrics = format!("{{args: [{{name: canary-hash}}], {}}}", metric("result[0] == 0", killed));
    assert!(!change(plan, &metrics).mutate().contains("metric"), "{}", change(plan, &metrics).mutate());
}

#[test]
fn an_argument_decides_what_a_query_sees() {
    let plan = |hash: &str| {
        format!(
            "{{steps: [{{setWeight: 10}}, {{pause: {{}}}}, {{analysis: {{args: [{{name: hash, valueFrom: {{podTemplateHashValue: {hash}}}}}]}}}}]}}"
        )
    };
    let metrics = "{args: [{name: hash}], metrics: [{name: errors, successCondition: 'len(result) == 0 || result[0] < 1', provider: {prometheus: {query: 'errors{pod_template_hash=\"{{args.hash}}\"}'}}}]}";
    assert_snapshot!("the_hash_of_stable", change(&plan("Stable"), metrics).mutate());
    assert_snapshot!("the_hash_of_the_canary", change(&plan("Latest"), metrics).mutate());
}

#[test]
fn a_query_that_is_not_promql_is_refused() {
    let said = |query: &str| change(STEPS, &metric("len(result) == 0", query)).mutate();
    assert_snapshot!("a_missing_parenthesis", said("sum(rate(errors[5m])"));
    assert_snapshot!("an_unknown_function", said("new_function(errors{app=\"web-canary\"})"));
    assert_snapshot!("a_rate_without_a_range", said("sum(rate(errors{app=\"web-canary\"}))"));
}

#[test]
fn an_unknown_dialect_is_not_checked() {
    let metrics = metric("result[0] < 1", "rate(errors{app='web'}) keep_metric_names")
        .replace("prometheus: {", "prometheus: {dialect: MetricsQL, ");
    assert_snapshot!(change(STEPS, &metrics).mutate());
    let unknown = metrics.replace("MetricsQL", "LogsQL");
    assert!(change(STEPS, &unknown).mutate().contains("must be PromQL or MetricsQL"));
}

#[test]
fn a_condition_that_does_not_fit_the_answer_is_refused_with_what_to_write() {
    let said = |condition: &str, query: &str| change(STEPS, &metric(condition, query)).mutate();
    let share = "sum(rate(requests{namespace='shop',service='web-canary'}[1m]))";
    assert_snapshot!("a_vector_without_an_index", said("result >= 0.95", share));
    assert_snapshot!("a_scalar_with_an_index", said("result[0] >= 0.95", &format!("scalar({share})")));
    let named = |condition: &str, stable: &str| {
        let queries = format!("query: {{canary: \"{share}\", stable: \"{stable}\"}}");
        change(STEPS, &metric(condition, "QUERY").replace("query: 'QUERY'", &queries)).mutate()
    };
    assert_snapshot!("an_unknown_name_of_a_query", named("result.canry <= result.stable * 1.2", "up"));
    let said = named("result.canary <= result.stable * 1.2", "up");
    assert!(said.starts_with("allowed"), "{said}");
    let said = named("result.canary <= result.stable * 1.2", "0.5");
    assert!(said.contains("named queries cannot carry; write vector(…)"), "{said}");
}

#[test]
fn a_metric_that_decides_nothing_is_reported() {
    let job = "{containers: [{name: smoke, image: smoke}], restartPolicy: Never}";
    let metrics = format!(
        "metrics: [{{name: smoke, successCondition: result == 1, provider: {{job: {{spec: {{template: {{spec: {job}}}}}}}}}}}]"
    );
    assert_snapshot!("a_job_with_a_condition", change(STEPS, &metrics).mutate());
    assert_snapshot!(
        "a_query_without_series",
        change(STEPS, &metric("result[0] == 1", "vector(1)")).mutate()
    );
}

#[test]
fn what_is_known_only_later_is_not_judged_before() {
    let plan = "{steps: [{setWeight: 10}, {pause: {}}, {analysis: {args: [{name: of, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}}]}";
    for (condition, query) in [
        ("result[0] < 1", "errors{namespace=\"shop\",service=\"{{args.of}}\"}"),
        ("result[0] < {{args.of}}", "errors{namespace=\"shop\",service=\"web-canary\"}"),
        (
            "result[0] < 1",
            "rate(errors{namespace=\"shop\",service=\"web-canary\"}[{{args.of}}]) or vector(0)",
        ),
        ("result[0] < 1", "errors{namespace=\"shop\",service=\"web-canary\"} > {{args.of}}"),
    ] {
        let said = change(plan, &format!("{{args: [{{name: of}}], {}}}", metric(condition, query))).mutate();
        assert!(said.starts_with("allowed"), "{query}: {said}");
    }
}

/// The public walkthroughs' queries, for this Deployment.
#[test]
fn the_walkthroughs_queries_are_admitted() {
    let requests = "sum(rate(sample_app_requests_count{service=\"web-canary\"}[1m])) by (service)";
    let success = requests.replace("\"}", "\", success=\"true\"}");
    let share = format!("{success} / {requests} unless {requests} == 0");
    let total = "sum(rate(http_requests_total{job=\"web-canary\",namespace=\"shop\"}[2m]))";
    for (condition, query) in [
        ("len(result) == 0 || result[0] >= 0.99", share.as_str()),
        ("result[0] >= 0.99", &format!("{} / {total}", total.replace("\"}", "\",code=~\"2..\"}"))),
        (
            "len(result) == 0 || result[0] == 0",
            "sum by(service) (increase(response_total{deployment=\"client\", dst_service=\"web-canary\", direction=\"outbound\", classification=\"failure\", status_code=\"500\"}[30s]))",
        ),
        (
            "result[0] >= 0.95",
            "sum(rate( http_requests_total{ service=\"web-canary\", status!~\"5..\" }[1m] )) / sum(rate( http_requests_total{ service=\"web-canary\"}[1m] ))",
        ),
    ] {
        let said = change(STEPS, &metric(condition, query)).mutate();
        assert!(said.starts_with("allowed") && !said.contains("judges both"), "{query}: {said}");
    }
}

#[test]
fn a_share_that_is_empty_in_an_outage_is_reported_with_what_to_write() {
    let requests = "sum(rate(http_requests_total{namespace=\"shop\",service=\"web-canary\"}[30s]))";
    let good = requests.replace("\"}", "\",code!~\"5..\"}");
    let said = |query: &str| change(STEPS, &metric("len(result) == 0 || result[0] >= 0.99", query)).mutate();
    assert_snapshot!(said(&format!("{good} / {requests} unless {requests} == 0")));
    let filled = said(&format!("({good} or 0 * {requests}) / {requests}"));
    assert!(!filled.contains("metric"), "{filled}");
}

#[test]
fn the_query_that_counts_samples_is_read_like_the_one_that_measures() {
    let counted = |query: &str| {
        let query = query.replace('\'', "''");
        let metrics = metric("result[0] < 1", GOOD)
            .replace("interval: 30s", &format!("minSamples: {{query: '{query}', count: 10}}, interval: 30s"));
        change(STEPS, &metrics).mutate()
    };
    assert_snapshot!("min_samples_counts_stable", counted("sum(increase(requests{service=\"web\"}[1m]))"));
    assert_snapshot!("min_samples_is_not_promql", counted("sum(increase(requests[1m])"));
    assert!(counted("sum(increase(requests{service=\"web-canary\"}[1m]))").starts_with("allowed"));
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let limited = |limits: &str| {
        let metrics = metric("result[0] < 1", GOOD).replace("interval: 30s, count: 3", limits);
        change(STEPS, &metrics).mutate()
    };
    let said = limited("interval: 30s, count: 1, failureLimit: 2");
    assert!(said.contains("count (1) must be >= failureLimit + consecutiveSuccessLimit (2 + 0)"), "{said}");
    let said = limited("count: 3");
    assert!(said.contains("interval must be specified when count > 1"), "{said}");
    // The interval is there, only not readable: nothing is said to be missing.
    let said = limited("interval: 1d, count: 3");
    assert!(said.contains("must be a duration") && !said.contains("interval must be specified"), "{said}");
}

#[test]
fn a_dry_run_shows_how_soon_a_fault_is_found() {
    let told = |limits: &str, plan: &str| {
        let mut case = change(plan, &metric("result[0] < 1", GOOD).replace("count: 3", limits));
        case.review.dry_run = true;
        case.mutate()
    };
    let kept =
        "{abortScaleDownDelaySeconds: 0, steps: [{setWeight: 10}, {pause: {duration: 1m}}, {analysis: {}}]}";
    for (limits, plan, line) in [
        (
            "count: 3",
            STEPS,
            "found by errors within 30s; then the canary's traffic ends at once, its pods 30s later",
        ),
        ("count: 5, failureLimit: 2", STEPS, "found by errors within 1m30s; then"),
        ("count: 3", kept, "then the canary's traffic ends at once, its pods stay to be looked at"),
    ] {
        let said = told(limits, plan);
        assert!(said.contains(line), "{said}");
    }
    let unlimited = told("failureLimit: -1, consecutiveSuccessLimit: 3", STEPS);
    assert!(!unlimited.contains("plan: rollback"), "{unlimited}");
}

#[test]
fn a_host_that_is_refused_when_it_is_measured_is_refused_when_it_is_applied() {
    let asked = |address: &str, allowed: &str| {
        let metrics = metric("result[0] < 1", GOOD)
            .replace("prometheus: {", &format!("prometheus: {{address: '{address}', "));
        let mut config = crate::case::config();
        config.hosts.allowed.extend(allowed.parse().ok());
        change(STEPS, &metrics).mutate_by(&config)
    };
    assert_snapshot!("a_denied_address", asked("http://169.254.169.254", ""));
    assert_snapshot!("a_host_that_is_not_allowed", asked("http://evil.example", "*.monitoring"));
    assert!(asked("http://prometheus.monitoring:9090", "*.monitoring").starts_with("allowed"));
}

#[test]
fn unwise_plans_are_reported() {
    let case = change("{steps: [{setWeight: 60}]}", "");
    let bare = json!([{"name": "web", "image": "web:b"}]);
    let mut bold = case.clone();
    bold.review.object = Some(with(case.object().clone(), "/spec/template/spec/containers", bare));
    assert_snapshot!("a_bold_plan_without_analysis_and_probe", bold.mutate());
    assert_snapshot!(
        "a_query_that_sees_both_sides",
        change(STEPS, &metric("result[0] < 1", "sum(rate(errors[5m]))")).mutate()
    );
}

#[test]
fn advice_comes_with_the_plan_and_not_with_every_request() {
    let plain = annotated(web("a"), "note", "1");
    let case = Case::update(web("a"), with(plain, "/spec/paused", json!(true)));
    assert_eq!(case.mutate(), "allowed");
}

#[test]
fn a_dry_run_shows_the_whole_plan() {
    let plan = "{steps: [{setWeight: 10}, {pause: {}}, {setWeight: 50}, {pause: {duration: 5m}}, {analysis: {}}], analysis: {startingStep: 2}}";
    let mut case = change(plan, &metric("result[0] < 1", GOOD));
    case.review.dry_run = true;
    assert_snapshot!(case.mutate());
}

#[test]
fn a_dry_run_shows_what_is_read_differently_than_written() {
    let query = "sum(rate(errors{rollouts_pod_template_hash=~'.+',service='web-canary'}[1m])) or vector(0)";
    let mut case = change("{steps: [{setWeight: 10}, {analysis: {}}]}", &metric("result[0] < 1", query));
    case.review.dry_run = true;
    let said = case.mutate();
    assert!(said.contains("canary pods have app=web-canary"), "{said}");
    assert!(said.contains("rollouts_pod_template_hash in queries is read as pod_template_hash"), "{said}");
}

#[test]
fn no_line_is_longer_than_clients_show() {
    let case = change(
        "{steps: [{setWeight: 60}, {analysis: {}}]}",
        &metric("result[0] < 1", "sum(rate(errors[5m]))"),
    );
    let warnings = case.verdict(Stage::Mutate).warnings;
    assert!(warnings.len() > 3, "{warnings:?}");
    assert!(warnings.iter().all(|line| line.chars().count() <= 256 && line.starts_with("haldane: ")));
}

#[test]
fn a_json_path_without_braces_is_refused_with_the_right_form() {
    let said = |path: &str| {
        let web = format!("web: {{url: 'https://x.example', jsonPath: '{path}'}}");
        let metric =
            format!("metrics: [{{name: errors, successCondition: 'result < 1', provider: {{{web}}}}}]");
        change(STEPS, &metric).mutate().lines().next().unwrap().to_owned()
    };
    assert_snapshot!(said(".data.rate"));
    for (path, meant) in [("$.rate", "{$.rate}"), ("data.rate", "{.data.rate}"), ("[0].rate", "{[0].rate}")] {
        assert!(said(path).ends_with(&format!("write {meant}")), "{}", said(path));
    }
    assert_eq!(said("{.data.rate}"), "allowed");
}

#[test]
fn named_queries_in_a_text_are_read_or_refused_with_what_is_wrong() {
    let said = |query: &str| {
        let provider = json!({"prometheus": {"query": query}});
        let metric = json!({"name": "errors", "successCondition": "result.canary < 1", "provider": provider});
        change(STEPS, &json!({"metrics": [metric]}).to_string()).mutate().lines().next().unwrap().to_owned()
    };
    let good = format!("{{\"canary\": {GOOD:?}}}");
    assert_eq!(said(&good), "allowed");
    assert_snapshot!(
        "quotation_marks_within_a_query",
        said(r#"{"canary": "x{service="web-canary"}", "stable": "y"}"#)
    );
    assert_snapshot!("an_empty_query", said(r#"{"canary": "x", "stable": ""}"#));
    assert_snapshot!("an_unusable_name", said(r#"{"the canary": "x"}"#));
    // A query may begin so too.
    let of_a_name = said(r#"{"http.errors", service="web-canary", namespace="shop"}"#);
    assert!(!of_a_name.contains("mapping of named queries"), "{of_a_name}");
}

#[test]
fn what_pods_read_or_claim_and_cannot_share_is_reported() {
    let volumes = json!([
        {"name": "data", "persistentVolumeClaim": {"claimName": "web-data"}},
        {"name": "info", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]);
    let env = json!([
        {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "TEAM", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['team']"}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]);
    let web = |version| {
        let web = with(web(version), "/spec/template/spec/volumes", volumes.clone());
        let web = with(web, "/spec/template/spec/containers/0/env", env.clone());
        with(web, "/spec/template/spec/containers/0/ports", json!([{"containerPort": 80, "hostPort": 8080}]))
    };
    assert_snapshot!(Case::update(web("a"), web("b")).mutate());
}

/// A release whose pods mount the claim `data`, which has these access modes.
fn mounting(modes: &[&str]) -> Case {
    let volumes = json!([{"name": "files", "persistentVolumeClaim": {"claimName": "data"}}]);
    let web = |version| with(web(version), "/spec/template/spec/volumes", volumes.clone());
    let mut case = Case::update(web("a"), web("b"));
    let modes = modes.iter().map(|mode| (*mode).to_owned()).collect();
    case.facts.neighbours.as_mut().unwrap().claims.insert("data".to_owned(), modes);
    case
}

#[test]
fn a_claim_that_only_one_pod_can_mount_is_refused_and_one_for_a_node_is_reported() {
    assert_snapshot!("a_claim_for_one_pod", mounting(&["ReadWriteOncePod"]).mutate());
    assert_snapshot!("a_claim_for_one_node", mounting(&["ReadWriteOnce"]).mutate());
    let shared = mounting(&["ReadWriteOnce", "ReadWriteMany"]).mutate();
    assert!(shared.contains("both versions use its data") && !shared.contains("node"), "{shared}");
}
