//! What would leave a Service without pods is refused when it is applied; and sticky clients.

use crate::harness::{App, Load, SOON, Space, eventually, space::weight_of};
use serde_json::json;

const PAUSE: &str = "steps: [{setWeight: 50}, {pause: {}}]";
const INGRESS: &str = "networking.k8s.io/v1 Ingress";

#[test]
fn a_template_that_leaves_its_service_is_refused_and_nobody_notices() {
    let space = Space::new("leaves");
    let labels = json!({"app": "web", "tier": "front"});
    let app = App::canary(PAUSE).changed("/spec/template/metadata/labels", labels);
    let mut service = app.service();
    service["spec"]["selector"] = json!({"tier": "front"});
    for object in [service, app.ingress(&space), app.deployment()] {
        space.apply(&object.to_string()).ok();
    }
    space.rolled_out("web");
    space.answers("v1");
    let dropped = app.changed("/spec/template/metadata/labels", json!({"app": "web"})).with("VERSION", "v2");
    let refusal = space.apply(&dropped.deployment().to_string()).refused();
    let said = r#"Service "web" selects tier=front, as the running pods have it"#;
    assert!(refusal.contains("spec.template.metadata.labels[tier]") && refusal.contains(said), "{refusal}");
    space.answers("v1");
}

#[test]
fn a_service_that_changes_with_its_template_is_refused_until_it_is_back() {
    let space = Space::new("together");
    let labelled = |version: &str| json!({"app": "web", "version": version});
    let app = App::canary(PAUSE).changed("/spec/template/metadata/labels", labelled("1"));
    let service = |version: &str| {
        let mut service = app.service();
        service["spec"]["selector"] = labelled(version);
        service.to_string()
    };
    for object in [service("1"), app.ingress(&space).to_string(), app.deployment().to_string()] {
        space.apply(&object).ok();
    }
    space.rolled_out("web");
    let next = app.clone().changed("/spec/template/metadata/labels", labelled("2")).with("VERSION", "v2");
    space.apply(&service("2")).ok();
    // Admission knows of it a moment later.
    eventually("a dry run to be refused", SOON, || {
        let tried = space.apply_with(&["--dry-run=server"], &next.deployment().to_string());
        if tried.code == 0 { Err(tried.err) } else { Ok(()) }
    });
    let refusal = space.apply(&next.deployment().to_string()).refused();
    assert!(refusal.contains("but the running pods have version=1"), "{refusal}");
    // The fix that the refusal names: labels of both versions.
    let mut both = app.service();
    both["spec"]["selector"] = json!({"app": "web"});
    space.apply(&both.to_string()).ok();
    space.apply(&next.deployment().to_string()).ok();
    space.pauses_at("web", "50");
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
    space.answers("v2");
}

#[test]
fn a_port_that_moves_under_a_numeric_target_port_is_refused() {
    let space = Space::new("moves");
    let app = App::canary(PAUSE);
    space.deploy(&app);
    let moved = app
        .with("VERSION", "v2")
        .changed("/spec/template/spec/containers/0/ports", json!([{"containerPort": 9090}]));
    let refusal = space.apply(&moved.deployment().to_string()).refused();
    assert!(refusal.contains(r#"Service "web" has targetPort 8080"#), "{refusal}");
    space.answers("v1");
}

#[test]
fn a_strategy_that_would_empty_the_service_is_refused_with_the_fix() {
    let space = Space::new("empties");
    let rolling = |surge: u32, unavailable: u32| json!({"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}});
    let app = App::canary(PAUSE).sized(1).with("START_DELAY", "3s");
    for object in [app.service(), app.ingress(&space)] {
        space.apply(&object.to_string()).ok();
    }
    let refusal =
        space.apply(&app.clone().changed("/spec/strategy", rolling(1, 1)).deployment().to_string()).refused();
    assert!(refusal.contains("set maxUnavailable: 0 and maxSurge: 1 or more"), "{refusal}");
    let fixed = app.changed("/spec/strategy", rolling(1, 0));
    space.apply(&fixed.deployment().to_string()).ok();
    space.rolled_out("web");
    space.answers("v1");
    let load = Load::start(&space, 30);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);
    load.stop().assert_nothing_failed("a promotion of one slow pod");
}

#[test]
fn what_sticky_clients_keep_is_on_the_ingress_where_nginx_reads_it() {
    let space = Space::new("sticky");
    let app = App::canary(PAUSE);
    space.deploy(&app);
    let prefix = "nginx.ingress.kubernetes.io";
    let annotate =
        |text: &str| space.kubectl(&["annotate", "ingress", "web", &format!("{prefix}/{text}")]).ok();
    annotate("affinity=cookie");
    // Admission knows of each change of the Ingress a moment later.
    let tried = || space.set_env("web", &["VERSION=v2", "--dry-run=server"]).ok().err;
    eventually("a dry run to warn", SOON, || {
        let warning = tried();
        let told = "annotate this Ingress with nginx.ingress.kubernetes.io/affinity-canary-behavior: legacy";
        if warning.contains(told) { Ok(()) } else { Err(warning) }
    });
    annotate("affinity-canary-behavior=legacy");
    eventually("a dry run not to warn any more", SOON, || {
        let warning = tried();
        if warning.contains("affinity") { Err(warning) } else { Ok(()) }
    });
    let warning = space.set_env("web", &["VERSION=v2"]).ok().err;
    assert!(!warning.contains("affinity"), "{warning}");
    space.pauses_at("web", "50");
    let canary = space.the(INGRESS, "web-canary");
    assert_eq!(weight_of(&canary).as_deref(), Some("50"));
    assert_eq!(canary["metadata"]["annotations"][format!("{prefix}/affinity-canary-behavior")], "legacy");
    space.order("web", "abort").ok();
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
}
