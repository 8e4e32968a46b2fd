//! Many releases at once in one namespace, on nodes that are played, so that pods cost nothing. It judges nothing: one
//! line of JSON is the result.

use super::idle::memory;
use crate::harness::{App, Space, audit, eventually};
use haldane::runtime::clock;
use serde_json::{Value, json};
use std::{collections::BTreeMap, env, time::Duration};

const STRATEGY: &str = "steps: [{setWeight: 20}, {setWeight: 50}, {setWeight: 80}]";

/// For all releases together.
const LIMIT: Duration = Duration::from_mins(15);

/// Releases at once: `STORM_RELEASES`.
fn releases() -> usize {
    env::var("STORM_RELEASES").map_or(20, |count| count.parse().expect("STORM_RELEASES must be a number"))
}

/// The records whose releases have ended well, with their revisions.
fn healthy(space: &Space) -> BTreeMap<String, String> {
    let maps = space.list("v1 ConfigMap", "app.kubernetes.io/managed-by=haldane");
    let is_healthy = |map: &&Value| map["data"]["phase"] == "Healthy";
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let revision = |map: &Value| (text(&map["metadata"]["name"]), text(&map["data"]["revision"]));
    maps.iter().filter(is_healthy).map(revision).collect()
}

#[test]
fn many_releases_at_once() {
    let (space, releases) = (Space::new("storm"), releases());
    let apps = (0..releases).map(|index| {
        let app = App::canary(STRATEGY).annotated("haldane.dev/settle", "1s").sized(1);
        let app = app
            .changed("/spec/template/spec/nodeSelector", json!({"type": "kwok"}))
            .changed("/spec/template/spec/tolerations", json!([{"key": "type", "value": "kwok"}]));
        App { name: format!("web-{index}"), ..app }.manifest(&space)
    });
    space.apply(&apps.collect::<Vec<_>>().join("\n---\n")).ok();
    let before = eventually("a record of each", LIMIT, || {
        let records = healthy(&space);
        if records.len() == releases { Ok(records) } else { Err(format!("{} of {releases}", records.len())) }
    });
    for index in 0..releases {
        space.rolled_out(&format!("web-{index}"));
    }
    let (before_memory, begin) = (memory(), clock::now());
    space.kubectl(&["set", "env", "deployment", "--all", "VERSION=v2"]).ok();
    eventually("each to be promoted", LIMIT, || {
        let now = healthy(&space);
        let promoted = now.iter().filter(|(name, revision)| before[*name] != **revision).count();
        if promoted == releases { Ok(()) } else { Err(format!("{promoted} of {releases}")) }
    });
    let seconds = clock::now().duration_since(begin).as_secs();
    let mut counts = BTreeMap::<String, usize>::new();
    for request in audit::since(begin).iter().filter(|request| request.namespace() == space.namespace) {
        if let Some(right) = request.rights().first() {
            *counts.entry(right.to_string()).or_default() += 1;
        }
    }
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let per_release = |count: &usize| number(*count) / number(releases);
    let all: usize = counts.values().sum();
    println!(
        "{}",
        json!({
            "bench": "storm",
            "releases": releases,
            "seconds": seconds,
            "requestsPerRelease": per_release(&all),
            "memoryMiB": {"before": before_memory, "after": memory()},
            "perRelease": counts.iter().map(|(right, count)| (right.clone(), per_release(count))).collect::<BTreeMap<_, _>>(),
        })
    );
}
