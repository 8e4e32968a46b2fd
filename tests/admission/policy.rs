//! What policy profiles require, and what each mode does about it.

use crate::case::{Case, annotated, config, held, state, web, with};
use haldane::{
    config::profile::Bound,
    domain::{
        k8s::{label_rewrite::CANARY_OF_LABEL, selector::Labels},
        keys,
        review::{self, Operation},
        state::Stage,
    },
    notify::CONFIG_MAP,
    objects::marks::{MANAGED_BY, MANAGED_BY_LABEL},
    policy::Mode,
};
use insta::assert_snapshot;
use serde_json::{Value, json};

const METRICS: &str = "metrics: [{name: success-rate, interval: 30s, count: 3, successCondition: 'len(result) == 0 || result[0] > 0.9', provider: {prometheus: {query: 'rate{namespace=\"shop\",app=\"web-canary\"}'}}}]";

/// A profile in `mode` with these rules.
fn bound(mode: Mode, rules: &str) -> Bound {
    let data = Labels::from([("profile".to_owned(), format!("rules: {rules}"))]);
    Bound { mode, name: "strict".into(), data: Some(data) }
}

fn enforced(mut case: Case, rules: &str) -> Case {
    case.facts.policy = Ok(vec![bound(Mode::Enforce, rules)]);
    case
}

/// A release with this plan.
fn release(plan: &str) -> Case {
    let object = |version| annotated(annotated(web(version), keys::CANARY, plan), keys::ANALYSIS, METRICS);
    Case::update(object("a"), object("b"))
}

fn plain(version: &str) -> Value {
    let mut object = web(version);
    object["metadata"]["annotations"].as_object_mut().unwrap().remove(keys::CANARY);
    object["metadata"].as_object_mut().unwrap().remove("labels");
    object
}

const PLAN: &str = "{steps: [{setWeight: 20}, {pause: {duration: 30s}}, {setWeight: 80}, {analysis: {}}]}";

#[test]
fn every_rule_about_plans_names_field_value_and_limit() {
    let answers = [
        "{first-weight: {max: 10}}",
        "{weight-increase: {max: 50}}",
        "{minimum-soak: {total: 1h, perStep: 45s}}",
        "{required-metrics: {names: [latency-*, success-rate]}}",
        "{minimum-samples: {count: 5}}",
        "{metric-hosts: {allow: [\"*.example.com\"]}}",
        "{pod-template: {readinessProbe: true, pinnedImage: true, registries: [registry.example/]}}",
    ]
    .map(|rules| format!("{rules}\n{}", enforced(release(PLAN), rules).mutate().lines().next().unwrap()));
    assert_snapshot!(answers.join("\n\n"));
}

#[test]
fn a_plan_within_the_limits_passes() {
    let rules = "{first-weight: {max: 20}, weight-increase: {max: 60}, minimum-soak: {total: 90s, perStep: 30s}, required-metrics: {names: [success-*]}, minimum-samples: {count: 3}, metric-hosts: {allow: [prometheus.monitoring]}, pod-template: {readinessProbe: true, pinnedImage: true}}";
    assert_snapshot!(enforced(release(PLAN), rules).mutate());
}

#[test]
fn findings_of_policy_and_of_the_plan_come_together() {
    let plan = "{steps: [{setWeight: 60}, {analysis: {templates: [{templateName: nowhere}]}}]}";
    assert_snapshot!(
        enforced(release(plan), "{pod-template: {pinnedImage: true, registries: [a/]}}").mutate()
    );
}

#[test]
fn modes_refuse_warn_or_audit() {
    let mut case = release(PLAN);
    let rules = "{first-weight: {max: 10}}";
    case.facts.policy = Ok(vec![bound(Mode::Warn, rules), bound(Mode::Audit, rules)]);
    assert_snapshot!(case.mutate());
}

#[test]
fn an_exempt_user_is_not_judged_and_that_is_audited() {
    let mut case = release(PLAN);
    let text = "{rules: {first-weight: {max: 10}}, exemptions: {users: [jane]}}";
    let data = Labels::from([("profile".to_owned(), text.to_owned())]);
    case.facts.policy = Ok(vec![Bound { mode: Mode::Enforce, name: "strict".into(), data: Some(data) }]);
    assert!(case.mutate().contains("audit enforce-exempt=strict"), "{}", case.mutate());
    assert!(case.by("joe").mutate().starts_with("denied"));
}

