//! The switch as a whole, and the way back, from examples/blue-green.

use crate::harness::{Load, SOON, Space, eventually};

const APP: &str = "sample-app";

const SHORTER: &[(&str, &str)] =
    &[("scaleDownDelaySeconds: 300", "scaleDownDelaySeconds: 15\n      abortScaleDownDelaySeconds: 1")];

#[test]
fn blue_green_switches_all_traffic_at_once_and_back_without_a_lost_request() {
    let space = Space::new("blue-green");
    space.apply(&space.example("blue-green/app.yaml", APP, SHORTER)).ok();
    space.rolled_out(APP);
    // NGINX learns of a new Ingress some seconds later.
    space.answers("v1");
    let stable = space.pods("app=sample-app");
    let ingresses = space.record("networking.k8s.io/v1 Ingress");
    let load = Load::start(&space, 40);
    space.set_env(APP, &["VERSION=v2"]).ok();
    space.reaches(APP, SOON, &[("phase", "Paused"), ("weight", "0")]);
    assert_eq!(space.pods("haldane.dev/role=canary").len(), 3, "the preview has full size");
    assert!(space.get("v1 Service", "sample-app-preview").is_some(), "{:?}", space.ours());
    eventually("the header to lead to the preview", SOON, || {
        let preview =
            Load::with(&space, &["--rate", "10", "--duration", "500ms", "--header", "X-Preview: always"])
                .finish();
        if preview.answers("v2") == preview.sent() { Ok(()) } else { Err(preview.split()) }
    });

    space.order(APP, "promote").ok();
    space.reaches(APP, SOON, &[("weight", "100")]);
    space.answers("v2");
    assert_eq!(space.pods("app=sample-app"), stable, "the old version is whole");
    space.order(APP, "abort").ok();
    space.reaches(APP, SOON, &[("phase", "Degraded"), ("weight", "0")]);
    space.answers("v1");
    assert_eq!(space.pods("app=sample-app"), stable, "and serves again");

    space.order(APP, "retry").ok();
    space.reaches(APP, SOON, &[("phase", "Paused"), ("weight", "0")]);
    space.order(APP, "promote").ok();
    space.rolled_out(APP);
    space.is_healthy(APP, SOON);
    space.answers("v2");
    load.stop().assert_nothing_lost("blue-green, there, back and there");
    let weights = ingresses.course("sample-app-canary", crate::harness::space::weight_of);
    assert_eq!(weights, ["0", "100", "0", "100", "0"]);
}
