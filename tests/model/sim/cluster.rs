//! The API server: objects with versions, and what proxies make of the canary Ingress.

use super::{
    NAME, NAMESPACE,
    workloads::{Behaviour, Set},
    writes::Conflict,
};
use haldane::{
    build::manifest::{Kind, Manifest},
    domain::{
        keys,
        names::TemplateHash,
        observed::{Observed, ReplicaSetView},
        selector::Labels,
        state::RolloutState,
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice, networking::v1::Ingress};
use serde_json::{Value, json};

/// See the module.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The time.
    pub now: Timestamp,
    /// The user's Deployment, as stored.
    pub web: Value,
    /// `ReplicaSets` of both Deployments.
    pub sets: Vec<Set>,
    /// Objects of Haldane beside the state.
    pub ours: Vec<Value>,
    /// The state and its version.
    pub record: Option<(RolloutState, u64)>,
    /// Pods in the endpoint slices of the user's Service.
    pub endpoints: Vec<String>,
    /// How images behave.
    pub behaviour: Behaviour,
    /// Time that a weight takes to reach the proxies.
    pub proxy_lag: SignedDuration,
    /// Weights of the canary Ingress and since when it had them, newest last.
    pub weights: Vec<(Timestamp, u8)>,
    services: Vec<Service>,
    ingresses: Vec<Ingress>,
    version: u64,
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
        let backend = json!({"service": {"name": NAME, "port": {"number": 80}}});
        let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
        let rule = json!({"host": "shop.example", "http": {"paths": [path]}});
        let service = json!({"metadata": {"name": NAME}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
        let mut cluster = Self {
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            web: json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {
                    "name": NAME, "namespace": NAMESPACE, "uid": "web-uid", "generation": 1, "resourceVersion": "1",
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
            sets: Vec::new(),
            ours: Vec::new(),
            record: None,
            endpoints: Vec::new(),
            behaviour: Behaviour::default(),
            proxy_lag: SignedDuration::from_secs(3),
            weights: Vec::new(),
            services: vec![serde_json::from_value(service).unwrap()],
            ingresses: vec![
                serde_json::from_value(json!({
                    "metadata": {"name": NAME}, "spec": {"ingressClassName": "nginx", "rules": [rule]},
                }))
                .unwrap(),
            ],
            version: 1,
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
        self.version += 1;
        self.version
    }

    /// The number of writes so far.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The Deployment as the first request of a pass reads it.
    pub fn read_deployment(&self) -> Observed {
        Observed {
            deployment: serde_json::from_value(self.web.clone()).unwrap(),
            template: self.web["spec"]["template"].clone(),
            ..Observed::default()
        }
    }

    /// Everything beside the Deployment.
    pub fn read_surroundings(&self, seen: &mut Observed) {
        let view = |set: &Set| ReplicaSetView {
            name: set.name.clone(),
            pod_hash: set.pod_hash.clone(),
            template: set.hash.clone(),
            created: format!("{:08}", set.revision),
            wanted: set.wanted,
            available: set.available,
        };
        let (stable, canary): (Vec<&Set>, Vec<&Set>) = self.sets.iter().partition(|set| set.is_stable());
        seen.replica_sets = stable.into_iter().map(view).collect();
        seen.canary_sets = canary.into_iter().map(view).collect();
        seen.services.clone_from(&self.services);
        seen.ingresses.clone_from(&self.ingresses);
        seen.ours.clone_from(&self.ours);
        let target = |pod: &String| json!({"addresses": [], "targetRef": {"name": pod}});
        let endpoints: Vec<Value> = self.endpoints.iter().map(target).collect();
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": {"labels": {"kubernetes.io/service-name": NAME}}, "addressType": "IPv4", "endpoints": endpoints,
        })).unwrap();
        seen.endpoints = vec![slice];
    }

    /// An object of Haldane.
    pub fn find(&self, kind: Kind, name: &str) -> Option<usize> {
        let kind = kind.to_string();
        self.ours.iter().position(|o| o["kind"] == kind.as_str() && o["metadata"]["name"] == name)
    }

    /// The canary Deployment.
    pub fn canary(&self) -> Option<&Value> {
        self.find(Kind::Deployment, "web-canary").map(|index| &self.ours[index])
    }

    /// The canary Ingress.
    pub fn ingress(&self) -> Option<&Value> {
        self.find(Kind::Ingress, "web-canary").map(|index| &self.ours[index])
    }

    /// The weight on the canary Ingress; `None` when there is none.
    pub fn weight(&self) -> Option<u8> {
        let annotations = &self.ingress()?["metadata"]["annotations"];
        annotations["nginx.ingress.kubernetes.io/canary-weight"].as_str()?.parse().ok()
    }

    /// Whether header routes lead to the canary.
    pub fn has_routes(&self) -> bool {
        self.ingress().is_some_and(|ingress| {
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
        let before = known.map(|index| self.ours[index].clone());
        let version = before.as_ref().map(|object| &object["metadata"]["resourceVersion"]);
        if version != body["metadata"].get("resourceVersion") {
            return Err(Conflict);
        }
        let mut object =
            before.clone().unwrap_or_else(|| json!({"metadata": {"generation": 0}, "status": {}}));
        for part in ["apiVersion", "kind", "spec"] {
            object[part] = body[part].clone();
        }
        for part in ["name", "namespace", "labels", "annotations", "ownerReferences"] {
            object["metadata"][part] = body["metadata"][part].clone();
        }
        // What others wrote stays, as with server-side apply.
        let revision = before.as_ref().map(|before| before["metadata"]["annotations"][REVISION].clone());
        if let Some(revision) = revision.filter(|revision| !revision.is_null()) {
            object["metadata"]["annotations"][REVISION] = revision;
        }
        if before.as_ref() == Some(&object) {
            return Ok(());
        }
        let version = self.bump();
        if before.as_ref().is_none_or(|before| before["spec"] != object["spec"]) {
            object["metadata"]["generation"] = json!(object["metadata"]["generation"].as_i64().unwrap() + 1);
        }
        if before.is_none() {
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
        let index = self.find(manifest.kind, &manifest.name).unwrap();
        self.ours[index]["metadata"]["uid"] == format!("uid-{}", self.version)
    }

    /// Removes an object of Haldane.
    pub fn delete(&mut self, kind: Kind, name: &str) {
        if let Some(index) = self.find(kind, name) {
            self.ours.remove(index);
            self.bump();
            self.note_weight();
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

    /// Size that the user wants.
    pub fn replicas(&self) -> i32 {
        i32::try_from(self.web["spec"]["replicas"].as_i64().unwrap()).unwrap()
    }

    /// Identity of the user's template.
    pub fn wanted_hash(&self) -> TemplateHash {
        TemplateHash::of(&self.web["spec"]["template"])
    }

    /// Whether the user's Deployment is held by Haldane.
    pub fn is_held(&self) -> bool {
        self.web["metadata"]["annotations"].get(keys::HELD).is_some()
    }

    /// Whether the user's Deployment is paused, by whomever.
    pub fn is_paused(&self) -> bool {
        self.web["spec"]["paused"] == true
    }

    /// Ready pods of the user's Deployment.
    pub fn ready(&self) -> usize {
        self.sets.iter().filter(|set| set.is_stable()).map(|set| set.ready(self.now)).sum()
    }

    /// The recorded state.
    pub fn state(&self) -> RolloutState {
        self.record.as_ref().map(|(state, _)| state.clone()).unwrap_or_default()
    }
}
