//! Analyses of the examples, with shorter times, and what is special about their providers.

use crate::harness::{
    App, Load, Provider, SOON, Space,
    cluster::{run, setting},
    eventually,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

const SHORTER: &[(&str, &str)] = &[
    ("[1m]", "[8s]"),
    ("[30s]", "[20s]"),
    ("interval: 30s", "interval: 2s"),
    ("interval: 15s", "interval: 2s"),
    ("initialDelay: 30s", "initialDelay: 2s"),
    ("duration: 60s", "duration: 5s"),
    ("timeoutSeconds: 60", "timeoutSeconds: 2"),
    ("duration: 30s", "duration: 4s"),
    // A busy machine adds to both sides, by chance: in the bucket of slow answers 400 ms make no difference.
    ("LATENCY, value: 60ms", "LATENCY, value: 600ms"),
    ("result[0] < 0.5", "result[0] < 2"),
];

/// Applies an example's files and waits for its Deployments.
fn deploy(folder: &str, files: &[&str], deployments: &[&str], space: &Space) {
    for file in files {
        space.apply(&space.example(&format!("{folder}/{file}"), deployments[0], SHORTER)).ok();
    }
    for name in deployments {
        space.rolled_out(name);
    }
}

/// Sends a `PUT` to the pod of a stand-in.
fn tell(space: &Space, app: &str, path: &str, body: &str) {
    let pod = space.list("v1 Pod", &format!("app={app}")).remove(0);
    let url = format!("http://{}:8080{path}", pod["status"]["podIP"].as_str().expect("an address"));
    run("curl", &["--silent", "--fail", "--max-time", "5", "-X", "PUT", "--data-binary", body, &url], "")
        .ok();
}

/// The newest run of a rollout, which is that of its rehearsal as long as there is no other.
fn newest(space: &Space, app: &str) -> Value {
    let mut rollout = space.state(app)["rollout"].take();
    let runs = rollout["runs"].as_array().cloned().unwrap_or_default();
    let run = runs.last().cloned().unwrap_or_default()["run"].take();
    if run.is_null() { rollout["rehearsal"]["run"].take() } else { run }
}

fn measurements(run: &Value, metric: &str) -> Vec<Value> {
    let results = run["results"].as_array().cloned().unwrap_or_default();
    let result = results.into_iter().find(|result| result["name"] == metric).unwrap_or_default();
    result["measurements"].as_array().cloned().unwrap_or_default()
}

fn awaits(space: &Space, app: &str, metric: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(what, SOON, || {
        let run = newest(space, app);
        let found = measurements(&run, metric);
        found.into_iter().find(&wanted).ok_or_else(|| run.to_string())
    })
}

fn time(value: &Value) -> Timestamp {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no time"))
}

#[test]
fn a_web_metric_takes_a_faulty_canary_back() {
    let space = Space::new("w4");
    deploy("w4-web-metric", &["analysis.yaml", "observe.yaml", "app.yaml"], &["web", "observe"], &space);
    space.kubectl(&["annotate", "deployment", "web", "haldane.dev/settle=1s"]).ok();
    space.set_env("web", &["VERSION=v2"]).ok();
    awaits(&space, "web", "error-rate", "a good measurement", |m| {
        m["value"] == "0" && m["phase"] == "Successful"
    });
    tell(&space, "observe", "/settings?error_rate=30%25", "");
    let summary = space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    let verdict = r#"Metric "error-rate" assessed Failed due to failed (1) > failureLimit (0)"#;
    assert!(summary["message"].as_str().is_some_and(|message| message.contains(verdict)), "{summary}");
    let run = newest(&space, "web");
    let bad =
        measurements(&run, "error-rate").into_iter().find(|m| m["phase"] == "Failed").expect("a bad one");
    assert_eq!(bad["value"], "0.3");
    let took = time(&run["completedAt"]).duration_since(time(&bad["startedAt"]));
    assert!(took < SignedDuration::from_secs(30), "from the first bad measurement to the verdict: {took}");

    tell(&space, "observe", "/settings?error_rate=0", "");
    space.set_env("web", &["VERSION=v3"]).ok();
    space.reaches("web", 2 * SOON, &[("phase", "Healthy"), ("revision", "3")]);
    tell(&space, "observe", "/settings?error_rate=1", "");
    space.set_env("web", &["VERSION=v4"]).ok();
    space.reaches("web", SOON, &[("phase", "Degraded"), ("weight", "0"), ("revision", "4")]);
    // Nobody says how it is.
    space.kubectl(&["scale", "deployment", "observe", "--replicas=0"]).ok();
    eventually("nobody to answer", SOON, || match space.list("v1 Pod", "app=observe").len() {
        0 => Ok(()),
        pods => Err(format!("{pods} pods")),
    });
    space.set_env("web", &["VERSION=v5"]).ok();
    let summary = space.reaches("web", 2 * SOON, &[("phase", "Degraded"), ("revision", "5")]);
    let verdict = r#"Metric "error-rate" assessed Error due to consecutiveErrors"#;
    assert!(summary["message"].as_str().is_some_and(|message| message.contains(verdict)), "{summary}");
}

#[test]
fn failures_that_linkerd_counts_take_a_canary_back() {
    // As Linkerd counts them for both sides; the text is a mesh that says so, in the metrics that matter here.
    let labels = "deployment=\"slow-cooker\",dst_namespace=\"test\",direction=\"outbound\"";
    let line = |service: &str, class: &str, count: u32| {
        format!("response_total{{{labels},dst_service=\"{service}\",classification=\"{class}\"}} {count}\n")
    };
    let of_stable = line("podinfo", "success", 100);
    let with_canary = |failures: u32| {
        let canary = [("success", 100), ("failure", failures)];
        of_stable.clone() + &canary.map(|(class, count)| line("podinfo-canary", class, count)).concat()
    };
    let space = Space::new("w2");
    deploy(
        "w2-linkerd-metrics",
        &["analysis.yaml", "exporter.yaml", "app.yaml"],
        &["podinfo", "linkerd"],
        &space,
    );
    space.kubectl(&["annotate", "deployment", "podinfo", "haldane.dev/settle=1s"]).ok();
    tell(&space, "linkerd", "/series", &of_stable);
    space.set_env("podinfo", &["VERSION=v2"]).ok();
    eventually("a release that gets no requests to wait for a person", 4 * SOON, || {
        let summary = space.summary("podinfo");
        let says = summary["message"].as_str().is_some_and(|message| message.contains("has had no data"));
        if says && summary["weight"] == "10" { Ok(()) } else { Err(summary.to_string()) }
    });
    tell(&space, "linkerd", "/series", &with_canary(0));
    space.reaches("podinfo", 2 * SOON, &[("phase", "Healthy"), ("revision", "2")]);

    space.set_env("podinfo", &["VERSION=v3"]).ok();
    awaits(&space, "podinfo", "failures", "a measurement without failures", |m| {
        m["value"] == "[0]" && m["phase"] == "Successful"
    });
    tell(&space, "linkerd", "/series", &with_canary(7));
    let summary = space.reaches("podinfo", SOON, &[("phase", "Degraded"), ("weight", "0")]);
    let verdict = r#"Metric "failures" assessed Failed due to failed (1) > failureLimit (0)"#;
    assert!(summary["message"].as_str().is_some_and(|message| message.contains(verdict)), "{summary}");
}

#[test]
fn a_success_rate_and_a_baseline_judge_together() {
    let space = Space::new("w1");
    deploy("w1-success-rate-latency", &["analysis.yaml", "app.yaml"], &["checkout-service"], &space);
    space.answers("v1");
    let load = Load::start(&space, 100);
    space.set_env("checkout-service", &["VERSION=v2", "ERROR_RATE=0.5%"]).ok();
    space.reaches("checkout-service", 2 * SOON, &[("weight", "50")]);
    let run = newest(&space, "checkout-service");
    assert_eq!(run["phase"], "Successful", "{run}");
    assert_eq!(measurements(&run, "success-rate").len(), 5);
    assert!(
        measurements(&run, "latency")
            .iter()
            .any(|m| m["value"].as_str().is_some_and(|v| v.starts_with("{canary:") && !v.contains("nil"))),
        "both sides are measured: {run}"
    );
    let recorded = measurements(&run, "p99-recorded");
    assert!(
        recorded.iter().filter_map(|m| m["value"].as_str()?.chars().nth(1)).any(|c| c.is_ascii_digit()),
        "the recording rule has values: {run}"
    );
    space.is_healthy("checkout-service", 2 * SOON);
    // Windows are eight times shorter than the example's: with as few errors, several could be without any by chance.
    space.set_env("checkout-service", &["VERSION=v3", "ERROR_RATE=30%"]).ok();
    let summary = space.reaches("checkout-service", 2 * SOON, &[("phase", "Degraded"), ("weight", "0")]);
    let verdict = r#"Metric "success-rate" assessed Failed due to failed (3) > failureLimit (2)"#;
    assert!(summary["message"].as_str().is_some_and(|message| message.contains(verdict)), "{summary}");
    // So many requests are for the sake of the metrics; that none is lost is shown elsewhere, with fewer.
    drop(load);
}

#[test]
fn a_secret_argument_is_read_where_it_is_granted_and_stored_nowhere() {
    const TOKEN: &str = "s3cr3t-t0k3n";
    let provider = Provider::start(0.0);
    let space = Space::new("secret");
    space.kubectl(&["create", "secret", "generic", "metrics", &format!("--from-literal=token={TOKEN}")]).ok();
    let address = provider.address();
    let analysis = format!(
        "args: [{{name: token, valueFrom: {{secretKeyRef: {{name: metrics, key: token}}}}}}]\n\
         metrics: [{{name: errors, interval: 1s, consecutiveErrorLimit: 50, successCondition: 'result[0] == 0', \
         provider: {{prometheus: {{address: '{address}', query: errors, \
         headers: [{{key: Authorization, value: 'Bearer {{{{args.token}}}}'}}]}}}}}}]"
    );
    let strategy = "
abortScaleDownDelaySeconds: 1
analysis: {startingStep: 0}
steps: [{setWeight: 20}, {pause: {}}]";
    let app = App::canary(strategy).annotated("haldane.dev/analysis", &analysis);
    space.deploy(&app.annotated("haldane.dev/settle", "1s"));
    space.set_env("web", &["VERSION=v2"]).ok();
    let advice = awaits(&space, "web", "errors", "an error that says what to do", |m| {
        m["phase"] == "Error"
            && m["message"].as_str().is_some_and(|message| message.contains("allow it with: "))
    });
    assert_eq!(provider.questions(), 0, "nothing is asked without the secret");
    // As it is printed.
    let command = advice["message"].as_str().and_then(|message| message.split_once("allow it with: "));
    space.shell(command.expect("a command").1).ok();
    awaits(&space, "web", "errors", "a measurement with the secret", |m| m["phase"] == "Successful");
    assert!(provider.headers().contains(&format!("authorization: bearer {TOKEN}")), "{}", provider.headers());
    let record = space.the("v1 ConfigMap", "haldane-web").to_string();
    assert!(!record.contains(TOKEN), "the record holds the secret");
}

#[test]
fn a_job_is_a_measurement_and_goes_with_its_analysis() {
    let space = Space::new("job");
    let image = setting("HALDANE_SAMPLE_IMAGE");
    // The application refuses its own settings at once with code 2, or serves until it is ended.
    let job = |name: &str, port: &str| {
        format!(
            "{{name: {name}, provider: {{job: {{spec: {{template: {{spec: {{restartPolicy: Never, \
             terminationGracePeriodSeconds: 0, containers: [{{name: a, image: '{image}', imagePullPolicy: IfNotPresent, \
             env: [{{name: PORT, value: '{port}'}}]}}]}}}}}}}}}}}}"
        )
    };
    let analysis = format!("metrics: [{}, {}]", job("serves", "8080"), job("refuses", "none"));
    let strategy = "
abortScaleDownDelaySeconds: 1
steps: [{setWeight: 20}, {analysis: {}}]";
    let app = App::canary(strategy).annotated("haldane.dev/analysis", &analysis);
    space.deploy(&app.annotated("haldane.dev/settle", "1s"));
    space.set_env("web", &["VERSION=v2"]).ok();
    let summary = space.reaches("web", 2 * SOON, &[("phase", "Degraded"), ("weight", "0")]);
    let message = summary["message"].as_str().unwrap_or_default();
    assert!(
        message.contains(r#"Metric "refuses" assessed Failed due to failed (1) > failureLimit (0)"#),
        "{message}"
    );
    assert!(message.contains("failed: BackoffLimitExceeded"), "{message}");
    eventually("the job that still ran to be deleted", SOON, || {
        let jobs: Vec<String> = space
            .list("batch/v1 Job", "")
            .iter()
            .filter(|job| job["metadata"]["deletionTimestamp"].is_null())
            .map(|job| job["metadata"]["name"].to_string())
            .collect();
        if jobs.len() == 1 && jobs[0].contains("refuses") { Ok(()) } else { Err(format!("{jobs:?}")) }
    });
}
