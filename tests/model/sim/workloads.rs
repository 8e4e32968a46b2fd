//! The deployment controller and the kubelets, as far as rollouts can tell.
//!
//! Source of the rules: kubernetes `pkg/controller/deployment` (`sync.go`, `rolling.go`, `progress.go`).

use super::cluster::{Cluster, REVISION, version_of};
use haldane::{
    domain::{names::TemplateHash, restarts::Code},
    objects::manifest::Kind,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A `ReplicaSet` with its pods.
#[derive(Debug, Clone)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// The label that Kubernetes tells its pods by.
    pub pod_hash: String,
    /// UID of its Deployment.
    pub owner: String,
    /// Identity of its template.
    pub hash: TemplateHash,
    /// What its pods run.
    pub code: Code,
    /// Version of the application.
    pub version: String,
    /// Number of its revision.
    pub revision: u64,
    /// Pods that it shall have.
    pub wanted: i32,
    /// Available pods, as last counted.
    pub available: i32,
    /// Its pods.
    pub pods: Vec<Pod>,
}

impl Set {
    /// Stands for its `resourceVersion`.
    pub fn as_seen(&self) -> String {
        format!("{} of {}", self.available, self.wanted)
    }
}

/// A pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// When it becomes ready; `None` = never.
    pub ready_at: Option<Timestamp>,
}

/// How versions of the application behave.
#[derive(Debug, Clone, Default)]
pub struct Behaviour {
    /// Seconds until a pod is ready; 2 for those that are not named, `None` = never.
    pub startup: BTreeMap<String, Option<i64>>,
}

impl Set {
    /// Pods that are ready now.
    pub fn ready(&self, now: Timestamp) -> usize {
        self.pods.iter().filter(|pod| pod.ready_at.is_some_and(|at| at <= now)).count()
    }
}

impl Cluster {
    /// All controllers do what they can do now.
    pub fn work(&mut self) {
        self.deployments();
        self.pods();
        self.slices();
        self.deployments();
    }

    /// One pass of the deployment controller over both Deployments.
    pub fn deployments(&mut self) {
        if self.idle.replace(true) {
            return;
        }
        let mut web = std::mem::take(&mut self.web);
        if self.deployment(&mut web) {
            // Status and revision: no new generation.
            web["metadata"]["resourceVersion"] = json!(self.bump().to_string());
        }
        self.web = web;
        if let Some(index) = self.find(Kind::DEPLOYMENT, "web-canary") {
            let mut canary = std::mem::take(&mut self.ours[index]);
            if self.deployment(&mut canary) {
                canary["metadata"]["resourceVersion"] = json!(self.bump().to_string());
            }
            self.ours[index] = canary;
        }
    }

    /// Whether the object has changed.
    fn deployment(&mut self, object: &mut Value) -> bool {
        let uid = object["metadata"]["uid"].as_str().unwrap().to_owned();
        let replicas = i32::try_from(object["spec"]["replicas"].as_i64().unwrap_or(1)).unwrap();
        let paused = object["spec"]["paused"] == true;
        let hash = self.hash_of(&object["spec"]["template"]);
        let newest =
            self.sets.iter().filter(|set| set.owner == uid).map(|set| set.revision).max().unwrap_or(0);
        if !paused && !self.sets.iter().any(|set| set.owner == uid && set.hash == hash) {
            let number = self.bump();
            self.sets.push(Set {
                name: format!("set{number}"),
                pod_hash: format!("h{number}"),
                owner: uid.clone(),
                hash: hash.clone(),
                code: Code::of(&object["spec"]["template"]),
                version: version_of(&object["spec"]["template"]),
                revision: newest + 1,
                wanted: 0,
                available: 0,
                pods: Vec::new(),
            });
        }
        let before: i64 = self.sets.iter().map(|set| i64::from(set.wanted)).sum();
        let mut own: Vec<&mut Set> = self.sets.iter_mut().filter(|set| set.owner == uid).collect();
        own.sort_by_key(|set| set.revision);
        let mut changed = false;
        if let Some(new) = own.iter_mut().find(|set| set.hash == hash) {
            if new.revision < newest {
                new.revision = newest + 1;
            }
            changed |= put(&mut object["metadata"]["annotations"], REVISION, json!(new.revision.to_string()));
        }
        if paused {
            scale(&mut own, replicas);
        } else {
            roll(&mut own, &hash, replicas);
        }
        changed |= status(object, &own, &hash, replicas, paused);
        let after: i64 = self.sets.iter().map(|set| i64::from(set.wanted)).sum();
        if before != after {
            self.touch();
        }
        changed
    }

