//! Many releases for a long time, good and bad, among random faults: what grows, and what is left.
//!
//! `make soak MINUTES=45 DEPLOYMENTS=50 SEED=1` writes docs/soak.md and its plots from what it has measured.

mod faults;
mod report;
mod samples;

use crate::harness::{
    App, SOON, Space,
    cluster::{kubectl, try_get},
    eventually, haldane, within,
};
use faults::Schedule;
use report::Run;
use samples::Samples;
use serde_json::{Value, json};
use std::{
    env,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// Releases under way at once: the node takes 110 pods.
const AT_ONCE: usize = 8;
/// Every so many releases of a Deployment are bad: never ready, and judged bad, by turns.
const BAD: u32 = 4;
/// Between samples.
const BEAT: Duration = Duration::from_secs(2);
/// A release may meet several faults, on a machine that does much else.
const PATIENCE: Duration = Duration::from_mins(5);

const STRATEGY: &str =
    "{abortScaleDownDelaySeconds: 1, steps: [{setWeight: 50}, {analysis: {}}, {pause: {duration: 2s}}]}";

/// What shall become of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Good,
    NeverReady,
    JudgedBad,
}

impl Kind {
    fn of(version: u32) -> Self {
        match (version.is_multiple_of(BAD), version.is_multiple_of(2 * BAD)) {
            (false, _) => Self::Good,
            (true, false) => Self::JudgedBad,
            (true, true) => Self::NeverReady,
        }
    }

    fn outcome(self) -> &'static str {
        if self == Self::Good { "Promoted" } else { "Aborted" }
    }

    /// Metrics of the real Prometheus, which may be away for a while.
    fn analysis(self) -> String {
        let value = u8::from(self == Self::JudgedBad);
        format!(
            "metrics: [{{name: errors, interval: 1s, count: 2, consecutiveErrorLimit: 200, \
             successCondition: 'result[0] == 0', provider: {{prometheus: {{query: 'vector({value})'}}}}}}]"
        )
    }

    /// As one applies it: what is released, and how it is judged.
    fn patch(self, version: u32) -> Value {
        let (delay, deadline) = if self == Self::NeverReady { ("1h", 5) } else { ("0s", 120) };
        let env = json!([{"name": "VERSION", "value": format!("v{version}")}, {"name": "START_DELAY", "value": delay}]);
        json!({
            "metadata": {"annotations": {"haldane.dev/analysis": self.analysis()}},
            "spec": {
                "progressDeadlineSeconds": deadline,
                "template": {"spec": {"containers": [{"name": "app", "env": env}]}},
            },
        })
    }
}

/// A Deployment with a route of its own.
fn deploy(space: &Space, name: &str) {
    let app = App { name: name.to_owned(), ..App::canary(STRATEGY) };
    let app = app.sized(1).annotated("haldane.dev/settle", "1s");
    let app = app.annotated("haldane.dev/analysis", &Kind::Good.analysis());
    let mut ingress = app.ingress(space);
    ingress["spec"]["rules"][0]["host"] = json!(format!("{name}.{}", space.host));
    let items = [app.service(), ingress, app.deployment()];
    space.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).ok();
}

/// One release, from the change to its end.
///
/// # Errors
/// It did not end, or not as it should.
fn release(space: &Space, name: &str, version: u32) -> Result<(), String> {
    let kind = Kind::of(version);
    // Where nothing serves, because somebody has just deleted the pod, a change would start natively.
    within(PATIENCE, || {
        let deployment = try_get("apps/v1 Deployment", &space.namespace, name)?.unwrap_or_default();
        let available = deployment["status"]["availableReplicas"].as_u64();
        if available > Some(0) { Ok(()) } else { Err("no pod is available".to_owned()) }
    })?;
    let before = within(PATIENCE, || space.try_state(name))?["revision"].as_u64();
    let patch = kind.patch(version).to_string();
    within(PATIENCE, || {
        let output = space.kubectl(&["patch", "deployment", name, "--patch", &patch]);
        if output.code == 0 { Ok(()) } else { Err(output.err) }
    })?;
    let ended = within(PATIENCE, || {
        let state = space.try_state(name)?;
        let last = state["history"].as_array().and_then(|history| history.last()).unwrap_or(&Value::Null);
        let name = &state["rollout"]["stage"]["name"];
        let is_over = name.is_null() || name == "aborted";
        let is_new = last["revision"].as_u64() > before && last["revision"] == state["revision"];
        if is_over && is_new { Ok(last.clone()) } else { Err(state["rollout"]["stage"].to_string()) }
    })?;
    if ended["outcome"] == kind.outcome() { Ok(()) } else { Err(ended.to_string()) }
}

fn number(name: &str, default: u32) -> u32 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What Haldane keeps in its own namespace.
fn kept() -> String {
    kubectl(&["-n", haldane::NAMESPACE, "get", "secret,configmap,lease", "--output=name"]).ok().out
}

/// Ends the workers also when the test fails.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn many_releases_leave_nothing_behind() {
    let (minutes, count) = (number("SOAK_MINUTES", 45), number("SOAK_DEPLOYMENTS", 50));
    let seed = number("SOAK_SEED", 1);
    haldane::is_complete();
    let kept_before = kept();
    let space = Space::new("soak");
    let names: Vec<String> = (0..count).map(|index| format!("web-{index}")).collect();
    for some in names.chunks(AT_ONCE) {
        for name in some {
            deploy(&space, name);
        }
        for name in some {
            space.rolled_out(name);
        }
    }
    let (started, length) = (Instant::now(), Duration::from_mins(1) * minutes);
    let is_over = AtomicBool::new(false);
    let (good, failed) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let (mut samples, mut schedule) = (Samples::default(), Schedule::new(seed, length));
    thread::scope(|scope| {
        for own in names.chunks(names.len().div_ceil(AT_ONCE).max(1)) {
            let (space, is_over, good, failed) = (&space, &is_over, &good, &failed);
            scope.spawn(move || {
                let rounds = (2_u32..).flat_map(|version| own.iter().map(move |name| (name, version)));
                for (name, version) in rounds.take_while(|_| !is_over.load(Relaxed)) {
                    match release(space, name, version) {
                        Ok(()) => good.lock().expect("no panic").push(Kind::of(version)),
                        Err(why) => {
                            let what =
                                format!("release {version} of {name} ({:?}): {why}", Kind::of(version));
                            eprintln!("{what}");
                            failed.lock().expect("no panic").push(what);
                        }
                    }
                }
            });
        }
        let _ending = Ending(&is_over);
        while started.elapsed() < length {
            samples.take(started.elapsed());
            schedule.strike_if_due(started.elapsed(), &space, &names);
            thread::sleep(BEAT);
        }
    });
    let (good, failed) = (good.into_inner().expect("no panic"), failed.into_inner().expect("no panic"));
    report::write(&Run {
        minutes,
        count,
        seed,
        releases: &good,
        faults: &schedule.struck,
        samples: &samples,
    });
    assert!(failed.is_empty(), "{} of {} releases: {failed:#?}", failed.len(), good.len() + failed.len());
    let mut records: Vec<_> = names.iter().map(|name| format!("ConfigMap/haldane-{name}")).collect();
    records.sort();
    eventually("only records to be left", SOON, || {
        let mut ours = space.ours();
        ours.sort();
        if ours == records { Ok(()) } else { Err(format!("{ours:?}")) }
    });
    assert_eq!(kept(), kept_before, "what Haldane keeps in its own namespace");
    samples.assert_nothing_grew(length / 2);
}
