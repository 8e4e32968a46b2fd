//! Kubernetes does what the model of the decisions takes it to do, action by action.

use crate::harness::{App, SOON, Space, eventually};
use serde_json::Value;

const TABLE: &str = include_str!("../../model/kubernetes.txt");

/// The Deployment as the table tells it, once its controller has seen its last change.
fn told(space: &Space) -> Result<String, String> {
    let web = space.the("apps/v1 Deployment", "web");
    if web["status"]["observedGeneration"] != web["metadata"]["generation"] {
        return Err("the deployment controller has not seen the change".to_owned());
    }
    let set = |set: &Value| {
        let env = set.pointer("/spec/template/spec/containers/0/env").and_then(Value::as_array);
        let version = env.into_iter().flatten().find(|entry| entry["name"] == "VERSION");
        let version = version.and_then(|entry| entry["value"].as_str()).unwrap_or_default();
        let available = set["status"]["availableReplicas"].as_i64().unwrap_or(0);
        format!("{version}={}/{available}", set["spec"]["replicas"])
    };
    let mut sets: Vec<String> = space.list("apps/v1 ReplicaSet", "app=web").iter().map(set).collect();
    sets.sort();
    let reason = space.condition("web", "Progressing")["reason"].as_str().unwrap_or_default().to_owned();
    let slices = space.list("discovery.k8s.io/v1 EndpointSlice", "kubernetes.io/service-name=web");
    let endpoints = slices.iter().flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true).count();
    Ok(format!("{} | {reason} | {ready}", sets.join(" ")))
}

fn act(space: &Space, action: &str) {
    let patch = |patch: &str| space.kubectl(&["patch", "deployment/web", "--type=merge", "-p", patch]).ok();
    match action.split_once(' ') {
        Some(("start", size)) => {
            let app = App::plain().sized(size.parse().expect("a size")).with("VERSION", "a");
            space.deploy(&app);
        }
        Some(("scale", size)) => drop(patch(&format!(r#"{{"spec": {{"replicas": {size}}}}}"#))),
        Some(("template", "never")) => drop(space.set_env("web", &["VERSION=never", "PORT=none"]).ok()),
        Some(("template", version)) => {
            drop(space.set_env("web", &[&format!("VERSION={version}"), "PORT-"]).ok());
        }
        Some(("lose", _)) => {
            let pods = space.list("v1 Pod", "app=web");
            // Not one that a step before ended: its name may be gone in a moment, and with it nothing would be lost.
            let pod = pods.iter().find(|pod| pod["metadata"]["deletionTimestamp"].is_null());
            let name = pod.and_then(|pod| pod["metadata"]["name"].as_str()).expect("a pod");
            space.kubectl(&["delete", "pod", "--wait=false", name]).ok();
        }
        _ => drop(patch(&format!(r#"{{"spec": {{"paused": {}}}}}"#, action == "pause"))),
    }
}

#[test]
fn kubernetes_does_what_the_model_takes_it_to_do() {
    let space = Space::new("kubernetes");
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let (action, expected) = line.split_once('|').expect("action and outcome");
        act(&space, action.trim());
        eventually(&format!("{line:?}"), SOON, || {
            let told = told(&space)?;
            if told == expected.trim() { Ok(()) } else { Err(told) }
        });
    }
}
