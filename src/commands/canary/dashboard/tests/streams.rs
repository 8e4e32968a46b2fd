//! What a page gets, and when.

use super::{Dashboard, deployment, lock, object, record};
use crate::{
    commands::canary::{
        dashboard::{board::Change, nearby},
        subject::Side,
    },
    decide::fixtures::{now, seen, state},
    domain::{
        metric::AnalysisRun,
        state::{HistoryEntry, Outcome, RolloutState, RunRecord, Stage},
    },
    objects::marks::marks,
};
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

/// At the last of four steps, with an analysis that has measured once, and a release before.
fn at_a_step() -> RolloutState {
    let mut state =
        state(&seen(4, "web:2", true), Stage::Step { index: 3, entered_at: now(), inconclusive: None });
    let run = json!({
        "name": "web-b-2", "phase": "Running",
        "specs": [{
            "name": "errors", "successCondition": "len(result) == 0 || result[0] < 0.05",
            "provider": {"key": "prometheus", "config": {"query": "errors"}},
        }],
        "results": [{
            "name": "errors", "phase": "Running", "retention": 10, "count": 1, "successful": 1,
            "measurements": [{
                "phase": "Successful", "value": "[0.01]",
                "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z",
            }],
        }],
    });
    let run = RunRecord { step: None, run: object::<AnalysisRun>(run) };
    state.rollout.as_mut().unwrap().runs.push(run);
    state.history.push(HistoryEntry {
        revision: 1,
        hash: seen(4, "web:1", false).template_hash(),
        outcome: Outcome::Aborted,
        started_at: now(),
        ended_at: now(),
        baseline_replicas: 4,
        message: "by jane".into(),
    });
    state
}

fn canary(owner: &str) -> Change {
    let reference =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": format!("{owner}-uid")});
    Change::Canary(Event::Apply(object(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": format!("{owner}-canary"), "namespace": "shop", "uid": "c", "labels": marks(owner),
            "ownerReferences": [reference],
        },
        "spec": {"replicas": 2, "template": seen(2, "web:2", false).template.body()},
        "status": {"readyReplicas": 1},
    }))))
}

