//! The cluster as seen at one moment: everything a decision may depend on in addition to state and time.

use super::{
    k8s::{field_path, json_pointer::part, pods::Unavailable, selector::Labels},
    keys,
    names::TemplateHash,
    request::Request,
    restarts::{Code, Restarts},
    world::{Pods, Workload, World},
};
use k8s_openapi::api::{
    apps::v1::{Deployment, DeploymentCondition},
    discovery::v1::EndpointSlice,
};
use serde_json::Value;
use std::{collections::BTreeSet, sync::Arc};

/// The label of an `EndpointSlice` with the name of its Service.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// See the module. Lists are of the Deployment's namespace.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The user's Deployment.
    pub deployment: Deployment,
    /// Its pod template.
    pub template: PodTemplate,
    /// `ReplicaSets` that it controls.
    pub replica_sets: Vec<ReplicaSetView>,
    /// `ReplicaSets` of the canary Deployment.
    pub canary_sets: Vec<ReplicaSetView>,
    /// What users have around it.
    pub world: Arc<World>,
    /// Endpoints of the user's Services.
    pub endpoints: Vec<EndpointSlice>,
    /// Objects of ours that belong to this Deployment.
    pub ours: Vec<Value>,
    /// Why pods of the canary, or of the template that stable is rolled to, are not available.
    pub unavailable: Option<Unavailable>,
    /// What is a restart, as the Deployment or its Namespace says.
    pub restarts: Restarts,
}

/// A pod template as the API server sent it: typed forms drop fields newer than this program.
#[derive(Debug, Clone, PartialEq)]
pub struct PodTemplate {
    body: Value,
    hash: TemplateHash,
}

impl PodTemplate {
    /// The template itself.
    #[must_use]
    pub const fn body(&self) -> &Value {
        &self.body
    }
}

impl From<Value> for PodTemplate {
    fn from(body: Value) -> Self {
        let hash = TemplateHash::of(&body);
        Self { body, hash }
    }
}

impl Default for PodTemplate {
    fn default() -> Self {
        Self::from(Value::Null)
    }
}

/// What matters of a `ReplicaSet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaSetView {
    /// Its name.
    pub name: String,
    /// Its `resourceVersion`.
    pub version: String,
    /// The `pod-template-hash` that Kubernetes gave it.
    pub pod_hash: String,
    /// Identity of its template.
    pub template: TemplateHash,
    /// Images of its containers.
    pub images: Vec<String>,
    /// What Services see of its pods.
    pub pods: Pods,
    /// What it runs: a restart has another template and the same code.
    pub code: Code,
    /// When it was made, in RFC 3339 and UTC, so that later is greater.
    pub created: String,
    /// Desired number of pods.
    pub wanted: i32,
    /// Pods that are ready, and so serve; they count as available only after `minReadySeconds`.
    pub ready: i32,
}

impl ReplicaSetView {
    /// Reads a `ReplicaSet` as the API server sent it; absent fields read as empty or 0.
    #[must_use]
    pub fn of(set: &Value) -> Self {
        let text = |pointer| part(set, pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |pointer| {
            let number = part(set, pointer).and_then(Value::as_i64);
            number.and_then(|n| i32::try_from(n).ok()).unwrap_or(0)
        };
        let template = part(set, "/spec/template").unwrap_or(&Value::Null);
        Self {
            name: text("/metadata/name"),
            version: text("/metadata/resourceVersion"),
            pod_hash: text("/metadata/labels/pod-template-hash"),
            created: text("/metadata/creationTimestamp"),
            template: TemplateHash::of(template),
            images: container_images(template),
            pods: pods_of(template),
            code: Code::of(template),
            wanted: number("/spec/replicas"),
            ready: number("/status/readyReplicas"),
        }
    }
}

/// The template of a `ReplicaSet` as the Deployment had it, without the label that Kubernetes adds.
#[must_use]
pub fn written_template(set: &Value) -> Value {
    let mut template = part(set, "/spec/template").cloned().unwrap_or_default();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove("pod-template-hash");
    }
    template
}

/// The pods of a `ReplicaSet`'s template, without the label that Kubernetes adds.
fn pods_of(template: &Value) -> Pods {
    let mut pods = Pods::of(template);
    pods.labels.remove("pod-template-hash");
    pods
}

/// Images of a pod template's containers, in their order.
#[must_use]
pub fn container_images(template: &Value) -> Vec<String> {
    let containers = part(template, "/spec/containers").and_then(Value::as_array);
    let images = containers.into_iter().flatten().filter_map(|container| container.get("image")?.as_str());
    images.map(str::to_owned).collect()
}

impl Observed {
    /// The annotations of the Deployment.
    #[must_use]
    pub fn annotations(&self) -> Labels {
        self.deployment.metadata.annotations.clone().unwrap_or_default()
    }

    /// An annotation of the Deployment.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.deployment.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// Identity of the template that the user wants.
    #[must_use]
    pub fn template_hash(&self) -> TemplateHash {
        self.template.hash.clone()
    }

