//! Clients of the application, through the ingress controller: the `load` tool as a child process.

use super::{Front, Recorder, Space};
use serde_json::{Value, json};
use std::{
    env, fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// A load that is being sent.
#[derive(Debug)]
pub struct Load {
    child: Child,
    report: PathBuf,
    until: PathBuf,
    front: Front,
    /// Endpoints of the ingress controller: without one, requests are lost whatever Haldane does.
    controller: Recorder,
}

/// What became of the requests.
#[derive(Debug, Clone)]
pub struct Report(pub Value);

impl Load {
    /// Sends `rate` requests every second until [`Self::stop`].
    #[track_caller]
    pub fn start(space: &Space, rate: u32) -> Self {
        Self::with(space, &["--rate", &rate.to_string(), "--duration", "30m"])
    }

    /// Sends load as `options` say.
    #[track_caller]
    pub fn with(space: &Space, options: &[&str]) -> Self {
        let number = space.next_number();
        let file = |kind: &str| env::temp_dir().join(format!("{}-{number}.{kind}", space.namespace));
        let (report, until) = (file("json"), file("stop"));
        let child = Command::new(tool())
            .args(["--url", &format!("http://{}/", space.front.address()), "--host", &space.host])
            .args(options)
            // Other tests' Ingresses make NGINX reload, and a reload closes idle connections that clients are
            // just about to use. Tests that are alone keep connections, as most clients do.
            .args(if space.is_alone() { &[][..] } else { &["--no-keepalive"] })
            .arg("--json")
            .arg(&report)
            .arg("--until-file")
            .arg(&until)
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", tool().display()));
        let front = space.front;
        let controller = Recorder::start("discovery.k8s.io/v1 EndpointSlice", front.service().0);
        Self { child, report, until, front, controller }
    }

    /// Ends the load.
    #[track_caller]
    pub fn stop(self) -> Report {
        fs::write(&self.until, "").expect("a temporary file");
        self.finish()
    }

    /// Waits for the end of a load that is limited by itself.
    #[track_caller]
    pub fn finish(mut self) -> Report {
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "the load generator ended with {status}");
        let text = fs::read_to_string(&self.report).expect("a report");
        let mut report: Value = serde_json::from_str(&text).expect("JSON");
        report["controllerUnready"] = json!(unready(self.front, &self.controller));
        Report(report)
    }
}

/// When the ingress controller had no ready endpoint.
fn unready(front: Front, controller: &Recorder) -> Vec<String> {
    let is_unready = |slice: &Value| {
        let endpoints = slice["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
        endpoints.iter().all(|endpoint| endpoint["conditions"]["ready"] != json!(true))
    };
    let is_its = |slice: &Value| {
        slice.pointer("/metadata/labels/kubernetes.io~1service-name") == Some(&json!(front.service().1))
    };
    let seen = controller.all().into_iter().filter(|seen| is_its(&seen.object));
    let seen = seen.filter(|seen| seen.deleted || is_unready(&seen.object));
    seen.map(|seen| seen.at.to_string()).collect()
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.report);
        let _ = fs::remove_file(&self.until);
    }
}

/// Beside the tests, as Cargo lays them out, unless told otherwise.
fn tool() -> PathBuf {
    env::var_os("HALDANE_LOAD").map_or_else(
        || {
            let tests = env::current_exe().expect("a path");
            tests.ancestors().nth(2).expect("a folder above deps").join("examples/load")
        },
        PathBuf::from,
    )
}

impl Report {
    /// Requests sent.
    pub fn sent(&self) -> u64 {
        self.0["sent"].as_u64().unwrap_or_default()
    }

    /// Fails the test if a request was lost or the application itself failed; says what happened.
    #[track_caller]
    pub fn assert_nothing_failed(&self, what: &str) -> &Self {
        self.assert_nothing_lost(what);
        let failed = &self.0["failed_5xx_by_version"];
        assert_eq!(failed, &serde_json::json!({}), "{what}: errors of the application");
        self
    }

    /// Fails the test if a request was lost.
    #[track_caller]
    pub fn assert_nothing_lost(&self, what: &str) -> &Self {
        let (sent, lost) = (self.sent(), &self.0["lost"]);
        assert!(sent > 0, "{what}: no requests were sent");
        let unready = &self.0["controllerUnready"];
        let cause = if *unready == json!([]) {
            String::new()
        } else {
            format!("; the environment's failure: the ingress controller had no ready endpoint at {unready}")
        };
        assert_eq!(*lost, 0, "{what}: {lost} of {sent} requests lost: {}{cause}", self.0["failures"]);
        eprintln!("{what}: {sent} requests, 0 lost, {}", self.split());
        self
    }

    /// Answers of a version.
    pub fn answers(&self, version: &str) -> u64 {
        self.0["by_version"][version]["answers"].as_u64().unwrap_or_default()
    }

    /// Share of a version, in percent.
    pub fn share(&self, version: &str) -> f64 {
        self.0["by_version"][version]["share"].as_f64().unwrap_or_default() * 100.0
    }

    /// Who answered, in words.
    pub fn split(&self) -> String {
        let versions = self.0["by_version"].as_object().cloned().unwrap_or_default();
        let one = |version: &String| format!("{version} {:.1} %", self.share(version));
        versions.keys().map(one).collect::<Vec<_>>().join(", ")
    }
}
