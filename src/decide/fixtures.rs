//! One Deployment and its rollout, for tests of single rules.

use super::{Frozen, Input, Measurements, Plan, Wait, decide};
use crate::{
    config::strategy::{Defaults, default_strategy},
    domain::{
        k8s::label_rewrite::LabelRewrite,
        names::Weight,
        observed::{Observed, ReplicaSetView, container_images},
        restarts::Code,
        state::{Rollout, RolloutState, Stage, Traffic},
        strategy::RolloutSpec,
    },
    objects::manifest::Owner,
};
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeSet;

/// The Deployment `web` of this size, with a template of `image`.
pub fn seen(replicas: i32, image: &str, held: bool) -> Observed {
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}});
    let mut deployment = json!({
        "metadata": {"name": "web", "generation": 1, "annotations": {}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template},
        "status": {"observedGeneration": 1},
    });
    if held {
        deployment["metadata"]["annotations"] = json!({"haldane.dev/held": "x"});
        deployment["spec"]["paused"] = json!(true);
    }
    let deployment = serde_json::from_value(deployment).unwrap();
    Observed { deployment, template: template.into(), ..Observed::default() }
}

/// A `ReplicaSet` of its template, without pods.
pub fn set(seen: &Observed, name: &str, created: &str) -> ReplicaSetView {
    let (name, created) = (name.to_owned(), created.to_owned());
    let template = seen.template_hash();
    ReplicaSetView {
        pod_hash: name.clone(),
        name,
        version: String::new(),
        images: container_images(seen.template.body()),
        pods: seen.workload().pods,
        code: Code::of(seen.template.body()),
        template,
        created,
        wanted: 0,
        ready: 0,
    }
}

/// The time of every decision.
pub fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// The plan of a rollout that could start now.
pub fn next() -> Frozen {
    let defaults = Defaults { settle: "6s".parse().unwrap(), annotation_prefix: "nginx".into() };
    let spec = RolloutSpec { strategy: default_strategy(&defaults), templates: Vec::new() };
    let rewrite = LabelRewrite { of: "web".into(), keys: BTreeSet::from(["app".to_owned()]) };
    Frozen { spec, rewrite, metric_hosts: None }
}

/// A release of its template at `stage`, with half of the traffic.
pub fn state(seen: &Observed, stage: Stage) -> RolloutState {
    let Frozen { spec, rewrite, .. } = next();
    let weight = Weight::try_from(50).unwrap();
    let rollout = Rollout {
        canary_replicas: 2,
        traffic: Traffic { weight, routes: true, seen_at: Some(now()), ..Traffic::none(now()) },
        stage,
        ..Rollout::new(2, seen.template_hash(), spec, rewrite, 4, now())
    };
    RolloutState { revision: 2, rollout: Some(rollout), ..RolloutState::default() }
}

/// The Deployment with an order of Jane's for its template.
pub fn ordered(mut seen: Observed, verb: &str) -> Observed {
    let request =
        json!({"id": verb, "verb": verb, "by": "jane", "at": now(), "template": seen.template_hash()});
    let annotations = seen.deployment.metadata.annotations.as_mut().unwrap();
    annotations.insert("haldane.dev/request".to_owned(), request.to_string());
    seen
}

/// The decision.
pub fn decided(state: RolloutState, seen: &Observed) -> Plan {
    decided_in_turn(state, seen, None)
}

/// The decision while what could start must wait.
pub fn decided_in_turn(state: RolloutState, seen: &Observed, wait: Option<&Wait>) -> Plan {
    decided_with(state, seen, &Err("its plan is frozen".to_owned()), wait)
}

/// The decision with this plan of a rollout that could start now.
pub fn decided_with(
    state: RolloutState,
    seen: &Observed,
    next: &Result<Frozen, String>,
    wait: Option<&Wait>,
) -> Plan {
    let owner = Owner { name: "web".into(), namespace: "shop".into(), uid: "u".into() };
    decide(
        state,
        &Input { seen, owner: &owner, next, wait, measurements: &Measurements::default(), now: now() },
    )
}
