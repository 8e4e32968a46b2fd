//! Why pods are not available, as Kubernetes reports it in their status.

use k8s_openapi::api::{
    apps::v1::DeploymentStatus,
    core::v1::{ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod, PodStatus},
};
use std::cmp::Reverse;

/// Longest text of a reason, in bytes: the container runtime's errors can be long.
const MAX_TEXT: usize = 300;
/// Reasons that are named.
const MAX_REASONS: usize = 2;

/// Why pods are not available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// What the first reason is about: stays the same while only names, numbers and times in its text change.
    pub kind: String,
    /// The most frequent reasons, in one line.
    pub message: String,
    /// Whether each pod that starts is in this situation for a while.
    pub is_usual: bool,
}

/// A reason and the pods that have it.
struct Group<'a> {
    reason: Reason,
    pods: Vec<&'a str>,
    count: usize,
}

struct Reason {
    kind: String,
    text: String,
    is_usual: bool,
}

impl Reason {
    fn new(kind: &str, text: String) -> Self {
        Self { kind: kind.to_owned(), text, is_usual: false }
    }

    fn usual(kind: &str, text: &str) -> Self {
        Self { is_usual: true, ..Self::new(kind, text.to_owned()) }
    }

    /// As a container has it.
    fn of(self, container: &str) -> Self {
        let located = |text: &str| format!("{container}: {text}");
        Self { kind: located(&self.kind), text: located(&self.text), ..self }
    }
}

/// Why pods of a Deployment with this status are not available; `None` if there is nothing to say.
#[must_use]
pub fn unavailable(pods: &[Pod], status: &DeploymentStatus) -> Option<Unavailable> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut pods: Vec<&Pod> = pods.iter().collect();
    pods.sort_by_key(|pod| &pod.metadata.name);
    for pod in pods {
        let (Some(reason), Some(name)) = (of_pod(pod), pod.metadata.name.as_deref()) else { continue };
        match groups.iter_mut().find(|group| group.reason.kind == reason.kind) {
            Some(group) => {
                group.pods.push(name);
                group.count += 1;
            }
            None => groups.push(Group { reason, pods: vec![name], count: 1 }),
        }
    }
    if let Some(reason) = refused(status) {
        let missing = usize::try_from(status.unavailable_replicas.unwrap_or(0)).unwrap_or(0);
        let seen = groups.iter().map(|group| group.count).sum();
        groups.push(Group { reason, pods: Vec::new(), count: missing.saturating_sub(seen).max(1) });
    }
    groups.sort_by_key(|group| (group.reason.is_usual, Reverse(group.count)));
    let first = groups.first()?;
    let (kind, is_usual) = (first.reason.kind.clone(), first.reason.is_usual);
    let named = groups.iter().filter(|group| group.reason.is_usual == is_usual).take(MAX_REASONS);
    let message = named.map(line).collect::<Vec<_>>().join("; ");
    Some(Unavailable { kind, message, is_usual })
}

fn line(group: &Group<'_>) -> String {
    let text = bounded(&group.reason.text);
    match group.pods.as_slice() {
        [] => text,
        [pod] => format!("pod {pod}: {text}"),
        [pod, others @ ..] => format!("pod {pod} and {} more: {text}", others.len()),
    }
}

/// On one line, and not too long.
fn bounded(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = text.floor_char_boundary(MAX_TEXT);
    match text.get(..end) {
        Some(kept) if kept.len() < text.len() => format!("{kept}…"),
        _ => text,
    }
}

/// The API server refuses to create pods: a quota, or admission.
fn refused(status: &DeploymentStatus) -> Option<Reason> {
    let mut conditions = status.conditions.iter().flatten();
    let failure = conditions.find(|condition| {
        condition.type_.as_deref() == Some("ReplicaFailure") && condition.status.as_deref() == Some("True")
    })?;
    Some(reported(failure.reason.as_deref().unwrap_or("FailedCreate"), failure.message.as_deref()))
}

fn of_pod(pod: &Pod) -> Option<Reason> {
    let status = pod.status.as_ref()?;
    let is_ready = condition(status, "Ready").is_some_and(|(is_true, _)| is_true);
    if is_ready || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    rejected(status)
        .or_else(|| unschedulable(status))
        .or_else(|| of_containers(status))
        .or_else(|| gate(status))
        .or_else(|| Some(pending(node)))
}

/// The kubelet has rejected or evicted it.
fn rejected(status: &PodStatus) -> Option<Reason> {
    let reason = status.reason.as_deref().filter(|_| status.phase.as_deref() == Some("Failed"))?;
    Some(reported(reason, status.message.as_deref()))
}

fn unschedulable(status: &PodStatus) -> Option<Reason> {
    condition(status, "PodScheduled").filter(|(is_true, _)| !is_true).map(|(_, reason)| reason)
}

