//! `kubectl canary dashboard`, as people use it: by a browser (`tests/e2e/dashboard`).

use crate::harness::{
    App, SOON, Space,
    cluster::{Output, kubectl, run, setting},
};
use serde_json::Value;
use std::{
    env, fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

const PLAN: &str = "steps: [{setWeight: 50}, {pause: {}}]";

/// A dashboard of the namespace.
struct Dashboard {
    process: Child,
    url: String,
}

impl Dashboard {
    #[track_caller]
    fn start(space: &Space, flags: &[&str]) -> Self {
        let mut process = Command::new("kubectl-canary")
            .args(["dashboard", "--port", "0", "--namespace", &space.namespace])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the plugin");
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
        let url = line.split(' ').next().unwrap_or_default().to_owned();
        assert!(url.starts_with("http://localhost:"), "{line}");
        Self { process, url }
    }

    /// Plays an act of `play.js`.
    #[track_caller]
    fn play(&self, space: &Space, act: &str) -> Output {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/dashboard/play.js");
        run("node", &[script, &self.url, &space.namespace, act, &setting("HALDANE_E2E_OUTPUT")], "")
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn releases_are_promoted_and_aborted_by_clicks_and_keys() {
    let space = Space::new("dashboard");
    space.deploy(&App::canary(PLAN));
    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    let dashboard = Dashboard::start(&space, &[]);
    dashboard.play(&space, "look").ok();
    dashboard.play(&space, "promote").ok();
    space.answers("v2");

    space.set_env("web", &["VERSION=v3"]).ok();
    space.pauses_at("web", "50");
    dashboard.play(&space, "abort").ok();
    space.reaches("web", SOON, &[("phase", "Degraded")]);
}

/// What people on call may do with Deployments, in addition to looking at everything.
const ON_CALL: &str = r#"{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "on-call"},
    "rules": [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch", "abort"]}]}"#;

#[test]
fn the_dashboard_has_the_rights_of_its_user_and_shows_the_refusal_of_admission() {
    let space = Space::new("dashboard-rights");
    space.deploy(&App::canary(PLAN).sized(1));
    space.apply(ON_CALL).ok();
    let name = format!("jane-of-{}", space.namespace);
    space.kubectl(&["create", "rolebinding", "view", "--clusterrole=view", "--user", &name]).ok();
    space.kubectl(&["create", "rolebinding", "on-call", "--role=on-call", "--user", &name]).ok();
    let view = kubectl(&["config", "view", "--raw", "--flatten", "--output=json"]).ok().out;
    let mut config: Value = serde_json::from_str(&view).expect("a kubeconfig");
    config["users"][0]["user"]["as"] = name.clone().into();
    let file = env::temp_dir().join(format!("{}.kubeconfig", space.namespace));
    fs::write(&file, config.to_string()).expect("a file");
    let dashboard = Dashboard::start(&space, &["--kubeconfig", file.to_str().expect("a path")]);

    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "50");
    let shown = dashboard.play(&space, "refused").ok().out;
    fs::remove_file(&file).expect("the file");
    assert!(shown.contains(&format!("User {name:?} cannot promote Deployment \"web\"")), "{shown}");
    assert_eq!(space.summary("web")["phase"], "Paused", "nothing was carried out");
    dashboard.play(&space, "abort").ok();
    let summary = space.reaches("web", SOON, &[("phase", "Degraded")]);
    assert!(summary["message"].as_str().is_some_and(|why| why.ends_with(&format!("by {name}"))), "{summary}");
}
