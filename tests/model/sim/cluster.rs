//! The API server: objects with versions, and what proxies make of the canary Ingresses.

use super::{
    NAMESPACE, owner_of,
    routes::Routes,
    view::View,
    watches::Watch,
    workloads::{Behaviour, Set, condition},
    writes::{Conflict, Refusing},
};
use haldane::{
    domain::{k8s::selector::Labels, keys, names::TemplateHash, state::RolloutState},
    objects::manifest::{Kind, Manifest, Owner},
    routers::{named, nginx},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    sync::Arc,
};

/// See the module.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The time.
    pub now: Timestamp,
    /// The user's Deployment, as stored.
    pub web: Value,
    /// Its present name for the garbage collector; another one after it was made anew.
    pub uid: String,
    /// `ReplicaSets` of both Deployments.
    pub sets: Vec<Set>,
    /// Objects of Haldane beside the state.
    pub ours: Vec<Value>,
    /// The state, its version, and the UID of its owner.
    pub record: Option<(Arc<RolloutState>, u64, String)>,
    /// Somebody has written nonsense into the record.
    pub corrupt: bool,
    /// Pods in the endpoint slices of the user's Services.
    pub endpoints: Vec<String>,
    /// How images behave.
    pub behaviour: Behaviour,
    /// Pods for which there is room.
    pub room: usize,
    /// Time that a weight takes to reach the proxies.
    pub proxy_lag: SignedDuration,
    /// Weights of the canary Ingresses and since when they had them, newest last.
    pub weights: Vec<(Timestamp, u8)>,
    /// The user's Services and Ingresses.
    pub routes: Routes,
    /// The user's autoscaler, if there is one: its `maxReplicas`.
    pub most: Option<i32>,
    /// As many canaries run as a policy allows.
    pub full: bool,
    /// Which writes are not accepted.
    pub refusing: Refusing,
    /// Which writes fail.
    pub failing: Refusing,
    /// Whether anything of Haldane's exists, as a watch with a gap tells; `None` = as it is.
    pub watched: Option<bool>,
    /// Watches that report nothing.
    pub still: BTreeSet<Watch>,
    /// What was read last.
    pub view: RefCell<View>,
    /// Nothing has changed since the deployment controller found nothing to do.
    pub idle: Cell<bool>,
    version: u64,
    hashes: RefCell<Vec<(Value, TemplateHash)>>,
}

/// Annotation of the deployment controller.
pub const REVISION: &str = "deployment.kubernetes.io/revision";

/// A pod template with the image `web:VERSION`.
pub fn template(version: &str) -> Value {
    let container = json!({"name": "web", "image": format!("web:{version}")});
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}})
}

/// The word after the colon of the image.
pub fn version_of(template: &Value) -> String {
    let image = template.pointer("/spec/containers/0/image").and_then(Value::as_str).unwrap();
    image.split_once(':').unwrap().1.to_owned()
}

/// Identity of `template(version)`.
pub fn hash(version: &str) -> TemplateHash {
    TemplateHash::of(&template(version))
}

