//! What happens to a release arrives where the `ConfigMap` of its namespace says.

use crate::harness::{
    App, SOON, Space,
    cluster::{kubectl, setting},
    eventually,
};
use serde_json::{Value, json};

const PLAN: &str = "steps: [{setWeight: 20}, {pause: {}}]";

/// A namespace with a receiver, the sample application's sink, and a routing to it.
fn notified(name: &str) -> Space {
    let space = Space::new(name);
    let sink = App { name: "sink".to_owned(), ..App::plain().sized(1) };
    space.deploy(&sink);
    let url = format!("http://sink.{}.svc.cluster.local/sink", space.namespace);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "chat"}, "stringData": {"url": url},
    });
    space.apply(&secret.to_string()).ok();
    let account = "--serviceaccount=haldane-system:haldane";
    space
        .kubectl(&["create", "rolebinding", "haldane-secrets", "--clusterrole=haldane-secrets", account])
        .ok();
    let destinations = json!([
        {"name": "own", "webhook": {"url": url}},
        {"name": "chat", "slack": {"urlFrom": {"secretKeyRef": {"name": "chat", "key": "url"}}}, "events": ["aborted"]},
        {"name": "gone", "webhook": {"url": format!("http://gone.{}.svc.cluster.local/", space.namespace)}, "events": ["promoted"]},
    ]);
    space.apply(&routing(&json!({"destinations": destinations}))).ok();
    space
}

fn routing(document: &Value) -> String {
    let data = json!({"routing": document.to_string()});
    let metadata = json!({"name": "haldane-notifications"});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}).to_string()
}

/// The bodies that have arrived, oldest first.
fn arrived(space: &Space) -> Vec<Value> {
    let path = format!("/api/v1/namespaces/{}/services/sink:80/proxy/sink", space.namespace);
    let bodies: Vec<String> =
        serde_json::from_str(&kubectl(&["get", "--raw", &path]).ok().out).expect("a list");
    bodies.iter().map(|body| serde_json::from_str(body).expect("JSON")).collect()
}

/// Waits until exactly these groups of Events have arrived at the destination of Haldane's own JSON.
fn groups(space: &Space, wanted: &[&str]) -> Vec<Value> {
    eventually(&format!("{wanted:?} to arrive"), SOON, || {
        let own: Vec<Value> =
            arrived(space).into_iter().filter(|body| body.get("occasion").is_some()).collect();
        let groups: Vec<&str> = own.iter().filter_map(|body| body["occasion"].as_str()).collect();
        if groups == wanted { Ok(own) } else { Err(format!("{groups:?}")) }
    })
}

#[test]
fn a_pause_a_promotion_and_an_abort_arrive_at_their_destinations() {
    let space = notified("notified");
    space.deploy(&App::canary(PLAN).annotated("haldane.dev/settle", "1s"));
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "20");
    let paused = groups(&space, &["started", "waitsForPerson"]).remove(1);
    for (field, value) in [
        ("event", json!("RolloutPaused")),
        ("namespace", json!(space.namespace)),
        ("deployment", json!("web")),
        ("step", json!(2)),
        ("weight", json!(20)),
        ("canaryImages", json!([setting("HALDANE_SAMPLE_IMAGE")])),
    ] {
        assert_eq!(paused[field], value, "{field} of {paused}");
    }
    assert!(paused["next"].as_str().is_some_and(|next| next.contains("haldane.dev/do=resume")), "{paused}");
    space.order("web", "promote").ok();
    space.is_healthy("web", SOON);
    groups(&space, &["started", "waitsForPerson", "promoted"]);
    space.set_env("web", &["VERSION=v3"]).ok();
    space.pauses_at("web", "20");
    space.order("web", "abort").ok();
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    groups(&space, &["started", "waitsForPerson", "promoted", "started", "waitsForPerson", "aborted"]);
    eventually("the abort to arrive in the chat", SOON, || {
        let bodies = arrived(&space);
        let chat: Vec<&str> = bodies.iter().filter_map(|body| body["text"].as_str()).collect();
        let headline = format!("{}/web: release aborted (revision 3)", space.namespace);
        if chat == [headline.as_str()] { Ok(()) } else { Err(format!("{chat:?}")) }
    });
}

#[test]
fn a_receiver_that_is_gone_delays_no_release_and_is_reported_once() {
    let space = notified("gone");
    space.deploy(&App::canary("steps: [{setWeight: 20}]").annotated("haldane.dev/settle", "1s"));
    space.set_env("web", &["VERSION=v2"]).ok();
    space.is_healthy("web", SOON);
    groups(&space, &["started", "promoted"]);
    let failed = eventually("the failure to be reported", 3 * SOON, || {
        let failed = space.events("NotificationFailed");
        if failed.is_empty() { Err("no Event".to_owned()) } else { Ok(failed) }
    });
    assert!(
        failed.len() == 1 && failed[0].starts_with("RolloutCompleted was not sent to \"gone\": "),
        "{failed:?}"
    );
}

#[test]
fn a_routing_with_a_mistake_is_refused_when_it_is_applied() {
    let space = Space::new("routing");
    for (document, problem) in [
        (
            json!({"destinations": [{"name": "a", "slak": {}}]}),
            "data[routing].destinations[0].slak: unknown field, did you mean \"slack\"?",
        ),
        (
            json!({"destinations": [{"name": "a", "webhook": {"url": "http://vault.vault/"}}]}),
            "vault.vault is not among the allowed notification hosts",
        ),
    ] {
        let applied = space.apply(&routing(&document));
        assert!(applied.code != 0 && applied.err.contains(problem), "{applied:?}");
    }
}
