//! Parts of the cluster fail. Each fault ends when its guard is dropped, also when the test fails.

use super::{
    Space,
    cluster::{Output, api, get, kubectl, list, run, setting, spawn},
    eventually,
    haldane::NAMESPACE,
};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{task::JoinHandle, time};

/// The cluster's own tool.
fn cluster(command: &str, component: &str) -> Output {
    let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/cluster");
    run(tool, &[command, &setting("HALDANE_CLUSTER"), component], "")
}

/// A component of the cluster is down.
#[derive(Debug)]
pub struct Down(&'static str);

/// Kills a component: `etcd`, `apiserver`, `kcm`, `kubelet`, ….
#[track_caller]
pub fn kill(component: &'static str) -> Down {
    if ["etcd", "apiserver"].contains(&component) {
        nothing_is_being_deleted();
    }
    cluster("kill", component).ok();
    Down(component)
}

/// ingress-nginx panics if a Service is deleted while its watch is broken (kubernetes/ingress-nginx#10015), and every
/// request is lost until it has started again.
#[track_caller]
fn nothing_is_being_deleted() {
    eventually("earlier namespaces to be gone", Duration::from_mins(2), || {
        let namespaces = list("v1 Namespace", "", "");
        let going =
            namespaces.iter().filter(|namespace| !namespace["metadata"]["deletionTimestamp"].is_null());
        let names: Vec<String> = going.map(|namespace| namespace["metadata"]["name"].to_string()).collect();
        if names.is_empty() { Ok(()) } else { Err(names.join(", ")) }
    });
}

impl Drop for Down {
    fn drop(&mut self) {
        let output = cluster("start", self.0);
        if output.code != 0 {
            eprintln!("{output:?}");
        }
    }
}

/// etcd takes no writes: it says that its disk quota is used up.
#[derive(Debug)]
pub struct Full;

/// Fills etcd, as far as anybody can tell from outside.
#[track_caller]
pub fn fill_etcd() -> Full {
    let full = Full;
    alarm("ACTIVATE").ok();
    let refused = kubectl(&["create", "namespace", "no-space"]).refused();
    assert!(refused.contains("database space exceeded"), "{refused}");
    full
}

fn alarm(action: &str) -> Output {
    let order = json!({"action": action, "memberID": "0", "alarm": "NOSPACE"}).to_string();
    let url = "http://127.0.0.1:2379/v3/maintenance/alarm";
    run("curl", &["--silent", "--show-error", "--fail", "--request", "POST", "--data", &order, url], "")
}

impl Drop for Full {
    fn drop(&mut self) {
        let output = alarm("DEACTIVATE");
        if output.code != 0 {
            eprintln!("{output:?}");
        }
    }
}

/// A pod cannot reach the API server; all its other connections work.
#[derive(Debug)]
pub struct Cut;

/// Drops every packet of a pod of Haldane to the API server, those of open connections included.
#[track_caller]
pub fn cut_off(pod: &str) -> Cut {
    let pod = get("v1 Pod", NAMESPACE, pod).unwrap_or_else(|| panic!("no pod {pod}"));
    let ip = pod["status"]["podIP"].as_str().expect("an address");
    let rules = format!(
        "table inet haldane_cut {{\nchain from_pod {{\ntype filter hook input priority -10\nip saddr {ip} tcp dport 6443 drop\n}}\n}}\n"
    );
    run("nft", &["-f", "-"], &rules).ok();
    Cut
}

impl Drop for Cut {
    fn drop(&mut self) {
        run("nft", &["delete", "table", "inet", "haldane_cut"], "");
    }
}

/// A process that does not run, but is there.
#[derive(Debug)]
pub struct Hung(String);

/// Stops a process where it is, as a machine does that is being moved.
#[track_caller]
pub fn hang(pid: &str) -> Hung {
    run("kill", &["-STOP", pid], "").ok();
    Hung(pid.to_owned())
}

impl Drop for Hung {
    fn drop(&mut self) {
        run("kill", &["-CONT", &self.0], "");
    }
}

const THROTTLE: &str = r#"
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {name: throttle-haldane}
spec:
  type: Limited
  limited: {nominalConcurrencyShares: 0, lendablePercent: 0, borrowingLimitPercent: 0, limitResponse: {type: Reject}}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: throttle-haldane}
