//! Reviews as an API server sends them: a Deployment of many variables, with what `kubectl apply` and the
//! API server write beside it.

use serde_json::{Map, Value, json};
use std::ops::Range;

/// Sizes of whole reviews, in KiB.
const SIZES: Range<usize> = 10..100;
/// Of each kind.
const STEPS: usize = 6;

/// A request and what its answer must be.
pub struct Review {
    pub path: &'static str,
    pub body: Vec<u8>,
    uid: String,
    patched: bool,
}

impl Review {
    /// The answer belongs to this review, and the request passes, held where it must be.
    pub fn is_answered_by(&self, answer: &Value) -> bool {
        let response = &answer["response"];
        response["uid"] == self.uid
            && response["allowed"] == true
            && response["patch"].is_string() == self.patched
    }
}

/// Of several sizes: a changed template in both stages, and a change of the plan alone.
pub fn all() -> Vec<Review> {
    let mut reviews = Vec::new();
    for step in 0..STEPS {
        let size = (SIZES.start + (SIZES.end - SIZES.start) * step / (STEPS - 1)) * 1024;
        let (v1, v2) = (deployment("v1", size), deployment("v2", size));
        let mut held = v2.clone();
        held["spec"]["paused"] = true.into();
        held["metadata"]["annotations"]["haldane.dev/held"] = hash(&v2).into();
        let mut planned = v1.clone();
        planned["metadata"]["annotations"]["haldane.dev/settle"] = "7s".into();
        reviews.push(review("/mutate", reviews.len(), &v1, &v2, true));
        reviews.push(review("/validate", reviews.len(), &v1, &held, false));
        reviews.push(review("/mutate", reviews.len(), &v1, &planned, false));
    }
    reviews
}

fn review(path: &'static str, number: usize, old: &Value, new: &Value, patched: bool) -> Review {
    let uid = format!("0b4ae5e6-5c2e-4f6a-9a3e-{number:012}");
    let kind = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    let resource = json!({"group": "apps", "version": "v1", "resource": "deployments"});
    let options = json!({"kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "kubectl-client-side-apply"});
    let user = json!({"username": "jane", "uid": "1", "groups": ["dev", "system:authenticated"]});
    let request = json!({
        "uid": uid, "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
        "name": "web", "namespace": "shop", "operation": "UPDATE", "userInfo": user, "object": new,
        "oldObject": old, "dryRun": false, "options": options,
    });
    let whole = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request});
    Review { path, body: whole.to_string().into_bytes(), uid, patched }
}

fn hash(deployment: &Value) -> String {
    haldane::domain::names::TemplateHash::of(&deployment["spec"]["template"]).to_string()
}

/// One that makes a review of about `size` bytes, which holds it twice.
fn deployment(version: &str, size: usize) -> Value {
    let mut variables = 1;
    loop {
        let deployment = with_variables(version, variables);
        if deployment.to_string().len() * 2 + 900 >= size {
            return deployment;
        }
        variables += 1;
    }
}

fn with_variables(version: &str, variables: usize) -> Value {
    let env: Vec<_> = (0..variables)
        .map(|number| {
            let from = json!({"secretKeyRef": {"name": "web-settings", "key": format!("setting-{number}")}});
            let name = format!("SETTING_{number}");
            if number % 3 == 0 {
                json!({"name": name, "valueFrom": from})
            } else {
                json!({"name": name, "value": "true"})
            }
        })
        .collect();
    let probe = json!({"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 5});
    let container = json!({
        "name": "web", "image": format!("registry.example.com/shop/web:{version}"), "env": env,
        "ports": [{"containerPort": 8080, "protocol": "TCP"}], "readinessProbe": probe, "livenessProbe": probe,
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "terminationMessagePath": "/dev/termination-log", "imagePullPolicy": "IfNotPresent",
    });
    let spec = json!({
        "replicas": 4, "selector": {"matchLabels": {"app": "web"}}, "revisionHistoryLimit": 10,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [container], "restartPolicy": "Always", "dnsPolicy": "ClusterFirst"},
        },
    });
    let plan = "{steps: [{setWeight: 5}, {pause: {duration: 1m}}, {setWeight: 25}, {analysis: {}}, {setWeight: 50}, {pause: {duration: 5m}}]}";
    let analysis = "{metrics: [{name: errors, interval: 30s, count: 5, failureLimit: 1, successCondition: 'len(result) == 0 || result[0] < 0.01', provider: {prometheus: {query: 'sum(rate(http_requests_total{service=\"web-canary\",code=~\"5..\"}[2m])) / sum(rate(http_requests_total{service=\"web-canary\"}[2m]))'}}}]}";
    let applied =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec});
    let fields: Map<String, Value> = (0..variables)
        .map(|number| {
            (format!("k:{{\"name\":\"SETTING_{number}\"}}"), json!({".": {}, "f:name": {}, "f:value": {}}))
        })
        .collect();
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "7d9f6a1e-7c3f-4b0e-9f43-2f8c33b3a001", "generation": 3,
            "resourceVersion": "123456", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "web", "haldane.dev/managed": "true"},
            "annotations": {
                "haldane.dev/canary": plan, "haldane.dev/analysis": analysis,
                "kubectl.kubernetes.io/last-applied-configuration": applied.to_string(),
            },
            "managedFields": [{
                "manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "apps/v1",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {"f:env": fields}}}}},
            }],
        },
        "spec": spec,
        "status": {"observedGeneration": 3, "replicas": 4, "updatedReplicas": 4, "readyReplicas": 4, "availableReplicas": 4},
    })
}

/// The Service that leads to its pods.
pub fn service() -> Value {
    json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})
}

/// The Ingress that leads to the Service.
pub fn ingress() -> Value {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    json!({"kind": "Ingress", "metadata": {"name": "web"}, "spec": {"ingressClassName": "nginx", "rules": [{"host": "shop.example", "http": {"paths": [path]}}]}})
}
