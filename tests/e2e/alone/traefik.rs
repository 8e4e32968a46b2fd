//! Releases by `IngressRoutes` of Traefik's own API: each has a companion, and the user's own objects are never written.

use super::companion::Router;
use crate::harness::{
    App, Front, Load, SOON, Space,
    answers::plain,
    cluster::{run, setting},
    eventually,
};
use serde_json::{Value, json};

const TRAEFIK_SERVICE: &str = "traefik.io/v1alpha1 TraefikService";

const TRAEFIK: Router = Router { key: "traefik", front: Front::TraefikCrd, weight_of };

/// The user's objects: everything goes to `web`, by a middleware, but what is marked, which goes to `debug`.
fn objects(space: &Space) -> Vec<Value> {
    let mut route = Front::TraefikCrd.route("web", &space.host);
    let all = route["spec"]["routes"][0].take();
    let mut marked = all.clone();
    marked["match"] = json!(format!("{} && Header(`X-Debug`, `1`)", all["match"].as_str().unwrap()));
    marked["services"][0]["name"] = json!("debug");
    route["spec"]["routes"] = json!([marked, all]);
    route["spec"]["routes"][1]["middlewares"] = middlewares();
    vec![middleware(), route]
}

fn middlewares() -> Value {
    json!([{"name": "shop"}])
}

fn middleware() -> Value {
    json!({
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "Middleware",
        "metadata": {"name": "shop"},
        "spec": {"headers": {"customResponseHeaders": {"X-Shop": "1"}}},
    })
}

/// The weight of the canary in the first route of a companion, in percent: a service without a share is not there.
fn weight_of(companion: &Value) -> Option<u64> {
    let services = companion["spec"]["routes"][0]["services"].as_array()?;
    let canary = services.iter().find(|service| service["name"] == "web-canary");
    Some(canary.map_or(0, |canary| canary["weight"].as_u64().unwrap_or(100)))
}

#[test]
fn a_release_and_an_abort_lose_no_request_and_leave_the_route_alone() {
    TRAEFIK.loses_no_request(objects, |space| {
        assert!(answer(space, "X-Canary: always").contains("X-Shop: 1"), "the middleware is copied");
        for name in ["web-[0-9a-f]{20}", "web-80", "web-canary-80"] {
            is_counted(&format!("{}-{name}@kubernetescrd", space.namespace));
        }
    });
}

/// Waits until Prometheus has requests of the service by whose name Haldane asks for the share.
fn is_counted(service: &str) {
    // The cluster's Prometheus has a label of its own by the name that Traefik gives.
    let metric = "traefik_service_request_duration_seconds_count";
    let query = format!("query=sum({metric}{{exported_service=~\"{service}\"}}) > 0");
    let url = format!("{}/api/v1/query", setting("HALDANE_PROMETHEUS"));
    eventually(&format!("requests of {service}"), SOON, || {
        let answer =
            run("curl", &["-sS", "--max-time", "5", "--get", "--data-urlencode", &query, &url], "").out;
        if answer.contains("\"value\"") { Ok(()) } else { Err(answer) }
    });
}

/// An answer with its headers.
fn answer(space: &Space, header: &str) -> String {
    let (host, url) = (format!("Host: {}", space.host), format!("http://{}/version", space.front.address()));
    run("curl", &["-sS", "-i", "--max-time", "5", "-H", &host, "-H", header, &url], "").ok().out
}

#[test]
fn a_companion_follows_its_route_and_its_pods() {
    let changed = |space: &Space| {
        let mut route = Front::TraefikCrd.route("web", &space.host);
        route["spec"]["routes"][0]["middlewares"] = middlewares();
        vec![middleware(), route]
    };
    TRAEFIK.follows(changed, |companion| companion["spec"]["routes"][0]["middlewares"] == middlewares());
}

#[test]
fn a_companion_goes_with_a_deployment_that_is_made_again() {
    TRAEFIK.is_removed_with_its_deployment();
}

#[test]
fn argos_key_splits_the_traefik_service_without_writing_it() {
    let space = Space::behind(Front::TraefikCrd, "by-argos-key");
    let plan = TRAEFIK.half().replace("traefik: {}", "traefik: {weightedTraefikServiceName: web}");
    space.deploy(&App::canary(&plan).sized(2));
    let mut route = Front::TraefikCrd.route("web", &space.host);
    route["spec"]["routes"][0]["services"] = json!([{"kind": "TraefikService", "name": "web"}]);
    let weighted = |services: Value| {
        let spec = json!({"weighted": {"services": services}});
        let metadata = json!({"name": "web"});
        json!({"apiVersion": "traefik.io/v1alpha1", "kind": "TraefikService", "metadata": metadata, "spec": spec})
    };
    let [stable, canary] = ["web", "web-canary"].map(|name| json!({"name": name, "port": 80}));
    for object in [weighted(json!([stable, canary])), route] {
        space.apply(&object.to_string()).ok();
    }
    let release = || space.kubectl(&["set", "env", "deployment/web", "VERSION=v2", "--dry-run=server"]);
    eventually("a TraefikService with the canary's Service to be refused", SOON, || {
        let refused = release();
        let is_told = refused.code != 0 && refused.err.contains("this TraefikService names Service");
        if is_told { Ok(()) } else { Err(refused.err) }
    });

    space.apply(&weighted(json!([stable])).to_string()).ok();
    let before = plain(&space.the(TRAEFIK_SERVICE, "web"));
    space.answers("v1");
    let load = Load::start(&space, 40);
    eventually("the release to be accepted", SOON, || {
        let release = release();
        if release.code == 0 { Ok(()) } else { Err(release.err) }
    });
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    let sample = Load::with(&space, &["--rate", "100", "--duration", "5s"]).finish();
    let share = sample.share("v2");
    assert!((44.0..=56.0).contains(&share), "at weight 50 the canary got {share:.1} %");
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
    load.stop().assert_nothing_failed("a release by a TraefikService");
    assert_eq!(plain(&space.the(TRAEFIK_SERVICE, "web")), before, "the user's TraefikService");
}
