//! Known ways around a profile, which are closed.

use crate::case::{Case, annotated, config, held, now, state, web, with};
use haldane::{
    admit::rollout_start::{Permission, RolloutStart},
    config::{
        namespace::{Namespace, Settings},
        profile::Bound,
    },
    domain::{k8s::selector::Labels, keys, observed::ReplicaSetView, state::Stage, strategy::RolloutSpec},
    policy::{Mode, profile::Profile},
};
use insta::assert_snapshot;
use serde_json::{Value, json};

const FROZEN: &str = "{freeze: {windows: [{name: new year, from: 2025-12-24, to: 2026-01-02}]}}";
const REQUIRED: &str = "{canary-required: {}}";

fn enforced(mut case: Case, rules: &str) -> Case {
    let data = Labels::from([("profile".to_owned(), format!("rules: {rules}"))]);
    case.facts.policy = Ok(vec![Bound { mode: Mode::Enforce, name: "strict".into(), data: Some(data) }]);
    case
}

/// The Deployment without a word about canaries.
fn plain(version: &str) -> Value {
    let mut object = web(version);
    object["metadata"]["annotations"].as_object_mut().unwrap().remove(keys::CANARY);
    object["metadata"].as_object_mut().unwrap().remove("labels");
    object
}

/// A release with this analysis.
fn release(analysis: &str) -> Case {
    let object = |version| annotated(web(version), keys::ANALYSIS, analysis);
    Case::update(object("a"), object("b"))
}

/// The `ReplicaSet` of this version that a Deployment has left behind, with so many ready pods.
fn left_behind(version: &str, ready: i64) -> ReplicaSetView {
    let mut template = web(version)["spec"]["template"].clone();
    template["metadata"]["labels"]["pod-template-hash"] = json!("abc");
    ReplicaSetView::of(&json!({
        "metadata": {"name": "web-abc"},
        "spec": {"replicas": 4, "template": template},
        "status": {"readyReplicas": ready},
    }))
}

/// The Deployment is made where these `ReplicaSets` run.
fn made(object: Value, sets: &[ReplicaSetView]) -> Case {
    let mut case = Case::create(object);
    case.facts.adoptable = Ok(sets.to_vec());
    case
}

fn in_opted_in_namespace(mut case: Case) -> Case {
    let labels = Labels::from([(keys::CANARY.to_owned(), "enabled".to_owned())]);
    case.namespace = Ok(Namespace::new("shop", "haldane-system", labels, Labels::new()));
    case
}

#[test]
fn a_profile_cannot_be_got_around_by_labels_of_haldanes_objects() {
    let labels =
        [json!({"app.kubernetes.io/managed-by": "haldane"}), json!({"haldane.dev/canary-of": "web"})];
    for labels in labels {
        let object = |version| with(plain(version), "/metadata/labels", labels.clone());
        let told = enforced(Case::create(object("a")), REQUIRED).validate();
        assert!(told.starts_with("denied"), "the Deployment: {told}");
        let case = in_opted_in_namespace(Case::update(object("a"), object("b")));
        assert!(case.mutate().contains("/spec/paused"), "it is held: {}", case.mutate());

        let mut case = enforced(Case::update(plain("a"), plain("b")), REQUIRED);
        let world = std::mem::take(case.world());
        let services = world.services.iter().map(|service| with(json!(service), "/kind", json!("Service")));
        for object in services.chain(world.routes("Ingress").iter().cloned()) {
            case = case.beside(with(object, "/metadata/labels", labels.clone()));
        }
        assert!(case.validate().starts_with("denied"), "Service and Ingress: {}", case.validate());
    }
}

#[test]
fn a_profile_cannot_be_got_around_by_a_new_deployment_where_pods_run() {
    let case = made(web("b"), &[left_behind("a", 4)]);
    assert_snapshot!("a_new_deployment_takes_over_pods", case.mutate());
    assert_eq!(case.clone().mutated().validate(), "allowed");
    assert!(case.validate().starts_with("denied 403"), "not held: {}", case.validate());
    assert!(enforced(case, FROZEN).mutate().starts_with("denied"), "a release like any other");
    for (why, sets) in [
        ("the same template", vec![left_behind("b", 4)]),
        ("nothing serves", vec![left_behind("a", 0)]),
        ("nothing is there", vec![]),
    ] {
        let case = enforced(made(web("b"), &sets), FROZEN);
        assert!(case.mutate().starts_with("allowed") && !case.mutate().contains("paused"), "{why}");
        assert_eq!(case.mutated().validate(), "allowed", "{why}");
    }
    let mut unknown = made(web("b"), &[]);
    unknown.facts.adoptable = Err("no answer from the API server within 3s".into());
    assert_snapshot!("pods_to_take_over_could_not_be_read", unknown.mutate());
}