fn names(changed: &Value) -> Vec<&str> {
    changed.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_list_is_sent_once_and_then_what_changes() {
    let dashboard = Dashboard::start(false).await;
    let many: Vec<String> = (0..500).map(|number| format!("web-{number:03}")).collect();
    dashboard.lists(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let mut events = dashboard.stream("/api/rollouts").await;
    let all = events.next("rollouts").await;
    assert_eq!(names(&all["changed"]), many);

    dashboard.changed(Change::Record(Event::Apply(record("web-007", &at_a_step()))));
    let next = events.next("rollouts").await;
    assert_eq!((names(&next["changed"]), &next["gone"]), (vec!["web-007"], &json!([])));
    let row = &next["changed"][0];
    assert_eq!(row["rollout"]["observedWeight"], json!(50), "{row}");
    assert_eq!(row["standing"], json!("underWay"));
    assert_eq!(row["stable"]["images"], json!(["web:1"]), "not the images of the held template");
    assert_eq!(row["rollout"]["analyses"], Value::Null, "rows are small");

    dashboard.changed(canary("web-007"));
    let next = events.next("rollouts").await;
    assert_eq!(next["changed"][0]["canary"], json!({"images": ["web:2"], "desired": 2, "ready": 1}));

    dashboard.changed(Change::Deployment(Event::Delete(deployment("web-007"))));
    let next = events.next("rollouts").await;
    assert_eq!(next, json!({"changed": [], "gone": [["shop", "web-007"]]}));
}

#[tokio::test]
async fn nothing_is_shown_before_all_is_listed() {
    let dashboard = Dashboard::start(false).await;
    let mut events = dashboard.stream("/api/rollouts").await;
    assert_eq!(events.next("status").await["isComplete"], json!(false));
    dashboard.changed(Change::Trouble("Deployments", "deployments.apps is forbidden".into()));
    assert_eq!(
        events.next("status").await["troubles"],
        json!({"Deployments": "deployments.apps is forbidden"})
    );
    // Each try begins with this.
    dashboard.changed(Change::Deployment(Event::Init));
    dashboard.changed(Change::Trouble("ConfigMaps", "configmaps is forbidden".into()));
    assert_eq!(
        events.next("status").await["troubles"],
        json!({"ConfigMaps": "configmaps is forbidden", "Deployments": "deployments.apps is forbidden"})
    );
    dashboard.lists(&["web"]);
    assert_eq!(names(&events.next("rollouts").await["changed"]), ["web"]);
    assert_eq!(
        events.next("status").await,
        json!({"isComplete": true, "troubles": {}}),
        "the trouble is over"
    );
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_shown_as_such() {
    let dashboard = Dashboard::start(false).await;
    let mut broken = record("web", &at_a_step());
    broken.data.as_mut().unwrap().insert("state".into(), "{".into());
    dashboard.lists(&["web"]);
    dashboard.changed(Change::Record(Event::Apply(broken)));
    let mut events = dashboard.stream("/api/rollouts").await;
    let mut row = Value::Null;
    while row["problem"].is_null() {
        row = events.next("rollouts").await["changed"][0].clone();
    }
    assert!(row["problem"].as_str().unwrap().contains("delete the ConfigMap to start from what is running"));
}

#[tokio::test]
async fn a_rollout_is_shown_with_limits_history_and_possible_orders() {
    let dashboard = Dashboard::start(false).await;
    dashboard.changed(Change::Record(Event::InitApply(record("web", &at_a_step()))));
    dashboard.lists(&["web"]);
    let rollout = dashboard.stream("/api/rollouts/shop/web").await.next("rollout").await;
    let metric = &rollout["rollout"]["analyses"][0]["metrics"][0];
    assert_eq!((&metric["limits"], &metric["numbers"]), (&json!([0.05]), &json!([0.01])));
    assert_eq!(rollout["history"][0]["message"], json!("by jane"));
    let orders = rollout["orders"].as_array().unwrap();
    let refused = |order: &str| &orders.iter().find(|it| it["order"] == order).unwrap()["refused"];
    assert_eq!((refused("promote"), refused("abort")), (&Value::Null, &Value::Null));
    assert!(refused("retry").as_str().unwrap().contains("only an aborted revision can be retried"));
}

#[tokio::test]
async fn pods_and_events_are_watched_only_while_the_rollout_is_open() {
    let dashboard = Dashboard::start(false).await;
    dashboard.lists(&["web"]);
    dashboard.stream("/api/rollouts").await.next("rollouts").await;
    assert!(lock(&dashboard.nearby).is_empty(), "the list needs none");

    let mut events = dashboard.stream("/api/rollouts/shop/web").await;
    assert_eq!(events.next("pods").await, json!({"items": [], "trouble": null}));
    let sender = lock(&dashboard.nearby)[0].clone();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "shop"},
        "status": {"phase": "Running"},
    });
    sender.unbounded_send(nearby::Change::Pod(Side::Canary, Event::Apply(object(pod)))).unwrap();
    let pods = events.next("pods").await;
    assert_eq!((&pods["items"][0]["name"], &pods["items"][0]["side"]), (&json!("web-1"), &json!("canary")));
    for (name, at) in [("a", "2026-01-01T00:00:00Z"), ("b", "2026-01-01T00:00:05Z")] {
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "involvedObject": {}, "type": "Warning",
            "metadata": {"name": name, "namespace": "shop"},
            "reason": "RolloutAborted", "message": name, "lastTimestamp": at,
        });
        sender.unbounded_send(nearby::Change::Event(Event::Apply(object(event)))).unwrap();
    }
    let mut shown = events.next("events").await;
    while shown["items"].as_array().unwrap().len() < 2 {
        shown = events.next("events").await;
    }
    assert_eq!((&shown["items"][0]["message"], &shown["items"][0]["isWarning"]), (&json!("b"), &json!(true)));

    dashboard.changed(Change::Deployment(Event::Delete(deployment("web"))));
    let gone = events.next("rollout").await;
    assert_eq!(gone, json!({"namespace": "shop", "name": "web", "isGone": true}));
    assert!(sender.is_closed(), "its watches have ended");
}
