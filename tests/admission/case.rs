//! One admission request, built from the everyday one, and its verdict in words.

use haldane::{
    admit::{
        self, AdmitConfig, Ruling,
        facts::{Fact, Facts, Questions},
    },
    config::{namespace::Namespace, strategy::Defaults},
    domain::{
        k8s::label_rewrite::LabelRewrite,
        keys,
        names::TemplateHash,
        review::{Operation, Outcome, Review, Stage, User, Verdict},
        state::{Rollout, RolloutState, Traffic},
        strategy::RolloutSpec,
        world::World,
    },
    objects::separate,
    providers::{Defaults as Providers, hosts::HostPolicy},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The user name of Haldane itself.
pub const OWN_USER: &str = "system:serviceaccount:haldane-system:haldane";

/// A request and what the cluster knows.
#[derive(Clone)]
pub struct Case {
    /// The request.
    pub review: Review,
    /// Looked up first.
    pub namespace: Fact<Namespace>,
    /// Looked up then.
    pub facts: Facts,
}

/// A serving, opted-in Deployment with the image `web:VERSION`.
pub fn web(version: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "labels": {keys::MANAGED: "true"},
            "annotations": {keys::CANARY: "{steps: [{setWeight: 25}, {pause: {}}]}"},
        },
        "spec": {
            "replicas": 4,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate"},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{
                    "name": "web",
                    "image": format!("web:{version}"),
                    "readinessProbe": {"httpGet": {"path": "/", "port": 80}},
                }]},
            },
        },
        "status": {"readyReplicas": 4},
    })
}

/// `object`, held as the webhook holds it.
pub fn held(mut object: Value) -> Value {
    object["metadata"]["annotations"][keys::HELD] = json!(hash(&object).to_string());
    object["spec"]["paused"] = json!(true);
    object
}

/// `object` with one change.
pub fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap();
    parent.as_object_mut().unwrap().insert(key.replace("~1", "/"), value);
    object
}

/// `object` with an annotation.
pub fn annotated(object: Value, key: &str, value: &str) -> Value {
    with(object, &format!("/metadata/annotations/{}", key.replace('/', "~1")), json!(value))
}

/// Identity of an object's template.
pub fn hash(object: &Value) -> TemplateHash {
    TemplateHash::of(&object["spec"]["template"])
}

/// A recorded rollout of `object`'s template at `stage`.
pub fn state(object: &Value, stage: haldane::domain::state::Stage) -> RolloutState {
    let defaults = config().defaults;
    let strategy = haldane::config::strategy::default_strategy(&defaults);
    let spec = RolloutSpec { strategy, templates: Vec::new() };
    let rewrite = LabelRewrite { of: "web".into(), keys: BTreeSet::new() };
    let rollout = Rollout {
        canary_replicas: 1,
        traffic: Traffic { routes: true, ..Traffic::none(Timestamp::UNIX_EPOCH) },
        stage,
        ..Rollout::new(7, hash(object), spec, rewrite, 4, now())
    };
    RolloutState { revision: 7, rollout: Some(rollout), ..RolloutState::default() }
}

/// The time of every request.
pub fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// What admission is set to.
pub fn config() -> AdmitConfig {
    let defaults =
        Defaults { settle: "6s".parse().unwrap(), annotation_prefix: "nginx.ingress.kubernetes.io".into() };
    let providers = Providers { prometheus_address: Some("http://prometheus.monitoring:9090".into()) };
    AdmitConfig {
        defaults,
        providers,
        hosts: HostPolicy::default(),
        own_namespace: "haldane-system".into(),
        own_user: OWN_USER.into(),
    }
}

impl Case {
    /// What users have around the Deployment.
    pub fn world(&mut self) -> &mut World {
        Arc::make_mut(&mut self.facts.neighbours.as_mut().unwrap().world)
    }

    /// One more object of the namespace, found as a look-up finds it.
    pub fn beside(mut self, object: Value) -> Self {
        separate::add(self.world(), object).unwrap();
        self
    }