    /// A text field of the Deployment by a `fieldRef` path: see [`field_path`].
    ///
    /// # Errors
    /// When the path cannot be read or names nothing.
    pub fn field(&self, path: &str) -> Result<String, String> {
        let object = serde_json::to_value(&self.deployment).map_err(|error| error.to_string())?;
        field_path::read(&object, path).map_err(|problem| format!("fieldRef: {problem}"))
    }

    /// Labels of the user's pods.
    #[must_use]
    pub fn pod_labels(&self) -> Labels {
        let metadata = self.deployment.spec.template.metadata.as_ref();
        metadata.and_then(|metadata| metadata.labels.clone()).unwrap_or_default()
    }

    /// The Deployment, as selectors see it.
    #[must_use]
    pub fn workload(&self) -> Workload {
        let is_other = |set: &&ReplicaSetView| set.ready > 0 && set.template != self.template.hash;
        let running = self.stable_replica_set().filter(is_other);
        Workload {
            name: self.deployment.metadata.name.clone().unwrap_or_default(),
            selector: self.deployment.spec.selector.clone(),
            pods: Pods { labels: self.pod_labels(), ..Pods::of(self.template.body()) },
            running: running.map(|set| set.pods.clone()),
        }
    }

    /// Whether the Deployment is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.deployment.spec.paused == Some(true)
    }

    /// Whether the pause is ours: a changed template waits behind it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.annotation(keys::HELD).is_some()
    }

    /// Size that the user, or an autoscaler, wants.
    #[must_use]
    pub fn replicas(&self) -> i32 {
        self.deployment.spec.replicas.unwrap_or(1)
    }

    /// Seconds without progress after which a rollout counts as stuck. Kubernetes' default is 600.
    #[must_use]
    pub fn progress_deadline_seconds(&self) -> i32 {
        self.deployment.spec.progress_deadline_seconds.unwrap_or(600)
    }

    /// The newest authorised order, if there is a readable one.
    #[must_use]
    pub fn request(&self) -> Option<Request> {
        serde_json::from_str(self.annotation(keys::REQUEST)?).ok()
    }

    /// `deployment.kubernetes.io/revision`, 0 before there is one.
    #[must_use]
    pub fn native_revision(&self) -> u64 {
        self.annotation("deployment.kubernetes.io/revision").and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// The `Progressing` condition.
    #[must_use]
    pub fn progressing(&self) -> Option<&DeploymentCondition> {
        self.condition("Progressing")
    }

    /// A condition of the Deployment.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&DeploymentCondition> {
        let mut conditions = self.deployment.status.as_ref()?.conditions.iter().flatten();
        conditions.find(|condition| condition.type_.as_deref() == Some(kind))
    }

    /// The `ReplicaSet` that runs most of the pods: stable, while nothing rolls. At size 0 it is the
    /// newest, which is the one that Kubernetes scales up while the Deployment is paused.
    ///
    /// Source: kubernetes `pkg/controller/deployment/util`, `FindActiveOrLatest`.
    #[must_use]
    pub fn stable_replica_set(&self) -> Option<&ReplicaSetView> {
        let active = self.replica_sets.iter().filter(|set| set.wanted > 0);
        let newest = || self.replica_sets.iter().max_by(|a, b| a.created.cmp(&b.created));
        active.max_by_key(|set| (set.ready, set.wanted)).or_else(newest)
    }

    /// The user's Deployment runs its own template, all of it, and nothing else.
    #[must_use]
    pub fn has_rolled(&self) -> bool {
        let Some(status) = &self.deployment.status else { return false };
        let replicas = self.replicas();
        let current = status.observed_generation >= self.deployment.metadata.generation;
        let updated = status.updated_replicas.unwrap_or(0);
        current
            && !self.is_paused()
            && updated == replicas
            && status.replicas.unwrap_or(0) == replicas
            && status.available_replicas.unwrap_or(0) >= replicas
    }

    /// Every given Service has as many ready endpoints in pods of `set` as the Deployment has
    /// replicas, and none in pods of its other `ReplicaSets`.
    ///
    /// Where names are too long to show which set a pod belongs to, the number of new pods decides.
    #[must_use]
    pub fn endpoints_are_of(&self, set: &ReplicaSetView, services: &[&str]) -> bool {
        let own = pod_prefix(&set.name);
        let others = self.replica_sets.iter().filter(|other| other.name != set.name);
        let (blurred, others): (Vec<_>, Vec<_>) =
            others.map(|other| pod_prefix(&other.name)).partition(|prefix| *prefix == own);
        services.iter().all(|service| {
            // A pod with two addresses is in two slices.
            let pods: BTreeSet<&str> = self.ready_pods(service).collect();
            let of = |prefix: &str| pods.iter().filter(|pod| is_pod_of(pod, prefix)).count();
            let ready = i32::try_from(of(own)).unwrap_or(i32::MAX);
            let known = if blurred.is_empty() { ready >= self.replicas() } else { ready == self.replicas() };
            known && others.iter().all(|prefix| of(prefix) == 0)
        })
    }

    fn ready_pods<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a str> {
        ready_pods(&self.endpoints, service)
    }
}

