//! Autoscalers: the user's, and its clone for the canary.

use super::{NAME, NAMESPACE, cluster::Cluster, people::config};
use haldane::{
    admit::{Case, facts::Facts, scale::AUTOSCALERS},
    domain::review::{Operation, Outcome, Review, Stage, User},
    objects::manifest::Kind,
};
use serde_json::{Value, json};

impl Cluster {
    /// The user's autoscaler, as the API server lists it.
    pub fn autoscaler(&self) -> Option<Value> {
        let most = self.most?;
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME});
        let spec = json!({"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": most});
        Some(json!({"kind": "HorizontalPodAutoscaler", "metadata": {"name": NAME}, "spec": spec}))
    }

    /// The autoscalers want other sizes, within their bounds. One of size 0 they leave alone.
    pub fn autoscale(&mut self, stable: i32, canary: i32) {
        let now = self.replicas();
        if let Some(most) = self.most
            && now > 0
        {
            let size = self.allowed(now, stable.clamp(1, most));
            let mut web = self.web.clone();
            web["spec"]["replicas"] = json!(size);
            self.store_web(web);
        }
        let clone = self.find(Kind::AUTOSCALER, "web-canary").map(|index| &self.ours[index]["spec"]);
        let bound = |spec: &Value, key: &str| i32::try_from(spec[key].as_i64().unwrap()).unwrap();
        let size = clone.map(|spec| canary.clamp(bound(spec, "minReplicas"), bound(spec, "maxReplicas")));
        let Some((size, index)) = size.zip(self.find(Kind::DEPLOYMENT, "web-canary")) else { return };
        let replicas = &self.ours[index]["spec"]["replicas"];
        if *replicas == 0 || *replicas == size {
            return;
        }
        let version = self.bump();
        let object = &mut self.ours[index];
        object["spec"]["replicas"] = json!(size);
        object["metadata"]["generation"] = json!(object["metadata"]["generation"].as_i64().unwrap() + 1);
        object["metadata"]["resourceVersion"] = json!(version.to_string());
    }

    /// The size that admission makes of an autoscaler's wish.
    fn allowed(&self, from: i32, to: i32) -> i32 {
        let scale = |replicas: i32| json!({"spec": {"replicas": replicas}});
        let mut declared = scale(to);
        let review = Review {
            uid: "scale".into(),
            group: "autoscaling".into(),
            kind: "Scale".into(),
            operation: Operation::Update,
            sub_resource: Some("scale".into()),
            namespace: NAMESPACE.into(),
            name: NAME.into(),
            user: User { username: AUTOSCALERS[0].into(), ..User::default() },
            field_manager: None,
            dry_run: false,
            object: Some(declared.clone()),
            old_object: Some(scale(from)),
        };
        let facts = Facts { state: Ok(Some(self.state().as_ref().clone())), ..Facts::default() };
        let config = config();
        let verdict = Case::read(Stage::Mutate, &review, &config, self.now).decide(&facts).verdict;
        let Outcome::Allow { patch } = &verdict.outcome else { return from };
        json_patch::patch(&mut declared, patch).unwrap();
        i32::try_from(declared["spec"]["replicas"].as_i64().unwrap()).unwrap()
    }
}
