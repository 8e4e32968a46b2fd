//! What managed Deployments cost that nobody changes, and what a new leader costs. It judges nothing: one line of JSON is
//! the result.

use crate::harness::{
    App, Space,
    audit::{self, Request},
    cluster::kubectl,
    eventually, haldane,
};
use ::haldane::runtime::clock;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{collections::BTreeMap, env, fs, time::Duration};

/// For all Deployments together.
const LIMIT: Duration = Duration::from_mins(15);

/// So long nothing happens.
const SILENCE: SignedDuration = SignedDuration::from_secs(60);

/// A leader that has asked for nothing so long has looked at everything.
const PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// Deployments in one namespace: `IDLE_DEPLOYMENTS`.
fn deployments() -> usize {
    env::var("IDLE_DEPLOYMENTS")
        .map_or(200, |count| count.parse().expect("IDLE_DEPLOYMENTS must be a number"))
}

/// Without pods, so that the node takes as many as there are.
fn create(space: &Space, count: usize) {
    let app = App::canary("steps: [{setWeight: 20}, {pause: {}}]").sized(0);
    let only_deployment = |index: usize| {
        let mut deployment = app.deployment();
        deployment["metadata"]["name"] = json!(format!("web-{index}"));
        deployment.to_string()
    };
    space.apply(&(0..count).map(only_deployment).collect::<Vec<_>>().join("\n---\n")).ok();
}

fn records(space: &Space) -> usize {
    let labels = "--selector=app.kubernetes.io/managed-by=haldane";
    let args =
        ["--namespace", &space.namespace, "get", "configmaps", labels, "--output=name", "--chunk-size=0"];
    kubectl(&args).ok().out.lines().count()
}

/// MiB of memory of each replica.
pub fn memory() -> BTreeMap<String, u64> {
    let resident = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib >> 10)
    };
    let all = haldane::processes().expect("the API server answers").into_iter();
    all.filter_map(|process| Some((resident(&process.pid)?, process.pod)))
        .map(|(mib, pod)| (pod, mib))
        .collect()
}

/// Haldane's requests by verb and resource, without watches and the lease.
fn asked(requests: &[Request]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in requests.iter().filter(|request| !request.is_watch() && !request.is_about_the_lease()) {
        for right in request.rights().into_iter().take(1) {
            *counts.entry(right.to_string()).or_default() += 1;
        }
    }
    counts
}

/// Waits until the leader has looked at everything, and says what was asked since then, and how long it took.
fn settled(since: Timestamp) -> Value {
    eventually("the leader to have looked at everything", LIMIT, || {
        let mut requests = audit::since(since);
        requests.retain(|request| !request.is_watch() && !request.is_about_the_lease());
        let last = requests.iter().map(|request| request.answered_at).max();
        match last {
            Some(last) if clock::now().duration_since(last) > PAUSE => {
                let took = last.duration_since(since).as_millis();
                Ok(
                    json!({"milliseconds": i64::try_from(took).unwrap_or(i64::MAX), "requests": asked(&requests)}),
                )
            }
            last => Err(format!("{last:?}")),
        }
    })
}

#[test]
fn deployments_that_nobody_changes() {
    let (space, count) = (Space::new("idle"), deployments());
    let (before, created) = (memory(), clock::now());
    create(&space, count);
    eventually("a record of each", LIMIT, || {
        let records = records(&space);
        if records == count { Ok(()) } else { Err(format!("{records} of {count}")) }
    });
    let creation = settled(created);
    let (with_all, quiet) = (memory(), clock::now());
    eventually("the leader to renew its lease some time later", 2 * SILENCE.unsigned_abs(), || {
        let later = audit::since(quiet + SILENCE);
        if later.iter().any(Request::is_about_the_lease) { Ok(()) } else { Err("not yet".to_owned()) }
    });
    let silence = asked(&audit::since(quiet));
    // Kubernetes starts it again, and it leads again or another does.
    let killed = clock::now();
    haldane::kill_leader();
    eventually("requests of a leader", LIMIT, || {
        let asks =
            |request: &Request| request.rights().iter().any(|right| right.to_string() == "list configmaps");
        if audit::since(killed).iter().any(asks) { Ok(()) } else { Err("none yet".to_owned()) }
    });
    println!(
        "{}",
        json!({
            "bench": "idle",
            "deployments": count,
            "memoryMiB": {"before": before, "with": with_all, "afterAKill": memory()},
            "creation": creation,
            "requestsInAMinute": silence,
            "afterAKill": settled(killed),
        })
    );
}
