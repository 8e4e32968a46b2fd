use super::*;
use crate::domain::{
    metric::AnalysisRun,
    state::{HistoryEntry, Outcome, Rollout, RunRecord},
};
use serde_json::{Value, json};

const AT: &str = "2026-01-01T00:00:00Z";

fn web() -> ObjectRef<Deployment> {
    ObjectRef::new("web").within("shop")
}

/// A rollout of 4 steps, with 20% of the traffic asked for.
fn state(stage: &Value) -> RolloutState {
    let strategy = json!({
        "steps": [{"setWeight": 20}, {"pause": null}, {"setWeight": 50}, {"pause": "10m"}],
        "progressDeadlineAbort": true, "nginx": {"annotationPrefix": "nginx"}, "settle": "6s",
    });
    let rollout = json!({
        "revision": 2, "hash": "b", "spec": {"strategy": strategy}, "rewrite": {"of": "web", "keys": ["app"]},
        "startedAt": AT, "attempt": 1, "baselineReplicas": 4, "canaryReplicas": 1,
        "traffic": {"weight": 20, "routes": true, "askedAt": AT, "seenAt": AT}, "stage": stage,
    });
    serde_json::from_value(json!({"version": 1, "revision": 2, "rollout": rollout})).unwrap()
}

pub fn at_step(index: usize) -> RolloutState {
    state(&json!({"name": "step", "index": index, "enteredAt": AT}))
}

fn with(change: impl FnOnce(&mut Rollout)) -> RolloutState {
    let mut state = at_step(1);
    change(state.rollout.as_mut().unwrap());
    state
}

/// The metrics and the registry that shows them.
fn metrics() -> (RolloutMetrics, Registry) {
    let mut registry = metrics::registry();
    (RolloutMetrics::new(&mut registry), registry)
}

/// What is exposed, without comments.
fn shown(registry: &Registry) -> Vec<String> {
    let text = metrics::encode(registry).unwrap();
    let series = text.lines().filter(|line| !line.starts_with('#') && !line.starts_with("haldane_build"));
    series.map(|line| line.trim_start_matches("haldane_").to_owned()).collect()
}

/// The series of single Deployments.
fn of_deployments(registry: &Registry) -> Vec<String> {
    shown(registry).into_iter().filter(|line| line.contains("deployment=")).collect()
}

#[test]
fn a_rollout_shows_where_it_is_and_what_it_waits_for() {
    let (rollouts, registry) = metrics();
    rollouts.recorded(&web(), &RolloutState::default(), &at_step(1), &Observed::default());
    let of = r#"{namespace="shop",deployment="web"}"#;
    assert_eq!(
        of_deployments(&registry),
        [
            r#"rollout_phase{namespace="shop",deployment="web",phase="Paused"} 1"#.to_owned(),
            format!("rollout_step{of} 1.0"),
            format!("rollout_steps{of} 4.0"),
            format!("rollout_weight_desired{of} 20.0"),
            format!("rollout_weight_observed{of} 20.0"),
            format!("rollout_waits_for_person{of} 1.0"),
        ]
    );
}

#[test]
fn a_weight_that_is_not_in_force_is_not_observed() {
    let (rollouts, registry) = metrics();
    let asked = with(|rollout| rollout.traffic.seen_at = None);
    rollouts.recorded(&web(), &asked, &asked, &Observed::default());
    let shown = of_deployments(&registry).join("\n");
    assert!(shown.contains("weight_desired") && !shown.contains("weight_observed"), "{shown}");
}

#[test]
fn the_series_of_a_deployment_go_with_it_and_with_the_leader() {
    let (rollouts, registry) = metrics();
    let term = rollouts.term();
    let recorded = |name: &str| {
        let object = ObjectRef::new(name).within("shop");
        rollouts.recorded(&object, &RolloutState::default(), &at_step(1), &Observed::default());
    };
    recorded("web");
    recorded("api");
    rollouts.forget(&web());
    let left = of_deployments(&registry);
    assert!(!left.is_empty() && left.iter().all(|line| line.contains("api")), "{left:?}");
    drop(term);
    assert_eq!(of_deployments(&registry), Vec::<String>::new());
}

/// No phase, stage or state makes more.
#[test]
fn a_deployment_has_at_most_six_series_and_an_idle_one_has_one() {
    let (rollouts, registry) = metrics();
    let aborted = json!({"name": "aborted", "since": AT, "message": "RolloutAborted: bad"});
    let retreat = json!({"name": "retreat", "outcome": "Promoted", "since": AT, "message": ""});
    let stages = [json!({"name": "start"}), json!({"name": "promoteScale"}), retreat, aborted];
    let life = stages.iter().map(state).chain((0..=4).map(at_step)).chain([RolloutState::default()]);
    let mut before = RolloutState::default();
    for after in life {
        rollouts.recorded(&web(), &before, &after, &Observed::default());
        let series = of_deployments(&registry);
        assert!(series.len() <= 6, "{series:#?}");
        before = after;
    }
    let idle = r#"rollout_phase{namespace="shop",deployment="web",phase="Healthy"} 1"#;
    assert_eq!(of_deployments(&registry), [idle]);
}

