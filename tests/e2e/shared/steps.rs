//! Steps beyond weight and pause: the lab of examples/w3-steps, header routes, sizes, a pause beside an analysis.

use crate::harness::{
    App, Load, Provider, SOON, Space,
    cluster::{run, setting},
    eventually,
};

const INGRESS: &str = "networking.k8s.io/v1 Ingress";

// Prometheus finds a new canary some seconds later, and needs two values of it.
const SHORTER: &[(&str, &str)] =
    &[("[1m]", "[8s]"), ("interval: 10s", "interval: 3s"), ("duration: 30s", "duration: 10s")];

#[test]
fn a_good_release_is_promoted_and_a_bad_one_rolled_back_without_a_person() {
    let (app, space) = ("sample-app", Space::new("w3"));
    space.apply(&space.example("w3-steps/analysis.yaml", "sample-app", SHORTER)).ok();
    space.apply(&space.example("w3-steps/app.yaml", "sample-app", SHORTER)).ok();
    space.rolled_out(app);
    // NGINX learns of a new Ingress some seconds later.
    space.answers("v1");
    let ingresses = space.record(INGRESS);
    let load = Load::start(&space, 40);
    space.set_env(app, &["VERSION=v2"]).ok();
    space.rolled_out(app);
    space.is_healthy(app, SOON);
    let weights = ingresses.course("sample-app-canary", crate::harness::space::weight_of);
    assert_eq!(weights, ["0", "20", "50", "80", "100", "0"]);

    space.set_env(app, &["VERSION=v3", "ERROR_RATE=0.5"]).ok();
    let summary = space.reaches(app, SOON, &[("phase", "Degraded"), ("weight", "0")]);
    let verdict = "Step-based analysis phase error/failed: Metric \"error-rate\" assessed Failed due to failed (2) > failureLimit (1)";
    assert!(summary["message"].as_str().is_some_and(|message| message.contains(verdict)), "{summary}");
    space.answers("v2");
    load.stop().assert_nothing_lost("w3, a good release and a bad one");
}

#[test]
fn three_signals_judge_a_step_and_two_conditions_all_others() {
    const TIMES: &[(&str, &str)] = &[
        // Of fewer requests, 7 errors of 100 may by chance be more than 10.
        ("[1m]", "[20s]"),
        ("interval: 10s", "interval: 2s"),
        ("interval: 30s", "interval: 2s"),
        ("duration: 1m", "duration: 12s"),
        ("duration: 5m", "duration: 1h"),
    ];
    let space = Space::new("signals");
    space.apply(&space.example("w3-signals/analysis.yaml", "web", TIMES)).ok();
    space.apply(&space.example("w3-signals/app.yaml", "web", TIMES)).ok();
    space.rolled_out("web");
    space.kubectl(&["annotate", "deployment", "web", "haldane.dev/settle=1s"]).ok();
    space.answers("v1");
    let _load = Load::start(&space, 50);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.reaches("web", 2 * SOON, &[("phase", "Paused"), ("weight", "50")]);
    let runs = || space.state("web")["rollout"]["runs"].as_array().cloned().unwrap_or_default();
    let found = runs();
    let signals = found.iter().find(|record| record["step"] == 2).expect("the step's analysis");
    let results = signals["run"]["results"].as_array().cloned().unwrap_or_default();
    let told: Vec<_> =
        results.iter().map(|r| format!("{} {} {}", r["name"], r["phase"], r["count"])).collect();
    let all =
        ["error-rate", "p99-latency", "no-oom-kills"].map(|name| format!("\"{name}\" \"Successful\" 5"));
    assert_eq!(told, all, "{signals}");
    let seconds = results[1]["measurements"].to_string();
    assert!(seconds.contains("[0."), "the canary's latency was seen: {seconds}");
    // Neither good nor bad: 93 of 100.
    for pod in space.list("v1 Pod", "haldane.dev/role=canary") {
        let address = pod["status"]["podIP"].as_str().expect("an address");
        let url = format!("http://{address}:8080/settings?error_rate=7%25");
        run("curl", &["--silent", "--fail", "--max-time", "5", "-X", "PUT", &url], "").ok();
    }
    let message = eventually("the background to be undecided", SOON, || {
        let summary = space.summary("web");
        let message = summary["message"].as_str().unwrap_or_default().to_owned();
        if message.contains("Inconclusive") { Ok(message) } else { Err(summary.to_string()) }
    });
    assert!(message.contains(r#"Metric "success-rate" assessed Inconclusive"#), "{message}");
    assert_eq!(space.weight("web").as_deref(), Some("50"), "a person decides");
    space.order("web", "abort").ok();
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
}

/// What the application says to a request with this header.
fn version(space: &Space, header: &str) -> String {
    let (host, url) =
        (format!("Host: {}", space.host), format!("http://{}/version", setting("HALDANE_INGRESS")));
    run("curl", &["--silent", "--show-error", "--max-time", "5", "-H", &host, "-H", header, &url], "")
        .ok()
        .out
}

fn answers_to(space: &Space, header: &str, wanted: &str) {
    eventually(&format!("{header:?} to lead to {wanted}"), SOON, || {
        let said = version(space, header);
        if said.contains(wanted) { Ok(()) } else { Err(said) }
    });
}

#[test]
fn testers_come_first_by_a_header_and_a_verdict_ends_a_pause() {
    let (provider, space) = (Provider::start(0.0), Space::new("testers"));
    let strategy = "
steps:
- setCanaryScale: {replicas: 2}
- setHeaderRoute: {name: testers, match: [{headerName: X-Canary-Test, headerValue: {exact: 'true'}}]}
- pause: {}
- setWeight: 5
- setHeaderRoute: {name: testers}
- pause: {}
- setCanaryScale: {matchTrafficWeight: true}
- {pause: {}, analysis: {}}
- pause: {}
- setWeight: 100";
    let metrics = format!("metrics: [{}]", provider.metric("interval: 1s, count: 2,"));
    let app = App::canary(strategy)
        .annotated("haldane.dev/analysis", &metrics)
        .annotated("haldane.dev/settle", "1s");
    space.deploy(&app);
    let pods = |wanted: usize| {
        eventually(&format!("{wanted} canary pods"), SOON, || {
            let pods = space.pods("haldane.dev/role=canary").len();
            if pods == wanted { Ok(()) } else { Err(pods.to_string()) }
        });
    };
    let warning = space.set_env("web", &["VERSION=v2"]).ok().err;
    assert!(!warning.contains("split by the number of pods"), "{warning}");
    space.reaches("web", SOON, &[("phase", "Paused"), ("step", "3/10"), ("weight", "0")]);
    pods(2);
    answers_to(&space, "X-Canary-Test: true", "v2");
    answers_to(&space, "X-Canary-Test: false", "v1");

    space.order("web", "promote").ok();
    space.reaches("web", SOON, &[("phase", "Paused"), ("step", "6/10"), ("weight", "5")]);
    let annotations = space.the(INGRESS, "web-canary")["metadata"]["annotations"].to_string();
    assert!(!annotations.contains("canary-by-header"), "the route is gone: {annotations}");
    assert_eq!(provider.questions(), 0);

    space.order("web", "promote").ok();
    space.reaches("web", SOON, &[("phase", "Paused"), ("step", "9/10")]);
    assert_eq!(provider.questions(), 2, "the verdict has ended the pause");
    pods(1);
    space.order("web", "promote --step 10").ok();
    space.reaches("web", SOON, &[("weight", "100")]);
    space.is_healthy("web", SOON);
}