spec:
  matchingPrecedence: 50
  priorityLevelConfiguration: {name: throttle-haldane}
  distinguisherMethod: {type: ByUser}
  rules:
  - subjects: [{kind: ServiceAccount, serviceAccount: {namespace: haldane-system, name: haldane}}]
    resourceRules: [{verbs: ["*"], apiGroups: ["*"], resources: ["*"], namespaces: ["*"], clusterScope: true}]
"#;

/// The API server answers every request of Haldane with 429.
#[derive(Debug)]
pub struct Throttled;

/// Throttles Haldane.
#[track_caller]
pub fn throttle() -> Throttled {
    run("kubectl", &["apply", "-f", "-"], THROTTLE).ok();
    Throttled
}

impl Drop for Throttled {
    fn drop(&mut self) {
        run("kubectl", &["delete", "--ignore-not-found", "-f", "-"], THROTTLE);
    }
}

/// Somebody keeps changing the objects of a rollout, so that writes of others run into conflicts.
#[derive(Debug)]
pub struct Meddler {
    task: JoinHandle<()>,
    touches: Arc<AtomicU32>,
}

/// Annotates the user's Deployment and everything of the canary, again and again.
pub fn meddle(space: &Space, name: &str) -> Meddler {
    let canary = format!("{name}-canary");
    let objects = [
        (api("apps/v1 Deployment", &space.namespace), name.to_owned()),
        (api("apps/v1 Deployment", &space.namespace), canary.clone()),
        (api("networking.k8s.io/v1 Ingress", &space.namespace), canary),
        (api("v1 ConfigMap", &space.namespace), format!("haldane-{name}")),
    ];
    let touches = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&touches);
    let task = spawn(async move {
        let mut pace = time::interval(Duration::from_millis(200));
        for (api, name) in objects.iter().cycle() {
            pace.tick().await;
            let number = count.load(Relaxed).to_string();
            let patch = json!({"metadata": {"annotations": {"example.com/touched": number}}});
            // Parts of a canary come and go.
            if api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.is_ok() {
                count.fetch_add(1, Relaxed);
            }
        }
    });
    Meddler { task, touches }
}

impl Meddler {
    /// Ends it. How often something was changed.
    pub fn stop(self) -> u32 {
        self.touches.load(Relaxed)
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// No pod can start on the node.
#[derive(Debug)]
pub struct Drained(String);

/// `kubectl drain` of the node, for pods with these labels; the others have nowhere else to go. Whether it was
/// done within so many seconds depends on disruption budgets.
#[track_caller]
pub fn drain(labels: &str, seconds: u32) -> (Drained, Output) {
    let node = list("v1 Node", "", "").remove(0);
    let node = node["metadata"]["name"].as_str().expect("a name").to_owned();
    let (selector, timeout) = (format!("--pod-selector={labels}"), format!("--timeout={seconds}s"));
    let output = kubectl(&["drain", &node, &selector, &timeout]);
    (Drained(node), output)
}

impl Drop for Drained {
    fn drop(&mut self) {
        kubectl(&["uncordon", &self.0]);
    }
}

/// Deletes the pods of something that runs beside Haldane, and waits until others have taken their place.
#[track_caller]
pub fn replace_pods(namespace: &str, deployment: &str, labels: &str) {
    kubectl(&["-n", namespace, "delete", "pod", "-l", labels, "--timeout=60s"]).ok();
    let target = format!("deployment/{deployment}");
    kubectl(&["-n", namespace, "rollout", "status", &target, "--timeout=90s"]).ok();
}
