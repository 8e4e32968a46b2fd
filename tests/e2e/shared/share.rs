//! A canary whose share of the requests is not its weight, as the ingress controller counts them.

use crate::harness::{App, Load, SOON, Space, eventually};
use serde_json::json;
use std::time::Duration;

/// Until the controller's counts have said it twice: settling, a minute, and half a minute more.
const SEEN: Duration = Duration::from_mins(4);

/// An analysis of the application's own metrics, which accepts that there are none.
fn analysis(space: &Space) -> String {
    let selector = format!("namespace=\"{}\",service=\"web-canary\"", space.namespace);
    let query = format!("sum(rate(http_requests_total{{{selector}}}[30s]))");
    let provider = json!({"prometheus": {"address": "http://prometheus.monitoring:9090", "query": query}});
    let condition = "len(result) == 0 || result[0] >= 0";
    let metric =
        json!({"name": "requests", "interval": "10s", "successCondition": condition, "provider": provider});
    json!({"metrics": [metric]}).to_string()
}

#[test]
fn a_canary_that_gets_none_of_its_share_waits_until_it_does() {
    let (space, other) = (Space::new("share"), Space::new("share-other"));
    let plan = "steps: [{setWeight: 50}, {pause: {duration: 90s}}]";
    space.deploy(&App::canary(plan).annotated("haldane.dev/analysis", &analysis(&space)));
    // Somebody else's canary of the same host and path, without traffic: NGINX knows one canary of a path, the older.
    let app = App::plain().sized(1);
    other.deploy(&app);
    let mut older = app.ingress(&space);
    older["metadata"]["name"] = json!("older");
    older["metadata"]["annotations"] = json!({
        "nginx.ingress.kubernetes.io/canary": "true",
        "nginx.ingress.kubernetes.io/canary-weight": "0",
    });
    other.apply(&older.to_string()).ok();
    let load = Load::start(&space, 40);
    space.answers("v1");
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    eventually("the condition to say that the share is another", SEEN, || {
        let condition = space.condition("web", "haldane.dev/Release");
        let says =
            |field: &str, text: &str| condition[field].as_str().is_some_and(|said| said.contains(text));
        let is = says("reason", "WaitsForShare") && says("message", "it got 0 of");
        if is { Ok(()) } else { Err(condition.to_string()) }
    });
    eventually("an Event about it", SEEN, || {
        let events = space.events("WeightNotFollowed");
        if events.is_empty() { Err("none".to_owned()) } else { Ok(()) }
    });
    let summary = space.summary("web");
    assert_eq!((&summary["step"], &summary["weight"]), (&json!("2/2"), &json!("50")), "{summary}");
    other.kubectl(&["delete", "ingress", "older"]).ok();
    space.is_healthy("web", SEEN + 2 * SOON);
    load.stop().assert_nothing_lost("a share that came late");
}
