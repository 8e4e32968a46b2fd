//! Opting in that has no effect is reported in the very words that `kubectl` shows, and refused neither with
//! Haldane nor without.

use crate::harness::{App, Output, SOON, Space, cluster::run, eventually, haldane};
use serde_json::{Value, json};

const CANARY: &str = "haldane.dev/canary";

/// The Deployment `name` without pods, changed in one place.
fn deployment(name: &str, pointer: &str, value: Value) -> Value {
    let app = App { name: name.to_owned(), ..App::plain().sized(0) };
    app.changed(pointer, value).deployment()
}

/// A pod template.
fn pods() -> Value {
    deployment("other", "/spec/paused", json!(false))["spec"]["template"].take()
}

/// An object of another kind with the annotation, which runs nothing.
fn other(api_version: &str, kind: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "other", "annotations": {CANARY: "enabled"}},
        "spec": spec,
    })
}

/// A spec with a pod template and one field more, at a JSON pointer.
fn selecting(pointer: &str, value: Value) -> Value {
    let pods = pods();
    let mut spec = json!({"selector": {"matchLabels": pods["metadata"]["labels"]}, "template": pods});
    let (parent, field) = pointer.rsplit_once('/').expect("a JSON pointer");
    spec.pointer_mut(parent).expect("a field")[field] = value;
    spec
}

fn job() -> Value {
    let mut pods = pods();
    pods["metadata"] = json!({"annotations": {CANARY: "enabled"}});
    pods["spec"]["restartPolicy"] = json!("Never");
    json!({"suspend": true, "template": pods})
}

/// What people try, and none of it opts anything in.
fn attempts() -> Vec<Value> {
    let on_pods = "/spec/template/metadata/annotations";
    let none = selecting("/replicas", json!(0));
    let cron = json!({"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": {"spec": job()}});
    vec![
        deployment("misspelt", "/metadata/annotations", json!({"haldane.dev/cannary": "enabled"})),
        deployment("label", "/metadata/labels", json!({CANARY: "enabled"})),
        deployment("on-pods", on_pods, json!({CANARY: "enabled"})),
        deployment("argo", "/metadata/annotations", json!({"rollout.argoproj.io/revision": "1"})),
        deployment("flagger", "/metadata/annotations", json!({"flagger.app/canary": "enabled"})),
        other("apps/v1", "StatefulSet", &none),
        other("apps/v1", "DaemonSet", &selecting("/template/spec/nodeSelector", json!({"no": "node"}))),
        other("apps/v1", "ReplicaSet", &none),
        other("batch/v1", "Job", &job()),
        other("batch/v1", "CronJob", &cron),
    ]
}

/// What has keys and needs no warning.
fn in_order() -> [Value; 2] {
    let out = json!({CANARY: "disabled"});
    [deployment("out", "/metadata/annotations", out), deployment("plain", "/spec/paused", json!(false))]
}

fn broken_template() -> Value {
    let metric = "{name: errors, successCondition: 'result[0] >< 1', provider: {prometheus: {query: up}}}";
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "errors", "labels": {"haldane.dev/analysis-template": "true"}},
        "data": {"template.yaml": format!("metrics: [{metric}]")},
    })
}

fn warnings(output: Output) -> Vec<String> {
    let lines = output.ok().err;
    lines.lines().filter_map(|line| line.strip_prefix("Warning: ")).map(str::to_owned).collect()
}