#[test]
fn beyond_the_limit_deployments_are_counted_and_releases_come_first() {
    let (rollouts, registry) = metrics();
    let idle = RolloutState::default();
    for number in 0..MAX_DEPLOYMENTS + 2 {
        let object = ObjectRef::new(&format!("a-{number}")).within("shop");
        rollouts.recorded(&object, &idle, &idle, &Observed::default());
    }
    rollouts.recorded(&web(), &idle, &at_step(1), &Observed::default());
    let shown = shown(&registry);
    let phases = shown.iter().filter(|line| line.starts_with("rollout_phase{"));
    assert_eq!(phases.count(), MAX_DEPLOYMENTS);
    assert!(shown.iter().any(|line| line.contains(r#"deployment="web",phase="Paused""#)));
    assert!(shown.contains(&"rollouts_without_series 3.0".to_owned()), "{:?}", shown.last());
}

#[test]
fn releases_in_the_queue_are_counted() {
    let (rollouts, registry) = metrics();
    let queued = RolloutState {
        blocked: Some("waits for its turn".to_owned()),
        queued_since: AT.parse().ok(),
        ..RolloutState::default()
    };
    rollouts.recorded(&web(), &queued, &queued, &Observed::default());
    assert!(shown(&registry).contains(&"rollouts_queued 1.0".to_owned()));
    assert!(of_deployments(&registry)[0].contains(r#"phase="Held""#));
}

/// The record of a run that has measured this.
fn measured(provider: &str, result: &Value) -> RolloutState {
    let metric = json!({"name": "errors", "provider": {"key": provider, "config": {}}});
    let run = json!({"name": "web-b-2", "specs": [metric], "results": [result]});
    let run: AnalysisRun = serde_json::from_value(run).unwrap();
    with(|rollout| rollout.runs.push(RunRecord { step: None, run }))
}

#[test]
fn measurements_and_verdicts_are_counted_once() {
    let (rollouts, registry) = metrics();
    let at = |result: &Value| measured("prometheus", result);
    let states = [
        at_step(1),
        at(&json!({"name": "errors", "phase": "Running", "count": 1, "successful": 1})),
        at(&json!({"name": "errors", "phase": "Running", "count": 2, "successful": 2, "error": 1})),
        at(
            &json!({"name": "errors", "phase": "Failed", "count": 3, "successful": 2, "failed": 1, "error": 1}),
        ),
    ];
    for pair in states.windows(2) {
        rollouts.recorded(&web(), &pair[0], &pair[1], &Observed::default());
        rollouts.recorded(&web(), &pair[1], &pair[1], &Observed::default());
    }
    let mut shown: Vec<_> = shown(&registry).into_iter().filter(|line| line.contains("provider=")).collect();
    shown.sort();
    let of = |result: &str, count: u8| {
        format!(r#"measurements_total{{provider="prometheus",result="{result}"}} {count}"#)
    };
    let verdict = r#"metric_verdicts_total{provider="prometheus",verdict="Failed"} 1"#.to_owned();
    assert_eq!(shown, [of("Error", 1), of("Failed", 1), of("Successful", 2), verdict]);
}

#[test]
fn a_provider_that_nobody_knows_adds_no_label_value_of_its_own() {
    let (rollouts, registry) = metrics();
    let result = json!({"name": "errors", "phase": "Running", "count": 1, "failed": 1});
    rollouts.recorded(&web(), &at_step(1), &measured("forged", &result), &Observed::default());
    let shown = shown(&registry).join("\n");
    assert!(
        shown.contains(r#"provider="unknown",result="Failed"} 1"#) && !shown.contains("forged"),
        "{shown}"
    );
}

#[test]
fn the_duration_of_a_rollout_is_observed_when_it_ends() {
    let (rollouts, registry) = metrics();
    let rollout = at_step(1).rollout.unwrap();
    let ended = HistoryEntry {
        revision: 2,
        hash: rollout.hash,
        outcome: Outcome::Promoted,
        started_at: AT.parse().unwrap(),
        ended_at: "2026-01-01T00:20:00Z".parse().unwrap(),
        baseline_replicas: 4,
        message: String::new(),
    };
    let after = RolloutState { history: vec![ended], ..RolloutState::default() };
    rollouts.recorded(&web(), &at_step(4), &after, &Observed::default());
    rollouts.recorded(&web(), &after, &after, &Observed::default());
    let shown = shown(&registry);
    let has = |line: &str| shown.iter().any(|shown| shown == line);
    assert!(has(r#"rollout_duration_seconds_sum{outcome="Promoted"} 1200.0"#), "{shown:#?}");
    assert!(has(r#"rollout_duration_seconds_bucket{le="900.0",outcome="Promoted"} 0"#), "{shown:#?}");
    assert!(has(r#"rollout_duration_seconds_bucket{le="1800.0",outcome="Promoted"} 1"#), "{shown:#?}");
}
