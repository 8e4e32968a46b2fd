//! Two Deployments behind one Service or route, and a promotion that would leave a Service without pods.

use crate::harness::{App, Front, Load, SOON, Space, eventually};
use serde_json::{Value, json};

const PLAN: &str = "steps: [{setWeight: 50}, {pause: {}}]";

/// A Deployment behind Service `web`.
fn behind(name: &str) -> Value {
    let mut app = App::canary(PLAN).annotated("haldane.dev/settle", "1s").sized(1);
    name.clone_into(&mut app.name);
    let labels = json!({"app": "web", "pool": name});
    let labelled = app.changed("/spec/selector/matchLabels", labels.clone());
    labelled.changed("/spec/template/metadata/labels", labels).deployment()
}

/// Deployments `web` and `web-spot` behind Service `web`.
fn behind_one_service() -> Space {
    let space = Space::new("turns");
    let app = App::plain();
    for object in [app.service(), app.ingress(&space), behind("web"), behind("web-spot")] {
        space.apply(&object.to_string()).ok();
    }
    space.rolled_out("web");
    space.rolled_out("web-spot");
    space
}

#[test]
fn releases_behind_one_service_take_turns() {
    let space = behind_one_service();
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    let told = space.set_env("web-spot", &["VERSION=v2"]).ok().err;
    assert!(told.contains(r#"Deployment "web" is in a release behind the same Service "web""#), "{told}");
    let waiting = space.reaches("web-spot", SOON, &[("phase", "Held")]);
    assert!(waiting["message"].as_str().is_some_and(|why| why.contains("waits for its turn")), "{waiting}");
    eventually("the condition to say so", SOON, || {
        let condition = space.condition("web-spot", "haldane.dev/Release");
        if condition["reason"] == "WaitsForTurn" { Ok(()) } else { Err(condition.to_string()) }
    });
    space.order("web", "promote").ok();
    space.reaches("web", 2 * SOON, &[("phase", "Healthy")]);
    space.pauses_at("web-spot", "50");
    space.order("web-spot", "promote").ok();
    space.reaches("web-spot", 2 * SOON, &[("phase", "Healthy")]);
}

/// Releases both Deployments in one command; which of them is on trial, and which waits for it.
fn release_both<'a>(space: &Space, names: [&'a str; 2], place: &str) -> [&'a str; 2] {
    let deployments = names.map(|name| format!("deployment/{name}"));
    space.kubectl(&["set", "env", &deployments[0], &deployments[1], "VERSION=v2"]).ok();
    let [one, other] = names;
    eventually("one of the two to be on trial, and the other to wait for it", SOON, || {
        let summaries = names.map(|name| space.summary(name));
        let is_on_trial = |summary: &Value| summary["phase"] == "Paused" && summary["weight"] == "50";
        let waits_for = |name: &str, summary: &Value| {
            let why =
                format!("waits for its turn: Deployment {name:?} is in a release behind the same {place}");
            summary["phase"] == "Held" && summary["message"] == why
        };
        let [first, second] = &summaries;
        if is_on_trial(first) && waits_for(one, second) {
            Ok([one, other])
        } else if is_on_trial(second) && waits_for(other, first) {
            Ok([other, one])
        } else {
            Err(format!("{first} and {second}"))
        }
    })
}

#[test]
fn of_releases_behind_one_service_that_start_at_once_one_waits() {
    let space = behind_one_service();
    let [first, second] = release_both(&space, ["web", "web-spot"], "Service \"web\"");
    space.order(first, "abort").ok();
    space.pauses_at(second, "50");
}

#[test]
fn releases_behind_one_http_route_that_start_at_once_take_turns() {
    let space = Space::behind(Front::Gateway, "turns");
    let plan = "{trafficRouting: {gateway: {}}, steps: [{setWeight: 50}, {pause: {}}]}";
    let app = |name: &str| App {
        name: name.to_owned(),
        ..App::canary(plan).annotated("haldane.dev/settle", "1s").sized(1)
    };
    let mut route = Front::Gateway.route("web", &space.host);
    let mut of_api = route["spec"]["rules"][0].clone();
    of_api["matches"][0]["path"]["value"] = json!("/api");
    of_api["backendRefs"][0]["name"] = json!("api");
    route["spec"]["rules"].as_array_mut().expect("rules").push(of_api);
    let apps = ["web", "api"].map(app);
    for object in apps.iter().flat_map(|app| [app.service(), app.deployment()]).chain([route]) {
        space.apply(&object.to_string()).ok();
    }
    space.rolled_out("web");
    space.rolled_out("api");
    let [first, second] = release_both(&space, ["web", "api"], "HTTPRoute \"web\"");
    space.order(first, "promote").ok();
    space.reaches(first, 2 * SOON, &[("phase", "Healthy")]);
    space.pauses_at(second, "50");
    space.order(second, "promote").ok();
    space.reaches(second, 2 * SOON, &[("phase", "Healthy")]);
    space.answers("v2");
}

#[test]
fn a_promotion_waits_while_it_would_leave_the_service_without_pods() {
    let space = Space::new("scaled");
    let rolling = json!({"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}});
    let app = App::canary(PLAN).with("START_DELAY", "3s").changed("/spec/strategy", rolling);
    space.deploy(&app);
    space.answers("v1");
    let load = Load::start(&space, 30);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    space.kubectl(&["scale", "deployment/web", "--replicas=1"]).ok();
    space.order("web", "promote").ok();
    eventually("the promotion to wait, and to say why", 2 * SOON, || {
        let summary = space.summary("web").to_string();
        let says = summary.contains("its promotion would leave the Service without pods");
        if says { Ok(()) } else { Err(summary) }
    });
    space.kubectl(&["scale", "deployment/web", "--replicas=2"]).ok();
    space.is_healthy("web", 2 * SOON);
    load.stop().assert_nothing_failed("a promotion of a Deployment that was scaled down");
}