/// Nothing is asked of Haldane there when a Deployment is made that says nothing itself, so nothing can hold it.
#[test]
fn a_profile_cannot_be_got_around_by_a_new_deployment_that_leaves_it_to_its_namespace() {
    let case = |version| in_opted_in_namespace(made(plain(version), &[left_behind("a", 4)]));
    assert_snapshot!(enforced(case("b"), REQUIRED).validate());
    assert!(enforced(case("b"), FROZEN).validate().starts_with("denied"), "nothing starts in a freeze");
    assert!(
        enforced(case("a"), "{canary-required: {}}").validate().starts_with("allowed"),
        "what runs already"
    );
}

#[test]
fn a_profile_cannot_be_got_around_by_arguments_before_the_host() {
    let rules = "{metric-hosts: {allow: [prometheus.monitoring]}}";
    let analysis = |url: &str| {
        let field = "valueFrom: {fieldRef: {fieldPath: \"metadata.annotations['x']\"}}";
        let metric = "name: m, count: 1, successCondition: 'result == 1'";
        format!(
            "{{args: [{{name: h, {field}}}], metrics: [{{{metric}, provider: {{web: {{url: '{url}', jsonPath: '{{$.a}}'}}}}}}]}}"
        )
    };
    let told = |url: &str| enforced(release(&analysis(url)), rules).mutate();
    let allowed = told("http://prometheus.monitoring:9090/{{args.h}}");
    assert!(allowed.starts_with("allowed"), "behind the host it changes no host: {allowed}");
    for url in [
        "http://{{args.h}}@prometheus.monitoring:9090/",
        "{{args.h}}://prometheus.monitoring:9090/",
        "http://prometheus.monitoring{{args.h}}/",
        "http://prometheus.monitoring:{{args.h}}/",
        "http://{{args.h}}/",
    ] {
        let told = told(url);
        assert!(told.contains("the policy does not allow metrics to query this host"), "{url}: {told}");
    }
}

#[test]
fn a_profile_cannot_be_got_around_by_metrics_that_cannot_fail() {
    let rules = "{required-metrics: {names: [success-rate]}}";
    let query = "provider: {prometheus: {query: 'rate{namespace=\"shop\",app=\"web-canary\"}'}}";
    let good = "successCondition: 'len(result) == 0 || result[0] > 0.9'";
    let told = |fields: &str, more: &str| {
        let plan = format!("{{metrics: [{{name: success-rate, interval: 30s, {fields}, {query}}}]{more}}}");
        let told = enforced(release(&plan), rules).mutate();
        told.lines().next().unwrap_or_default().to_owned()
    };
    let cannot = [
        (format!("count: 3, {good}"), ", dryRun: [{metricName: \".*\"}]"),
        (format!("count: 3, failureLimit: -1, consecutiveSuccessLimit: 2, {good}"), ""),
        (format!("count: 3, failureLimit: 3, {good}"), ""),
        (format!("failureLimit: 1000000, {good}"), ""),
        (format!("count: 3, noData: pass, {good}"), ""),
        ("count: 3".to_owned(), ""),
        ("count: 3, successCondition: 'true'".to_owned(), ""),
    ]
    .map(|(fields, more)| told(&fields, more));
    assert_snapshot!(cannot.join("\n\n"));
    for fields in [format!("count: 3, failureLimit: 2, {good}"), format!("failureLimit: 100, {good}")] {
        assert_eq!(told(&fields, ""), "allowed", "{fields}");
    }
}