impl Cluster {
    /// A cluster in which version `a` of the application serves with `replicas` pods.
    pub fn new(replicas: i32, annotations: &Labels) -> Self {
        let mut cluster = Self {
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            web: json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {
                    "name": "web", "namespace": NAMESPACE, "uid": "web-1", "generation": 1, "resourceVersion": "1",
                    "labels": {keys::MANAGED: "true"}, "annotations": annotations,
                },
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": "web"}},
                    "template": template("a"),
                    "strategy": {"type": "RollingUpdate"},
                },
                "status": {},
            }),
            uid: "web-1".to_owned(),
            sets: Vec::new(),
            ours: Vec::new(),
            record: None,
            corrupt: false,
            endpoints: Vec::new(),
            behaviour: Behaviour::default(),
            room: usize::MAX,
            proxy_lag: SignedDuration::from_secs(3),
            weights: Vec::new(),
            routes: Routes::default(),
            most: None,
            full: false,
            refusing: Refusing::default(),
            failing: Refusing::default(),
            watched: None,
            still: BTreeSet::new(),
            view: RefCell::default(),
            idle: Cell::default(),
            version: 1,
            hashes: RefCell::default(),
        };
        for _ in 0..4 {
            cluster.work();
            cluster.pass_time(10);
        }
        cluster
    }

    /// Lets time pass.
    pub fn pass_time(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// The next version of some object.
    pub fn bump(&mut self) -> u64 {
        self.touch();
        self.version += 1;
        self.version
    }

    /// The number of writes so far.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The user's Deployment as an owner.
    pub fn owner(&self) -> Owner {
        owner_of(&self.uid)
    }

    /// An object of Haldane.
    pub fn find(&self, kind: Kind, name: &str) -> Option<usize> {
        self.ours.iter().position(|object| named(object) == Some((kind, name)))
    }

    /// The canary Deployment.
    pub fn canary(&self) -> Option<&Value> {
        self.find(Kind::DEPLOYMENT, "web-canary").map(|index| &self.ours[index])
    }

    fn ingresses(&self) -> impl Iterator<Item = &Value> {
        self.ours.iter().filter(|object| named(object).is_some_and(|(kind, _)| kind == nginx::INGRESS))
    }

    /// The highest weight on a canary Ingress; `None` when there is none.
    pub fn weight(&self) -> Option<u8> {
        let weight = |ingress: &Value| {
            let annotations = &ingress["metadata"]["annotations"];
            annotations["nginx.ingress.kubernetes.io/canary-weight"].as_str()?.parse().ok()
        };
        self.ingresses().filter_map(weight).max()
    }

    /// Whether header routes lead to the canary.
    pub fn has_routes(&self) -> bool {
        self.ingresses().any(|ingress| {
            let annotations = ingress["metadata"]["annotations"].as_object().unwrap();
            annotations.keys().any(|key| key.contains("canary-by-"))
        })
    }

    /// The weight by which the slowest proxy routes.
    pub fn proxied_weight(&self) -> u8 {
        let known = self.weights.iter().rev().find(|(since, _)| *since + self.proxy_lag <= self.now);
        known.map_or(0, |(_, weight)| *weight)
    }

    fn note_weight(&mut self) {
        let weight = self.weight().unwrap_or(0);
        if self.weights.last().map_or(0, |(_, last)| *last) != weight {
            self.weights.push((self.now, weight));
        }
    }

    /// Server-side apply of an object of Haldane, only to the version that `body` names; none = it is new.
    pub fn apply(&mut self, body: &Value, manifest: &Manifest) -> Result<(), Conflict> {
        let known = self.find(manifest.kind, &manifest.name);
        let before = known.map(|index| &self.ours[index]);
        if before.map(|object| &object["metadata"]["resourceVersion"])
            != body["metadata"].get("resourceVersion")
        {
            return Err(Conflict);
        }
        let mut object =
            before.cloned().unwrap_or_else(|| json!({"metadata": {"generation": 0}, "status": {}}));
        for part in ["apiVersion", "kind", "spec"] {
            object[part] = body[part].clone();
        }
        for part in ["name", "namespace", "labels", "annotations", "ownerReferences"] {
            object["metadata"][part] = body["metadata"][part].clone();
        }
        // What others wrote stays, as with server-side apply.
        let revision = before.map(|before| before["metadata"]["annotations"][REVISION].clone());
        if let Some(revision) = revision.filter(|revision| !revision.is_null()) {
            object["metadata"]["annotations"][REVISION] = revision;
        }
        if before == Some(&object) {
            return Ok(());
        }
        let (is_new, changed) =
            (before.is_none(), before.is_none_or(|before| before["spec"] != object["spec"]));
        let version = self.bump();
        if changed {
            object["metadata"]["generation"] = json!(object["metadata"]["generation"].as_i64().unwrap() + 1);
        }
        if is_new {
            object["metadata"]["uid"] = json!(format!("uid-{version}"));
        }
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        match known {
            Some(index) => self.ours[index] = object,
            None => self.ours.push(object),
        }
        self.note_weight();
        Ok(())
    }

    /// Whether an object was made by the last write.
    pub fn is_new(&self, manifest: &Manifest) -> bool {
        let index = self.find(manifest.kind, &manifest.name);
        index.is_some_and(|index| self.ours[index]["metadata"]["uid"] == format!("uid-{}", self.version))
    }

    /// Removes an object of Haldane.
    pub fn delete(&mut self, kind: Kind, name: &str) {
        if let Some(index) = self.find(kind, name) {
            self.ours.remove(index);
            self.bump();
            self.note_weight();
        }
    }

    /// The garbage collector: what belongs to a Deployment that is gone.
    pub fn collect(&mut self) {
        let owner = self.owner();
        let count = self.ours.len();
        self.ours.retain(|object| owner.owns(object));
        if self.ours.len() != count {
            self.bump();
            self.note_weight();
        }
        if self.record.as_ref().is_some_and(|(_, _, uid)| *uid != self.uid) {
            self.record = None;
            self.bump();
        }
    }

    /// Stores a changed Deployment of the user, as the API server does.
    pub fn store_web(&mut self, mut web: Value) {
        if web == self.web {
            return;
        }
        if web["spec"] != self.web["spec"] {
            web["metadata"]["generation"] = json!(web["metadata"]["generation"].as_i64().unwrap() + 1);
        }
        web["metadata"]["resourceVersion"] = json!(self.bump().to_string());
        self.web = web;
    }

    /// The Deployment is deleted and made anew, as it is in the user's repository.
    pub fn recreate(&mut self) {
        let version = self.bump();
        self.uid = format!("web-{version}");
        self.sets.retain(|set| !set.owner.starts_with("web-"));
        self.endpoints.clear();
        let web = &mut self.web;
        web["status"] = json!({});
        web["metadata"]["uid"] = json!(self.uid);
        web["metadata"]["resourceVersion"] = json!(version.to_string());
        web["metadata"]["generation"] = json!(1);
        web["spec"].as_object_mut().unwrap().remove("paused");
        let annotations = web["metadata"]["annotations"].as_object_mut().unwrap();
        for key in [keys::HELD, keys::REQUEST, REVISION] {
            annotations.remove(key);
        }
    }

    /// Identity of a template; each is computed once.
    pub fn hash_of(&self, template: &Value) -> TemplateHash {
        let known = self.hashes.borrow().iter().find(|(known, _)| known == template).map(|(_, h)| h.clone());
        known.unwrap_or_else(|| {
            let hash = TemplateHash::of(template);
            self.hashes.borrow_mut().push((template.clone(), hash.clone()));
            hash
        })
    }

    /// A condition of the user's Deployment; null if there is none.
    pub fn condition(&self, kind: &str) -> Value {
        condition(&self.web["status"], kind)
    }

    /// Size that the user wants.
    pub fn replicas(&self) -> i32 {
        i32::try_from(self.web["spec"]["replicas"].as_i64().unwrap()).unwrap()
    }

    /// Identity of the user's template.
    pub fn wanted_hash(&self) -> TemplateHash {
        self.hash_of(&self.web["spec"]["template"])
    }

    /// Whether the user's Deployment is held by Haldane.
    pub fn is_held(&self) -> bool {
        self.web["metadata"]["annotations"].get(keys::HELD).is_some()
    }

    /// Whether the user's Deployment is paused, by whomever.
    pub fn is_paused(&self) -> bool {
        self.web["spec"]["paused"] == true
    }

    /// Sets of the user's Deployment.
    pub fn stable_sets(&self) -> impl Iterator<Item = &Set> {
        self.sets.iter().filter(|set| set.owner == self.uid)
    }

    /// Ready pods of the user's Deployment.
    pub fn ready(&self) -> usize {
        self.stable_sets().map(|set| set.ready(self.now)).sum()
    }

    /// Whether the deployment controller has last counted a ready pod: what admission goes by.
    pub fn is_serving(&self) -> bool {
        self.web["status"]["readyReplicas"].as_i64().unwrap_or(0) > 0
    }

    /// The recorded state.
    pub fn state(&self) -> Arc<RolloutState> {
        let record = self.record.as_ref().filter(|(_, _, uid)| *uid == self.uid);
        record.map(|(state, ..)| Arc::clone(state)).unwrap_or_default()
    }
}
