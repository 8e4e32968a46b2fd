//! People: every request goes through the real admission, both stages, as the API server calls them.

use super::{
    NAME, NAMESPACE,
    cluster::{Cluster, version_of},
    defaults,
};
use haldane::{
    admit::{
        AdmitConfig, Context, admit,
        facts::{Facts, Neighbours},
    },
    domain::{
        keys,
        request::Verb,
        review::{Operation, Outcome, Review, Stage, User, Verdict},
    },
};
use serde_json::{Value, json};
use std::fmt;

/// What a person asks of the API server.
#[derive(Debug, Clone, PartialEq)]
pub enum DeclaredPlan {
    /// `kubectl apply` with this template.
    Apply(Value),
    /// As a GitOps tool that owns `paused: false`.
    Sync(Value),
    /// `kubectl scale`.
    Scale(i32),
    /// `haldane.dev/do`.
    Order(Verb),
    /// `kubectl rollout pause`.
    NativePause,
    /// `kubectl rollout resume`.
    NativeResume,
    /// `kubectl rollout restart`.
    Restart(u64),
    /// The canary annotation is removed.
    OptOut,
    /// And set again.
    OptIn(&'static str, String),
}

impl fmt::Display for DeclaredPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apply(template) => write!(f, "apply {}", version_of(template)),
            Self::Sync(template) => write!(f, "sync {} with paused: false", version_of(template)),
            Self::Scale(replicas) => write!(f, "scale to {replicas}"),
            Self::Order(verb) => write!(f, "do={verb}"),
            Self::NativePause => f.write_str("rollout pause"),
            Self::NativeResume => f.write_str("rollout resume"),
            Self::Restart(_) => f.write_str("rollout restart"),
            Self::OptOut => f.write_str("opt out"),
            Self::OptIn(..) => f.write_str("opt in"),
        }
    }
}

/// What admission is set to.
pub fn config() -> AdmitConfig {
    AdmitConfig {
        defaults: defaults(),
        providers: haldane::providers::Defaults::default(),
        hosts: haldane::providers::hosts::HostPolicy::default(),
        own_namespace: "haldane-system".to_owned(),
        own_user: "haldane".into(),
    }
}

impl Cluster {
    /// A person's request, from admission to storage.
    pub fn ask(&mut self, declared: &DeclaredPlan) -> Verdict {
        let (object, manager) = self.wished(declared);
        self.request(object, manager)
    }

    /// The same while no webhook is there and the API server has been told not to mind.
    pub fn force(&mut self, declared: &DeclaredPlan) {
        let (object, _) = self.wished(declared);
        self.store_web(object);
    }

    fn wished(&self, declared: &DeclaredPlan) -> (Value, &'static str) {
        let mut object = self.web.clone();
        let mut manager = "kubectl";
        match declared {
            DeclaredPlan::Apply(template) => object["spec"]["template"] = template.clone(),
            DeclaredPlan::Sync(template) => {
                object["spec"]["template"] = template.clone();
                object["spec"]["paused"] = json!(false);
            }
            DeclaredPlan::Scale(replicas) => object["spec"]["replicas"] = json!(replicas),
            DeclaredPlan::Order(verb) => {
                object["metadata"]["annotations"][keys::DO] = json!(verb.to_string())
            }
            DeclaredPlan::NativePause => object["spec"]["paused"] = json!(true),
            DeclaredPlan::NativeResume => {
                object["spec"].as_object_mut().unwrap().remove("paused");
                manager = "kubectl-rollout";
            }
            DeclaredPlan::Restart(number) => {
                object["spec"]["template"]["metadata"]["annotations"] =
                    json!({keys::RESTARTED_AT: number.to_string()});
                manager = "kubectl-rollout";
            }
            DeclaredPlan::OptOut => {
                let annotations = object["metadata"]["annotations"].as_object_mut().unwrap();
                for key in [keys::CANARY, keys::BLUE_GREEN] {
                    annotations.remove(key);
                }
            }
            DeclaredPlan::OptIn(key, plan) => object["metadata"]["annotations"][key] = json!(plan),
        }
        (object, manager)
    }

    /// An update of the user's Deployment.
    pub fn request(&mut self, object: Value, manager: &str) -> Verdict {
        let uid = format!("request-{}", self.bump());
        let mut review = Review {
            uid,
            group: "apps".into(),
            kind: "Deployment".into(),
            operation: Operation::Update,
            sub_resource: None,
            namespace: NAMESPACE.into(),
            name: NAME.into(),
            user: User { username: "jane".into(), ..User::default() },
            field_manager: Some(manager.to_owned()),
            dry_run: false,
            object: Some(object),
            old_object: Some(self.web.clone()),
        };
        let seen = self.seen();
        let neighbours = Neighbours { world: seen.world.clone(), ..Neighbours::default() };
        let facts = Facts {
            state: Ok(Some(self.state().as_ref().clone())),
            neighbours: Ok(neighbours),
            may: Ok(true),
            ..Facts::default()
        };
        let config = config();
        let verdict = {
            let context = Context::new(&review, &config, self.now);
            admit(Stage::Mutate, &context, &facts)
        };
        let Outcome::Allow { patch } = &verdict.outcome else { return verdict };
        json_patch::patch(review.object.as_mut().unwrap(), patch).unwrap();
        let context = Context::new(&review, &config, self.now);
        let last = admit(Stage::Validate, &context, &facts);
        if last.is_allowed() {
            self.store_web(review.object.take().unwrap());
            return verdict;
        }
        last
    }
}