    /// One pass of the `ReplicaSet` controller, the kubelets and the garbage collector.
    pub fn pods(&mut self) {
        self.collect();
        let canary = self.canary().map(|canary| canary["metadata"]["uid"].as_str().unwrap().to_owned());
        let uid = self.uid.clone();
        let count = self.sets.len();
        self.sets.retain(|set| set.owner == uid || Some(&set.owner) == canary.as_ref());
        let (now, mut number) = (self.now, self.version());
        let mut free = self.room.saturating_sub(self.sets.iter().map(|set| set.pods.len()).sum());
        let mut changed = count != self.sets.len();
        for set in &mut self.sets {
            let wanted = usize::try_from(set.wanted).unwrap();
            if set.pods.len() > wanted {
                // Those that are not ready go first.
                set.pods.sort_by_key(|pod| pod.ready_at.is_none_or(|at| at > now));
                set.pods.truncate(wanted);
                changed = true;
            }
            while set.pods.len() < wanted && free > 0 {
                (number, free) = (number + 1, free - 1);
                let startup = self.behaviour.startup.get(&set.version).copied().unwrap_or(Some(2));
                let ready_at = startup.map(|seconds| now + SignedDuration::from_secs(seconds));
                set.pods.push(Pod { name: format!("{}-{number:05}", set.name), ready_at });
            }
            let available = i32::try_from(set.ready(now)).unwrap();
            changed |= set.available != available;
            set.available = available;
        }
        if changed {
            self.touch();
        }
        while self.version() < number {
            self.bump();
        }
    }

    /// One pass of the endpoint slice controller.
    pub fn slices(&mut self) {
        let now = self.now;
        // Canary pods under the labels of the user's have the user's Service.
        let canary =
            self.canary().filter(|canary| canary["spec"]["template"]["metadata"]["labels"]["app"] == "web");
        let canary = canary.and_then(|canary| canary["metadata"]["uid"].as_str());
        let served = |set: &&Set| set.owner == self.uid || Some(set.owner.as_str()) == canary;
        let pods = self.sets.iter().filter(served).flat_map(|set| &set.pods);
        let ready = pods.filter(|pod| pod.ready_at.is_some_and(|at| at <= now));
        let endpoints: Vec<String> = ready.map(|pod| pod.name.clone()).collect();
        if endpoints != self.endpoints {
            self.endpoints = endpoints;
            self.touch();
        }
    }

    /// When the next pod becomes ready.
    pub fn next_ready(&self) -> Option<Timestamp> {
        let pods = self.sets.iter().flat_map(|set| &set.pods);
        pods.filter_map(|pod| pod.ready_at).filter(|at| *at > self.now).min()
    }
}

/// Sets a field; whether that changed it.
fn put(map: &mut Value, key: &str, value: Value) -> bool {
    if map.get(key) == Some(&value) {
        return false;
    }
    map[key] = value;
    true
}

/// A paused Deployment only keeps its size.
fn scale(own: &mut [&mut Set], replicas: i32) {
    let mut active: Vec<&mut Set> =
        own.iter_mut().map(|set| &mut **set).filter(|set| set.wanted > 0).collect();
    match active.as_mut_slice() {
        [] => {
            if let Some(newest) = own.last_mut() {
                newest.wanted = replicas;
            }
        }
        [only] => only.wanted = replicas,
        several => {
            let total: i32 = several.iter().map(|set| set.wanted).sum();
            let excess = (total - replicas - surge(replicas)).max(0) - (replicas - total).max(0);
            let largest = several.iter_mut().max_by_key(|set| set.wanted).unwrap();
            largest.wanted = (largest.wanted - excess).max(0);
        }
    }
}