/// The queue is the controller's, which never learns who released: what stands on the Deployment tells it.
#[test]
fn a_release_or_retry_of_an_exempt_user_passes_the_queue() {
    let text = "{rules: {concurrent-canaries: {perNamespace: 1}}, exemptions: {users: [jane]}}";
    let data = Labels::from([("profile".to_owned(), text.to_owned())]);
    let bound = |mode| Bound { mode, name: "strict".into(), data: Some(data.clone()) };
    let passes = |mut case: Case, mode| {
        case.facts.policy = Ok(vec![bound(mode)]);
        case.mutated().object()["metadata"]["annotations"][keys::EXEMPT].as_str().map(str::to_owned)
    };
    let strict = Some("strict".to_owned());
    assert_eq!(passes(release(PLAN), Mode::Enforce), strict);
    assert_eq!(passes(release(PLAN).by("joe"), Mode::Enforce), None);
    assert_eq!(passes(release(PLAN), Mode::Warn), None, "it holds nobody");

    let exempt = |version| annotated(held(web(version)), keys::EXEMPT, "strict");
    let labelled = with(exempt("b"), "/metadata/labels/team", json!("shop"));
    assert_eq!(passes(Case::update(exempt("b"), labelled).by("joe"), Mode::Enforce), strict, "it stays");
    assert_eq!(passes(Case::update(held(web("b")), exempt("b")).by("joe"), Mode::Enforce), None, "forged");
    let newer = with(exempt("b"), "/spec/template", web("c")["spec"]["template"].clone());
    assert_eq!(passes(Case::update(exempt("b"), newer).by("joe"), Mode::Enforce), None, "joe's is joe's");

    let aborted = Stage::Aborted { since: crate::case::now(), message: "RolloutAborted".into() };
    let retry = Case::update(held(web("b")), annotated(held(web("b")), keys::DO, "retry"))
        .state(state(&web("b"), aborted));
    assert_eq!(passes(retry.clone(), Mode::Enforce), strict);
    assert_eq!(passes(retry.by("joe"), Mode::Enforce), None);
}

#[test]
fn a_freeze_refuses_releases_and_says_until_when() {
    // Every request is made at 2026-01-01T00:00:00Z, a Thursday.
    let within =
        "{freeze: {windows: [{name: new year, from: 2025-12-24, to: 2026-01-02, timeZone: Europe/Berlin}]}}";
    assert_snapshot!("between_two_days", enforced(release(PLAN), within).mutate());
    let weekly =
        "{freeze: {windows: [{name: nights, cron: 0 22 * * *, duration: 8h, timeZone: Europe/Berlin}]}}";
    assert_snapshot!("every_night", enforced(release(PLAN), weekly).mutate());
    for elsewhere in [
        "{freeze: {windows: [{name: x, cron: 0 22 * * *, duration: 8h, timeZone: America/New_York}]}}",
        "{freeze: {windows: [{name: x, from: 2026-01-02, to: 2026-01-03}]}}",
        "{freeze: {windows: [{name: x, from: 2025-12-24, to: 2025-12-31}]}}",
    ] {
        assert!(enforced(release(PLAN), elsewhere).mutate().starts_with("allowed"), "{elsewhere}");
    }
}

const FROZEN: &str = "{freeze: {windows: [{name: new year, from: 2025-12-24, to: 2026-01-02}]}}";

#[test]
fn a_reason_and_the_right_open_a_freeze_once() {
    let reason = |object| annotated(object, keys::OVERRIDE_FREEZE, "outage 4711");
    let mut case = enforced(release(PLAN), FROZEN);
    case.review.object = case.review.object.map(reason);
    assert!(case.mutate().starts_with("denied"), "the right is missing");
    case.facts.may_override = Ok(true);
    assert_snapshot!(case.mutate());
    case.review.old_object = case.review.old_object.map(reason);
    assert!(case.mutate().starts_with("denied"), "the reason has been used");
}

#[test]
fn the_way_back_is_open_in_a_freeze() {
    let mut recorded = state(&web("b"), Stage::PromoteScale);
    recorded.stable = Some(crate::case::hash(&web("a")));
    let back = with(held(web("b")), "/spec/template", web("a")["spec"]["template"].clone());
    let case = enforced(Case::update(held(web("b")), back), FROZEN).state(recorded);
    assert!(case.mutate().starts_with("allowed"), "{}", case.mutate());
}

#[test]
fn orders_can_be_left_to_some() {
    let stage = Stage::Step { index: 1, entered_at: crate::case::now(), inconclusive: None };
    let order = Case::update(held(web("b")), annotated(held(web("b")), keys::DO, "promote-full"))
        .state(state(&web("b"), stage));
    let rules = "{allowed-verbs: {promote-full: {groups: [release-managers]}}}";
    assert_snapshot!(enforced(order.clone(), rules).mutate());
    let mut case = enforced(order, rules);
    case.review.user.groups = vec!["release-managers".into()];
    assert!(case.mutate().starts_with("allowed"), "{}", case.mutate());
}

