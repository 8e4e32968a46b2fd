//! Haldane itself: its pods, its leader, and taking them away.

use super::{
    Output, Space,
    cluster::{api, block_on, get, kubectl, run, setting, try_get, try_list},
    eventually,
    faults::{self, Hung},
};
use kube::api::PostParams;
use serde_json::Value;
use std::{collections::BTreeMap, fs, time::Duration};

/// Where it is installed.
pub const NAMESPACE: &str = "haldane-system";
const DEPLOYMENT: &str = "deployment/haldane";
const LABELS: &str = "app.kubernetes.io/name=haldane";
/// Long enough for a lost lease, and for a container that has been restarted several times.
const RECOVERY: Duration = Duration::from_mins(2);

fn pods() -> Result<Vec<Value>, String> {
    try_list("v1 Pod", NAMESPACE, LABELS)
}

/// Haldane is away, until this is dropped.
#[derive(Debug)]
pub struct Away;

/// Takes all of Haldane away.
#[track_caller]
pub fn take_away() -> Away {
    scale(0).ok();
    let away = Away;
    eventually("Haldane to be gone", RECOVERY, || {
        let left = pods()?.len();
        if left == 0 { Ok(()) } else { Err(format!("{left} pods")) }
    });
    away
}

impl Away {
    /// Brings it back.
    #[track_caller]
    pub fn come_back(self) {
        drop(self);
        is_complete();
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        scale(2);
    }
}

fn scale(replicas: u32) -> Output {
    here(&["scale", DEPLOYMENT, &format!("--replicas={replicas}")])
}

/// `kubectl` in Haldane's namespace.
#[track_caller]
pub fn here(args: &[&str]) -> Output {
    kubectl(&[&["--namespace", NAMESPACE], args].concat())
}

/// Waits until a rolling update of Haldane is over.
#[track_caller]
pub fn rolled_out() {
    here(&["rollout", "status", DEPLOYMENT, "--timeout=120s"]).ok();
    is_complete();
}

/// Haldane has other settings, until this is dropped.
#[derive(Debug)]
pub struct Settings(Vec<String>);

/// Gives Haldane these variables, in a rolling update as any other.
#[track_caller]
pub fn set(variables: &[&str]) -> Settings {
    let settings = Settings(
        variables.iter().map(|pair| pair.split('=').next().unwrap_or_default().to_owned() + "-").collect(),
    );
    here(&[&["set", "env", DEPLOYMENT], variables].concat()).ok();
    rolled_out();
    settings
}

impl Settings {
    /// Takes them back.
    #[track_caller]
    pub fn take_back(self) {
        drop(self);
        rolled_out();
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        let names: Vec<_> = self.0.iter().map(String::as_str).collect();
        here(&[&["set", "env", DEPLOYMENT], &names[..]].concat());
    }
}

/// Installs it again, as `run` did.
#[track_caller]
pub fn install() -> Output {
    kubectl(&["apply", "-k", &setting("HALDANE_INSTALL")])
}

/// Waits until both replicas are ready and one of them leads.
#[track_caller]
pub fn is_complete() {
    eventually("both replicas of Haldane and a leader", RECOVERY, all_ready);
}

/// Whether both replicas are ready and one of them leads.
///
/// # Errors
/// What is there instead.
pub fn all_ready() -> Result<(), String> {
    let pods = pods()?;
    let is_ready = |pod: &&Value| {
        let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
    };
    let ready = pods.iter().filter(is_ready).count();
    let leader = leader();
    let leads = pods.iter().any(|pod| Some(name(pod)) == leader.as_deref());
    if (ready, pods.len(), leads) == (2, 2, true) {
        Ok(())
    } else {
        Err(format!("{ready} of {} ready, leader {leader:?}", pods.len()))
    }
}

/// How often each replica's container has been restarted.
#[track_caller]
pub fn restarts() -> BTreeMap<String, u64> {
    let of = |pod: &Value| {
        let count = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default();
        (name(pod).to_owned(), count)
    };
    pods().expect("the API server answers").iter().map(of).collect()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Name of the pod that holds the lease, as far as the API server tells.
pub fn leader() -> Option<String> {
    let lease = try_get("coordination.k8s.io/v1 Lease", NAMESPACE, "haldane").ok()??;
    lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty()).map(str::to_owned)
}

/// The leader's metrics of a Deployment, as name, labels and value; empty when there is none.
///
/// # Errors
/// The leader cannot be asked now.
pub fn metrics_of(space: &Space, deployment: &str) -> Result<Vec<String>, String> {
    let leader = leader().ok_or("no leader")?;
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{leader}:8080/proxy/metrics");
    let answer = kubectl(&["get", "--raw", &path]);
    if answer.code != 0 {
        return Err(format!("{answer:?}"));
    }
    let labels = format!("namespace=\"{}\",deployment=\"{deployment}\"", space.namespace);
    Ok(answer.out.lines().filter(|line| line.contains(&labels)).map(str::to_owned).collect())
}

/// `kill -9` of the leader's process, as it would end if its node lost power. Says which pod it was.
#[track_caller]
pub fn kill_leader() -> String {
    let (leader, pid) = leader_process();
    run("kill", &["-KILL", &pid], "").ok();
    leader
}

/// The leader's pod, and the number of its process on this machine.
#[track_caller]
pub fn leader_process() -> (String, String) {
    eventually("the leader's process", RECOVERY, || {
        let leader = leader().ok_or("no leader")?;
        let process = processes()?.into_iter().find(|process| process.pod == leader);
        process.map(|process| (leader.clone(), process.pid)).ok_or_else(|| format!("no process of {leader}"))
    })
}