/// 25 %, rounded up.
fn surge(replicas: i32) -> i32 {
    (replicas + 3) / 4
}

/// One pass of a rolling update with 25 % surge and 25 % unavailable.
fn roll(own: &mut [&mut Set], hash: &TemplateHash, replicas: i32) {
    let total: i32 = own.iter().map(|set| set.wanted).sum();
    let available: i32 = own.iter().map(|set| set.available.min(set.wanted)).sum();
    let others: i32 = own.iter().filter(|set| set.hash != *hash).map(|set| set.wanted).sum();
    let new = own.iter_mut().find(|set| set.hash == *hash).unwrap();
    let room = replicas + surge(replicas) - total;
    if others == 0 || new.wanted > replicas {
        new.wanted = replicas;
        return;
    }
    if room > 0 && new.wanted < replicas {
        new.wanted = replicas.min(new.wanted + room);
        return;
    }
    let unavailable_new = new.wanted - new.available.min(new.wanted);
    let min_available = replicas - replicas / 4;
    let mut removable = total - min_available - unavailable_new;
    let mut spare = available - min_available;
    for old in own.iter_mut().filter(|set| set.hash != *hash) {
        let unhealthy = (old.wanted - old.available).clamp(0, removable.max(0));
        old.wanted -= unhealthy;
        removable -= unhealthy;
        let healthy = old.wanted.min(removable.max(0)).min(spare.max(0));
        old.wanted -= healthy;
        removable -= healthy;
        spare -= healthy;
    }
}

/// Whether the status has changed.
fn status(object: &mut Value, own: &[&mut Set], hash: &TemplateHash, replicas: i32, paused: bool) -> bool {
    let count = |sets: &mut dyn Iterator<Item = &&mut Set>| sets.map(|set| set.pods.len()).sum::<usize>();
    let updated = count(&mut own.iter().filter(|set| set.hash == *hash));
    let all = count(&mut own.iter());
    let available: i32 = own.iter().map(|set| set.available).sum();
    let generation = object["metadata"]["generation"].clone();
    let status = &mut object["status"];
    let mut changed = put(status, "observedGeneration", generation);
    changed |= put(status, "replicas", json!(all));
    changed |= put(status, "updatedReplicas", json!(updated));
    changed |= put(status, "availableReplicas", json!(available));
    changed |= put(status, "readyReplicas", json!(available));
    let known = condition(status, "Progressing");
    let reason = known["reason"].as_str().unwrap_or("");
    let size = usize::try_from(replicas).unwrap();
    let next = match (paused, reason) {
        // Kept while paused, so `kubectl rollout status` fails.
        (true, "ProgressDeadlineExceeded" | "DeploymentPaused") => return changed,
        (true, _) => ("Unknown", "DeploymentPaused", "Deployment is paused"),
        (false, _) if updated == size && all == size && available >= replicas => {
            ("True", "NewReplicaSetAvailable", "ReplicaSet has successfully progressed.")
        }
        (false, "ReplicaSetUpdated") => return changed,
        (false, _) => ("True", "ReplicaSetUpdated", "ReplicaSet is progressing."),
    };
    let (state, reason, message) = next;
    let condition = json!({"type": "Progressing", "status": state, "reason": reason, "message": message});
    set_condition(status, condition) || changed
}

/// A condition of a status; null if there is none.
pub fn condition(status: &Value, kind: &str) -> Value {
    let mut all = status["conditions"].as_array().into_iter().flatten();
    all.find(|condition| condition["type"] == kind).cloned().unwrap_or_default()
}

/// Sets a condition; all others stay. Whether that changed it.
pub fn set_condition(status: &mut Value, condition: Value) -> bool {
    if status["conditions"].is_null() {
        status["conditions"] = json!([]);
    }
    let all = status["conditions"].as_array_mut().unwrap();
    match all.iter_mut().find(|known| known["type"] == condition["type"]) {
        Some(known) if *known == condition => return false,
        Some(known) => *known = condition,
        None => all.push(condition),
    }
    true
}
