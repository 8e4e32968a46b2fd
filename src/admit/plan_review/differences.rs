//! In what canary pods differ from stable's, and what is done about each difference.

use crate::admit::object::Object;
use crate::domain::k8s::{label_rewrite::LabelRewrite, selector::Labels};
use serde_json::Value;

/// What is done about a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Handling {
    /// The canary has the same, or its own counterpart.
    Followed,
    /// A warning names the object and the effect, when a plan or a release is applied.
    Warning,
    /// A plan or a release is refused by name.
    Refused,
    /// It is as described here.
    Documented,
}

/// A property of pods, or what acts on them.
#[derive(Debug)]
pub struct Difference {
    /// What.
    pub what: &'static str,
    /// What the canary has.
    pub canary: &'static str,
    /// What is done about it.
    pub handling: Handling,
}

const fn row(what: &'static str, canary: &'static str, handling: Handling) -> Difference {
    Difference { what, canary, handling }
}

/// Every difference, in the order of the reference page.
pub static DIFFERENCES: [Difference; 18] = [
    row(
        "pod template: containers, probes, resources, ServiceAccount, Secrets, ConfigMaps, node selector, tolerations, priority",
        "the same",
        Handling::Followed,
    ),
    row(
        "pod labels by which stable is selected",
        "another value, mostly the same with `-canary`; `haldane.dev/role` and `haldane.dev/canary-of` in addition. A dry run names them",
        Handling::Documented,
    ),
    row(
        "pod labels and annotations of `canaryMetadata`",
        "in addition to the template's",
        Handling::Followed,
    ),
    row("pod names", "begin with `NAME-canary-`", Handling::Documented),
    row(
        "labels of the Deployment and of its Services",
        "copied, except labels by which GitOps tools and Keel own objects",
        Handling::Followed,
    ),
    row(
        "annotations of the Deployment",
        "not copied; of a Service, annotations of scrapers and meshes are",
        Handling::Documented,
    ),
    row("`minReadySeconds`, `progressDeadlineSeconds`", "the same", Handling::Followed),
    row("NetworkPolicies of the namespace", "a clone of each that would miss the canary", Handling::Followed),
    row(
        "NetworkPolicies of other namespaces that name labels of stable's pods",
        "not read; they must select by a label that both sides have",
        Handling::Documented,
    ),
    row(
        "policies of Cilium, Calico, Istio and Linkerd that select stable and would miss the canary",
        "none",
        Handling::Refused,
    ),
    row(
        "PodMonitors, ServiceMonitors and PodDisruptionBudgets that would miss the canary",
        "none",
        Handling::Warning,
    ),
    row(
        "HorizontalPodAutoscaler, also KEDA's",
        "a clone, never below the size for the weight",
        Handling::Followed,
    ),
    row(
        "VerticalPodAutoscaler",
        "none: canary pods have the requests of the template until promotion",
        Handling::Warning,
    ),
    row(
        "affinity, anti-affinity and topology spread by a label that differs",
        "does not see pods of stable, nor do these see the canary",
        Handling::Warning,
    ),
    row(
        "downward API: a label that differs, in the environment or in a file",
        "the canary's value",
        Handling::Warning,
    ),
    row(
        "PersistentVolumeClaims",
        "the same claim at the same time; ReadWriteOnce only on the node that has it",
        Handling::Warning,
    ),
    row("PersistentVolumeClaims with ReadWriteOncePod only", "cannot start", Handling::Refused),
    row("host ports", "the same, so a canary pod needs a node without a pod of stable", Handling::Warning),
];

/// Warnings about what the pod template itself shows.
#[must_use]
pub fn by_template(object: Object<'_>, rewrite: &LabelRewrite) -> Vec<String> {
    let spec = object.template().get("spec").unwrap_or(&Value::Null);
    let pods = rewrite.apply(&object.pod_labels());
    let changed: Labels = pods.into_iter().filter(|(key, _)| rewrite.keys.contains(key)).collect();
    let differing = environment(spec).into_iter().chain(files(spec)).filter_map(|(place, path)| {
        let key = path.strip_prefix("metadata.labels['").and_then(|rest| rest.strip_suffix("']"));
        let is_read = |label: &String| key.map_or(path == "metadata.labels", |key| key == label);
        let (key, value) = changed.iter().find(|(label, _)| is_read(label))?;
        Some(format!("{place} reads pod label {key}, which is {value:?} on canary pods"))
    });
    differing.chain(host_ports(spec)).collect()
}

/// Environment variables that read a field of the pod, with its path.
fn environment(spec: &Value) -> Vec<(String, &str)> {
    let of = |container| items(container, "env").map(move |variable| (container, variable));
    let variables = containers(spec).flat_map(of).filter_map(|(container, variable)| {
        let path = variable.pointer("/valueFrom/fieldRef/fieldPath")?.as_str()?;
        let (name, container) = (text(variable, "name"), text(container, "name"));
        Some((format!("env {name} of container {container:?}"), path))
    });
    variables.collect()
}

/// Files that show a field of the pod, with its path.
fn files(spec: &Value) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    for volume in items(spec, "volumes") {
        let projected = volume.get("projected").into_iter().flat_map(|all| items(all, "sources"));
        let sources = projected.chain([volume]).filter_map(|source| source.get("downwardAPI"));
        for item in sources.flat_map(|source| items(source, "items")) {
            if let Some(path) = item.pointer("/fieldRef/fieldPath").and_then(Value::as_str) {
                let (file, volume) = (text(item, "path"), text(volume, "name"));
                found.push((format!("file {file} of volume {volume:?}"), path));
            }
        }
    }
    found
}

fn host_ports(spec: &Value) -> impl Iterator<Item = String> {
    containers(spec).flat_map(|container| items(container, "ports")).filter_map(|port| {
        let port = port.get("hostPort")?.as_u64().filter(|port| *port > 0)?;
        Some(format!("hostPort {port}: a canary pod needs a node without a pod of stable"))
    })
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    items(spec, "containers").chain(items(spec, "initContainers"))
}

fn items<'a>(object: &'a Value, list: &'static str) -> impl Iterator<Item = &'a Value> {
    object.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}