/// `kill -9` of a replica that does not lead. Says which pod it was.
#[track_caller]
pub fn kill_follower() -> String {
    let follower = eventually("a replica that does not lead", RECOVERY, || {
        let leader = leader().ok_or("no leader")?;
        processes()?.into_iter().find(|process| process.pod != leader).ok_or_else(|| "none".to_owned())
    });
    run("kill", &["-KILL", &follower.pid], "").ok();
    follower.pod
}

/// Waits until a replica leads that is not `old`.
#[track_caller]
pub fn another_leads(old: &str) -> String {
    eventually(&format!("another leader than {old}"), RECOVERY, || {
        leader().filter(|new| new != old).ok_or_else(|| format!("the lease is {old}'s, or nobody's"))
    })
}

/// Replaces all replicas one by one, as an upgrade does.
#[track_caller]
pub fn upgrade() {
    kubectl(&["--namespace", NAMESPACE, "rollout", "restart", "deployment/haldane"]).ok();
    kubectl(&["--namespace", NAMESPACE, "rollout", "status", "deployment/haldane", "--timeout=180s"]).ok();
}

/// Makes every replica hang, as [`faults::hang`] does.
#[track_caller]
pub fn hang_all() -> Vec<Hung> {
    let all = processes().expect("the API server answers");
    assert_eq!(all.len(), 2, "{all:?}");
    all.iter().map(|process| faults::hang(&process.pid)).collect()
}

/// A running replica.
#[derive(Debug)]
pub struct Process {
    /// Its pod.
    pub pod: String,
    /// The pod's address.
    pub ip: String,
    /// Number of the process on this machine.
    pub pid: String,
}

/// The replicas that run.
///
/// # Errors
/// The API server does not answer.
pub fn processes() -> Result<Vec<Process>, String> {
    let of = |pod: &Value| {
        let text = |pointer: &str| pod.pointer(pointer)?.as_str().map(str::to_owned);
        let pid = process_of(&text("/metadata/uid")?)?;
        Some(Process { pod: name(pod).to_owned(), ip: text("/status/podIP")?, pid })
    };
    Ok(pods()?.iter().filter_map(of).collect())
}

/// The process `/haldane` in a pod: control groups are named after the pod's uid.
fn process_of(uid: &str) -> Option<String> {
    let names = [format!("pod{uid}"), format!("pod{}", uid.replace('-', "_"))];
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid = entry.file_name().into_string().ok().filter(|pid| pid.parse::<u32>().is_ok())?;
        let groups = fs::read_to_string(entry.path().join("cgroup")).ok()?;
        let program = fs::read(entry.path().join("cmdline")).ok()?;
        let is_ours = names.iter().any(|name| groups.contains(name)) && program.starts_with(b"/haldane\0");
        is_ours.then_some(pid)
    })
}

/// An order that is repeated while no webhook answers, as a person would.
#[track_caller]
pub fn order_when_possible(space: &Space, name: &str, verb: &str) {
    eventually(&format!("the order {verb} to be taken"), RECOVERY, || {
        let output = space.order(name, verb);
        if output.code == 0 { Ok(()) } else { Err(output.err) }
    });
}

/// Another version, asked for again and again while no webhook answers, as a person would.
#[track_caller]
pub fn set_env_when_possible(space: &Space, name: &str, variables: &[&str]) {
    eventually(&format!("{variables:?} to be taken"), RECOVERY, || {
        let output = space.set_env(name, variables);
        if output.code == 0 { Ok(()) } else { Err(output.err) }
    });
}

/// Both webhook configurations are away, until this is dropped.
#[derive(Debug)]
pub struct WithoutWebhooks(Vec<(&'static str, Value)>);

/// Takes both webhook configurations away, as one does to break the glass.
#[track_caller]
pub fn take_webhooks_away() -> WithoutWebhooks {
    const BOTH: [&str; 2] = [
        "admissionregistration.k8s.io/v1 MutatingWebhookConfiguration",
        "admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration",
    ];
    let saved = BOTH.map(|kind| (kind, get(kind, "", "haldane").expect("it is installed")));
    kubectl(&["delete", "mutatingwebhookconfiguration,validatingwebhookconfiguration", "haldane"]).ok();
    WithoutWebhooks(saved.into())
}

impl WithoutWebhooks {
    /// Brings them back.
    #[track_caller]
    pub fn come_back(self) {
        drop(self);
    }
}

impl Drop for WithoutWebhooks {
    /// As they were, trusted authorities included, but for what the API server gives an object.
    fn drop(&mut self) {
        for (kind, object) in &mut self.0 {
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.retain(|key, _| ["name", "labels", "annotations"].contains(&key.as_str()));
            }
            let object = serde_json::from_value(object.take()).expect("an object");
            if let Err(error) = block_on(api(kind, "").create(&PostParams::default(), &object)) {
                eprintln!("{kind}: {error}");
            }
        }
    }
}

/// All that is installed of Haldane is deleted, until this is dropped.
#[derive(Debug)]
pub struct Uninstalled;

/// `kubectl delete -k` of what was installed.
#[track_caller]
pub fn uninstall() -> Uninstalled {
    let uninstalled = Uninstalled;
    kubectl(&["delete", "-k", &setting("HALDANE_INSTALL"), "--timeout=120s"]).ok();
    uninstalled
}

impl Uninstalled {
    /// Installs it again.
    #[track_caller]
    pub fn come_back(self) {
        drop(self);
        is_complete();
    }
}

impl Drop for Uninstalled {
    fn drop(&mut self) {
        install();
    }
}