/// All containers are ready, the pod is not.
fn gate(status: &PodStatus) -> Option<Reason> {
    condition(status, "ContainersReady").filter(|(is_true, _)| *is_true)?;
    condition(status, "Ready").map(|(_, reason)| Reason { is_usual: true, ..reason })
}

fn pending(node: Option<&str>) -> Reason {
    match node {
        Some(node) => {
            Reason::usual("Pending", &format!("Pending: the kubelet of node {node} has not started it yet"))
        }
        None => Reason::usual("Pending", "Pending: no scheduler has looked at it yet"),
    }
}

/// Whether a condition is true, and what it reports.
fn condition(status: &PodStatus, kind: &str) -> Option<(bool, Reason)> {
    let found = status.conditions.iter().flatten().find(|condition| condition.type_ == kind)?;
    let reason = reported(found.reason.as_deref().unwrap_or(kind), found.message.as_deref());
    Some((found.status == "True", reason))
}

fn reported(reason: &str, message: Option<&str>) -> Reason {
    let message = message.filter(|message| !message.is_empty());
    let text = message.map_or_else(|| reason.to_owned(), |message| format!("{reason}: {message}"));
    Reason::new(reason, text)
}

/// The containers in the order in which they start; what is wrong before what is usual.
fn of_containers(status: &PodStatus) -> Option<Reason> {
    let named = |word: &'static str| {
        move |status: &ContainerStatus| Some(of_container(status)?.of(&format!("{word} {}", status.name)))
    };
    let inits = status.init_container_statuses.iter().flatten().filter_map(named("init container"));
    let mains = status.container_statuses.iter().flatten().filter_map(named("container"));
    inits.chain(mains).min_by_key(|reason| reason.is_usual)
}

fn of_container(status: &ContainerStatus) -> Option<Reason> {
    if status.ready {
        return None;
    }
    let state = status.state.as_ref();
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let terminated = state.and_then(|state| state.terminated.as_ref());
    let before = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    waiting
        .and_then(|waiting| stopped(waiting, before))
        .or_else(|| terminated.map(|exit| Reason::new("exit", exited(exit))))
        .or_else(|| {
            before.map(|exit| Reason::new("exit", format!("not ready, before that {}", exited(exit))))
        })
        .or_else(|| Some(starting(waiting, status.started == Some(false))))
}

/// It does not start by itself.
fn stopped(waiting: &ContainerStateWaiting, before: Option<&ContainerStateTerminated>) -> Option<Reason> {
    let message = waiting.message.as_deref().unwrap_or_default();
    match waiting.reason.as_deref()? {
        "ContainerCreating" | "PodInitializing" => None,
        "CrashLoopBackOff" => {
            let how = before.map_or_else(|| message.to_owned(), exited);
            Some(Reason::new("exit", format!("CrashLoopBackOff: {how}")))
        }
        reason @ ("ErrImagePull" | "ImagePullBackOff") => {
            // The kubelet alternates between the two, and repeats the error while it backs off.
            let error = message.split_once("ErrImagePull: ").map(|(_, error)| error);
            let (reason, message) = error.map_or((reason, message), |error| ("ErrImagePull", error));
            Some(Reason::new("image", format!("{reason}: {message}")))
        }
        reason => Some(reported(reason, Some(message))),
    }
}

fn exited(exit: &ContainerStateTerminated) -> String {
    let reason = exit.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let message = exit.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
    format!("exited with code {}{reason}{message}", exit.exit_code)
}

