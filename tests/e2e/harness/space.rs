//! A namespace of one test: what users do in it, what they see in it, and what is left of a failed test.

use super::{
    App, Front, Load, Output, Recorder, SOON,
    admissions::PLAN,
    cluster::{self, kubectl, run, setting},
    eventually,
};
use serde_json::Value;
use std::{
    fs,
    io::{Write, stderr},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// See the module.
#[derive(Debug)]
pub struct Space {
    /// Name of the namespace.
    pub namespace: String,
    /// The host that its Ingresses serve.
    pub host: String,
    /// Who serves it.
    pub front: Front,
    test: String,
    started: Instant,
    count: AtomicU32,
}

impl Space {
    /// A new namespace, behind ingress-nginx.
    #[track_caller]
    pub fn new(name: &str) -> Self {
        Self::behind(Front::Nginx, name)
    }

    /// A new namespace, whose applications are behind this.
    #[track_caller]
    pub fn behind(front: Front, name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique = u64::from(std::process::id()) * 100 + u64::from(COUNT.fetch_add(1, Relaxed));
        let namespace = format!("{name}-{unique:x}");
        let test = thread::current().name().unwrap_or(name).replace("::", "-");
        kubectl(&["create", "namespace", &namespace]).ok();
        Self {
            host: format!("{namespace}.example.com"),
            front,
            namespace,
            test,
            started: Instant::now(),
            count: AtomicU32::new(0),
        }
    }

    /// `kubectl` in this namespace.
    #[track_caller]
    pub fn kubectl(&self, args: &[&str]) -> Output {
        run("kubectl", &[&["--namespace", &self.namespace], args].concat(), "")
    }

    /// A file below `examples/`, with this run's image, this namespace's host in place of
    /// `HOST.example.com`, its own series, and other texts: mostly shorter times.
    pub fn example(&self, file: &str, host: &str, changes: &[(&str, &str)]) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(file);
        let text = fs::read_to_string(path).expect("the example");
        let text = changes.iter().fold(text, |text, (from, to)| text.replace(from, to));
        self.at_home(&text)
            .replace("localhost/sample-app:dev", &setting("HALDANE_SAMPLE_IMAGE"))
            .replace("ingressClassName: nginx", &format!("ingressClassName: {}", self.front.class()))
            .replace(&format!("{host}.example.com"), &self.host)
    }

    /// A text whose queries name this namespace: tests share a Prometheus, and some of them names of applications.
    pub fn at_home(&self, text: &str) -> String {
        let own = format!("namespace=\"{}\"", self.namespace);
        ["w0", "demo", "shop", "default"].iter().fold(text.to_owned(), |text, name| {
            text.replace(&format!("namespace=\"{name}\""), &own)
                .replace(&format!("namespace=\\\"{name}\\\""), &own.replace('"', "\\\""))
        })
    }

    /// Runs a command line as people type it, with `kubectl` in this namespace.
    #[track_caller]
    pub fn shell(&self, line: &str) -> Output {
        let kubectl = format!("kubectl --namespace {} ", self.namespace);
        run("bash", &["-euc", &self.at_home(line).replace("kubectl ", &kubectl)], "")
    }

    /// `kubectl apply` of a text.
    #[track_caller]
    pub fn apply(&self, manifest: &str) -> Output {
        self.apply_with(&[], manifest)
    }

    /// `kubectl apply` with flags more.
    #[track_caller]
    pub fn apply_with(&self, flags: &[&str], manifest: &str) -> Output {
        let apply = ["--namespace", &self.namespace, "apply", "-f", "-"];
        run("kubectl", &[&apply, flags].concat(), manifest)
    }

    /// `kubectl replace --force`: the object is deleted and made again.
    #[track_caller]
    pub fn replace_by_force(&self, manifest: &str) -> Output {
        let replace = ["--namespace", &self.namespace, "replace", "--force", "-f", "-"];
        run("kubectl", &replace, manifest)
    }

    /// `kubectl diff`: exit code 1 when applying would change something.
    #[track_caller]
    pub fn diff_with(&self, flags: &[&str], manifest: &str) -> Output {
        run("kubectl", &[&["--namespace", &self.namespace, "diff", "-f", "-"], flags].concat(), manifest)
    }

    /// Applies an application and waits until it serves.
    #[track_caller]
    pub fn deploy(&self, app: &App) {
        self.apply(&app.manifest(self)).ok();
        self.rolled_out(&app.name);
    }

    /// Waits until the native rollout of a Deployment is complete.
    #[track_caller]
    pub fn rolled_out(&self, name: &str) {
        self.kubectl(&["rollout", "status", &format!("deployment/{name}"), "--timeout=240s"]).ok();
    }

    /// Changes environment variables of a Deployment: a new version.
    #[track_caller]
    pub fn set_env(&self, name: &str, variables: &[&str]) -> Output {
        let deployment = format!("deployment/{name}");
        self.kubectl(&[&["set", "env", &deployment], variables].concat())
    }

    /// Another plan with `--dry-run=server`: the webhooks decide about it, and nothing changes.
    #[track_caller]
    pub fn try_plan(&self, name: &str) -> Output {
        let (key, value) = PLAN;
        let plan = format!("{key}={value}");
        self.kubectl(&["annotate", "deployment", name, &plan, "--overwrite", "--dry-run=server"])
    }

    /// Whether the webhooks decide about another plan, several times in a row.
    ///
    /// # Errors
    /// What kubectl says instead.
    pub fn is_decided_about(&self, name: &str) -> Result<(), String> {
        (0..10).try_for_each(|_| {
            let tried = self.try_plan(name);
            if tried.code == 0 { Ok(()) } else { Err(tried.err) }
        })
    }

    /// Gives an order.
    #[track_caller]
    pub fn order(&self, name: &str, verb: &str) -> Output {
        self.kubectl(&["annotate", "deployment", name, &format!("haldane.dev/do={verb}")])
    }

    /// An object of this namespace, if it exists.
    #[track_caller]
    pub fn get(&self, kind: &str, name: &str) -> Option<Value> {
        cluster::get(kind, &self.namespace, name)
    }

    /// An object of this namespace.
    #[track_caller]
    pub fn the(&self, kind: &str, name: &str) -> Value {
        self.get(kind, name).unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    /// All objects of a kind in this namespace.
    #[track_caller]
    pub fn list(&self, kind: &str, labels: &str) -> Vec<Value> {
        cluster::list(kind, &self.namespace, labels)
    }

    /// Watches all objects of a kind in this namespace from now on.
    pub fn record(&self, kind: &str) -> Recorder {
        Recorder::start(kind, &self.namespace)
    }

    /// What is recorded of a Deployment's rollouts, by key: `phase`, `weight`, `step`, `message`, …
    #[track_caller]
    pub fn summary(&self, name: &str) -> Value {
        let map = self.get("v1 ConfigMap", &format!("haldane-{name}"));
        let mut data = map.map(|mut map| map["data"].take()).unwrap_or_default();
        data.as_object_mut().map(|data| data.remove("state"));
        data
    }

    /// The whole record of a Deployment's rollouts.
    #[track_caller]
    pub fn state(&self, name: &str) -> Value {
        let map = self.the("v1 ConfigMap", &format!("haldane-{name}"));
        serde_json::from_str(map["data"]["state"].as_str().expect("a state")).expect("JSON")
    }

    /// The whole record, while the API server may be away.
    ///
    /// # Errors
    /// It cannot be read now.
    pub fn try_state(&self, name: &str) -> Result<Value, String> {
        let map = cluster::try_get("v1 ConfigMap", &self.namespace, &format!("haldane-{name}"))?;
        let state = map.as_ref().and_then(|map| map["data"]["state"].as_str()).ok_or("no record")?;
        serde_json::from_str(state).map_err(|error| error.to_string())
    }

    /// Waits until every pair of `wanted` is in the summary.
    #[track_caller]
    pub fn reaches(&self, name: &str, limit: Duration, wanted: &[(&str, &str)]) -> Value {
        eventually(&format!("{name} to be at {wanted:?}"), limit, || {
            let summary = self.summary(name);
            let is_there = wanted.iter().all(|(key, value)| summary[key] == *value);
            if is_there { Ok(summary) } else { Err(summary.to_string()) }
        })
    }

    /// Waits for the pause without an end at the first weight.
    #[track_caller]
    pub fn pauses_at(&self, name: &str, weight: &str) {
        self.reaches(name, SOON, &[("phase", "Paused"), ("weight", weight)]);
    }

    /// Waits until Haldane keeps a record of a Deployment.
    #[track_caller]
    pub fn is_opted_in(&self, name: &str) {
        eventually(&format!("the record of {name}"), SOON, || self.try_state(name));
    }

    /// Waits until nothing is under way and nothing of a canary is left. What was just changed is still held, while the
    /// record may say `Healthy` of the release before it.
    #[track_caller]
    pub fn is_healthy(&self, name: &str, limit: Duration) {
        eventually(&format!("{name} to be Healthy"), limit, || {
            let deployment = self.the("apps/v1 Deployment", name);
            let is_held = deployment["metadata"]["annotations"].get("haldane.dev/held").is_some();
            let summary = self.summary(name);
            if !is_held && summary["phase"] == "Healthy" {
                Ok(())
            } else {
                Err(format!("held: {is_held}; {summary}"))
            }
        });
        assert_eq!(self.ours(), [format!("ConfigMap/haldane-{name}")], "what is left of a rollout");
    }

    /// Waits until nothing of a canary is left.
    #[track_caller]
    pub fn only_the_record_is_left(&self, name: &str, limit: Duration) {
        eventually("the canary's objects to be gone", limit, || {
            let ours = self.ours();
            if ours == [format!("ConfigMap/haldane-{name}")] { Ok(()) } else { Err(format!("{ours:?}")) }
        });
    }

    /// Waits until this version answers through the ingress, several times in a row.
    #[track_caller]
    pub fn answers(&self, version: &str) {
        eventually(&format!("{version} to answer through the ingress"), SOON, || {
            let load = Load::with(self, &["--rate", "20", "--duration", "500ms"]).finish();
            if load.answers(version) == load.sent() { Ok(()) } else { Err(load.0["failures"].to_string()) }
        });
    }

    /// The weight in force on the canary's Ingress.
    #[track_caller]
    pub fn weight(&self, name: &str) -> Option<String> {
        weight_of(&self.get("networking.k8s.io/v1 Ingress", &format!("{name}-canary"))?)
    }

    /// Everything of Haldane's in this namespace, as `Kind/name`.
    #[track_caller]
    pub fn ours(&self) -> Vec<String> {
        const KINDS: &[&str] = &[
            "v1 ConfigMap",
            "v1 Service",
            "apps/v1 Deployment",
            "networking.k8s.io/v1 Ingress",
            "networking.k8s.io/v1 NetworkPolicy",
            "autoscaling/v2 HorizontalPodAutoscaler",
        ];
        let of_kind = |kind: &&str| {
            let found = self.list(kind, "app.kubernetes.io/managed-by=haldane");
            let kind = kind.rsplit(' ').next().unwrap_or_default().to_owned();
            found.into_iter().map(move |object| {
                format!("{kind}/{}", object["metadata"]["name"].as_str().unwrap_or_default())
            })
        };
        let routes = [Front::Gateway, Front::TraefikCrd].contains(&self.front).then(|| self.front.kind());
        KINDS.iter().chain(&routes).flat_map(of_kind).collect()
    }

    /// Messages of Events with this reason.
    #[track_caller]
    pub fn events(&self, reason: &str) -> Vec<String> {
        let events = self.list("events.k8s.io/v1 Event", "");
        let with_reason = events.iter().filter(|event| event["reason"] == reason);
        with_reason.map(|event| event["note"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Messages of Events with this reason, once there is one: Haldane sends it after the record that says the same.
    #[track_caller]
    pub fn awaits_events(&self, reason: &str) -> Vec<String> {
        eventually(&format!("an Event {reason}"), SOON, || {
            let events = self.events(reason);
            if events.is_empty() { Err("no such Event".to_owned()) } else { Ok(events) }
        })
    }

    /// A condition of a Deployment.
    #[track_caller]
    pub fn condition(&self, name: &str, kind: &str) -> Value {
        let deployment = self.the("apps/v1 Deployment", name);
        let conditions = deployment["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default()
    }

    /// UIDs of the pods that `labels` selects.
    #[track_caller]
    pub fn pods(&self, labels: &str) -> Vec<String> {
        let pods = self.list("v1 Pod", labels);
        let running = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let mut uids: Vec<String> =
            running.map(|pod| pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned()).collect();
        uids.sort();
        uids
    }

    /// No other test runs.
    pub fn is_alone(&self) -> bool {
        self.test.starts_with("alone-")
    }

    /// Another number at each call.
    pub fn next_number(&self) -> u32 {
        self.count.fetch_add(1, Relaxed)
    }

    /// Everything that helps to understand a failure, into a folder.
    fn dump(&self) {
        let folder = PathBuf::from(setting("HALDANE_E2E_OUTPUT")).join(&self.test);
        let _ = fs::create_dir_all(&folder);
        let save = |file: &str, output: Output| {
            let _ = fs::write(folder.join(file), format!("$ {}\n{}{}", output.line, output.out, output.err));
        };
        save("events.txt", self.kubectl(&["get", "events", "--sort-by=.metadata.creationTimestamp"]));
        let kinds = "deploy,rs,pod,hpa,svc,ingress,endpointslice,networkpolicy,configmap";
        save("objects.txt", self.kubectl(&["get", kinds, "--output=wide"]));
        save("objects.yaml", self.kubectl(&["get", kinds, "--output=yaml"]));
        let state = "--selector=app.kubernetes.io/managed-by=haldane";
        save("state.yaml", self.kubectl(&["get", "configmap", state, "--output=yaml"]));
        save("haldane-pods.txt", kubectl(&["-n", "haldane-system", "get", "pod,lease", "--output=yaml"]));
        let labels = "--selector=app.kubernetes.io/name=haldane";
        let logs = kubectl(&["-n", "haldane-system", "logs", labels, "--prefix", "--tail=-1"]);
        let here =
            logs.out.lines().filter(|line| line.contains(&self.namespace)).collect::<Vec<_>>().join("\n");
        save("haldane.log", Output { out: here, ..logs.clone() });
        save("haldane-all.log", logs);
        let previous =
            kubectl(&["-n", "haldane-system", "logs", labels, "--prefix", "--tail=-1", "--previous"]);
        save("haldane-previous.log", previous);
    }
}

/// `canary-weight` of an Ingress.
pub fn weight_of(ingress: &Value) -> Option<String> {
    let annotations = ingress["metadata"]["annotations"].as_object()?;
    annotations.get("nginx.ingress.kubernetes.io/canary-weight")?.as_str().map(str::to_owned)
}

impl Drop for Space {
    fn drop(&mut self) {
        let failed = thread::panicking();
        if failed {
            self.dump();
        }
        let verdict = if failed { "FAILED" } else { "ok" };
        // Past the test harness, which shows only what failed tests print.
        let _ = writeln!(
            stderr(),
            "[{:>4}s] {} {verdict} ({})",
            self.started.elapsed().as_secs(),
            self.test,
            self.namespace
        );
        // Now, not when the namespace's turn comes: NGINX reloads for it, which the next test shall not notice.
        self.kubectl(&["delete", "ingress", "--all"]);
        kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
    }
}
