//! Admission and the controller freeze a plan by the same rules: a release that is admitted can start.

use crate::case::{Case, annotated, config, web, with};
use haldane::{
    config::namespace::Namespace,
    decide::freeze,
    domain::{
        keys,
        observed::{Observed, ReplicaSetView},
        world::World,
    },
};
use proptest::{
    prelude::*,
    sample::{select, subsequence},
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};
use std::{cell::Cell, collections::BTreeMap};

/// Parts of a plan, each as it is written.
const PARTS: [&str; 9] = [
    "stableService: web",
    "stableService: front",
    "canaryService: next",
    "canaryService: web-canary",
    "scaleDownDelaySeconds: 5",
    "trafficRouting: {nginx: {}}",
    "steps: [{setWeight: 25}, {setCanaryScale: {replicas: 2}}]",
    "steps: [{setHeaderRoute: {name: a, match: [{headerName: X, headerValue: {exact: a}}]}}]",
    "canaryMetadata: {labels: {tier: canary}}",
];

/// Names that Services may have.
const NAMES: [&str; 5] = ["web", "front", "next", "web-canary", "front-canary"];

/// A plan in which no field is twice.
fn plan() -> impl Strategy<Value = String> {
    subsequence(PARTS.to_vec(), 0..=4).prop_map(|parts| {
        let fields: BTreeMap<&str, &str> = parts.iter().filter_map(|part| part.split_once(": ")).collect();
        let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        format!("{{{}}}", fields.join(", "))
    })
}

fn service() -> impl Strategy<Value = Value> {
    let selectors = [
        json!({"app": "web"}),
        json!({"tier": "front"}),
        json!({"app": "other"}),
        json!({"app": "web-canary"}),
    ];
    let types = select(vec!["ClusterIP", "ClusterIP", "ClusterIP", "ExternalName"]);
    let target = select(vec![json!(8080), json!(9090), json!("http")]);
    (select(&NAMES[..]), select(selectors.to_vec()), types, target).prop_map(
        |(name, selector, kind, target)| {
            let spec =
                json!({"type": kind, "selector": selector, "ports": [{"port": 80, "targetPort": target}]});
            json!({"kind": "Service", "metadata": {"name": name}, "spec": spec})
        },
    )
}

fn ingress() -> impl Strategy<Value = Value> {
    (select(&NAMES[..]), any::<bool>()).prop_map(|(service, canary)| {
        let path = json!({"path": "/", "backend": {"service": {"name": service}}});
        let canary = json!({"nginx.ingress.kubernetes.io/canary": canary.to_string()});
        json!({
            "kind": "Ingress",
            "metadata": {"name": service, "annotations": canary},
            "spec": {"rules": [{"http": {"paths": [path]}}]},
        })
    })
}

fn selector() -> impl Strategy<Value = Value> {
    let by_value = json!({"matchLabels": {"app": "web"}});
    let by_key = json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]});
    select(vec![by_value.clone(), by_value.clone(), by_value, by_key])
}

/// What Services see of the pods of a version.
fn pods() -> impl Strategy<Value = (Value, Value)> {
    let both = json!({"app": "web", "tier": "front"});
    let labels = select(vec![both.clone(), both, json!({"app": "web"})]);
    let ports = select(vec![
        json!([{"containerPort": 8080}]),
        json!([{"name": "http", "containerPort": 9090}]),
        json!([]),
    ]);
    (labels, ports)
}

/// The release of a Deployment by `plan`, among these objects.
fn release(plan: &str, selector: &Value, versions: &[(Value, Value); 2], objects: &[Value]) -> Case {
    let web = |version, (labels, ports): &(Value, Value)| {
        let web = with(web(version), "/spec/selector", selector.clone());
        let web = with(web, "/spec/template/metadata/labels", labels.clone());
        let web = with(web, "/spec/template/spec/containers/0/ports", ports.clone());
        annotated(web, keys::CANARY, plan)
    };
    let mut case = Case::update(web("a", &versions[0]), web("b", &versions[1]));
    *case.world() = objects.iter().fold(World::default(), |mut world, object| {
        world.add(object.clone()).unwrap();
        world
    });
    case
}

/// The plan as the controller freezes it.
fn frozen(case: &Case) -> Result<(), String> {
    let object = case.review.object.clone().unwrap();
    let old = case.review.old_object.as_ref().unwrap();
    let stable =
        json!({"spec": {"replicas": 4, "template": old["spec"]["template"]}, "status": {"readyReplicas": 4}});
    let seen = Observed {
        template: object["spec"]["template"].clone().into(),
        deployment: serde_json::from_value(object).unwrap(),
        replica_sets: vec![ReplicaSetView::of(&stable)],
        ..Observed::default()
    };
    let declared = Namespace::default().settings(&seen.annotations()).read(&config().defaults).unwrap();
    let spec = declared.complete(&BTreeMap::new()).unwrap();
    freeze(spec, &seen.workload(), &case.facts.neighbours.as_ref().unwrap().world).map(drop)
}

#[test]
fn what_admission_lets_pass_the_controller_can_freeze() {
    let (admitted, refused) = (Cell::new(0), Cell::new(0));
    let worlds = (proptest::collection::vec(service(), 0..4), proptest::collection::vec(ingress(), 0..3));
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(1000) });
    let inputs = (plan(), selector(), [pods(), pods()], worlds);
    let checked = runner.run(&inputs, |(plan, selector, versions, (services, ingresses))| {
        let case = release(&plan, &selector, &versions, &[services, ingresses].concat());
        let verdict = case.mutate();
        let count = if verdict.starts_with("allowed") { &admitted } else { &refused };
        count.set(count.get() + 1);
        if verdict.starts_with("allowed") {
            prop_assert!(verdict.contains("/spec/paused"), "{verdict}");
            prop_assert_eq!(frozen(&case), Ok(()), "{}", verdict);
        }
        Ok(())
    });
    checked.unwrap();
    assert!(
        admitted.get() > 100 && refused.get() > 100,
        "{} admitted, {} refused",
        admitted.get(),
        refused.get()
    );
}
