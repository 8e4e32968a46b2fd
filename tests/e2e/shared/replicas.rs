//! Without an Ingress: the number of pods behind the user's own Service is the split.

use crate::harness::{App, SOON, Space, eventually};
use serde_json::{Value, json};

/// Waits until a Service has so many ready endpoints, so many of which are canary pods.
fn endpoints_of(space: &Space, service: &str, all: usize, canary: usize) {
    eventually(&format!("{canary} of {all} endpoints of {service}"), SOON, || {
        let of_service = format!("kubernetes.io/service-name={service}");
        let slices = space.list("discovery.k8s.io/v1 EndpointSlice", &of_service);
        let ready: Vec<String> = slices
            .iter()
            .flat_map(|slice| slice["endpoints"].as_array().cloned().unwrap_or_default())
            .filter(|endpoint| endpoint["conditions"]["ready"] == true)
            .map(|endpoint| endpoint["targetRef"]["name"].as_str().unwrap_or_default().to_owned())
            .collect();
        let of_canary = ready.iter().filter(|name| name.contains("-canary-")).count();
        if (ready.len(), of_canary) == (all, canary) { Ok(()) } else { Err(format!("{ready:?}")) }
    });
}

fn endpoints(space: &Space, all: usize, canary: usize) {
    endpoints_of(space, "web", all, canary);
}

fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

#[test]
fn without_an_ingress_the_share_of_the_pods_is_the_share_of_the_traffic() {
    let space = Space::new("pods");
    let app = App::canary("{abortScaleDownDelaySeconds: 1, steps: [{setWeight: 20}, {pause: {}}, {setWeight: 80}, {pause: {}}]}")
        .annotated("haldane.dev/settle", "1s")
        .sized(4);
    space.apply(&list(&[app.service(), app.deployment()])).ok();
    space.rolled_out("web");
    let stable = space.pods("app=web");

    let warning = space.set_env("web", &["VERSION=v2"]).ok().err;
    let told = "setWeight 20 is 1 of 5 pods, 20 %; setWeight 80 is 4 of 8 pods, 50 %";
    assert!(warning.contains(told), "{warning}");
    space.reaches("web", SOON, &[("phase", "Paused"), ("weight", "20")]);
    endpoints(&space, 5, 1);
    space.order("web", "promote").ok();
    space.reaches("web", SOON, &[("phase", "Paused"), ("weight", "80")]);
    endpoints(&space, 8, 4);
    space.order("web", "abort").ok();
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    endpoints(&space, 4, 0);
    assert_eq!(space.pods("app=web"), stable, "stable is what it was");

    space.order("web", "retry").ok();
    space.reaches("web", SOON, &[("phase", "Paused"), ("weight", "20")]);
    space.order("web", "promote-full").ok();
    space.rolled_out("web");
    space.is_healthy("web", SOON);
    endpoints(&space, 4, 0);
    assert!(space.pods("app=web").iter().all(|pod| !stable.contains(pod)), "all pods are new");
}

const CHECKOUT: &str = "checkout-service";

/// The two Services that come with Argo Rollouts' manifests: both select all pods of the application.
fn argos_services() -> [Value; 2] {
    ["checkout-service-stable", "checkout-service-canary"].map(|name| {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}], "selector": {"app": CHECKOUT}},
        })
    })
}

#[test]
fn services_of_argos_manifests_work_once_the_canarys_is_left_to_haldane() {
    let space = Space::new("argo");
    let plan = "
canaryService: checkout-service-canary
stableService: checkout-service-stable
abortScaleDownDelaySeconds: 1
steps: [{setWeight: 10}, {pause: {}}]";
    let app = App { name: CHECKOUT.to_owned(), ..App::canary(plan) };
    let app = app.annotated("haldane.dev/settle", "1s").sized(5);
    space.apply(&list(&argos_services())).ok();
    let refused = space.apply(&app.deployment().to_string());
    let why = "Service \"checkout-service-canary\" exists and is not Haldane's, which makes the canary's Service itself; delete it";
    assert!(refused.code != 0 && refused.err.contains(why), "{}", refused.err);

    space.kubectl(&["delete", "service", "checkout-service-canary"]).ok();
    space.apply(&app.deployment().to_string()).ok();
    space.rolled_out(CHECKOUT);
    let stable = || space.the("v1 Service", "checkout-service-stable")["metadata"]["resourceVersion"].take();
    let untouched = stable();
    for end in ["abort", "promote"] {
        if end == "abort" {
            space.set_env(CHECKOUT, &["VERSION=v2"]).ok();
        } else {
            space.order(CHECKOUT, "retry").ok();
        }
        space.pauses_at(CHECKOUT, "10");
        endpoints_of(&space, "checkout-service-stable", 6, 1);
        endpoints_of(&space, "checkout-service-canary", 1, 1);
        space.order(CHECKOUT, end).ok();
        space.only_the_record_is_left(CHECKOUT, 2 * SOON);
    }
    space.rolled_out(CHECKOUT);
    space.is_healthy(CHECKOUT, SOON);
    assert_eq!(stable(), untouched, "the user's Service is not written");
}
