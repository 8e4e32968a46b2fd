//! The scripts for Argo CD, in its interpreter and with the few libraries that it opens, on Deployments as they are
//! before, during and after a release.

use crate::{documents, folder, output, text};
use haldane::{
    decide::{RELEASE, WaitReason},
    domain::{keys, request::Verb},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fmt::Write, fs};
use strum::IntoEnumIterator;

fn customizations() -> Value {
    documents(&text("deploy/argocd/argocd-cm.yaml")).remove(0)["data"].take()
}

fn health_script() -> String {
    customizations()["resource.customizations.health.apps_Deployment"].as_str().unwrap().to_owned()
}

fn actions() -> Value {
    let actions = customizations()["resource.customizations.actions.apps_Deployment"].take();
    documents(actions.as_str().unwrap()).remove(0)
}

/// A value as Lua writes it.
fn lua(value: &Value) -> String {
    let fields = |fields: Vec<String>| format!("{{{}}}", fields.join(", "));
    match value {
        Value::Null => "nil".to_owned(),
        Value::Array(items) => fields(items.iter().map(lua).collect()),
        Value::Object(map) => {
            fields(map.iter().map(|(key, value)| format!("[{}] = {}", json!(key), lua(value))).collect())
        }
        plain => plain.to_string(),
    }
}

/// What `show` prints of the result of a script that Argo CD runs on `object`.
fn run(name: &str, script: &str, object: &Value, show: &str) -> String {
    let mut program = format!("obj = {}\n", lua(object));
    writeln!(program, "local function script()\n{script}\nend").unwrap();
    // Argo CD opens no others; strings have no methods then.
    program += "getmetatable('').__index = nil\nstring, math, io, debug, coroutine = nil\n";
    writeln!(program, "local result = script()\n{show}").unwrap();
    let file = folder("argocd").join(format!("{name}.lua"));
    fs::write(&file, program).unwrap();
    output("glua", &[file.to_str().unwrap()]).trim_end_matches('\n').to_owned()
}

/// A Deployment of four pods that all serve.
fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "generation": 7, "labels": {keys::MANAGED: "true"}},
        "spec": {"replicas": 4},
        "status": {"observedGeneration": 7, "replicas": 4, "updatedReplicas": 4, "availableReplicas": 4,
            "conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]},
    })
}

/// The same with this condition of Haldane's.
fn with_condition(mut deployment: Value, status: &str, reason: &str, message: &str) -> Value {
    let condition = json!({"type": RELEASE, "status": status, "reason": reason, "message": message});
    deployment["status"]["conditions"].as_array_mut().unwrap().push(condition);
    deployment
}

/// A Deployment whose changed template is held, with this condition.
fn held(status: &str, reason: &str, message: &str) -> Value {
    let mut held = with_condition(deployment(), status, reason, message);
    held["metadata"]["annotations"] = json!({keys::HELD: "5d4c"});
    held["spec"]["paused"] = true.into();
    held["status"]["updatedReplicas"] = 0.into();
    held
}

fn waits_for(reason: WaitReason, message: &str) -> Value {
    held("Unknown", reason.into(), message)
}

#[track_caller]
fn assert_health(name: &str, deployment: &Value, expected: &str) {
    let show = "print(result.status .. ': ' .. result.message)";
    let seen = run(&format!("health-{name}"), &health_script(), deployment, show);
    assert_eq!(seen, expected, "{name}");
}

#[test]
fn health_of_a_release_is_what_its_condition_says() {
    let person = "waits for haldane.dev/do=resume, because of step pause: {}";
    assert_health("person", &waits_for(WaitReason::Person, person), &format!("Suspended: {person}"));
    let refused = waits_for(WaitReason::Refused, "exceeded quota");
    assert_health("refused", &refused, "Suspended: exceeded quota");
    let time = waits_for(WaitReason::Time, "waits for pause: 1m");
    assert_health("time", &time, "Progressing: waits for pause: 1m");
    let weight = held("Unknown", "Progressing", "traffic weight 25");
    assert_health("weight", &weight, "Progressing: traffic weight 25");
    let aborted = held("False", "Degraded", "RolloutAborted: Rollout aborted update to revision 3");
    assert_health("aborted", &aborted, "Degraded: RolloutAborted: Rollout aborted update to revision 3");
    let mut next = aborted.clone();
    next["metadata"]["generation"] = 8.into();
    assert_health("next", &next, "Progressing: waits for the deployment controller");
    // Just held: the condition is that of the release before.
    let fresh = held("True", "Healthy", "revision 2 serves all traffic");
    assert_health("fresh", &fresh, "Progressing: the changed pod template is held");
    // The hold is lifted, and Kubernetes replaces stable; then the canary goes.
    let promoting = with_condition(deployment(), "Unknown", "Promoting", "traffic weight 100");
    assert_health("promoting", &promoting, "Progressing: traffic weight 100");
    let healthy = with_condition(deployment(), "True", "Healthy", "revision 3 serves all traffic");
    assert_health("healthy", &healthy, "Healthy: ");
}