#[test]
fn a_profile_cannot_be_got_around_by_an_order_in_a_freeze() {
    let order = |verb: &str, exposed: bool| {
        let mut recorded = state(&web("b"), Stage::Step { index: 1, entered_at: now(), inconclusive: None });
        recorded.rollout.as_mut().unwrap().exposed_at = exposed.then(now);
        recorded.rollout.as_mut().unwrap().manual_pause = Some(now());
        let ordered = annotated(held(web("b")), keys::DO, verb);
        enforced(Case::update(held(web("b")), ordered), FROZEN).state(recorded)
    };
    for verb in ["promote", "promote-full", "resume", "skip-step"] {
        let told = order(verb, false).mutate();
        assert!(told.starts_with("denied") && told.contains("freeze"), "{verb} starts it: {told}");
        let told = order(verb, true).mutate();
        assert!(told.starts_with("allowed"), "{verb} goes on with what users meet already: {told}");
    }
    for verb in ["abort", "pause"] {
        assert!(order(verb, false).mutate().starts_with("allowed"), "{verb}");
    }
    let mut case = order("promote", false);
    case.review.object =
        case.review.object.map(|object| annotated(object, keys::OVERRIDE_FREEZE, "outage 4711"));
    case.facts.may_override = Ok(true);
    assert!(case.mutate().starts_with("allowed"), "{}", case.mutate());
}

#[test]
fn a_profile_cannot_be_got_around_by_init_containers_and_volumes() {
    let rules = "{pod-template: {pinnedImage: true, registries: [registry.example.com]}}";
    let pod = json!({
        "initContainers": [{"name": "init", "image": "registry.example.com.evil/init"}],
        "containers": [{"name": "web", "image": "registry.example.com/web:2"}],
        "volumes": [{"name": "code", "image": {"reference": "code:latest"}}, {"name": "other", "emptyDir": {}}],
    });
    let new = with(web("b"), "/spec/template/spec", pod);
    assert_snapshot!(enforced(Case::update(web("a"), new), rules).mutate());
}

#[test]
fn what_canary_required_does_not_cover_is_a_warning() {
    let stopped = |version| with(web(version), "/status", json!({}));
    let native = enforced(Case::update(stopped("a"), stopped("b")), REQUIRED);
    assert_snapshot!("a_release_without_ready_pods", native.mutate());
    let stamp = "/spec/template/metadata/annotations";
    let restarted = with(web("a"), stamp, json!({keys::RESTARTED_AT: "2026"}));
    assert_snapshot!("a_restart", enforced(Case::update(web("a"), restarted), REQUIRED).mutate());
}

/// What the controller asks when it freezes a plan, however long after admission.
#[test]
fn a_profile_cannot_be_got_around_by_what_changes_between_admission_and_start() {
    let config = config();
    let strategy = haldane::config::strategy::default_strategy(&config.defaults);
    let spec = RolloutSpec { strategy, templates: Vec::new() };
    let (template, settings) = (web("b")["spec"]["template"].clone(), Settings::default());
    let told = |rules: &str, exemption: Option<&str>, is_retry: bool| {
        let profile =
            Profile::read(&serde_saphyr::from_str(&format!("rules: {rules}")).unwrap(), "").unwrap();
        let start = RolloutStart {
            spec: (!is_retry).then_some(&spec),
            template: &template,
            settings: &settings,
            providers: &config.providers,
            exemption,
            now: now(),
        };
        match start.permission(&profile, "strict") {
            Permission::Denied(why) => Some(why),
            Permission::Granted | Permission::Exempt => None,
        }
    };
    let rules = "{first-weight: {max: 1}, required-metrics: {}, pod-template: {registries: [a.example]}, allowed-verbs: {promote: {}}, canary-required: {}, restart-is-canary: {}}";
    assert_snapshot!("rules_that_hold_at_the_start", told(rules, None, false).unwrap());
    assert_eq!(told(rules, Some("strict"), false), None, "exempt is who has released it");
    assert!(told(rules, Some("strict/freeze"), false).is_some(), "of that rule alone");
    assert_eq!(told(rules, None, true), None, "the plan of a retry was frozen before");

    assert_snapshot!("a_freeze_at_the_start", told(FROZEN, None, false).unwrap());
    assert!(told(FROZEN, None, true).is_some(), "a retry that was queued");
    assert_eq!(told(FROZEN, Some("strict/freeze"), false), None, "with a reason and the right");
    assert!(told(FROZEN, Some("other/freeze"), false).is_some(), "of another profile");
}