fn starting(waiting: Option<&ContainerStateWaiting>, is_starting: bool) -> Reason {
    match waiting.and_then(|waiting| waiting.reason.as_deref()) {
        Some("ContainerCreating") => Reason::usual(
            "ContainerCreating",
            "ContainerCreating; kubectl describe pod shows what it waits for, such as a volume",
        ),
        Some(reason) => Reason::usual(reason, reason),
        None if is_starting => Reason::usual("startup", "running, its startup probe has not succeeded yet"),
        None => Reason::usual("readiness", "running, but not ready: its readiness probe does not succeed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A pod with this status.
    fn pod(name: &str, status: &Value) -> Pod {
        let pod = json!({"metadata": {"name": name}, "spec": {"nodeName": "n1", "containers": []}, "status": status});
        serde_json::from_value(pod).unwrap()
    }

    /// A pod whose container `app` has these fields in its status.
    fn app(name: &str, fields: &Value) -> Pod {
        let mut status =
            json!({"name": "app", "image": "", "imageID": "", "ready": false, "restartCount": 0});
        status.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        pod(name, &json!({"containerStatuses": [status]}))
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({"state": {"waiting": {"reason": reason, "message": message}}})
    }

    fn of(pods: &[Pod]) -> Unavailable {
        unavailable(pods, &DeploymentStatus::default()).unwrap()
    }

    fn message(pod: Pod) -> String {
        of(&[pod]).message
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_one_reason_however_the_kubelet_puts_it() {
        let error = r#"failed to pull and unpack image "nope:1": not found"#;
        let back_off = format!(r#"Back-off pulling image "nope:1": ErrImagePull: {error}"#);
        let (now, later) =
            (app("web-1", &waiting("ErrImagePull", error)), waiting("ImagePullBackOff", &back_off));
        let expected = format!("pod web-1: container app: ErrImagePull: {error}");
        assert_eq!(message(now.clone()), expected);
        assert_eq!(of(&[now]), of(&[app("web-1", &later)]));
        let older = app("web-1", &waiting("ImagePullBackOff", r#"Back-off pulling image "nope:1""#));
        assert_eq!(
            message(older),
            r#"pod web-1: container app: ImagePullBackOff: Back-off pulling image "nope:1""#
        );
    }

    #[test]
    fn a_pod_without_a_node_says_what_the_scheduler_says() {
        let text = "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.";
        let status = |text: &str| json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text}]});
        let found = of(&[pod("web-1", &status(text))]);
        assert_eq!(found.message, format!("pod web-1: Unschedulable: {text}"));
        assert!(!found.is_usual);
        assert_eq!(
            found.kind,
            of(&[pod("web-2", &status("0/4 nodes are available"))]).kind,
            "the same reason"
        );
    }

    #[test]
    fn a_crash_loop_says_how_the_container_ended_in_each_of_its_states() {
        let exit = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        let first = app("web-1", &json!({"state": exit}));
        let back_off =
            json!({"reason": "CrashLoopBackOff", "message": "back-off 20s restarting failed container"});
        let waits =
            app("web-1", &json!({"state": {"waiting": back_off}, "lastState": exit, "restartCount": 2}));
        let runs = app("web-1", &json!({"state": {"running": {}}, "lastState": exit, "restartCount": 3}));
        let all = [first, waits, runs].map(|pod| of(&[pod]));
        let messages = all.each_ref().map(|found| found.message.as_str());
        assert_eq!(
            messages,
            [
                "pod web-1: container app: exited with code 137 (OOMKilled)",
                "pod web-1: container app: CrashLoopBackOff: exited with code 137 (OOMKilled)",
                "pod web-1: container app: not ready, before that exited with code 137 (OOMKilled)",
            ]
        );
        assert!(all.iter().all(|found| found.kind == "container app: exit" && !found.is_usual));
    }

    #[test]
    fn what_is_missing_or_refused_is_named() {
        let secret = app("web-1", &waiting("CreateContainerConfigError", r#"secret "db" not found"#));
        assert_eq!(
            message(secret),
            r#"pod web-1: container app: CreateContainerConfigError: secret "db" not found"#
        );
        let evicted = json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."});
        assert_eq!(
            message(pod("web-1", &evicted)),
            "pod web-1: Evicted: The node was low on resource: memory."
        );
        let condition = json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: room"});
        let status: DeploymentStatus =
            serde_json::from_value(json!({"unavailableReplicas": 1, "conditions": [condition]})).unwrap();
        assert_eq!(unavailable(&[], &status).unwrap().message, "FailedCreate: exceeded quota: room");
    }

    #[test]
    fn a_pod_that_starts_as_usual_is_distinguished_from_one_that_cannot() {
        let running = app("web-1", &json!({"state": {"running": {}}, "started": true}));
        let ready = app("web-2", &json!({"ready": true}));
        let creating = app("web-3", &waiting("ContainerCreating", ""));
        for (pod, part) in [(running.clone(), "readiness probe"), (creating, "ContainerCreating")] {
            let found = of(&[pod]);
            assert!(found.is_usual && found.message.contains(part), "{found:?}");
        }
        let conditions = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        assert_eq!(unavailable(&[pod("web-2", &conditions)], &DeploymentStatus::default()), None);
        assert!(message(ready).contains("Pending"), "containers are ready, its condition is not yet");
        let broken = app("web-4", &waiting("InvalidImageName", "cannot parse"));
        assert_eq!(
            message(broken.clone()),
            "pod web-4: container app: InvalidImageName: cannot parse",
            "before what is usual, however many have that"
        );
        assert_eq!(of(&[running.clone(), running, broken]).kind, "container app: InvalidImageName");
    }

    #[test]
    fn the_most_frequent_reason_comes_first_on_one_bounded_line() {
        let bad =
            |name: &str| app(name, &waiting("InvalidImageName", &format!("one\n  two {}", "x".repeat(900))));
        let other = app("web-1", &waiting("CreateContainerError", "no such file"));
        let found = of(&[other, bad("web-3"), bad("web-2")]);
        let (first, second) = found.message.split_once("; ").unwrap();
        assert!(
            first.starts_with("pod web-2 and 1 more: container app: InvalidImageName: one two xxx"),
            "{first}"
        );
        assert!(first.ends_with('…') && first.len() < 400, "{first}");
        assert_eq!(second, "pod web-1: container app: CreateContainerError: no such file");
    }
}