    /// Jane changes `old` into `new` with kubectl; a Service and an Ingress lead to the pods.
    pub fn update(old: Value, new: Value) -> Self {
        let service =
            json!({"kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}});
        let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
        let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
        let rules = json!([{"host": "shop.example", "http": {"paths": [path]}}]);
        let ingress = json!({"kind": "Ingress", "metadata": {"name": "web"}, "spec": {"rules": rules}});
        let mut facts = Facts { may: Ok(true), ..Facts::default() };
        let world = Arc::make_mut(&mut facts.neighbours.as_mut().unwrap().world);
        world.add(service).unwrap();
        world.add(ingress).unwrap();
        let review = Review {
            uid: "4711".into(),
            group: "apps".into(),
            kind: "Deployment".into(),
            operation: Operation::Update,
            sub_resource: None,
            namespace: "shop".into(),
            name: "web".into(),
            user: User { username: "jane".into(), ..User::default() },
            field_manager: Some("kubectl-client-side-apply".into()),
            dry_run: false,
            object: Some(new),
            old_object: Some(old),
        };
        Self { review, namespace: Ok(Namespace::default()), facts }
    }

    /// Jane creates `new`.
    pub fn create(new: Value) -> Self {
        let mut case = Self::update(Value::Null, new);
        case.review.old_object = None;
        case.review.operation = Operation::Create;
        case
    }

    /// Another user.
    pub fn by(mut self, user: &str) -> Self {
        user.clone_into(&mut self.review.user.username);
        self
    }

    /// Another field manager.
    pub fn manager(mut self, name: &str) -> Self {
        self.review.field_manager = Some(name.to_owned());
        self
    }

    /// A recorded state.
    pub fn state(mut self, state: RolloutState) -> Self {
        self.facts.state = Ok(Some(state));
        self
    }

    /// The verdict of a stage.
    pub fn verdict(&self, stage: Stage) -> Verdict {
        self.ruling(stage, &config()).verdict
    }

    /// What is looked up for a stage.
    pub fn questions(&self, stage: Stage) -> Questions {
        let config = config();
        admit::Case::read(stage, &self.review, &config, now())
            .in_namespace(self.namespace.clone())
            .questions()
    }

    /// Whether the Namespace is looked up for a stage.
    pub fn needs_namespace(&self, stage: Stage) -> bool {
        admit::Case::read(stage, &self.review, &config(), now()).needs_namespace()
    }

    /// What follows at a stage.
    pub fn ruling(&self, stage: Stage, config: &AdmitConfig) -> Ruling {
        let case = admit::Case::read(stage, &self.review, config, now());
        case.in_namespace(self.namespace.clone()).decide(&self.facts)
    }

    /// The verdict of the mutating stage in words, in an installation that is set so.
    pub fn mutate_by(&self, config: &AdmitConfig) -> String {
        words(&self.ruling(Stage::Mutate, config).verdict)
    }

    /// The verdict of the mutating stage in words.
    pub fn mutate(&self) -> String {
        words(&self.verdict(Stage::Mutate))
    }

    /// The verdict of the validating stage in words.
    pub fn validate(&self) -> String {
        words(&self.verdict(Stage::Validate))
    }

    /// The verdict of the warning stage in words.
    pub fn warn(&self) -> String {
        words(&self.verdict(Stage::Warn))
    }

    /// The request as it goes on after the mutating stage.
    pub fn mutated(mut self) -> Self {
        let verdict = self.verdict(Stage::Mutate);
        let Outcome::Allow { patch } = &verdict.outcome else { panic!("{}", words(&verdict)) };
        json_patch::patch(self.review.object.as_mut().unwrap(), patch).unwrap();
        self
    }

    /// The object of the request.
    pub fn object(&self) -> &Value {
        self.review.object.as_ref().unwrap()
    }
}

/// What the user sees, and the patch that they do not.
pub fn words(verdict: &Verdict) -> String {
    let mut lines = Vec::new();
    match &verdict.outcome {
        Outcome::Allow { patch } => {
            lines.push("allowed".to_owned());
            lines.extend(
                patch.iter().map(|operation| format!("  {}", serde_json::to_value(operation).unwrap())),
            );
        }
        Outcome::Deny { code, reason, message, causes } => {
            lines.push(format!("denied {code} {reason}: {message}"));
            lines.extend(causes.iter().map(|cause| format!("  cause {}: {}", cause.path, cause.problem)));
        }
    }
    lines.extend(verdict.warnings.iter().map(|warning| format!("Warning: {warning}")));
    let audit: &BTreeMap<String, String> = &verdict.audit;
    lines.extend(audit.iter().map(|(key, value)| format!("audit {key}={value}")));
    lines.join("\n")
}
