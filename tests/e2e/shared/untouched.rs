//! Haldane writes nothing on objects of users but `spec.paused` and keys of its own.

use crate::harness::{App, SOON, Space, eventually, recorder::Seen};
use serde_json::{Value, json};

const STRATEGY: &str = "steps: [{setWeight: 30}, {pause: {}}, {setWeight: 70}, {pause: {duration: 2s}}]";

/// Kinds of the user's objects, all called `web`.
const KINDS: &[&str] = &[
    "v1 Service",
    "networking.k8s.io/v1 Ingress",
    "networking.k8s.io/v1 NetworkPolicy",
    "autoscaling/v2 HorizontalPodAutoscaler",
];

/// An object without status and bookkeeping of the API server and kubectl. Watches leave the kind out.
fn plain(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        for key in ["status", "kind", "apiVersion"] {
            fields.remove(key);
        }
    }
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    for key in ["managedFields", "resourceVersion", "generation"] {
        metadata.remove(key);
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        annotations.remove("deployment.kubernetes.io/revision");
    }
    object
}

/// A Deployment, besides without what Haldane may write.
fn without_ours(object: &Value) -> Value {
    let mut object = plain(object);
    for map in ["annotations", "labels"] {
        if let Some(entries) = object["metadata"].get_mut(map).and_then(Value::as_object_mut) {
            entries.retain(|key, _| !key.starts_with("haldane.dev/"));
            if entries.is_empty() {
                object["metadata"].as_object_mut().expect("metadata").remove(map);
            }
        }
    }
    object["spec"].as_object_mut().expect("spec").remove("paused");
    object
}

fn haldane_keys(object: &Value) -> Vec<String> {
    let maps = [&object["metadata"]["annotations"], &object["metadata"]["labels"]];
    let keys = maps.into_iter().filter_map(Value::as_object).flat_map(|map| map.keys().cloned());
    keys.filter(|key| key.starts_with("haldane.dev/")).collect()
}

/// The states in which `seen` has the object, bookkeeping left out.
fn states(seen: &[Seen], read: fn(&Value) -> Value) -> Vec<Value> {
    let mut states: Vec<Value> = seen.iter().map(|seen| read(&seen.object)).collect();
    states.dedup();
    states
}

fn policy() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "web"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"ports": [{"port": 8080}]}]},
    })
}

#[test]
fn a_whole_release_changes_nothing_but_paused() {
    let space = Space::new("untouched");
    space.apply(&policy().to_string()).ok();
    // It scales nothing here, since nothing measures CPU.
    space.apply(&App::plain().autoscaler(2..=5, &json!({})).to_string()).ok();
    space.deploy(&App::plain());
    let before = space.pods("app=web");

    space.kubectl(&["annotate", "deployment", "web", &format!("haldane.dev/canary={STRATEGY}")]).ok();
    eventually("the record of the opted-in Deployment", SOON, || {
        let ours = space.ours();
        if ours == ["ConfigMap/haldane-web"] { Ok(()) } else { Err(format!("{ours:?}")) }
    });
    let deployments = space.record("apps/v1 Deployment");
    let others: Vec<_> = KINDS.iter().map(|kind| space.record(kind)).collect();
    let spec = without_ours(&space.the("apps/v1 Deployment", "web"));
    assert_eq!(space.pods("app=web"), before, "opting in restarts no pod");

    space.set_env("web", &["VERSION=v2"]).ok();
    space.pauses_at("web", "30");
    assert_eq!(space.the("apps/v1 Deployment", "web")["spec"]["paused"], true, "held");
    assert_eq!(space.pods("app=web"), before, "a held template starts no pod of the user's Deployment");
    space.order("web", "promote").ok();
    space.is_healthy("web", 2 * SOON);

    let mut new_spec = spec.clone();
    new_spec["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = json!("v2");
    assert_eq!(states(&deployments.of("web"), without_ours), [spec, new_spec], "states of the Deployment");
    for (kind, recorder) in KINDS.iter().zip(&others) {
        let seen = recorder.of("web");
        assert_eq!(states(&seen, plain).len(), 1, "{kind} changed: {:#?}", states(&seen, plain));
    }

    let promoted = space.pods("app=web");
    space.kubectl(&["annotate", "deployment", "web", "haldane.dev/canary-"]).ok();
    eventually("nothing of Haldane's to be left", SOON, || {
        let ours = space.ours();
        if ours.is_empty() { Ok(()) } else { Err(format!("{ours:?}")) }
    });
    let deployment = space.the("apps/v1 Deployment", "web");
    assert_eq!(haldane_keys(&deployment), Vec::<String>::new(), "keys that are left");
    assert_eq!(deployment["spec"]["paused"], Value::Null);
    assert_eq!(space.pods("app=web"), promoted, "opting out restarts no pod");
    space.set_env("web", &["VERSION=v3"]).ok();
    space.rolled_out("web");
    assert_eq!(space.ours(), Vec::<String>::new(), "a plain Deployment again");
}

/// Waits for the condition, which follows the record: `kubectl diff` looks at its live object twice, and nothing may
/// change in between.
fn has_condition(space: &Space, reason: &str) {
    eventually(&format!("the condition {reason}"), SOON, || {
        let condition = space.condition("web", "haldane.dev/Release");
        if condition["reason"] == reason { Ok(()) } else { Err(condition.to_string()) }
    });
}

#[test]
fn applying_again_during_a_canary_changes_nothing() {
    for flags in [&[][..], &["--server-side"]] {
        let space = Space::new("again");
        let (v1, v2) = (App::canary(STRATEGY), App::canary(STRATEGY).with("VERSION", "v2"));
        space.apply_with(flags, &v1.manifest(&space)).ok();
        space.rolled_out("web");
        space.apply_with(flags, &v2.manifest(&space)).ok();
        space.pauses_at("web", "30");
        has_condition(&space, "WaitsForPerson");
        let before = plain(&space.the("apps/v1 Deployment", "web"));

        let diff = space.diff_with(flags, &v2.manifest(&space));
        assert_eq!(diff.code, 0, "kubectl diff {flags:?}: {}{}", diff.out, diff.err);
        let again = space.apply_with(flags, &v2.manifest(&space)).ok();
        assert_eq!(plain(&space.the("apps/v1 Deployment", "web")), before, "{flags:?}: {}", again.out);
        assert_eq!(space.weight("web").as_deref(), Some("30"));
        space.order("web", "promote-full").ok();
        space.is_healthy("web", 2 * SOON);
        has_condition(&space, "Healthy");
        let diff = space.diff_with(flags, &v2.manifest(&space));
        assert_eq!(diff.code, 0, "kubectl diff {flags:?} afterwards: {}{}", diff.out, diff.err);
    }
}