#[test]
fn a_restart_can_be_made_a_release() {
    let stamp = "/spec/template/metadata/annotations";
    let restarted = with(web("a"), stamp, json!({keys::RESTARTED_AT: "2026"}));
    let case = enforced(Case::update(web("a"), restarted), "{restart-is-canary: {}}");
    assert_snapshot!(case.mutate());
}

#[test]
fn deployments_without_a_canary_are_judged_when_they_are_final() {
    let rules = "{canary-required: {}, first-weight: {max: 1}}";
    let change = enforced(Case::update(plain("a"), plain("b")), rules);
    assert_eq!(change.mutate(), "allowed", "the mutating phase has nothing to do");
    assert_snapshot!(change.validate());
    assert!(enforced(Case::create(plain("a")), rules).validate().starts_with("denied"));
    assert!(
        enforced(Case::update(web("a"), plain("a")), rules).validate().starts_with("denied"),
        "opting out"
    );
    let scaled = with(plain("a"), "/spec/replicas", json!(9));
    assert_eq!(enforced(Case::update(plain("a"), scaled), rules).validate(), "allowed");
    let mut worker = enforced(Case::update(plain("a"), plain("b")), rules);
    worker.world().routes.clear();
    assert!(worker.validate().starts_with("allowed"), "no route, no canary");
}

#[test]
fn a_profile_that_cannot_be_read_does_not_open_the_door() {
    let mut case = release(PLAN);
    case.facts.policy = Ok(vec![Bound { mode: Mode::Enforce, name: "strikt".into(), data: None }]);
    assert_snapshot!("a_profile_that_does_not_exist", case.mutate());
    assert!(enforced(release(PLAN), "{first-weight: {}}").mutate().starts_with("denied"));
    case.facts.policy = Err("no answer from the API server within 3s".into());
    assert_snapshot!("profiles_could_not_be_read", case.mutate());
}

#[test]
fn a_profile_is_read_when_it_is_written() {
    let mut case = Case::create(json!({
        "metadata": {"name": "strict", "labels": {keys::POLICY: "true"}},
        "data": {"profile": "rules: {first-weigth: {max: 10}, minimum-samples: {count: 0}}"},
    }));
    (case.review.group, case.review.kind) = (String::new(), "ConfigMap".to_owned());
    assert_snapshot!(case.validate());
    case.review.object.as_mut().unwrap()["data"]["profile"] = json!("rules: {first-weight: {max: 10}}");
    assert_eq!(case.validate(), "allowed");
    case.review.operation = Operation::Delete;
    case.review.object = None;
    assert_eq!(case.validate(), "allowed");
}

#[test]
fn a_routing_of_notifications_is_read_when_it_is_written() {
    let routing = |text: &str| {
        let mut case = Case::create(json!({
            "metadata": {"name": CONFIG_MAP, "namespace": "shop"}, "data": {"routing": text},
        }));
        (case.review.group, case.review.kind) = (String::new(), "ConfigMap".to_owned());
        case.review.name = CONFIG_MAP.to_owned();
        case
    };
    let team = "destinations: [{name: team, webhook: {url: 'https://a.example.com/in'}, evnets: [aborted]}]";
    assert_snapshot!("a_routing_with_a_slip", routing(team).validate());
    let team = routing(&team.replace("evnets", "events"));
    assert_snapshot!("a_routing_to_a_host_that_is_not_allowed", team.validate());
    let mut named = config();
    named.hosts.notified.extend("*.example.com".parse().ok());
    assert!(team.ruling(review::Stage::Validate, &named).verdict.is_allowed());
    // The record of a Deployment `notifications` has the same name.
    let mut record = routing("nothing to read");
    let labels = json!({MANAGED_BY_LABEL: MANAGED_BY, CANARY_OF_LABEL: "notifications"});
    record.review.object.as_mut().unwrap()["metadata"]["labels"] = labels;
    assert_eq!(record.validate(), "allowed");
}

#[test]
fn the_profiles_that_are_shipped_are_read() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/policies.yaml")).unwrap();
    let maps: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    assert_eq!(maps.len(), 2);
    for map in maps {
        let mut case = Case::create(map.clone());
        (case.review.group, case.review.kind) = (String::new(), "ConfigMap".to_owned());
        assert_eq!(case.validate(), "allowed", "{}", map["metadata"]["name"]);
    }
}