/// Each status that a Deployment without Haldane can have.
#[test]
fn health_of_every_other_deployment_is_kubernetes_own() {
    let changed = |change: fn(&mut Value)| {
        let mut deployment = deployment();
        deployment["metadata"]["labels"] = json!({});
        change(&mut deployment);
        deployment
    };
    let health = |name: &str, change: fn(&mut Value), expected: &str| {
        assert_health(name, &changed(change), expected);
    };
    health("serves", |_| (), "Healthy: ");
    health("new", |d| d["status"] = Value::Null, "Progressing: waits for the deployment controller");
    health(
        "unobserved",
        |d| d["metadata"]["generation"] = 8.into(),
        "Progressing: waits for the deployment controller",
    );
    health("paused", |d| d["spec"]["paused"] = true.into(), "Suspended: Deployment is paused");
    health(
        "updating",
        |d| d["status"]["updatedReplicas"] = 1.into(),
        "Progressing: 1 of 4 replicas are updated",
    );
    health("old", |d| d["status"]["replicas"] = 5.into(), "Progressing: 1 old replicas are still there");
    health(
        "starting",
        |d| d["status"]["availableReplicas"] = 3.into(),
        "Progressing: 3 of 4 replicas are available",
    );
    health(
        "none",
        |d| (d["spec"]["replicas"], d["status"]) = (0.into(), json!({"observedGeneration": 7})),
        "Healthy: ",
    );
    health(
        "stuck",
        |d| {
            d["status"]["conditions"][0] =
                json!({"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "timed out"});
        },
        "Degraded: timed out",
    );
}

/// The actions that Argo CD offers.
fn offered(name: &str, deployment: &Value) -> BTreeSet<String> {
    let script = actions()["discovery.lua"].as_str().unwrap().to_owned();
    let show = "for name, action in pairs(result) do if not action.disabled then print(name) end end";
    run(&format!("discovery-{name}"), &script, deployment, show).lines().map(str::to_owned).collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// What admission allows at each stage: `orders::what_each_order_meets_at_each_stage`.
#[test]
fn orders_that_make_sense_are_offered() {
    let paused = waits_for(WaitReason::Person, "");
    assert_eq!(
        offered("paused", &paused),
        set(["abort", "pause", "promote", "promote-full", "resume", "skip-step"])
    );
    assert_eq!(offered("promoting", &held("Unknown", "Promoting", "")), set(["abort"]));
    assert_eq!(offered("aborted", &held("False", "Degraded", "")), set(["retry"]));
    let idle = with_condition(deployment(), "True", "Healthy", "");
    assert_eq!(offered("idle", &idle), set([]), "only Argo CD's own");
}

#[test]
fn every_order_is_an_action_that_sets_one_annotation() {
    let actions = actions();
    assert_eq!(actions["mergeBuiltinActions"], true, "restart and scale stay");
    let definitions = actions["definitions"].as_array().unwrap();
    let names: BTreeSet<String> =
        definitions.iter().map(|action| action["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, Verb::iter().map(|verb| verb.to_string()).collect());
    for name in &names {
        let order = format!("obj\tmetadata\tannotations\t{}\tstring\t{name}", keys::DO);
        assert_eq!(change(name, &held("Unknown", "Paused", "")), [order], "{name}");
    }
}

/// Argo CD has actions of these names too, which ours replace.
#[test]
fn pause_and_resume_of_other_deployments_are_kubernetes_own() {
    for (name, paused) in [("pause", true), ("resume", false)] {
        assert_eq!(change(name, &deployment()), [format!("obj\tspec\tpaused\tboolean\t{paused}")]);
    }
}

/// What an action adds to an object, as path, type and value; it changes and removes nothing.
fn change(name: &str, object: &Value) -> Vec<String> {
    let actions = actions();
    let definitions = actions["definitions"].as_array().unwrap();
    let definition = definitions.iter().find(|action| action["name"] == name).unwrap();
    let show = "
local function write(path, value)
  if type(value) ~= 'table' then
    print(path .. '\\t' .. type(value) .. '\\t' .. tostring(value))
    return
  end
  for key, item in pairs(value) do write(path .. '\\t' .. tostring(key), item) end
end
write('obj', result)";
    let before = flat(object, "obj");
    let file = format!("action-{name}-{}", before.len());
    let after = run(&file, definition["action.lua"].as_str().unwrap(), object, show);
    let after: Vec<String> = after.lines().map(str::to_owned).collect();
    assert!(before.iter().all(|line| after.contains(line)), "{name}: {before:#?} {after:#?}");
    after.into_iter().filter(|line| !before.contains(line)).collect()
}

/// Each plain value with its path and type, as the script above prints them.
fn flat(value: &Value, path: &str) -> Vec<String> {
    let below = |key: &str, item: &Value| flat(item, &format!("{path}\t{key}"));
    match value {
        Value::Object(map) => map.iter().flat_map(|(key, item)| below(key, item)).collect(),
        Value::Array(items) => {
            (1..).zip(items).flat_map(|(index, item)| below(&index.to_string(), item)).collect()
        }
        Value::String(text) => vec![format!("{path}\tstring\t{text}")],
        Value::Bool(flag) => vec![format!("{path}\tboolean\t{flag}")],
        plain => vec![format!("{path}\tnumber\t{plain}")],
    }
}