#[test]
fn opting_in_without_effect_is_reported_and_never_refused() {
    haldane::is_complete();
    let space = Space::new("no-effect");
    let mut said = Vec::new();
    for object in attempts() {
        let kind = format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', "");
        said.push(kind);
        said.extend(warnings(space.apply(&object.to_string())).into_iter().map(|line| format!("  {line}")));
    }
    insta::assert_snapshot!(said.join("\n"), @r#"
    Deployment misspelt
      haldane: metadata.annotations[haldane.dev/cannary]: "enabled": unknown annotation, did you mean "haldane.dev/canary"?
      haldane: the Deployment is not opted in, so it is released without a canary; opt it in with the annotation haldane.dev/canary: enabled, or with a plan as its value
    Deployment label
      haldane: metadata.labels[haldane.dev/canary]: "enabled": has no effect as a label of a Deployment; set the annotation haldane.dev/canary of the Deployment instead
      haldane: the Deployment is not opted in, so it is released without a canary; opt it in with the annotation haldane.dev/canary: enabled, or with a plan as its value
    Deployment on-pods
      haldane: spec.template.metadata.annotations[haldane.dev/canary]: "enabled": has no effect on a pod template; set the annotation haldane.dev/canary of the Deployment instead
      haldane: the Deployment is not opted in, so it is released without a canary; opt it in with the annotation haldane.dev/canary: enabled, or with a plan as its value
    Deployment argo
      Validation failed for ValidatingAdmissionPolicy 'haldane-deployments' with binding 'haldane-deployments': metadata.annotations[rollout.argoproj.io/revision] means nothing to Haldane, and the Deployment is not opted in; opt it in with the annotation haldane.dev/canary: enabled, or with YAML of strategy.canary of Argo Rollouts as its value
    Deployment flagger
      Validation failed for ValidatingAdmissionPolicy 'haldane-deployments' with binding 'haldane-deployments': metadata.annotations[flagger.app/canary] means nothing to Haldane, and the Deployment is not opted in; opt it in with the annotation haldane.dev/canary: enabled, or with YAML of strategy.canary of Argo Rollouts as its value
    StatefulSet other
      Validation failed for ValidatingAdmissionPolicy 'haldane-other-kinds' with binding 'haldane-other-kinds': metadata.annotations[haldane.dev/canary]: no effect on a StatefulSet, because Haldane makes canary releases of Deployments only; remove it there, or run these pods with a Deployment
    DaemonSet other
      Validation failed for ValidatingAdmissionPolicy 'haldane-other-kinds' with binding 'haldane-other-kinds': metadata.annotations[haldane.dev/canary]: no effect on a DaemonSet, because Haldane makes canary releases of Deployments only; remove it there, or run these pods with a Deployment
    ReplicaSet other
      Validation failed for ValidatingAdmissionPolicy 'haldane-other-kinds' with binding 'haldane-other-kinds': metadata.annotations[haldane.dev/canary]: no effect on a ReplicaSet, because Haldane makes canary releases of Deployments only; remove it there, or run these pods with a Deployment
    Job other
      Validation failed for ValidatingAdmissionPolicy 'haldane-other-kinds' with binding 'haldane-other-kinds': metadata.annotations[haldane.dev/canary], annotations[haldane.dev/canary] of the pod template: no effect on a Job, because Haldane makes canary releases of Deployments only; remove it there, or run these pods with a Deployment
    CronJob other
      Validation failed for ValidatingAdmissionPolicy 'haldane-other-kinds' with binding 'haldane-other-kinds': metadata.annotations[haldane.dev/canary], annotations[haldane.dev/canary] of the pod template: no effect on a CronJob, because Haldane makes canary releases of Deployments only; remove it there, or run these pods with a Deployment
    "#);
    for object in in_order() {
        assert_eq!(warnings(space.apply(&object.to_string())), [""; 0]);
    }
    let reserved = deployment("web", "/metadata/annotations", json!({CANARY: "enabled"})).to_string();
    let apply = ["--namespace=kube-system", "apply", "--dry-run=server", "-f", "-"];
    insta::assert_snapshot!(warnings(run("kubectl", &apply, &reserved)).join("\n"), @"Validation failed for ValidatingAdmissionPolicy 'haldane-deployments' with binding 'haldane-deployments': the Deployment is released without a canary: Haldane leaves namespace kube-system alone, because it and the cluster must come up without it; run it in another namespace");
    let refused = space.apply(&broken_template().to_string()).refused();
    insta::assert_snapshot!(refused.trim_end(), @r#"The ConfigMap "errors" is invalid: data[template.yaml].metrics[0].successCondition: Invalid value: "result[0] >< 1": unexpected token Operator("<")"#);

    let bare = Space::new("no-effect-bare");
    let away = haldane::take_away();
    for object in attempts().into_iter().chain(in_order()) {
        let said = warnings(bare.apply(&object.to_string()));
        assert!(said.iter().all(|line| !line.starts_with("haldane: ")), "nobody is there to say: {said:?}");
    }
    for name in ["misspelt", "label", "on-pods", "out", "plain"] {
        bare.set_env(name, &["VERSION=v2"]).ok();
        bare.rolled_out(name);
    }
    bare.kubectl(&["annotate", "deployment", "plain", "haldane.dev/settle=3s"]).ok();
    bare.apply(&broken_template().to_string()).ok();
    away.come_back();

    // What passed unread is read where it is used. The API server may not know yet where the webhook is.
    let plan = "steps: [{setWeight: 25}, {analysis: {templates: [{templateName: errors}]}}]";
    eventually("the broken template to be refused", SOON, || {
        let refused = bare.apply(&App::canary(plan).deployment().to_string()).refused();
        let why = "ConfigMap[errors].data[template.yaml].metrics[0].successCondition";
        if refused.contains(why) { Ok(()) } else { Err(refused) }
    });
    bare.kubectl(&["label", "configmap", "errors", "team=shop"]).ok();
}
