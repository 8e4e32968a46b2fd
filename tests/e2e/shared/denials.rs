//! What admission refuses, in the very words that `kubectl` shows.

use crate::harness::{App, SOON, Space, eventually};
use serde_json::json;

const PAUSE: &str = "steps: [{setWeight: 25}, {pause: {}}]";

/// What `kubectl` says, with the namespace's name taken out.
fn said(space: &Space, text: &str) -> String {
    text.replace(&space.namespace, "NAMESPACE").trim_end().to_owned()
}

/// What `kubectl apply` says of a Deployment that is refused.
#[track_caller]
fn refusal(space: &Space, app: &App) -> String {
    let manifest = app.deployment().to_string();
    // Admission knows of what was just applied a moment later.
    eventually("a dry run to be refused", SOON, || {
        let tried = space.apply_with(&["--dry-run=server"], &manifest);
        if tried.code == 0 { Err(tried.out) } else { Ok(()) }
    });
    let text = space.apply(&manifest).refused();
    assert!(space.get("apps/v1 Deployment", &app.name).is_none(), "nothing was made");
    // kubectl repeats what it sent for an object that exists; for a new one it shows the answer only.
    said(space, &text)
}

#[test]
fn a_bad_strategy_is_refused_with_path_value_and_what_is_allowed() {
    let space = Space::new("denials");
    let of = |strategy: &str| refusal(&space, &App::canary(strategy));
    insta::assert_snapshot!(of("steps: [{setWeigth: 25}]"), @r#"The Deployment "web" is invalid: metadata.annotations[haldane.dev/canary].steps[0].setWeigth: unknown field, did you mean "setWeight"?"#);
    insta::assert_snapshot!(of("steps: [{setWeight: 25}, {setMirrorRoute: {name: x}}]"), @r#"The Deployment "web" is invalid: metadata.annotations[haldane.dev/canary].steps[1].setMirrorRoute: is not possible: the router nginx cannot mirror requests to a canary"#);
    insta::assert_snapshot!(of("steps: [{setWeight: 101}]"), @r#"The Deployment "web" is invalid: metadata.annotations[haldane.dev/canary].steps[0].setWeight: Invalid value: "101": must be a whole number from 0 to 100"#);
    insta::assert_snapshot!(of("steps: [{setWeight: 25}, {pause: {duration: 5 minutes}}]"), @r#"The Deployment "web" is invalid: metadata.annotations[haldane.dev/canary].steps[1].pause.duration: Invalid value: "5 minutes": must be a number of seconds, not negative, or a duration such as "30s" or "5m"; leave it out to wait for a person"#);
    insta::assert_snapshot!(of("yes"), @r#"The Deployment "web" is invalid: metadata.annotations[haldane.dev/canary]: Invalid value: "yes": must be "enabled" or YAML of a canary strategy, such as {steps: [{setWeight: 25}, {pause: {}}]}; remove the annotation to opt out"#);
    insta::assert_snapshot!(of("steps: [{setWeight: 25}, {analysis: {templates: [{templateName: nowhere}]}}]"), @r#"The Deployment "web" is invalid: metadata.annotations[haldane.dev/canary]: Invalid value: "nowhere": analysis template not found: the Deployment's namespace has no ConfigMap of this name with label haldane.dev/analysis-template: "true""#);
    insta::assert_snapshot!(refusal(&space, &App::canary(PAUSE).annotated("haldane.dev/setle", "6s")), @r#"The Deployment "web" is invalid: metadata.annotations[haldane.dev/setle]: Invalid value: "6s": unknown annotation, did you mean "haldane.dev/settle"?"#);
    insta::assert_snapshot!(refusal(&space, &App::canary(PAUSE).annotated("haldane.dev/settle", "soon")), @r#"The Deployment "web" is invalid: metadata.annotations[haldane.dev/settle]: Invalid value: "soon": must be a duration such as "30s", "5m" or "1h30m", not negative and under 100 years"#);
}

#[test]
fn a_bad_expression_in_a_template_is_refused() {
    let space = Space::new("denials");
    let metric = "{name: errors, successCondition: 'result[0] >< 1', provider: {prometheus: {query: up}}}";
    let template = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "errors", "labels": {"haldane.dev/analysis-template": "true"}},
        "data": {"template.yaml": format!("metrics: [{metric}]")},
    });
    insta::assert_snapshot!(said(&space, &space.apply(&template.to_string()).refused()), @r#"The ConfigMap "errors" is invalid: data[template.yaml].metrics[0].successCondition: Invalid value: "result[0] >< 1": unexpected token Operator("<")"#);
    let inline = |metric: &str| {
        let metrics = format!("metrics: [{{name: errors, {metric}}}]");
        refusal(&space, &App::canary(PAUSE).annotated("haldane.dev/analysis", &metrics))
    };
    insta::assert_snapshot!(inline("failureCondition: 'result >', provider: {prometheus: {query: up}}"), @r#"The Deployment "web" is invalid: metadata.annotations[haldane.dev/analysis].metrics[0].failureCondition: Invalid value: "result >": unexpected token EOF"#);
    insta::assert_snapshot!(inline("provider: {promtheus: {query: up}}"), @r#"The Deployment "web" is invalid: metadata.annotations[haldane.dev/analysis].metrics[0].provider: Invalid value: "{\"promtheus\":{\"query\":\"up\"}}": provider "promtheus" is not supported, did you mean "prometheus"?; supported are prometheus, web, webhook, job"#);
    insta::assert_snapshot!(inline("provider: {prometheus: {query: 'sum(up'}}"), @r#"The Deployment "web" is invalid: metadata.annotations[haldane.dev/analysis].metrics[0].provider.prometheus.query: Invalid value: "sum(up": is not PromQL: '(' at position 4 is never closed"#);
    insta::assert_snapshot!(inline("failureLimit: few, provider: {prometheus: {}}"), @r#"
        The Deployment "web" is invalid: 
        * metadata.annotations[haldane.dev/analysis].metrics[0].failureLimit: Invalid value: "few": must be a whole number
        * metadata.annotations[haldane.dev/analysis].metrics[0].provider.prometheus.query: is required
    "#);
}

#[test]
fn a_name_that_is_taken_is_refused_not_overwritten() {
    let space = Space::new("denials");
    let app = App::canary(PAUSE);
    let foreign = App { name: "web-canary".to_owned(), ..App::plain() };
    space.apply(&foreign.deployment().to_string()).ok();
    insta::assert_snapshot!(refusal(&space, &app), @r#"The Deployment "web" is invalid: metadata.name: Invalid value: "web": Deployment "web-canary" exists and is not Haldane's; rename or delete it"#);
    space.kubectl(&["delete", "deployment", "web-canary"]).ok();

    for object in [app.service(), app.ingress(&space), foreign.service()] {
        space.apply(&object.to_string()).ok();
    }
    insta::assert_snapshot!(refusal(&space, &app), @r#"The Deployment "web" is invalid: metadata.annotations[haldane.dev/canary]: Invalid value: "web": Service "web-canary" exists and is not Haldane's, which makes the canary's Service itself; delete it"#);
    let service = space.the("v1 Service", "web-canary");
    assert_eq!(service["spec"]["selector"], json!({"app": "web-canary"}), "the foreign Service is as it was");
}

#[test]
fn a_deployment_that_cannot_have_a_canary_is_refused() {
    let space = Space::new("denials");
    let recreate = App::canary(PAUSE).changed("/spec/strategy", json!({"type": "Recreate"}));
    insta::assert_snapshot!(refusal(&space, &recreate), @r#"The Deployment "web" is invalid: spec.strategy.type: Invalid value: "Recreate": a canary needs RollingUpdate: stable must keep serving while it is replaced, or requests fail; remove spec.strategy, or opt out"#);
    let selector = json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]});
    let everything = App::canary(PAUSE).changed("/spec/selector", selector);
    // Without a route, canary pods keep their labels and are split by number.
    for object in [everything.service(), everything.ingress(&space)] {
        space.apply(&object.to_string()).ok();
    }
    insta::assert_snapshot!(refusal(&space, &everything), @r#"The Deployment "web" is invalid: spec.selector: Invalid value: "{\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"Exists\"}]}": no change of label values makes canary pods invisible to the selector of Deployment "web"; it must have a label with one fixed value, e.g. matchLabels: {app: web}"#);
}

#[test]
fn an_order_that_makes_no_sense_is_refused() {
    let space = Space::new("denials");
    space.deploy(&App::canary(PAUSE));
    insta::assert_snapshot!(said(&space, &space.order("web", "promot").refused()), @r#"The Deployment "web" is invalid: metadata.annotations[haldane.dev/do]: Invalid value: "promot": unknown order, did you mean "promote"?; allowed are promote, promote-full, abort, retry, pause, resume, skip-step, promote --step N"#);
    insta::assert_snapshot!(said(&space, &space.order("web", "promote").refused()), @r#"Error from server (Forbidden): admission webhook "mutate.haldane.dev" denied the request: Deployment "web": cannot promote: no rollout is under way, so there is nothing to promote; change the pod template to start one"#);
    insta::assert_snapshot!(said(&space, &space.order("web", "retry").refused()), @r#"Error from server (Forbidden): admission webhook "mutate.haldane.dev" denied the request: Deployment "web": cannot retry: no rollout is under way, so there is nothing to retry; change the pod template to start one"#);
    let request = r#"haldane.dev/request={"id":"1","verb":"promote","by":"somebody","at":"2026-01-01T00:00:00Z","template":"x"}"#;
    let forged = space.kubectl(&["annotate", "deployment", "web", request]);
    insta::assert_snapshot!(said(&space, &forged.refused()), @r#"Error from server (Forbidden): admission webhook "mutate.haldane.dev" denied the request: Deployment "web": the annotation haldane.dev/request records orders and is written by Haldane only; give orders with haldane.dev/do"#);

    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "25");
    insta::assert_snapshot!(said(&space, &space.order("web", "retry").refused()), @r#"Error from server (Forbidden): admission webhook "mutate.haldane.dev" denied the request: Deployment "web": cannot retry: revision 2 is Paused; only an aborted revision can be retried"#);
    let opt_out = space.kubectl(&["annotate", "deployment", "web", "haldane.dev/canary-"]);
    insta::assert_snapshot!(said(&space, &opt_out.refused()), @r#"Error from server (Forbidden): admission webhook "mutate.haldane.dev" denied the request: Deployment "web": cannot opt out (annotation haldane.dev/canary removed) while a rollout is Paused: finish it with haldane.dev/do=promote-full, or apply the stable pod template again, then opt out"#);
    let together = space.kubectl(&[
        "patch",
        "deployment",
        "web",
        "--patch",
        &json!({
            "metadata": {"annotations": {"haldane.dev/do": "promote"}},
            "spec": {"template": {"metadata": {"annotations": {"a": "b"}}}},
        })
        .to_string(),
    ]);
    insta::assert_snapshot!(said(&space, &together.refused()), @r#"Error from server (Forbidden): admission webhook "mutate.haldane.dev" denied the request: Deployment "web": the order promote cannot be combined with a changed pod template; give it in a request of its own"#);
    assert_eq!(space.summary("web")["weight"], "25", "nothing was carried out");
}

#[test]
fn a_query_that_sees_stable_only_is_refused_and_a_dry_run_shows_the_plan() {
    let space = Space::new("denials");
    let plan = "steps: [{setWeight: 5}, {pause: {duration: 1m}}, {analysis: {}}]";
    let of = |query: &str| {
        let metric = format!(
            "metrics: [{{name: errors, successCondition: 'len(result) == 0 || result[0] == 0', provider: {{prometheus: {{query: 'sum(rate({query}[1m]))'}}}}}}]"
        );
        App::canary(plan).annotated("haldane.dev/analysis", &metric)
    };
    let errors = |service: &str| format!("errors{{namespace=\"{}\",service=\"{service}\"}}", space.namespace);
    space.deploy(&of(&errors("web-canary")));
    let blind = of(&errors("web")).with("VERSION", "v2");
    let refused = space.apply(&blind.deployment().to_string()).refused();
    let told = refused.lines().find(|line| line.contains("sees stable only")).unwrap_or(&refused).to_owned();
    insta::assert_snapshot!(said(&space, told.split(": metadata.").last().unwrap_or_default()), @r#"annotations[haldane.dev/analysis].metrics[0].provider.prometheus.query: Invalid value: "sum(rate(errors{namespace=\"NAMESPACE\",service=\"web\"}[1m]))": sees stable only, because service="web" does not match the canary's series; write service="web-canary"; if the application sets this label itself, match both values: service=~"web|web-canary""#);

    let release = of(&errors("web-canary")).with("VERSION", "v2").deployment().to_string();
    let shown = eventually("Prometheus to answer a dry run in time", SOON, || {
        let shown = space.apply_with(&["--dry-run=server"], &release);
        if shown.err.contains("no answer within") { Err(shown.err) } else { Ok(shown) }
    });
    insta::assert_snapshot!(said(&space, &shown.err), @r#"
    Warning: haldane: the new template is held; its canary takes 3 steps, at least 1m6s, with up to 1 pod and weight 5 before promotion
    Warning: haldane: plan: the new template starts as a canary of 1 pod at weight 0
    Warning: haldane: plan 1/3: setWeight: 5, 1 pod, 6s to settle
    Warning: haldane: plan 2/3: pause: 1m
    Warning: haldane: plan 3/3: analysis: @annotation: errors once
    Warning: haldane: plan: promotion: the canary grows to 2 pods, weight 100, the Deployment rolls natively, the canary goes; all of it takes at least 1m6s
    Warning: haldane: plan: rollback: a fault is found by errors when it is measured; then the canary's traffic ends at once, its pods 30s later
    Warning: haldane: plan: canary pods have app=web-canary, so that selectors of stable pods do not match them
    Warning: haldane: metric "errors" cannot see the canary: stable has no series for errors{namespace="NAMESPACE",service="web"}; check the metric name, its labels and the address of Prometheus, or set rehearsal: skip if only the new version has it
    "#);
    assert!(space.get("v1 ConfigMap", "haldane-web").is_none_or(|map| map["data"]["phase"] == "Healthy"));
    let deployment = space.the("apps/v1 Deployment", "web");
    assert_eq!(deployment["spec"]["paused"], json!(null), "nothing happened");
}