/// The pods that a Service sends requests to. A pod with two addresses is there twice.
pub fn ready_pods<'a>(slices: &'a [EndpointSlice], service: &'a str) -> impl Iterator<Item = &'a str> {
    let of_service = slices.iter().filter(move |slice| {
        let labels = slice.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(SERVICE_NAME_LABEL)).is_some_and(|name| name == service)
    });
    let endpoints = of_service.flat_map(|slice| slice.endpoints.iter().flatten());
    endpoints
        .filter(|e| e.conditions.as_ref().is_none_or(|c| c.ready != Some(false)))
        .filter_map(|e| e.target_ref.as_ref()?.name.as_deref())
}

/// Characters that Kubernetes adds to a `ReplicaSet`'s name to name a pod; at most 58 come before them.
///
/// Source: kubernetes `apiserver/pkg/storage/names`, `maxNameLength` and `randomLength`.
const RANDOM: usize = 5;
/// See [`RANDOM`].
const MAX_KEPT: usize = 58;

/// What the names of all pods of a `ReplicaSet` begin with: its name, cut if it is long. The dash after it
/// is left out.
fn pod_prefix(set: &str) -> &str {
    set.get(..MAX_KEPT).unwrap_or(set)
}

fn is_pod_of(pod: &str, prefix: &str) -> bool {
    let rest = pod.strip_prefix(prefix);
    let random =
        rest.and_then(|rest| if prefix.len() < MAX_KEPT { rest.strip_prefix('-') } else { Some(rest) });
    random.is_some_and(|random| random.len() == RANDOM && !random.contains('-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// As the API server names a pod of this `ReplicaSet`.
    fn pod(set: &str, random: &str) -> String {
        let base: String = format!("{set}-").chars().take(58).collect();
        base + random
    }

    /// A Deployment of two pods with these `ReplicaSets`, and Service `web` with these ready pods, each with two addresses.
    fn seen(sets: &[&str], pods: &[String]) -> Observed {
        let view = |name: &&str| ReplicaSetView::of(&json!({"metadata": {"name": name}}));
        let endpoints: Vec<_> =
            pods.iter().map(|pod| json!({"addresses": ["x"], "targetRef": {"name": pod}})).collect();
        let labels = json!({"kubernetes.io/service-name": "web"});
        let slice = json!({"addressType": "IPv4", "metadata": {"labels": labels}, "endpoints": endpoints});
        let slice: EndpointSlice = serde_json::from_value(slice).unwrap();
        Observed {
            deployment: serde_json::from_value(
                json!({"metadata": {}, "spec": {"replicas": 2, "selector": {}, "template": {}}}),
            )
            .unwrap(),
            replica_sets: sets.iter().map(view).collect(),
            endpoints: vec![slice.clone(), slice],
            ..Observed::default()
        }
    }

    /// Whether all endpoints are of the first set, given the ready pods of each.
    fn are_new(sets: &[&str], ready: &[usize]) -> bool {
        let random = ["2bcdf", "2bcdg", "2bcdh", "2bcdj"];
        let pods =
            sets.iter().zip(ready).flat_map(|(set, ready)| random.iter().take(*ready).map(|r| pod(set, r)));
        let pods: Vec<String> = pods.collect();
        let seen = seen(sets, &pods);
        seen.endpoints_are_of(&seen.replica_sets[0], &["web"])
    }

    #[test]
    fn a_pod_belongs_to_no_other_set_whose_name_is_a_prefix() {
        assert!(!is_pod_of("web-7c5-9x-2bcdf", "web-7c5"));
        assert!(!is_pod_of("web-7c52bcdf", "web-7c5"));
        assert!(is_pod_of("web-7c5-2bcdf", "web-7c5"));
    }

    #[test]
    fn names_too_long_to_distinguish_pods_leave_their_number() {
        let name = "w".repeat(60);
        let (new, old) = (format!("{name}-7c5d8f9b6"), format!("{name}-5b4c7d8f9"));
        let sets = [new.as_str(), old.as_str()];
        let known = |pods: &[String]| {
            let seen = seen(&sets, pods);
            seen.endpoints_are_of(&seen.replica_sets[0], &["web"])
        };
        let pods = |count: usize| {
            ["2bcdf", "2bcdg", "2bcdh"][..count].iter().map(|r| pod(&new, r)).collect::<Vec<_>>()
        };
        assert_eq!([1, 2, 3].map(|count| known(&pods(count))), [false, true, false], "of two");
    }

    proptest! {
        #[test]
        fn stable_has_rolled_once_all_endpoints_are_new_whatever_its_name(name in "[a-z]([a-z0-9-]{0,49}[a-z0-9])?", old in 0_usize..3, new in 0_usize..4) {
            // The hashes differ in the first character: more of them than that may be cut.
            let sets = [format!("{name}-7c5d8f9b6"), format!("{name}-5b4c7d8f9")];
            let sets = [sets[0].as_str(), sets[1].as_str()];
            prop_assert_eq!(are_new(&sets, &[new, old]), new >= 2 && old == 0);
        }
    }
}
