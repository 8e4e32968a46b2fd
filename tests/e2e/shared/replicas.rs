//! Without an Ingress: the number of pods behind the user's own Service is the split.

use crate::harness::{App, SOON, Space, eventually};
use serde_json::json;

/// Waits until the Service has so many ready endpoints, so many of which are canary pods.
fn endpoints(space: &Space, all: usize, canary: usize) {
    eventually(&format!("{canary} of {all} endpoints"), SOON, || {
        let slices = space.list("discovery.k8s.io/v1 EndpointSlice", "kubernetes.io/service-name=web");
        let ready: Vec<String> = slices
            .iter()
            .flat_map(|slice| slice["endpoints"].as_array().cloned().unwrap_or_default())
            .filter(|endpoint| endpoint["conditions"]["ready"] == true)
            .map(|endpoint| endpoint["targetRef"]["name"].as_str().unwrap_or_default().to_owned())
            .collect();
        let of_canary = ready.iter().filter(|name| name.starts_with("web-canary-")).count();
        if (ready.len(), of_canary) == (all, canary) { Ok(()) } else { Err(format!("{ready:?}")) }
    });
}

#[test]
fn without_an_ingress_the_share_of_the_pods_is_the_share_of_the_traffic() {
    let space = Space::new("pods");
    let app = App::canary("{abortScaleDownDelaySeconds: 1, steps: [{setWeight: 20}, {pause: {}}, {setWeight: 80}, {pause: {}}]}")
        .annotated("haldane.dev/settle", "1s")
        .sized(4);
    let items = json!([app.service(), app.deployment()]);
    space.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).ok();
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
