//! People: every request goes through the real admission, both stages, as the API server calls them.

use super::{
    NAME, NAMESPACE,
    cluster::{Cluster, version_of},
    defaults,
};
use haldane::{
    admit::{
        AdmitConfig, Case,
        facts::{Facts, Neighbours},
    },
    config::namespace::Namespace,
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
pub enum UserRequest {
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
    /// The label of managed Deployments is removed as well.
    Unlabel,
    /// The annotation is set again.
    OptIn(&'static str, String),
}

impl fmt::Display for UserRequest {
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
            Self::Unlabel => f.write_str("opt out and remove the label"),
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
    pub fn ask(&mut self, asked: &UserRequest) -> Verdict {
        let (object, manager) = self.wanted(asked);
        self.request(object, manager)
    }

    /// The same while no webhook is there and the API server has been told not to mind.
    pub fn force(&mut self, asked: &UserRequest) {
        let (object, _) = self.wanted(asked);
        self.store_web(object);
    }

    fn wanted(&self, asked: &UserRequest) -> (Value, &'static str) {
        let mut object = self.web.clone();
        let mut manager = "kubectl";
        match asked {
            UserRequest::Apply(template) => object["spec"]["template"] = template.clone(),
            UserRequest::Sync(template) => {
                object["spec"]["template"] = template.clone();
                object["spec"]["paused"] = json!(false);
            }
            UserRequest::Scale(replicas) => object["spec"]["replicas"] = json!(replicas),
            UserRequest::Order(verb) => object["metadata"]["annotations"][keys::DO] = json!(verb.to_string()),
            UserRequest::NativePause => object["spec"]["paused"] = json!(true),
            UserRequest::NativeResume => {
                object["spec"].as_object_mut().unwrap().remove("paused");
                manager = "kubectl-rollout";
            }
            UserRequest::Restart(number) => {
                object["spec"]["template"]["metadata"]["annotations"] =
                    json!({keys::RESTARTED_AT: number.to_string()});
                manager = "kubectl-rollout";
            }
            UserRequest::OptOut | UserRequest::Unlabel => {
                let annotations = object["metadata"]["annotations"].as_object_mut().unwrap();
                for key in [keys::CANARY, keys::BLUE_GREEN] {
                    annotations.remove(key);
                }
                if *asked == UserRequest::Unlabel {
                    object["metadata"]["labels"] = json!({});
                }
            }
            UserRequest::OptIn(key, plan) => object["metadata"]["annotations"][key] = json!(plan),
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
        let decided = |stage, review: &Review| {
            let case = Case::read(stage, review, &config, self.now).in_namespace(Ok(Namespace::default()));
            case.decide(&facts).verdict
        };
        let verdict = decided(Stage::Mutate, &review);
        let Outcome::Allow { patch } = &verdict.outcome else { return verdict };
        json_patch::patch(review.object.as_mut().unwrap(), patch).unwrap();
        let last = decided(Stage::Validate, &review);
        if last.is_allowed() {
            self.store_web(review.object.take().unwrap());
            return verdict;
        }
        last
    }
}
